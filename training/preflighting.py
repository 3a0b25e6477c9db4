"""Looks before a run is launched: rows, models, memory, disk, device, queue. Facts block a launch; estimates warn.

The launch page shows this while its form is filled, `manage.py train` prints it, and `launching.launch` refuses by it: one
function for the three. A check is named after the field it is about, so that a form can say it there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models.functions import Now
from django.utils.translation import gettext, ngettext

from annotation import judging
from annotation.models import Project
from training import casting
from training.catalogue import describing, switching
from training.catalogue.listing import listing, title_of
from training.freezing import PROMPTS, CannotFreeze, folder, verify
from training.machine import capacity, disk, limiting
from training.models import Model, Run, Snapshot
from training.reporting import results
from webapp.saying import number

OK, WARNING, FAULT = "ok", "warning", "fault"
ALLOWANCE = 500_000_000  # bytes of Python and torch: what a run of a tiny model was seen to hold
BATCHES = 3  # times as much as weights and allowance was seen held with batches of texts (SmolLM2 135M: 8.0 GB of 2.7)
SAVED = 4  # bytes of a parameter in a saved model
LEARNS = "base"  # the role of the model that learns, where a trainer has several
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
    found = [Check("trainer", FAULT, gettext("Plugin"), is_off)] if is_off else []
    found.append(_rows(trainer, snapshot, project))
    wrong = list(_roles(trainer, models, project))
    found += wrong
    abouts = {}
    if not wrong:
        abouts = {role: describing.about(ref, trainer.get("environment", "")) for role, ref in models.items()}
        found += [_warned(_verb(trainer, role, about), models[role]) for role, about in abouts.items()]
    found += _processes(trainer, ranks)
    found.append(_device(trainer))
    learning = {role: about for role, about in abouts.items() if role == LEARNS} or abouts
    parameters = sum(about.parameters for about in learning.values())
    others = sum(about.parameters for role, about in abouts.items() if role not in learning)
    if parameters:
        found.append(_memory(trainer, parameters, others, ranks))
    found.append(_disk(trainer, parameters))
    found.append(_queue())
    return found


def faults(checks: list[Check]) -> dict[str, str]:
    """What blocks the launch, by name."""
    return {one.name: one.sentence for one in checks if one.level == FAULT}


def _rows(trainer: Mapping[str, Any], snapshot: Snapshot | None, project: Project) -> Check:
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
    return Check("snapshot", OK if held_out else WARNING, gettext("Rows"), said)


def _how_to_get_rows(snapshot: Snapshot) -> str:
    """What makes a larger snapshot."""
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


def _roles(trainer: Mapping[str, Any], models: Mapping[str, str], project: Project) -> Iterator[Check]:
    """Faults of the model strings themselves."""
    roles = casting.verbs(trainer)
    for role in trainer["needs"]["models"]:
        if not models.get(role):
            yield Check(role, FAULT, _title(role), _missing(roles[role], project))
    for role, ref in models.items():
        if role not in roles:
            takes = ", ".join(roles) or gettext("none")
            yield Check(
                role,
                FAULT,
                _title(role),
                gettext("%(trainer)s takes no model as %(role)s; it takes: %(takes)s")
                % {"trainer": title_of(trainer), "role": role, "takes": takes},
            )
        elif ref and (wrong := _wrong_string(ref, roles[role], project, trainer.get("environment", ""))):
            yield Check(role, FAULT, _title(role), wrong)


def _missing(verb: str, project: Project) -> str:
    """What to do about a role that nobody plays; base models write and embed, and what scores is made here."""
    said = gettext("choose a model that can %(verb)s") % {"verb": verb}
    if any(verb in model.yields for model in Model.objects.filter(project=project)):
        return said
    makers = [title_of(one) for one in casting.makers(verb, switching.offered(project, listing()))]
    if verb != "score" or not makers:
        return said
    return gettext("no model of this project can %(verb)s yet: train one first, with %(trainers)s") % {
        "verb": verb, "trainers": gettext(" or ").join(makers),
    }  # fmt: skip


def _wrong_string(ref: str, verb: str, project: Project, environment: str) -> str:
    found = listing()
    schemes = [*(scheme for source in found.sources_for(environment) for scheme in source["schemes"]), "run"]
    at_hand = found.model_strings(environment)
    scheme, _, name = ref.partition(":")
    if scheme not in schemes or not name:
        return gettext("a model is named %(forms)s, not “%(ref)s”") % {
            "forms": ", ".join(s + ":…" for s in schemes), "ref": ref[:60],
        }  # fmt: skip
    if scheme in ("tiny", "package") and ref not in at_hand:
        return gettext("there is no %(ref)s here; at hand are %(others)s") % {
            "ref": ref[:60], "others": ", ".join(at_hand),
        }  # fmt: skip
    if scheme == "local" and not _allowed(name):
        there = ", ".join(settings.LOCAL_MODELS) or gettext("none; FEINSCHLIFF_LOCAL_MODELS names them")
        return gettext("there is no such folder below one that models may come from (%(there)s)") % {"there": there}
    if scheme == "run" and not _model_of(name, project, verb):
        return gettext("there is no model %(ref)s in this project that can %(verb)s") % {"ref": ref, "verb": verb}
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
    verb, title = casting.verbs(trainer)[role], _title(role)
    if about.error:
        return Check(role, FAULT, title, about.error)
    if about.verbs and verb not in about.verbs:
        can = gettext(" and ").join(about.verbs)
        return Check(
            role,
            FAULT,
            title,
            gettext("it can %(can)s; %(trainer)s needs one that can %(verb)s")
            % {"can": can, "trainer": title_of(trainer), "verb": verb},
        )
    if not about.verbs:
        said = gettext(
            "it is looked at when the run starts: whether it can %(verb)s and how large it is are not known yet."
        ) % {"verb": verb}
        return Check(role, WARNING, title, said)
    if about.parameters:
        return Check(
            role,
            OK,
            title,
            gettext("it can %(verb)s and has %(parameters)s parameters.")
            % {"verb": verb, "parameters": _millions(about.parameters)},
        )
    return Check(role, OK, title, gettext("it can %(verb)s; its size is not known.") % {"verb": verb})


def _warned(one: Check, ref: str) -> Check:
    """With what the run that made the model found odd about it: whoever learns from it should know."""
    if one.level == FAULT or not ref.startswith("run:"):
        return one
    made = Run.objects.filter(pk=int(ref.removeprefix("run:"))).first()
    odd = results.warnings(made.numbers) if made else []
    return replace(one, level=WARNING, sentence=" ".join([one.sentence, *odd])) if odd else one


def _processes(trainer: Mapping[str, Any], ranks: int) -> Iterator[Check]:
    most, cores = trainer.get("ranks", 1), capacity.cores()
    if not 1 <= ranks <= most:
        yield Check(
            "ranks",
            FAULT,
            gettext("Processes"),
            gettext("the processes of %(trainer)s are from 1 to %(most)s")
            % {"trainer": title_of(trainer), "most": most},
        )
    elif ranks > 1 and settings.LAUNCHER == "local" and not capacity.gpus() and ranks > cores:
        yield Check(
            "ranks",
            WARNING,
            gettext("Processes"),
            gettext("%(ranks)s processes share %(cores)s cores here, and take turns.")
            % {"ranks": ranks, "cores": cores},
        )


def _device(trainer: Mapping[str, Any]) -> Check:
    needed = trainer["needs"].get("gpu", False)
    if settings.LAUNCHER != "local":
        said = gettext("runs are started by “%(launcher)s”; what its machines have is not known here.") % {
            "launcher": settings.LAUNCHER
        }
        return Check("device", WARNING if needed else OK, gettext("Device"), said)
    there = capacity.gpus()
    if needed and there == 0:
        return Check(
            "device",
            FAULT,
            gettext("Device"),
            gettext(
                "%(trainer)s needs a GPU, and this machine shows none. Run Feinschliff where one is, or set "
                "FEINSCHLIFF_LAUNCHER to a cluster that has one."
            )
            % {"trainer": title_of(trainer)},
        )
    if there is None:
        return Check(
            "device",
            WARNING if needed else OK,
            gettext("Device"),
            gettext("whether a GPU is here cannot be told beforehand."),
        )
    return Check(
        "device",
        OK,
        gettext("Device"),
        ngettext("%(n)d GPU here.", "%(n)d GPUs here.", there) % {"n": there}
        if there
        else gettext("it computes on the CPU."),
    )


def _memory(trainer: Mapping[str, Any], parameters: int, others: int, ranks: int) -> Check:
    """`others` are parameters of models that only score or are compared with: they are held as they are."""
    each = trainer["needs"].get("bytes_per_parameter", 16)
    need = ranks * (parameters * each + others * SAVED + ALLOWANCE)
    said = gettext(
        "about %(need)s, by an estimate: %(parameters)s parameters × %(each)s bytes + %(allowance)s for Python and torch; "
        "with batches of long texts up to three times as much."
    )
    if ranks > 1:
        said = gettext(
            "about %(need)s, by an estimate: %(parameters)s parameters × %(each)s bytes + %(allowance)s for Python and "
            "torch, %(ranks)s times; with batches of long texts up to three times as much."
        )
    said %= {
        "need": disk.in_words(need), "parameters": _millions(parameters), "each": each, "ranks": ranks,
        "allowance": disk.in_words(ALLOWANCE),
    }  # fmt: skip
    if others:
        told = gettext("%(others)s of that are models that do not learn: %(parameters)s parameters × %(each)s bytes.")
        told %= {
            "others": disk.in_words(ranks * others * SAVED), "parameters": _millions(others), "each": SAVED,
        }  # fmt: skip
        said += f" {told}"
    if settings.LAUNCHER != "local" or capacity.gpus():
        unknown = gettext("How much memory is free there is not known here.")
        if settings.LAUNCHER == "local":
            unknown = gettext("How much of a GPU's memory is free is not known here.")
        return Check("memory", OK, gettext("Memory"), f"{said} {unknown}")
    free, limit = capacity.free_memory(), limiting.memory()
    room_told = gettext("A run may hold %(limit)s here.")
    if free is not None:
        room_told = gettext("A run may hold %(limit)s here, %(free)s are free now.")
    said += " " + room_told % {"limit": disk.in_words(limit), "free": disk.in_words(free or 0)}
    room = limit if free is None else min(limit, free)
    if need > room:
        return Check(
            "memory", WARNING, gettext("Memory"), " ".join([said, gettext("It will hardly fit: take a smaller model.")])
        )
    if BATCHES * need > room:
        return Check(
            "memory",
            WARNING,
            gettext("Memory"),
            " ".join([said, gettext("It may not fit: take smaller batches, shorter texts or a smaller model.")]),
        )
    return Check("memory", OK, gettext("Memory"), said)


def _disk(trainer: Mapping[str, Any], parameters: int) -> Check:
    if wrong := disk.refusal():
        return Check("disk", FAULT, gettext("Disk"), wrong)
    room = disk.free() - settings.RUN_DISK_RESERVE_BYTES
    state = min(STATE, max(SAVED, trainer["needs"].get("bytes_per_parameter", 16)))
    kept = CHECKPOINTS if trainer.get("resumable") else 0
    need = parameters * (SAVED + kept * state)
    have = gettext("%(room)s may be used.") % {"room": disk.in_words(room)}
    if not need:
        return Check("disk", OK, gettext("Disk"), have)
    said = gettext("about %(need)s at most, by an estimate: %(parameters)s parameters × %(saved)s bytes for the model.")
    if kept:
        said = gettext(
            "about %(need)s at most, by an estimate: %(parameters)s parameters × %(saved)s bytes for the model, "
            "× %(state)s bytes for each of %(kept)s checkpoints."
        )
    said %= {
        "need": disk.in_words(need), "parameters": _millions(parameters), "saved": SAVED, "state": state, "kept": kept,
    }  # fmt: skip
    said = f"{said} {have}"
    if need > room:
        too_little = gettext("That may be too little: delete runs, or drop their checkpoints.")
        return Check("disk", WARNING, gettext("Disk"), f"{said} {too_little}")
    return Check("disk", OK, gettext("Disk"), said)


def _queue() -> Check:
    waiting, working = Run.objects.filter(state=Run.QUEUED), Run.objects.filter(state__in=Run.HELD)
    stale = waiting.filter(created_at__lt=Now() - STALE).exists()
    if stale and not working.filter(lease_until__gt=Now()).exists():
        return Check(
            "worker",
            WARNING,
            gettext("Worker"),
            gettext(
                "%(n)s runs wait and nobody works on any: is a worker up? `make run` and `manage.py work` start one."
            )
            % {"n": waiting.count()},
        )
    ahead, busy = waiting.count(), working.count()
    said = gettext("no run waits before this one.")
    if ahead:
        said = ngettext("%(n)d run waits before this one.", "%(n)d runs wait before this one.", ahead) % {"n": ahead}
    if busy:
        said += " " + ngettext("%(n)d is at work.", "%(n)d are at work.", busy) % {"n": busy}
    return Check("worker", OK, gettext("Queue"), said)


def _title(role: str) -> str:
    return gettext("%(role)s model") % {"role": role.capitalize()}


def _millions(count: int) -> str:
    if count >= 1e9:
        return gettext("%(n)s billion") % {"n": number(count / 1e9, 1)}
    return gettext("%(n)s million") % {"n": number(count / 1e6, 1)}
