"""What a method would cost here: memory by its own declaration, time by runs that ended here.

What is not known is not guessed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median

from django.utils.translation import gettext

from annotation.models import Project
from training.advising.judging import Method
from training.catalogue import describing
from training.machine import disk
from training.models import Run
from training.preflighting import LEARNS
from training.preflighting.room import ALLOWANCE, SAVED
from training.reporting import results

LATEST = 300  # runs that are looked at
_sizes: dict[tuple[str, str], int] = {}  # what was described once does not change while it is at hand


@dataclass(frozen=True)
class Cost:
    """Bytes and seconds, None where not known, and what people are told of them."""

    memory: int | None
    memory_said: str
    seconds: float | None
    time_said: str
    hardly_fits: bool = False


@dataclass(frozen=True)
class _Past:
    run: int
    project: int
    seconds: float
    rows: int
    base: str


def costs(project: Project, methods: Iterable[Method], room: int) -> dict[tuple[str, str], Cost]:
    """(trainer, kind of rows) -> the cost with the models that its form would offer.

    `room`: bytes that a run may hold.
    """
    methods = list(methods)
    past, sizes = _past(), _parameters(methods)
    return {one.key: _cost(project, one, past[one.name], sizes, room) for one in methods}


def _cost(project: Project, method: Method, past: list[_Past], sizes: Mapping[tuple[str, str], int], room: int) -> Cost:
    memory = _memory(method, sizes)
    seconds, time_said = _time(project, past)
    if memory is None:
        return Cost(None, gettext("Not known: it depends on the model."), seconds, time_said)
    said = gettext("About %(need)s by an estimate; %(room)s may be used here.") % {
        "need": disk.in_words(memory), "room": disk.in_words(room),
    }  # fmt: skip
    return Cost(memory, said, seconds, time_said, hardly_fits=memory > room)


def _memory(method: Method, sizes: Mapping[tuple[str, str], int]) -> int | None:
    """As preflight reckons: what learns by the trainer's own bytes a parameter, other models as they are."""
    environment = str(method.trainer.get("environment", ""))
    counts = {role: sizes.get((ref, environment), 0) for role, ref in method.models.items()}
    if not counts or not all(counts.values()):
        return None
    learning = {role: count for role, count in counts.items() if role == LEARNS} or counts
    others = sum(counts.values()) - sum(learning.values())
    each = int(method.trainer["needs"].get("bytes_per_parameter", 16))
    return sum(learning.values()) * each + others * SAVED + ALLOWANCE


def _parameters(methods: Iterable[Method]) -> dict[tuple[str, str], int]:
    """(model, environment) -> parameters, 0: not known. A child process each, the first time."""
    wanted = {(ref, str(one.trainer.get("environment", ""))) for one in methods for ref in one.models.values()}
    new = sorted(wanted - _sizes.keys())
    with ThreadPoolExecutor(max_workers=4) as asking:
        found = dict(zip(new, asking.map(lambda key: describing.about(*key).parameters, new), strict=True))
    _sizes.update({key: count for key, count in found.items() if count})
    return {key: _sizes.get(key, 0) for key in wanted}


def _past() -> defaultdict[str, list[_Past]]:
    """Trainer -> its latest runs that succeeded on this installation, the newest first."""
    ended = Run.objects.filter(state=Run.SUCCEEDED, started_at__isnull=False, ended_at__isnull=False).order_by("-id")
    found: defaultdict[str, list[_Past]] = defaultdict(list)
    told = ended.values_list(
        "trainer", "pk", "project_id", "started_at", "ended_at", "snapshot__counts__train", "models_used"
    )
    for trainer, pk, project, began, ended_at, rows, models in told[:LATEST]:
        seconds = (ended_at - began).total_seconds() if began and ended_at else 0.0
        found[trainer].append(_Past(pk, project, seconds, rows, models.get(LEARNS, "")))
    return found


def _time(project: Project, past: list[_Past]) -> tuple[float | None, str]:
    """Of the project's own latest run; else of all, which says nothing of whose they were."""
    if not past:
        return None, gettext("Not known: it has not run here yet.")
    own = next((one for one in past if one.project == project.pk), None)
    if own:
        said = gettext("Run %(run)s took %(time)s on %(rows)s rows with %(base)s.")
        told = {"run": own.run, "time": results.duration(own.seconds), "rows": own.rows, "base": own.base or "–"}
        return own.seconds, said % told
    seconds = [one.seconds for one in past]
    if len(seconds) == 1:
        said = gettext("One run elsewhere on this site took %(middle)s.")
    else:
        said = gettext("%(n)s runs elsewhere on this site took %(least)s to %(most)s, half of them up to %(middle)s.")
    return median(seconds), said % {
        "n": len(seconds), "least": results.duration(min(seconds)), "most": results.duration(max(seconds)),
        "middle": results.duration(median(seconds)),
    }  # fmt: skip
