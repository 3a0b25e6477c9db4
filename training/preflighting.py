"""Looks before a run is launched: rows, models, memory, disk, device, queue. Facts block a launch; estimates warn.

The launch page shows this while its form is filled, `manage.py train` prints it, and `launching.launch` refuses by it: one
function for the three. A check is named after the field it is about, so that a form can say it there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models.functions import Now

from annotation import judging
from annotation.models import Project
from training.catalogue import describing, switching
from training.catalogue.listing import listing
from training.freezing import CannotFreeze, folder, verify
from training.machine import capacity, disk, limiting
from training.models import Model, Run, Snapshot

OK, WARNING, FAULT = "ok", "warning", "fault"
ALLOWANCE = 500_000_000  # bytes of Python and torch: what a run of a tiny model was seen to hold
BATCHES = 3  # times as much as weights and allowance was seen held with batches of texts (SmolLM2 135M: 8.0 GB of 2.7)
SAVED = 4  # bytes of a parameter in a saved model
STATE = 12  # bytes of a parameter in a checkpoint: the weight and Adam's two moments
CHECKPOINTS = 3  # at once, at most: two complete ones and the one being written
STALE = timedelta(seconds=60)  # a run that waits so long while nobody works has no worker


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `level` is ok, warning or fault; `name` is the form field or the topic."""

    name: str
    level: str
    title: str
    sentence: str


def check(
    *,
    project: Project,
    trainer: Mapping[str, Any],
    snapshot: Snapshot | None,
    config: Mapping[str, Any],
    models: Mapping[str, str],
    ranks: int = 1,
) -> list[Check]:
    """Everything that can be known before the run starts, as it stands now. `trainer` is its listing."""
    is_off = switching.refusal(project, dict(trainer), listing())
    found = [Check("trainer", FAULT, "Plugin", is_off)] if is_off else []
    found.append(_rows(trainer, snapshot, project))
    wrong = list(_roles(trainer, models, project))
    found += wrong
    abouts = {}
    if not wrong:
        abouts = {role: describing.about(ref, trainer.get("environment", "")) for role, ref in models.items()}
        found += [_verb(trainer, role, about) for role, about in abouts.items()]
    found += _processes(trainer, ranks)
    found.append(_device(trainer))
    parameters = sum(about.parameters for about in abouts.values())
    if parameters:
        found.append(_memory(trainer, parameters, ranks))
    found.append(_disk(trainer, parameters))
    found.append(_queue())
    return found


def faults(checks: list[Check]) -> dict[str, str]:
    """What blocks the launch, by name."""
    return {one.name: one.sentence for one in checks if one.level == FAULT}


def _rows(trainer: Mapping[str, Any], snapshot: Snapshot | None, project: Project) -> Check:
    title, needs = trainer["title"], trainer["needs"]
    if snapshot is None:
        return Check("snapshot", FAULT, "Rows", "choose a snapshot of this project")
    if snapshot.project_id != project.pk:
        return Check("snapshot", FAULT, "Rows", "this snapshot belongs to another project")
    kinds = " or ".join(needs["rows"])
    if snapshot.rows not in needs["rows"]:
        return Check("snapshot", FAULT, "Rows", f"{title} learns from {kinds} rows; these are {snapshot.rows} rows")
    there, held_out = snapshot.counts["train"], snapshot.counts["heldout"]
    if there < needs["at_least"]:
        return Check(
            "snapshot", FAULT, "Rows", f"{title} needs at least {needs['at_least']} rows to train on; "
            f"{needs['at_least'] - there} more are missing. {_how_to_get_rows(snapshot)}",
        )  # fmt: skip
    try:
        _verified(snapshot, _written(snapshot))
    except (CannotFreeze, OSError) as wrong:
        return Check("snapshot", FAULT, "Rows", str(wrong))
    said = f"{there:,} {snapshot.rows} rows to train on, {held_out:,} held out; it needs {needs['at_least']:,}."
    if not held_out:
        said += " Without held-out rows nothing will tell whether it has learned: freeze with a share held out."
    return Check("snapshot", OK if held_out else WARNING, "Rows", said)


