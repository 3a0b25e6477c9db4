"""Starts `python -m feinschliff train FOLDER` in a session of its own, watches it, bounds it, and ends all of it.

The environment is built up, not cut down: what is not named here (database address, secret key, loggers' credentials)
never reaches a trainer. A handle holds pid and start time, since a pid alone may have been given to somebody else, and the
job's name, which all its processes bear. The kernel ends the child with the worker; what the child had started, and that went
its own ways, is ended by the next worker.
"""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feinschliff import Job, JobStatus
from feinschliff.launcher import child_environment
from plugins.lib.logs import read_from
from plugins.local_launcher.processes import Family, Mark, end_leftovers, kernel_kills, mark, restrain, started
from plugins.local_launcher.recording import Recorder

LOOK_EVERY = 0.25  # seconds between looks at the memory
PATIENCE = 5.0  # seconds for the output of a job that has ended
KERNEL = (
    "The machine ran out of memory, and the kernel ended the run (signal 9); take smaller batches, shorter texts or a "
    "smaller model."
)


@dataclass
class Watched:
    """A child of ours."""

    child: subprocess.Popen[bytes]
    family: Family
    recorder: Recorder
    memory: int | None
    kernel_kills: int | None
    looked_at: float = 0.0
    cause: str = ""
    ended: JobStatus | None = None


class LocalLauncher:
    """See `feinschliff.Launches`. Submit from a thread that outlives the run: the kernel ends the child with it."""

    def __init__(self) -> None:
        self._watched: dict[int, Watched] = {}
        self._asked: set[str] = set()
        end_leftovers()

    def submit(self, job: Job) -> str:
        end_leftovers(str(job.folder))  # of a worker that was frozen, say: no two may write to one folder
        name = job.name or f"by-hand-{os.getpid()}-{time.monotonic_ns()}"
        bears = Mark(name, os.getpid(), started(os.getpid()) or "", str(job.folder))
        environment = child_environment(os.environ) | bears.variables() | {"FEINSCHLIFF_PARENT": str(os.getpid())}
        kills = kernel_kills()
        ours, theirs = os.pipe()
        try:
            recorder = Recorder(ours, job.folder / "output.log", job.log)
            child = subprocess.Popen(
                [job.python or sys.executable, "-m", "feinschliff", "train", str(job.folder)],
                cwd=job.root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=theirs,
                stderr=theirs,
                start_new_session=True,
            )
        except OSError:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        restrain(child.pid, job.memory)
        recorder.start()
        self._watched = {pid: one for pid, one in self._watched.items() if one.ended is None}
        self._watched[child.pid] = Watched(child, Family(name, child.pid), recorder, job.memory, kills)
        return json.dumps({"pid": child.pid, "started": started(child.pid), "folder": str(job.folder), "name": name})

    def status(self, handle: str) -> JobStatus:
        about = json.loads(handle)
        watched = self._ours(about)
        if watched is None:
            alive = started(about["pid"])
            return JobStatus("running") if alive is not None and alive == about["started"] else JobStatus("ended")
        if watched.ended is None:
            code = watched.child.poll()
            if code is None:
                _look(watched)
                return JobStatus("running")
            watched.ended = _ended(watched, code)
        return watched.ended

    def logs(self, handle: str, offset: int) -> tuple[bytes, int]:
        """At most 1 MiB from `offset` on; an output that is not there yet is empty."""
        return read_from(Path(json.loads(handle)["folder"], "output.log"), offset)

    def cancel(self, handle: str) -> None:
        """SIGTERM to the whole group; the second time SIGKILL to every process of the job."""
        if handle in self._asked:
            self.kill(handle)
        else:
            self._asked.add(handle)
            about = json.loads(handle)
            if self.status(handle).state == "running":
                with suppress(ProcessLookupError):
                    os.killpg(about["pid"], signal.SIGTERM)

    def kill(self, handle: str) -> None:
        about = json.loads(handle)
        watched = self._ours(about)
        family = watched.family if watched else Family(about["name"], about["pid"] if _is_it(about) else 0)
        family.end()

    def reattach(self, handle: str) -> bool:
        """True for a child of our own alone. A child of another worker cannot be waited for: it is ended."""
        about = json.loads(handle)
        if self._ours(about) is not None:
            return self.status(handle).state == "running"
        self.kill(handle)
        return False

    def _ours(self, about: dict[str, Any]) -> Watched | None:
        watched = self._watched.get(about["pid"])
        return watched if watched and watched.family.name == about["name"] else None


def _is_it(about: dict[str, Any]) -> bool:
    """Whether the pid of the handle is still the process that was started."""
    found = mark(about["pid"])
    return found is not None and found.name == about["name"]


def _look(watched: Watched) -> None:
    """Ends a job that holds more memory than it may."""
    now = time.monotonic()
    if watched.memory is None or now - watched.looked_at < LOOK_EVERY:
        return
    watched.looked_at = now
    if watched.family.memory(watched.memory) > watched.memory:
        watched.cause = (
            f"It used more than {watched.memory / 1e9:.1f} GB of memory, the limit for a run here; take smaller batches, "
            "shorter texts or a smaller model (RUN_MEMORY_BYTES raises the limit)."
        )
        watched.family.end()


def _ended(watched: Watched, code: int) -> JobStatus:
    """The end of the first process is the end of all of them."""
    watched.family.end()
    watched.recorder.join(PATIENCE)
    watched.recorder.finish()
    before, after = watched.kernel_kills, kernel_kills()
    if code == -signal.SIGKILL and not watched.cause and before is not None and after is not None and after > before:
        watched.cause = KERNEL
    return JobStatus("ended", code, watched.cause)
