"""Says how far a run is and when it will be done, by the pace of the attempt at work. Beside reporting.

An attempt begins when its job.json is written; what was done before it counts for no pace. The file also notes how long the
log was then (`log_from`), so that the first step after it is where the attempt took up the work.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext

from training import preparing
from training.leasing import MAX_ATTEMPTS
from training.models import Run
from training.streaming import Ear

LOOK = 512_000  # bytes of an attempt's output in which its first step is looked for


@dataclass(frozen=True)
class Attempt:
    """When the attempt at work began, whether after another, and the first step and progress it told (None: not yet)."""

    began: datetime
    resumed: bool
    step: int | None
    done: int | None


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
    return Attempt(began, start > 0, step, done)


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
    worked = run.done - (now.done if now.resumed else 0)
    spent = (timezone.now() - now.began).total_seconds()
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


def attempt_told(run: Run, now: Attempt | None) -> str:
    """“Attempt 2 of 3, resumed at step 40.”; nothing of a first attempt that began at the beginning."""
    if not run.attempts or not (run.attempts > 1 or (now and now.resumed)):
        return ""
    said = gettext("Attempt %(attempt)s of %(most)s.")
    if now and now.resumed and now.step is not None:
        said = gettext("Attempt %(attempt)s of %(most)s, resumed at step %(step)s.")
    return said % {"attempt": run.attempts, "most": MAX_ATTEMPTS, "step": now.step if now else None}
