"""Says in one sentence why a run ended without a model, and whether it is worth another try.

An error of the trainer and a lack of memory or disk would only come again; a process that was killed, crashed or lost with its
machine goes on from its last checkpoint. What it printed last stands beside the sentence, on the run's page.
"""

from __future__ import annotations

import re
import signal
from contextlib import suppress
from typing import Any, NamedTuple

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from feinschliff import JobStatus
from training.catalogue.listing import ListingFailed, listing
from training.models import Run
from training.reporting import logs

MEMORY = re.compile(
    r"out of memory|OutOfMemory|MemoryError|bad_alloc|can't allocate memory|cannot allocate memory|not enough memory|"
    r"unable to allocate|failed to allocate",
    re.IGNORECASE,
)
DISK = re.compile(r"no space left on device|disk quota exceeded|errno 28|\(os error 28\)", re.IGNORECASE)
OURS = "the Feinschliff project"
SMALLER = _("It ran out of memory; take smaller batches, shorter texts or a smaller model.")
FULL = _("The disk is full; delete finished runs that nobody needs, or free space otherwise, and launch it again.")


class Cause(NamedTuple):
    """`again`: whether another attempt may end better."""

    text: str
    again: bool


def cause_of(run: Run, status: JobStatus, result: dict[str, Any]) -> Cause:
    """Why this attempt left no model. `result` is its result.json, or empty."""
    error, state = str(result.get("error") or ""), result.get("state")
    if status.cause:
        return Cause(status.cause, "memory" not in status.cause)
    if state == "needs-not-met" and error:
        return Cause(error, False)
    if error:
        return _of_error(run, error, again=state == "died")
    if state == "stopped":
        return Cause(gettext("The trainer was asked to end, not by Feinschliff, and did."), True)
    return _of_silence(run, status.exit)


def of_launcher(wrong: Exception) -> str:
    """The fault of a launcher, or of this machine."""
    told = f"{type(wrong).__name__}: {wrong}".splitlines()[0][:500]
    return f"{FULL} ({told})" if DISK.search(told) else gettext("It could not be worked: %(told)s") % {"told": told}


def _of_error(run: Run, error: str, *, again: bool) -> Cause:
    if DISK.search(error):
        return Cause(f"{FULL} ({error[:200]})", False)
    if error.startswith("Out of memory"):  # the contract's own words
        return Cause(error, False)
    if MEMORY.search(error):
        return Cause(f"{SMALLER} ({error[:200]})", False)
    return Cause(error if again else error + _plugin(run), again)


def _of_silence(run: Run, code: int | None) -> Cause:
    """It left no result: by its exit status, and by what it said last."""
    if code == -signal.SIGKILL:
        return Cause(gettext("The trainer was killed (signal 9), not by Feinschliff."), True)
    said = logs.last_lines(run)
    if code != 0 and DISK.search(said):
        return Cause(str(FULL), False)
    if code != 0 and MEMORY.search(said):
        return Cause(str(SMALLER), False)
    if code is None:
        return Cause(gettext("The trainer's process is gone and left no result."), True)
    if code < 0:
        with suppress(ValueError):
            return Cause(gettext("The trainer crashed (%(name)s).") % {"name": signal.Signals(-code).name}, True)
    return Cause(
        gettext("The trainer ended with status %(code)s and left no result; its last lines say more.") % {"code": code},
        True,
    )


def _plugin(run: Run) -> str:
    """Whom to tell; nothing for what we wrote ourselves."""
    if not run.plugin:
        return ""
    try:
        author = next((one["author"] for one in listing().plugins if one["name"] == run.plugin), "")
    except (ListingFailed, KeyError, OSError):
        author = ""
    if author == OURS:
        return ""
    return f" (plugin {run.plugin}, its author: {author})" if author else f" (plugin {run.plugin})"
