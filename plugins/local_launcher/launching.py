"""Starts `python -m feinschliff train FOLDER` in a process group of its own, watches it, and ends it.

The environment is built up, not cut down: what is not named here (database address, secret key, loggers' credentials)
never reaches a trainer. A handle holds pid and start time, since a pid alone may have been given to somebody else.
"""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from feinschliff import Job, JobStatus
from feinschliff.launcher import child_environment

AT_MOST = 1 << 20


class LocalLauncher:
    """See `feinschliff.Launches`. Submit from a thread that outlives the run: the kernel ends the child with it."""

    def __init__(self) -> None:
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._asked: set[str] = set()

    def submit(self, job: Job) -> str:
        environment = child_environment(os.environ) | {"FEINSCHLIFF_PARENT": str(os.getpid())}
        with (job.folder / "output.log").open("ab") as log:
            child = subprocess.Popen(
                [job.python or sys.executable, "-m", "feinschliff", "train", str(job.folder)],
                cwd=job.root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._children[child.pid] = child
        return json.dumps({"pid": child.pid, "started": _started(child.pid), "folder": str(job.folder)})

    def status(self, handle: str) -> JobStatus:
        about = json.loads(handle)
        child = self._children.get(about["pid"])
        if child is not None:
            code = child.poll()
            return JobStatus("running") if code is None else JobStatus("ended", code)
        alive = _started(about["pid"])
        return JobStatus("running") if alive is not None and alive == about["started"] else JobStatus("ended")

    def logs(self, handle: str, offset: int) -> tuple[bytes, int]:
        """At most 1 MiB from `offset` on; an output that is not there yet is empty."""
        try:
            with Path(json.loads(handle)["folder"], "output.log").open("rb") as log:
                log.seek(offset)
                found = log.read(AT_MOST)
        except FileNotFoundError:
            return b"", offset
        return found, offset + len(found)

    def cancel(self, handle: str) -> None:
        """SIGTERM to the whole group; the second time SIGKILL."""
        if handle in self._asked:
            self.kill(handle)
        else:
            self._asked.add(handle)
            self._signal(handle, signal.SIGTERM)

    def kill(self, handle: str) -> None:
        self._signal(handle, signal.SIGKILL)

    def reattach(self, handle: str) -> bool:
        return self.status(handle).state == "running"

    def _signal(self, handle: str, number: signal.Signals) -> None:
        if self.status(handle).state == "running":
            with suppress(ProcessLookupError):
                os.killpg(json.loads(handle)["pid"], number)


def _started(pid: int) -> str | None:
    """The kernel's start time of a living process (a zombie is none); where there is no /proc, only that it lives."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        if Path("/proc/self").exists():
            return None
        try:
            os.kill(pid, 0)
        except OSError:
            return None
        return "alive"
    return None if after_name[0] in "ZX" else after_name[19]
