"""The worker's end of a logger: a process fed through a pipe, of which nothing can come back to hurt a run.

What the logger cannot take in time waits in a bounded queue, and is dropped and counted when that is full. What it says
goes into the run folder's loggers.log, which is bounded too and hides credentials.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

WAITING = 4 << 20  # bytes that may wait for a slow logger
LAST = 60.0  # seconds a logger has after the run's end, to send what waits
HURRY = 10.0  # seconds it has when the worker ends
KEPT = 60 << 10  # bytes of a logger's output that one attempt keeps
SENTENCES = 4 << 10  # bytes of what it says in sentences
PIECE, LONGEST = 1 << 16, 4096  # bytes read at once; of a line
NOTES = "loggers.log"
SAYS, TROUBLE = "feinschliff says: ", "feinschliff trouble: "
NEVER = ("DATABASE_URL", "SECRET_KEY")
QUIET = {"HF_HUB_DISABLE_TELEMETRY": "1", "WANDB_ERROR_REPORTING": "false"}  # nobody else hears of errors or of use
SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL", re.IGNORECASE)
SAID_ITSELF = 3  # the exit status of a logger that has told its trouble
log = logging.getLogger(__name__)


class Feed:
    """One logger for one attempt at one run. Start it in a thread that outlives the run: the kernel ends it with that."""

    def __init__(self, name: str, *, run: int, folder: Path, root: Path, first: bytes) -> None:
        self.name, self.run, self.dropped = name, run, 0
        self._notes = folder / NOTES
        self._room, self._room_to_say = KEPT, SENTENCES
        self._hidden = credentials(os.environ)
        self._lines: deque[bytes] = deque([first])
        self._held, self._closed, self._gone = len(first), False, False
        self._more = threading.Condition()
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"training.loggers.{name}", str(folder)],
            cwd=root,
            env=logger_environment(os.environ, root),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        threading.Thread(target=self._write, name=f"{name}-write", daemon=True).start()
        threading.Thread(target=self._read, name=f"{name}-read", daemon=True).start()

    def put(self, line: bytes) -> None:
        """One line for the logger; dropped and counted where it cannot follow."""
        with self._more:
            if self._gone:
                return
            if self._held + len(line) > WAITING:
                self.dropped += 1
            else:
                self._append(line)

    def end(self, line: bytes) -> None:
        """The last line; whether it was taken in time is another thread's business."""
        with self._more:
            self._closed = True
            self._append(line)
        # no daemon: a worker that ends now still gives the loggers their last seconds
        threading.Thread(target=self._last, name=f"{self.name}-last", daemon=False).start()

    def _append(self, line: bytes) -> None:
        self._lines.append(line)
        self._held += len(line)
        self._more.notify()

    def _write(self) -> None:
        pipe = self._process.stdin
        assert pipe is not None  # noqa: S101 - asked for above
        with suppress(OSError), pipe:
            while True:
                with self._more:
                    while not self._lines and not self._closed:
                        self._more.wait()
                    if not self._lines:
                        return
                    line = self._lines.popleft()
                    self._held -= len(line)
                pipe.write(line)
                pipe.flush()

    def _read(self) -> None:
        """Everything the logger prints, to its end: nobody may block on a full pipe."""
        pipe = self._process.stdout
        assert pipe is not None  # noqa: S101 - asked for above
        rest = b""
        with pipe:
            while piece := os.read(pipe.fileno(), PIECE):
                *lines, rest = (rest + piece).split(b"\n")
                rest = rest[:LONGEST]
                for line in lines:
                    self._note(line[:LONGEST].decode("utf-8", "replace").rstrip())
                if len(piece) > PIECE // 2:  # a flood: it waits, rather than the worker
                    time.sleep(0.02)
            self._note(rest.decode("utf-8", "replace").rstrip())
        with self._more:
            self._gone = not self._closed  # in the middle of the run
        if self._gone:
            code = self._wait(LAST)
            if code != SAID_ITSELF:
                self._say(f"{_how(code)} while the run went on; nothing more is sent", trouble=True)

    def _last(self) -> None:
        code = self._wait(LAST)
        with suppress(ProcessLookupError, PermissionError):  # whatever it started itself goes too
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if code is None:
            self._say("it did not end in time and was killed; it may miss the last", trouble=True)
        elif code not in (0, SAID_ITSELF) and not self._gone:
            self._say(f"{_how(code)}; it may miss the last", trouble=True)
        if self.dropped:
            self._say(f"{self.dropped} reports were dropped, since it could not follow", trouble=True)

    def _wait(self, seconds: float) -> int | None:
        """Its exit status, or None when it has not ended by then. It is not reaped: its group's number must stay its own."""
        until, hurried = time.monotonic() + seconds, False
        while True:
            if not hurried and not threading.main_thread().is_alive():
                hurried, until = True, min(until, time.monotonic() + HURRY)
            with suppress(ChildProcessError):
                found = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if found is not None:
                    return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
                if time.monotonic() < until:
                    time.sleep(0.05)
                    continue
                return None
            return self._process.returncode  # reaped by `_last`

    def _note(self, line: str) -> None:
        if line.startswith(TROUBLE):
            self._say(line.removeprefix(TROUBLE), trouble=True)
        elif line.startswith(SAYS):
            self._say(line.removeprefix(SAYS))
        elif line and self._room > 0:
            self._room -= len(line) + 5
            self._keep(f"  | {hide(line, self._hidden)}")

    def _say(self, sentence: str, *, trouble: bool = False) -> None:
        said = hide(sentence, self._hidden)[:500]
        if self._room_to_say <= 0:
            return
        self._room_to_say -= len(said) + 50
        if trouble:
            log.warning("run %s, %s: %s", self.run, self.name, said)
        self._keep(f"{datetime.now():%Y-%m-%d %H:%M:%S} {self.name}{' trouble' if trouble else ''}: {said}")

    def _keep(self, line: str) -> None:
        with suppress(OSError):  # a full disk, or a folder that was deleted
            file = os.open(self._notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(file, "ab") as notes:
                notes.write(f"{line}\n".encode("utf-8", "replace"))


def logger_environment(outer: Mapping[str, str], root: Path) -> dict[str, str]:
    """The worker's own, without what opens the site, so that each logger finds the variables its users know."""
    inner = {name: value for name, value in outer.items() if name not in NEVER}
    paths = [str(root), str(root / "platform"), *filter(None, [outer.get("PYTHONPATH")])]
    return (
        QUIET
        | inner
        | {
            "PYTHONPATH": os.pathsep.join(paths),
            "PYTHONUNBUFFERED": "1",
            "FEINSCHLIFF_PARENT": str(os.getpid()),
        }
    )


def credentials(environment: Mapping[str, str]) -> list[str]:
    """Values that must not be written down, and the user part of addresses that carry one."""
    found = {value for name, value in environment.items() if SECRET.search(name) and len(value) >= 6}
    found |= {user for value in environment.values() for user in re.findall(r"://([^/@\s]+)@", value)}
    return sorted(found, key=len, reverse=True)


def hide(text: str, hidden: list[str]) -> str:
    for secret in hidden:
        text = text.replace(secret, "…")
    return text


def notes(folder: Path) -> list[str]:
    """What the loggers of a run have said, in sentences and without their raw output; the newest last."""
    try:
        with (folder / NOTES).open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - KEPT))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return []
    return [line for line in lines if line[:2] == "20"]


def _how(code: int | None) -> str:
    if code is None:
        return "it closed its output"
    if code < 0:
        with suppress(ValueError):
            return f"it was ended by {signal.Signals(-code).name}"
    return f"it ended with status {code}"
