"""Experiment loggers that people already use, fed from a run's stream by the worker. None of them can hurt a run."""

from __future__ import annotations

from training.models import Run
from training.streaming import Heard


class Loggers:
    """Those whose environment variables are set. No method raises, and none takes longer than a moment."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def hear(self, heard: Heard) -> None:
        """What the run has just said; called after it was stored."""

    def end(self, state: str) -> None:
        """The attempt is over. `state` is the run's: succeeded, failed, cancelled, or queued when it is tried again."""