def _how_to_get_rows(snapshot: Snapshot) -> str:
    """What makes a larger snapshot."""
    known = max(snapshot.judgement_ids, default=0)
    newer = judging.current(project_id=snapshot.project_id).filter(pk__gt=known).count()
    if newer:
        return f"{newer} judgements are newer than this snapshot: freeze again."
    return "Have more items judged, or import judged ones, then freeze again."


def _written(snapshot: Snapshot) -> tuple[tuple[str, int, int], ...]:
    files = sorted(folder(snapshot).iterdir())
    return tuple((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files)


@lru_cache(maxsize=50)
def _verified(snapshot: Snapshot, _written: tuple[tuple[str, int, int], ...]) -> None:
    """Once for these files: hashing a large snapshot at every keystroke in a form would be slow."""
    verify(snapshot)


def _roles(trainer: Mapping[str, Any], models: Mapping[str, str], project: Project) -> Iterator[Check]:
    """Faults of the model strings themselves."""
    roles = trainer["needs"]["models"]
    for role in roles:
        if not models.get(role):
            yield Check(role, FAULT, _title(role), f"choose a model that can {roles[role]}")
    for role, ref in models.items():
        if role not in roles:
            takes = ", ".join(roles) or "none"
            yield Check(role, FAULT, _title(role), f"{trainer['title']} takes no model as {role}; it takes: {takes}")
        elif ref and (wrong := _wrong_string(ref, roles[role], project, trainer.get("environment", ""))):
            yield Check(role, FAULT, _title(role), wrong)


def _wrong_string(ref: str, verb: str, project: Project, environment: str) -> str:
    found = listing()
    schemes = [*(scheme for source in found.sources_for(environment) for scheme in source["schemes"]), "run"]
    at_hand = found.model_strings(environment)
    scheme, _, name = ref.partition(":")
    if scheme not in schemes or not name:
        return f"a model is named {', '.join(s + ':…' for s in schemes)}, not “{ref[:60]}”"
    if scheme in ("tiny", "package") and ref not in at_hand:
        return f"there is no {ref[:60]} here; at hand are {', '.join(at_hand)}"
    if scheme == "local" and not _allowed(name):
        there = ", ".join(settings.LOCAL_MODELS) or "none; FEINSCHLIFF_LOCAL_MODELS names them"
        return f"there is no such folder below one that models may come from ({there})"
    if scheme == "run" and not _model_of(name, project, verb):
        return f"there is no model {ref} in this project that can {verb}"
    return ""


def _allowed(name: str) -> bool:
    place = Path(name).resolve()
    return place.is_dir() and any(place.is_relative_to(Path(top).resolve()) for top in settings.LOCAL_MODELS)


def _model_of(name: str, project: Project, verb: str) -> Model | None:
    if not (name.isascii() and name.isdigit() and len(name) < 19):
        return None
    model = Model.objects.filter(run_id=int(name), project=project).first()
    return model if model and verb in model.yields else None


def _verb(trainer: Mapping[str, Any], role: str, about: describing.About) -> Check:
    verb, title = trainer["needs"]["models"][role], _title(role)
    if about.error:
        return Check(role, FAULT, title, about.error)
    if about.verbs and verb not in about.verbs:
        can = " and ".join(about.verbs)
        return Check(role, FAULT, title, f"it can {can}; {trainer['title']} needs one that can {verb}")
    if not about.verbs:
        said = f"it is looked at when the run starts: whether it can {verb} and how large it is are not known yet."
        return Check(role, WARNING, title, said)
    size = f" and has {_millions(about.parameters)} parameters" if about.parameters else "; its size is not known"
    return Check(role, OK, title, f"it can {verb}{size}.")


def _processes(trainer: Mapping[str, Any], ranks: int) -> Iterator[Check]:
    most, cores = trainer.get("ranks", 1), capacity.cores()
    if not 1 <= ranks <= most:
        yield Check("ranks", FAULT, "Processes", f"the processes of {trainer['title']} are from 1 to {most}")
    elif ranks > 1 and settings.LAUNCHER == "local" and not capacity.gpus() and ranks > cores:
        yield Check("ranks", WARNING, "Processes", f"{ranks} processes share {cores} cores here, and take turns.")


def _device(trainer: Mapping[str, Any]) -> Check:
    needed = trainer["needs"].get("gpu", False)
    if settings.LAUNCHER != "local":
        said = f"runs are started by “{settings.LAUNCHER}”; what its machines have is not known here."
        return Check("device", WARNING if needed else OK, "Device", said)
    there = capacity.gpus()
    if needed and there == 0:
        return Check(
            "device", FAULT, "Device", f"{trainer['title']} needs a GPU, and this machine shows none. Run Feinschliff "
            "where one is, or set FEINSCHLIFF_LAUNCHER to a cluster that has one.",
        )  # fmt: skip
    if there is None:
        return Check("device", WARNING if needed else OK, "Device", "whether a GPU is here cannot be told beforehand.")
    return Check(
        "device", OK, "Device", f"{there} GPU{'s' * (there > 1)} here." if there else "it computes on the CPU."
    )


def _memory(trainer: Mapping[str, Any], parameters: int, ranks: int) -> Check:
    each = trainer["needs"].get("bytes_per_parameter", 16)
    need = ranks * (parameters * each + ALLOWANCE)
    said = f"about {disk.in_words(need)}, by an estimate: {_millions(parameters)} parameters × {each} bytes"
    said += (
        f" + {disk.in_words(ALLOWANCE)} for Python and torch{f', {ranks} times' * (ranks > 1)}; with batches of long "
    )
    said += "texts up to three times as much."
    if settings.LAUNCHER != "local" or capacity.gpus():
        where = "a GPU's memory" if settings.LAUNCHER == "local" else "the memory there"
        return Check("memory", OK, "Memory", f"{said} How much is free in {where} is not known here.")
    free, limit = capacity.free_memory(), limiting.memory()
    said += f" A run may hold {disk.in_words(limit)} here"
    said += f", {disk.in_words(free)} are free now." if free is not None else "."
    room = limit if free is None else min(limit, free)
    if need > room:
        return Check("memory", WARNING, "Memory", f"{said} It will hardly fit: take a smaller model.")
    if BATCHES * need > room:
        return Check(
            "memory",
            WARNING,
            "Memory",
            f"{said} It may not fit: take smaller batches, shorter texts or a smaller model.",
        )
    return Check("memory", OK, "Memory", said)


def _disk(trainer: Mapping[str, Any], parameters: int) -> Check:
    if wrong := disk.refusal():
        return Check("disk", FAULT, "Disk", wrong)
    room = disk.free() - settings.RUN_DISK_RESERVE_BYTES
    state = min(STATE, max(SAVED, trainer["needs"].get("bytes_per_parameter", 16)))
    kept = CHECKPOINTS if trainer.get("resumable") else 0
    need = parameters * (SAVED + kept * state)
    have = f"{disk.in_words(room)} may be used."
    if not need:
        return Check("disk", OK, "Disk", have)
    said = (
        f"about {disk.in_words(need)} at most, by an estimate: {_millions(parameters)} parameters × {SAVED} bytes for "
    )
    said += f"the model{f', × {state} bytes for each of {kept} checkpoints' * bool(kept)}. {have}"
    if need > room:
        return Check("disk", WARNING, "Disk", f"{said} That may be too little: delete runs, or drop their checkpoints.")
    return Check("disk", OK, "Disk", said)


def _queue() -> Check:
    waiting, working = Run.objects.filter(state=Run.QUEUED), Run.objects.filter(state__in=Run.HELD)
    stale = waiting.filter(created_at__lt=Now() - STALE).exists()
    if stale and not working.filter(lease_until__gt=Now()).exists():
        return Check(
            "worker", WARNING, "Worker", f"{waiting.count()} runs wait and nobody works on any: is a worker up? "
            "`make run` and `manage.py work` start one.",
        )  # fmt: skip
    ahead, busy = waiting.count(), working.count()
    if not ahead and not busy:
        return Check("worker", OK, "Queue", "no run waits before this one.")
    said = (
        f"{ahead} run{'s wait' if ahead != 1 else ' waits'} before this one"
        if ahead
        else "no run waits before this one"
    )
    return Check("worker", OK, "Queue", f"{said}, {busy} {'is' if busy == 1 else 'are'} at work.")


def _title(role: str) -> str:
    return f"{role.capitalize()} model"


def _millions(count: int) -> str:
    return f"{count / 1e9:.1f} billion" if count >= 1e9 else f"{count / 1e6:.1f} million"
