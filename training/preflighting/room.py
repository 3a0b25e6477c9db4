"""Whether there is room: processes, device, memory, disk, and a worker. Facts are faults; estimates warn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models.functions import Now
from django.utils.translation import gettext, ngettext

from training.catalogue.listing import title_of
from training.machine import capacity, disk, limiting
from training.models import Run
from training.preflighting.looked import FAULT, OK, WARNING, Check, millions

ALLOWANCE = 500_000_000  # bytes of Python and torch: what a run of a tiny model was seen to hold
BATCHES = 3  # times as much as weights and allowance was seen held with batches of texts (SmolLM2 135M: 8.0 GB of 2.7)
SAVED = 4  # bytes of a parameter in a saved model
STATE = 12  # bytes of a parameter in a checkpoint: the weight and Adam's two moments
CHECKPOINTS = 3  # at once, at most: two complete ones and the one being written
STALE = timedelta(seconds=60)  # a run that waits so long while nobody works has no worker


def processes(trainer: Mapping[str, Any], ranks: int) -> Iterator[Check]:
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


def device(trainer: Mapping[str, Any]) -> Check:
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


def memory(trainer: Mapping[str, Any], parameters: int, others: int, ranks: int) -> Check:
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
        "need": disk.in_words(need), "parameters": millions(parameters), "each": each, "ranks": ranks,
        "allowance": disk.in_words(ALLOWANCE),
    }  # fmt: skip
    if others:
        told = gettext("%(others)s of that are models that do not learn: %(parameters)s parameters × %(each)s bytes.")
        told %= {
            "others": disk.in_words(ranks * others * SAVED), "parameters": millions(others), "each": SAVED,
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


def disk_space(trainer: Mapping[str, Any], parameters: int) -> Check:
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
        "need": disk.in_words(need), "parameters": millions(parameters), "saved": SAVED, "state": state, "kept": kept,
    }  # fmt: skip
    said = f"{said} {have}"
    if need > room:
        too_little = gettext("That may be too little: delete runs, or drop their checkpoints.")
        return Check("disk", WARNING, gettext("Disk"), f"{said} {too_little}")
    return Check("disk", OK, gettext("Disk"), said)


def queue() -> Check:
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
