"""Finds every process of a run and ends it, however far it has gone from its parent.

A trainer may start processes that leave its group and its session and whose parent is gone (`setsid`, a double fork). So a
run is told by a mark in the environment that all its processes inherit; one that was seen once is known even if it wipes its
environment later. What a process is allowed to use is set here, too. Without /proc there is the process group alone.
"""

import os
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

MARK, STARTED_BY = "FEINSCHLIFF_RUN", "FEINSCHLIFF_STARTED_BY"
PROC = Path("/proc")
NICE = 10  # the site goes first
FIRST_TO_GO = "500"  # the kernel, out of memory, takes a trainer before the database
IN_MEMORY = ("RssAnon:", "RssShmem:", "VmSwap:")
SHARE_IN_MEMORY = ("Pss_Anon:", "Pss_Shmem:", "SwapPss:")


class Process(NamedTuple):
    pid: int
    started: str  # in the kernel's ticks: with it a pid is one process for ever
    parent: int
    session: int


class Mark(NamedTuple):
    """What stands in the environment of a run's processes."""

    name: str
    worker: int
    worker_started: str
    folder: str

    def variables(self) -> dict[str, str]:
        return {MARK: self.name, STARTED_BY: f"{self.worker} {self.worker_started} {self.folder}"}

    def is_orphaned(self) -> bool:
        return started(self.worker) != self.worker_started


def process(pid: int) -> Process | None:
    """A living process; a zombie is none."""
    try:
        text = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else Process(pid, fields[19], int(fields[1]), int(fields[3]))


def started(pid: int) -> str | None:
    """When a living process began; where there is no /proc, only that it lives."""
    found = process(pid)
    if found or (PROC / "self").exists():
        return found.started if found else None
    try:
        os.kill(pid, 0)
    except OSError:
        return None
    return "alive"


def processes() -> Iterator[Process]:
    with suppress(OSError):
        for name in os.listdir(PROC):
            if name.isdigit() and (found := process(int(name))):
                yield found


def mark(pid: int) -> Mark | None:
    try:
        pairs = (PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return None
    told = dict(
        pair.decode("utf-8", "replace").partition("=")[::2] for pair in pairs if pair.startswith(b"FEINSCHLIFF_")
    )
    worker, _, rest = told.get(STARTED_BY, "").partition(" ")
    when, _, folder = rest.partition(" ")
    return Mark(told[MARK], int(worker), when, folder) if MARK in told and worker.isdigit() else None


def end_leftovers(folder: str = "") -> None:
    """Ends what runs in the name of a worker that is gone, and whatever still works in `folder`."""
    found = [(one, mark(one.pid)) for one in processes() if one.pid != os.getpid()]
    for name in {about.name for _, about in found if about and (about.folder == folder or about.is_orphaned())}:
        Family(name).end()


class Family:
    """The living processes of one job: those that bear its name, those of its session, and their children."""

    def __init__(self, name: str, root: int = 0) -> None:
        self.name, self.root = name, root
        self._ours: set[tuple[int, str]] = set()
        self._others: set[tuple[int, str]] = set()

    def members(self) -> list[Process]:
        living = {(one.pid, one.started): one for one in processes()}
        self._ours &= living.keys()
        self._others &= living.keys()
        for key in living.keys() - self._ours - self._others:
            about = mark(key[0])
            own = (about is not None and about.name == self.name) or (self.root and living[key].session == self.root)
            (self._ours if own else self._others).add(key)
        self._add_children(living)
        return [living[key] for key in self._ours if key[0] != os.getpid()]

    def _add_children(self, living: dict[tuple[int, str], Process]) -> None:
        pids = {pid for pid, _ in self._ours}
        while more := {key for key in self._others if living[key].parent in pids}:
            self._ours |= more
            self._others -= more
            pids |= {pid for pid, _ in more}

    def end(self, seconds: float = 5.0) -> None:
        """SIGKILL to all, again and again, until none is left that could start another."""
        until = time.monotonic() + seconds
        if self.root and not (PROC / "self").exists():
            with suppress(OSError):
                os.killpg(self.root, signal.SIGKILL)
        while (left := self.members()) and time.monotonic() < until:
            for one in left:
                with suppress(OSError):
                    os.kill(one.pid, signal.SIGKILL)
            time.sleep(0.01)

    def memory(self, enough: int) -> int:
        """Bytes held by all of them. Shared pages are counted for each, until that comes to `enough`; then exactly."""
        pids = [one.pid for one in self.members()]
        rough = sum(_kilobytes(pid, "status", IN_MEMORY) for pid in pids) * 1024
        if rough <= enough:
            return rough
        exact = sum(_kilobytes(pid, "smaps_rollup", SHARE_IN_MEMORY) for pid in pids) * 1024
        return exact or rough


def _kilobytes(pid: int, file: str, names: tuple[str, ...]) -> int:
    try:
        lines = (PROC / str(pid) / file).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(names))


def restrain(pid: int, memory: int | None) -> None:
    """Limits of a process that was just started; its children inherit them.

    RLIMIT_DATA turns a runaway allocation into a MemoryError that the trainer's author can read. It is left out where there
    is a GPU, whose driver maps far more than it uses. A session of its own is a scheduling group of its own on some kernels:
    there it is the group that must be nice.
    """
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, max(NICE, os.getpriority(os.PRIO_PROCESS, pid)))
    for file, value in (("autogroup", str(NICE)), ("oom_score_adj", FIRST_TO_GO)):
        with suppress(OSError):
            (PROC / str(pid) / file).write_text(value, encoding="utf-8")
    if hasattr(resource, "prlimit"):
        with suppress(OSError, ValueError):
            resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))
            if memory and not Path("/dev/nvidiactl").exists():
                resource.prlimit(pid, resource.RLIMIT_DATA, (memory, memory))


def kernel_kills() -> int | None:
    """How often the kernel ended a process of our control group (or, without one, of this machine) for want of memory."""
    try:
        groups = dict(line.split(":", 2)[1:] for line in (PROC / "self/cgroup").read_text("utf-8").splitlines())
    except OSError:
        return None
    places = [
        Path(f"/sys/fs/cgroup{groups.get('', '/none')}/memory.events"),
        Path(f"/sys/fs/cgroup/memory{groups.get('memory', '/none')}/memory.oom_control"),
        PROC / "vmstat",
    ]
    for place in places:
        with suppress(OSError):
            for line in place.read_text("utf-8").splitlines():
                name, _, count = line.partition(" ")
                if name == "oom_kill" and count.strip().isdigit():
                    return int(count)
    return None
