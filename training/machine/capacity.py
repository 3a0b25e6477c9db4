"""What this machine has for a run: memory, cores, GPUs; read from the kernel, without torch. 0 or None: not known."""

from __future__ import annotations

import os
from pathlib import Path

MEMORY = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")


def free_memory() -> int | None:
    """Bytes a new process could have now: what the kernel calls available, less where a container allows less."""
    try:
        lines = dict(line.split(":", 1) for line in MEMORY.read_text("ascii").splitlines())
        free = int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
    allowed, held = number_in(CGROUP / "memory.max"), number_in(CGROUP / "memory.current")
    return free if allowed is None or held is None else max(0, min(free, allowed - held))


def cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


def gpus() -> int | None:
    """GPUs that a child would see; None where this cannot be told without loading torch."""
    if not Path("/proc").is_dir():
        return None
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    if shown is not None:
        return len([name for name in shown.split(",") if name.strip() not in ("", "-1")])
    found = len([path for path in Path("/dev").glob("nvidia[0-9]*") if path.name[6:].isdigit()])
    return found or len(list(Path("/sys/class/kfd/kfd/topology/nodes").glob("*/mem_banks/1")))


def number_in(path: Path) -> int | None:
    """The number that a file of the kernel holds."""
    try:
        return int(path.read_text("ascii"))
    except (OSError, ValueError):  # no such file, or "max"
        return None
