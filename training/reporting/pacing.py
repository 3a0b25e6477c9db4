"""Says how far a run is and when it will be done, by the pace of the attempt at work. Beside reporting.

An attempt begins when its job.json is written; what was done before it counts for no pace. The file also notes how long the
log was then (`log_from`), so that the first step after it is where the attempt took up the work. Whoever listens to the run
notes when it told its first step (`note`), so that loading a model counts for no pace either.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext, ngettext

from training import preparing
from training.leasing import MAX_ATTEMPTS
from training.models import Run
from training.streaming import Ear

LOOK = 512_000  # bytes of an attempt's output in which its first step is looked for
PACE = "pace.json"  # in the run's folder: when the attempt at work told its first step, and how much was done then


@dataclass(frozen=True)
class Attempt:
    """When the attempt at work began, whether after another, and the first step and progress it told (None: not yet).

    `counted` is the time from which the pace counts and what was done by then; None where nobody noted it.
    """

    began: datetime
    resumed: bool
    step: int | None
    done: int | None
    counted: tuple[datetime, int] | None = None


def attempt(run: Run) -> Attempt | None:
    """What is known of the latest attempt; None before the first."""
    path = preparing.folder(run) / "job.json"
    try:
        began = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        start = int(json.loads(path.read_bytes()).get("log_from", 0))
    except (OSError, ValueError):
        return None
    step, done = None, None
    with suppress(OSError), (path.parent / "output.log").open("rb") as log:
        log.seek(start)
        step, done = _first_told(log.read(LOOK))
    return Attempt(began, start > 0, step, done, _noted(path.parent, began))


def note(run: Run, done: int) -> None:
    """Remembers that this attempt has told its first progress just now. Once: a later call changes nothing."""
    folder = preparing.folder(run)
    with suppress(OSError):
        if _noted(folder, datetime.fromtimestamp((folder / "job.json").stat().st_mtime, UTC)) is None:
            (folder / PACE).write_text(json.dumps({"at": time.time(), "done": done}), "utf-8")


def _noted(folder: Path, began: datetime) -> tuple[datetime, int] | None:
    """What `note` wrote since the attempt began."""
    with suppress(OSError, ValueError, KeyError, TypeError, OverflowError):
        told = json.loads((folder / PACE).read_bytes())
        at = datetime.fromtimestamp(float(told["at"]), UTC)
        return (at, int(told["done"])) if at >= began else None
    return None


def _first_told(output: bytes) -> tuple[int | None, int | None]:
    """The first step and the first progress in some output."""
    step: int | None = None
    ear = Ear()
    for line in output.splitlines(keepends=True):
        heard = ear.hear(line)
        if step is None and heard.metrics:
            step = heard.metrics[0][0]
        if heard.progress:
            return step, heard.progress[0]
    return step, None


def remaining_seconds(run: Run, now: Attempt | None) -> int | None:
    """By the pace of this attempt; None while nothing is known."""
    if run.state != Run.RUNNING or not now or now.done is None or run.done >= run.total:
        return None
    since, before = now.counted or (now.began, now.done if now.resumed else 0)
    worked, spent = run.done - before, (timezone.now() - since).total_seconds()
    return max(0, round(spent * (run.total - run.done) / worked)) if worked > 0 else None


def told(run: Run) -> dict[str, Any]:
    """What the page says of progress."""
    now = attempt(run) if run.is_live and run.attempts else None
    return {
        "done": run.done,
        "total": run.total,
        "remaining_s": remaining_seconds(run, now),
        "attempt": attempt_told(run, now),
    }


def _queue(run: Run) -> str:
    """How many are worked before it: the longest waiting is taken first."""
    ahead, busy = (
        Run.objects.filter(state=Run.QUEUED, pk__lt=run.pk).count(),
        Run.objects.filter(state__in=Run.HELD).count(),
    )
    if not ahead and not busy:
        return gettext("It is next.")
    said = [
        ngettext("%(n)d run waits before this one.", "%(n)d runs wait before this one.", ahead) % {"n": ahead}
    ] * bool(ahead)
    said += [ngettext("%(n)d run is at work.", "%(n)d runs are at work.", busy) % {"n": busy}] * bool(busy)
    return " ".join(said)


def attempt_told(run: Run, now: Attempt | None) -> str:
    """“Attempt 2 of 3, resumed at step 40.”, or who stands before it; nothing of a first attempt that began at the beginning."""
    if run.state == Run.QUEUED:
        return _queue(run)
    if not run.attempts or not (run.attempts > 1 or (now and now.resumed)):
        return ""
    said = gettext("Attempt %(attempt)s of %(most)s.")
    if now and now.resumed and now.step is not None:
        said = gettext("Attempt %(attempt)s of %(most)s, resumed at step %(step)s.")
    return said % {"attempt": run.attempts, "most": MAX_ATTEMPTS, "step": now.step if now else None}
