"""How much a run may take: memory, log, and what of its stream is stored. Said in the settings, or by the machine."""

from __future__ import annotations

import os
from pathlib import Path

from django.conf import settings

from training.machine.capacity import number_in

SHARE = 0.8  # of the memory: the rest is the database's and the site's
MOST_POINTS = 200_000  # numbers stored of one run
MOST_SAMPLES = 2_000
MOST_REPORTS = 60  # tables and pictures
#: where a container says how much it may hold, in the two versions of control groups
CONTAINER = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def memory() -> int:
    """Bytes that all processes of one run together may hold."""
    chosen: int = settings.RUN_MEMORY_BYTES
    return chosen or int(SHARE * min([_machine(), *(size for path in CONTAINER if (size := number_in(Path(path))))]))


def _machine() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
