"""Whether a trainer can learn from a snapshot: its kind, how many rows it has, and whether its files are what was frozen."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from django.utils.translation import gettext, ngettext

from annotation import judging
from annotation.models import Project
from training.catalogue.listing import title_of
from training.freezing import MOST_TASKS, PROMPTS, TEXTS, CannotFreeze, folder, verify
from training.models import Snapshot
from training.preflighting.looked import FAULT, OK, WARNING, Check
from webapp.saying import number


def look(trainer: Mapping[str, Any], snapshot: Snapshot | None, project: Project) -> Check:
    title, needs = title_of(trainer), trainer["needs"]
    if snapshot is None:
        return Check("snapshot", FAULT, gettext("Rows"), gettext("choose a snapshot of this project"))
    if snapshot.project_id != project.pk:
        return Check("snapshot", FAULT, gettext("Rows"), gettext("this snapshot belongs to another project"))
    kinds = gettext(" or ").join(needs["rows"])
    if snapshot.rows not in needs["rows"]:
        return Check(
            "snapshot",
            FAULT,
            gettext("Rows"),
            gettext("%(trainer)s learns from %(kinds)s rows; these are %(kind)s rows")
            % {"trainer": title, "kinds": kinds, "kind": snapshot.rows},
        )
    there, held_out = snapshot.counts["train"], snapshot.counts["heldout"]
    if there < needs["at_least"]:
        return Check(
            "snapshot",
            FAULT,
            gettext("Rows"),
            gettext("%(trainer)s needs at least %(least)s rows to train on; %(missing)s more are missing.")
            % {"trainer": title, "least": number(needs["at_least"]), "missing": number(needs["at_least"] - there)}
            + f" {_how_to_get_rows(snapshot)}",
        )
    if fault := _too_few_tasks(trainer, snapshot):
        return Check("snapshot", FAULT, gettext("Rows"), fault)
    try:
        _verified(snapshot, _written(snapshot))
    except (CannotFreeze, OSError) as wrong:
        return Check("snapshot", FAULT, gettext("Rows"), str(wrong))
    said = gettext("%(there)s %(kind)s rows to train on, %(held_out)s held out; it needs %(least)s.") % {
        "there": number(there), "kind": snapshot.rows, "held_out": number(held_out), "least": number(needs["at_least"]),
    }  # fmt: skip
    if not held_out:
        said += " " + gettext(
            "Without held-out rows nothing will tell whether it has learned: freeze with a share held out."
        )
    if held_out > there:
        said += " " + gettext(
            "More is held out than trained on: a document or group is never torn apart, and there are few of them. Freeze with "
            "another split seed, or bring in more."
        )
    return Check("snapshot", OK if 0 < held_out <= there else WARNING, gettext("Rows"), said)


def _too_few_tasks(trainer: Mapping[str, Any], snapshot: Snapshot) -> str:
    """What is wrong where the trainer learns several tasks and the rows name fewer; a run looks again."""
    least, named = trainer["needs"].get("tasks", 1), snapshot.counts.get("tasks", [])
    if least <= 1 or len(named) >= min(least, MOST_TASKS):
        return ""
    return gettext(
        "%(trainer)s needs rows of at least %(least)s tasks; these name %(named)s. Ask a question for each task, or "
        "name it by the import word “task”, then freeze again."
    ) % {"trainer": title_of(trainer), "least": number(least), "named": ", ".join(named) or gettext("one")}


def _how_to_get_rows(snapshot: Snapshot) -> str:
    """What makes a larger snapshot."""
    if snapshot.rows == TEXTS:
        return gettext("Import more texts, or cut them into shorter passages, then freeze again.")
    if snapshot.rows == PROMPTS:
        return gettext("Import more prompts, then freeze again.")
    known = max(snapshot.judgement_ids, default=0)
    newer = judging.current(project_id=snapshot.project_id).filter(pk__gt=known).count()
    if newer:
        said = ngettext(
            "%(n)d judgement is newer than this snapshot: freeze again.",
            "%(n)d judgements are newer than this snapshot: freeze again.",
            newer,
        )
        return said % {"n": newer}
    return gettext("Have more items judged, or import judged ones, then freeze again.")


def _written(snapshot: Snapshot) -> tuple[tuple[str, int, int], ...]:
    files = sorted(folder(snapshot).iterdir())
    return tuple((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files)


@lru_cache(maxsize=50)
def _verified(snapshot: Snapshot, _written: tuple[tuple[str, int, int], ...]) -> None:
    """Once for these files: hashing a large snapshot at every keystroke in a form would be slow."""
    verify(snapshot)
