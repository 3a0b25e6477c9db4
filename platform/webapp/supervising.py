"""Keeps the processes of the site alive: starts them, starts them again when they die, and ends them all.

It stands around the loop: `manage.py run` uses it for the web process and the worker. Each gets a session of its own,
so that Ctrl-C reaches the supervisor alone and nothing is cut in the middle; each ends when the supervisor does, even
where that one is killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from webapp.home import PROJECT_ROOT

LONGEST_PAUSE = 30.0  # seconds before a process that keeps dying is started again
STEADY_AFTER = 60.0  # one that lived this long begins anew with short pauses
Say = Callable[[str], None]


class Kept:
    """One process that is started again when it dies."""

    def __init__(self, name: str, command: Sequence[str], say: Say) -> None:
        self.name = name
        self.deaths = 0
        self._command = [sys.executable, "-I", str(Path(__file__).with_name("leash.py")), *command]
        self._say = say
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._again_at = 0.0

    def start(self) -> None:
        environment = {**os.environ, "FEINSCHLIFF_PARENT": str(os.getpid())}
        self._started = time.monotonic()
        self._process = subprocess.Popen(
            self._command, cwd=PROJECT_ROOT, env=environment, stdin=subprocess.DEVNULL, start_new_session=True
        )

    def watch(self) -> None:
        """Called often: notices a death, and starts again after a pause that doubles with each early death."""
        if self._process is None:
            if time.monotonic() >= self._again_at:
                self.start()
            return
        status = self._process.poll()
        if status is None:
            return
        self._sweep()
        self._process = None
        self.deaths = 1 if time.monotonic() - self._started > STEADY_AFTER else self.deaths + 1
        pause = min(LONGEST_PAUSE, 2.0 ** (self.deaths - 1))
        self._again_at = time.monotonic() + pause
        self._say(f"The {self.name} process {_told(status)}; starting it again in {pause:.0f} s.")

    def ask_to_end(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()

    def ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def kill(self) -> None:
        if not self.ended():
            self._say(f"The {self.name} process did not end in time and is killed.")
        self._sweep()
        if self._process is not None:
            self._process.wait()

    def _sweep(self) -> None:
        """Ends what a dead process left in its group."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)


def end_all(kept: Sequence[Kept], limit: float, hurry: Callable[[], bool]) -> None:
    """Asks all to end, waits for at most `limit` seconds (less if `hurry`), and kills the rest."""
    for one in kept:
        one.ask_to_end()
    until = time.monotonic() + limit
    while not all(one.ended() for one in kept) and time.monotonic() < until and not hurry():
        time.sleep(0.05)
    for one in kept:
        one.kill()


def _told(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    with contextlib.suppress(ValueError):
        return f"was ended by {signal.Signals(-status).name}"
    return f"was ended by signal {-status}"
