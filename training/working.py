"""Works runs: claims one after the other and sees each attempt through. Between launching and answering.

The worker never loads a trainer or torch. A run that dies with its worker is claimed by the next one and goes on from its
last checkpoint; where the launcher's jobs outlive the worker, the next one just watches on.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import close_old_connections

from feinschliff import Launches
from feinschliff.manager import load
from feinschliff.model import resolve
from training.attempting import Attempt
from training.leasing import DATABASE_AWAY, LeaseLost, claim
from training.models import Run

POLL = 0.5  # seconds between looks at a run's output
IDLE = 1.0  # seconds between looks for a run
GRACE = 30.0  # seconds a trainer has to end after being asked to
log = logging.getLogger(__name__)


class LauncherMissing(Exception):
    """The launcher that the settings name is not to be had; the text says why."""


@dataclass(frozen=True)
class Opened:
    """A launcher at hand. `outlives`: its jobs go on without the worker."""

    name: str
    launches: Launches
    outlives: bool = False


def open_launcher(name: str = "") -> Opened:
    """The operator's launcher, or another of theirs by name. Launchers are light, and loaded here alone."""
    name = name or settings.LAUNCHER
    registry = load(settings.LAUNCHER_PLUGINS, entry_points=False)
    record = registry.launchers.get(name)
    if record is None:
        refused = "; ".join(f"{r.plugin}: {r.reason}" for r in registry.refusals)
        raise LauncherMissing(
            f"There is no launcher “{name}”; there are: {', '.join(registry.launchers) or 'none'}. {refused}"
        )
    return Opened(name, resolve(record.makes)(), record.outlives)


def name_of_this_worker() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


class Worker:
    """One run at a time, until told to stop. Then the run at work is ended and queued again, or left to go on by itself."""

    def __init__(self, *, launcher: Opened | None = None) -> None:
        self.launcher = launcher or open_launcher()
        self.poll, self.grace = POLL, GRACE
        self.stopping = False

    def stop(self, *_signal: Any) -> None:  # noqa: ANN401 - the arguments of a signal handler
        self.stopping = True

    def serve(self) -> None:
        """Works runs as they come. An unreachable database is waited for."""
        signal.signal(signal.SIGTERM, self.stop)
        signal.signal(signal.SIGINT, self.stop)
        while not self.stopping:
            close_old_connections()
            try:
                worked = self.work_one()
            except DATABASE_AWAY as wrong:
                log.warning("the database does not answer: %s", str(wrong).strip().splitlines()[0])
                worked = False
            if not worked:
                time.sleep(IDLE)

    def work_one(self, run_id: int | None = None, heard: Callable[[Run], None] | None = None) -> bool:
        """Claims a run, if there is one, and works it to its end."""
        lease = claim(worker=name_of_this_worker(), run_id=run_id)
        if lease is None:
            return False
        with suppress(LeaseLost):
            Attempt(lease, self, heard).work()
        return True

    def other_launcher(self, name: str) -> Launches | None:
        """The one that an earlier attempt was started with, where it is still to be had."""
        try:
            return open_launcher(name).launches
        except Exception as wrong:  # a launcher may refuse to be made; its job is then beyond our reach
            log.warning("the launcher %s cannot be opened: %s", name, wrong)
            return None
