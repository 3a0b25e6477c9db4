"""Makes room: archives runs (nothing goes), drops what ended runs can do without, or deletes them; each shown before it is done.

A model that another run started from stays, and its run with it; so does a run that lives. Deleting renames the folder first,
inside the transaction that takes the rows away; a crash in between is finished, or undone, by the next start.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext, ngettext

from annotation.models import Project
from training import preparing
from training.machine import disk
from training.models import Metric, Model, Run, Sample
from webapp.people import auditing
from webapp.people.models import User

TRASH = ".deleted-"  # how a folder is called between its run's end and its own
#: what a run's folder is told as: name -> entries of the folder; all else is "other"
PARTS = {"model": ("model",), "checkpoints": ("checkpoints",), "log": ("output.log", "serve.log", "loggers.log")}
DELETE, SPACE = "delete", "space"
#: what each way of clearing takes out of a folder
TAKES = {DELETE: ("model", "checkpoints", "log", "other"), SPACE: ("checkpoints", "log")}


@dataclass(frozen=True)
class Goes:
    """A run of which something goes, and how many bytes of the disk each part of it holds."""

    run: Run
    sizes: dict[str, int]

    @property
    def bytes(self) -> int:
        return sum(self.sizes.values())


@dataclass(frozen=True)
class Stays:
    """A run that was asked for and cannot go; `why` is a sentence."""

    run: Run
    why: str


@dataclass(frozen=True)
class Preview:
    """What clearing would do."""

    way: str
    goes: list[Goes]
    stays: list[Stays]

    @property
    def bytes(self) -> int:
        return sum(one.bytes for one in self.goes)


def archive(*, project: Project, runs: Iterable[int], actor: User | None, restore: bool = False) -> int:
    """Takes ended runs out of the lists, or puts them back; how many."""
    with transaction.atomic():
        found = project.runs.filter(pk__in=list(runs), state__in=Run.ENDED, archived_at__isnull=not restore)
        numbers = sorted(found.values_list("pk", flat=True))
        found.update(archived_at=None if restore else Now())
        if numbers:
            action = "restore runs" if restore else "archive runs"
            auditing.record(actor=actor, action=action, subject=project.slug, runs=numbers)
    return len(numbers)


def preview(*, project: Project, runs: Iterable[int], way: str) -> Preview:
    """What would go and what would stay. Changes nothing."""
    return _preview(project.runs.filter(pk__in=list(runs)).order_by("pk"), way)


def clear(*, project: Project, runs: Iterable[int], way: str, actor: User | None) -> Preview:
    """Deletes runs, or drops what they can do without; tells what was done, which may be less than a preview said."""
    finish_deletions()
    try:
        with transaction.atomic():
            done = _clear(project.runs.filter(pk__in=list(runs)).order_by("pk"), way)
            if done.goes:
                detail: dict[str, Any] = {"runs": [_told(one.run) for one in done.goes], "bytes": done.bytes}
                action = "delete runs" if way == DELETE else "free space of runs"
                auditing.record(actor=actor, action=action, subject=project.slug, **detail)
    finally:
        finish_deletions()  # after a fault it puts the folders back
    if way == SPACE:
        for one in done.goes:
            _drop(preparing.folder(one.run))
    return done


def _clear(wanted: QuerySet[Run], way: str) -> Preview:
    # whoever launches from one of these models locks it too, so none gets a new user from here on
    list(Model.objects.filter(run__in=wanted).order_by("pk").select_for_update().values_list("pk"))
    done = _preview(wanted.select_for_update(), way)
    if way == DELETE:
        _delete([one.run.pk for one in done.goes])
    return done


def finish_deletions() -> None:
    """Removes folders of runs that were deleted; puts back the folder of one whose deletion did not come to its end."""
    for trash in sorted((Path(settings.HOME) / "runs").glob(f"{TRASH}*")):
        number = trash.name.removeprefix(TRASH)
        if not number.isdigit():
            continue
        with transaction.atomic():  # waits for a deletion that is under way
            run = Run.objects.select_for_update().filter(pk=int(number)).first()
            if run is not None:
                with suppress(OSError):
                    trash.rename(preparing.folder(run))
        if run is None:
            _remove(trash)


def _preview(found: QuerySet[Run], way: str) -> Preview:
    runs = list(found)
    reasons = {run.pk: gettext("it is still at work: cancel it first") for run in runs if run.is_live}
    if way == DELETE:
        reasons |= _used(runs, reasons)
    goes = [Goes(run, _sizes(run, way)) for run in runs if run.pk not in reasons]
    if way == SPACE:
        reasons |= {
            one.run.pk: gettext("it holds neither checkpoints nor a log any more") for one in goes if not one.sizes
        }
    goes = [one for one in goes if one.run.pk not in reasons]
    return Preview(way, goes, [Stays(run, reasons[run.pk]) for run in runs if run.pk in reasons])


def _used(runs: Sequence[Run], staying: dict[int, str]) -> dict[int, str]:
    """Runs whose model a run uses that stays. Going on until nothing changes: what stays may use another that was asked for."""
    users: dict[int, list[int]] = {run.pk: [] for run in runs}
    projects = {run.project_id for run in runs}
    for pk, models in Run.objects.filter(project__in=projects).order_by("pk").values_list("pk", "models_used"):
        for ref in models.values():
            number = str(ref).removeprefix("run:")
            if str(ref).startswith("run:") and number.isdigit() and int(number) in users and int(number) != pk:
                users[int(number)].append(pk)
    reasons: dict[int, str] = {}
    while True:
        gone = {run.pk for run in runs} - set(staying) - set(reasons)
        blocked = {pk: [user for user in users[pk] if user not in gone] for pk in gone}
        fresh = {pk: _by(names) for pk, names in blocked.items() if names}
        if not fresh:
            return reasons
        reasons |= fresh


def _by(users: list[int]) -> str:
    named = ", ".join(str(user) for user in users[:5])
    if len(users) > 5:
        return gettext("its model is used by runs %(runs)s and others") % {"runs": named}
    said = ngettext("its model is used by run %(runs)s", "its model is used by runs %(runs)s", len(users))
    return said % {"runs": named}


def _sizes(run: Run, way: str) -> dict[str, int]:
    """Bytes of the parts that go, by name; parts that are not there are left out."""
    folder = preparing.folder(run)
    sizes = {name: sum(disk.size(folder / entry) for entry in PARTS[name]) for name in PARTS}
    sizes["other"] = max(0, disk.folder_size(folder) - sum(sizes.values()))
    return {name: sizes[name] for name in TAKES[way] if sizes[name]}


def _told(run: Run) -> dict[str, Any]:
    """What the trail keeps of a run."""
    return {"run": run.pk, "name": run.name, "trainer": run.trainer, "state": run.state, "numbers": run.numbers}


def _delete(numbers: list[int]) -> None:
    """Rows first, folders last, and back with them if the transaction does not hold."""
    Metric.objects.filter(run__in=numbers).delete()
    Sample.objects.filter(run__in=numbers).delete()
    Model.objects.filter(run__in=numbers).delete()
    Run.objects.filter(pk__in=numbers).delete()
    for number in numbers:
        folder = preparing.folder(Run(pk=number))
        with suppress(FileNotFoundError):
            folder.rename(folder.with_name(f"{TRASH}{number}"))


def _drop(folder: Path) -> None:
    for name in TAKES[SPACE]:
        for entry in PARTS[name]:
            path = folder / entry
            if path.is_dir() and not path.is_symlink():
                _remove(path)
            else:
                path.unlink(missing_ok=True)


def _remove(folder: Path) -> None:
    """Whatever a trainer did to it. What cannot be removed is left for the next time."""
    if folder.is_symlink():
        return folder.unlink()
    with suppress(OSError):
        folder.chmod(0o700)
    for place, folders, _ in os.walk(folder):
        for name in folders:
            with suppress(OSError):
                if not (Path(place) / name).is_symlink():
                    (Path(place) / name).chmod(0o700)
    return shutil.rmtree(folder, ignore_errors=True)
