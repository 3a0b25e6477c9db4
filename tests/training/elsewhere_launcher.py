"""A launcher whose jobs outlive the worker, as a cluster's do: real processes that nobody here is the parent of.

It comes in by the public door. What happens to a cluster is told by files in its place: `away` (it does not answer), `lost`.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from feinschliff import Job, JobStatus, Launcher, hookimpl
from feinschliff.launcher import child_environment


@hookimpl
def feinschliff_launchers() -> Iterator[Launcher]:
    yield Launcher(
        api=1, name="elsewhere", title="Elsewhere", summary="On a cluster of this test.", outlives=True,
        makes="tests.training.elsewhere_launcher:Elsewhere",
    )  # fmt: skip


class Elsewhere:
    """Jobs are known by their name: submitted twice, they run once."""

    def __init__(self) -> None:
        self.place = Path(os.environ["ELSEWHERE"])

    def submit(self, job: Job) -> str:
        if (self.place / "away").exists():
            raise ConnectionError("the cluster does not answer")
        about = self.place / f"{job.name}.json"
        if not about.exists():
            command = [sys.executable, "-m", "feinschliff", "train", str(job.folder)]
            script = 'log=$1; shift; "$@" >>"$log" 2>&1 & echo $!'  # the shell ends, and the job has no parent of ours
            started = subprocess.run(
                ["/bin/sh", "-c", script, "sh", str(job.folder / "output.log"), *command], cwd=job.root, check=True,
                env=child_environment(os.environ), stdout=subprocess.PIPE, start_new_session=True,
            )  # fmt: skip
            about.write_text(json.dumps({"pid": int(started.stdout), "folder": str(job.folder)}), "utf-8")
        return job.name

    def status(self, handle: str) -> JobStatus:
        if (self.place / "lost").exists():
            return JobStatus("lost", cause="The cluster is gone.")
        return JobStatus("running" if self.pid(handle) else "ended")

    def logs(self, handle: str, offset: int) -> tuple[bytes, int]:
        path = Path(self._about(handle)["folder"], "output.log")
        found = path.read_bytes()[offset:] if path.exists() else b""
        return found, offset + len(found)

    def cancel(self, handle: str) -> None:
        asked = self.place / f"{handle}.asked"
        number = signal.SIGKILL if asked.exists() else signal.SIGTERM
        asked.touch()
        with suppress(ProcessLookupError):
            os.kill(self.pid(handle) or 2**22 + 1, number)

    def reattach(self, handle: str) -> bool:
        return self.status(handle).state == "running"

    def pid(self, handle: str) -> int | None:
        """Of the living process."""
        pid: int = self._about(handle)["pid"]
        try:
            state = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
        except OSError:
            return None
        return None if state in "ZX" else pid

    def _about(self, handle: str) -> dict[str, object]:
        return dict(json.loads((self.place / f"{handle}.json").read_text("utf-8")))
