"""Experiment loggers that people already use, fed from a run's stream by the worker. None of them can hurt a run.

Each that is switched on by its own environment variable works in a process of its own (`python -m training.loggers.NAME`),
which hears the run as JSON lines through a pipe. The trainer's process knows nothing of them, nor of their credentials.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the logger processes import this package too, and need no Django
    from training.loggers.feeding import Feed
    from training.models import Run
    from training.streaming import Heard

#: logger -> variables, one of which switches it on
SWITCHES = {
    "tensorboard": ("TENSORBOARD_LOGDIR", "TENSORBOARD_LOGGING_DIR"),
    "mlflow": ("MLFLOW_TRACKING_URI",),
    "wandb": ("WANDB_API_KEY",),
    "trackio": ("TRACKIO_PROJECT", "TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL"),
}
log = logging.getLogger(__name__)


def switched_on(environment: Mapping[str, str]) -> list[str]:
    """The loggers that the environment asks for. W&B needs no key where it is told to stay offline."""
    found = {name for name, variables in SWITCHES.items() if any(environment.get(one) for one in variables)}
    match environment.get("WANDB_MODE"):
        case "offline":
            found.add("wandb")
        case "disabled":
            found.discard("wandb")
    return sorted(found)


class Loggers:
    """Those that are switched on. No method raises, and none takes longer than a moment."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.step = 0  # the last that was heard; samples carry it
        self._feeds: list[Feed] = []
        try:
            self._start(run)
        except Exception as wrong:  # a full disk, too many processes: no reason to fail a run
            log.warning("run %s: no experiment logger was started: %s", run.pk, wrong)

    def _start(self, run: Run) -> None:
        import os

        from django.conf import settings

        from training import preparing
        from training.loggers.feeding import Feed

        first = _line(about(run))
        for name in switched_on(os.environ):
            self._feeds.append(Feed(name, run=run.pk, folder=preparing.folder(run), root=settings.ROOT, first=first))

    def hear(self, heard: Heard) -> None:
        """What the run has just said; called after it was stored."""
        if not self._feeds:
            return
        now = round(time.time(), 3)
        values: dict[int, dict[str, float]] = {}
        for step, name, value in heard.metrics:
            self.step = step
            if value is not None:
                values.setdefault(step, {})[name] = value
        for step, numbers in values.items():
            self._tell({"type": "metric", "at": now, "step": step, "values": numbers})
        for sample in heard.samples:
            own = sample.get("step")
            self._tell({"type": "sample", "at": now, **sample, "step": self.step if own is None else own})

    def end(self, state: str) -> None:
        """The attempt is over; only the first call counts, and it does not wait for the loggers.

        `state` is the run's: succeeded, failed, cancelled, queued when it is tried again, lost when another worker has it.
        """
        if not self._feeds:
            return
        feeds, self._feeds = self._feeds, []
        last: dict[str, Any] = {"type": "end", "at": round(time.time(), 3), "state": state}
        if state != "lost":  # then the database may be away, too
            last |= self._result()
        for feed in feeds:
            feed.end(_line(last))

    def _result(self) -> dict[str, Any]:
        from training.models import Run

        try:
            return dict(Run.objects.values("numbers", "error", "versions").get(pk=self.run.pk))
        except Exception as wrong:
            log.warning("run %s: the loggers hear of its end without its numbers: %s", self.run.pk, wrong)
            return {}

    def _tell(self, message: dict[str, Any]) -> None:
        line = _line(message)
        for feed in self._feeds:
            feed.put(line)


def about(run: Run) -> dict[str, Any]:
    """What is told of a run before it starts."""
    from django.conf import settings
    from django.urls import reverse

    page = reverse("run", args=[run.project.slug, run.pk])
    return {
        "type": "begin",
        "at": round(time.time(), 3),
        "id": outside_id(run),
        "name": f"{run.project.slug}-run-{run.pk}",
        "project": run.project.slug,
        "run": run.pk,
        "title": run.title,
        "attempt": run.attempts,
        "trainer": run.trainer,
        "trainer_version": run.trainer_version,
        "plugin": run.plugin,
        "config": run.config,
        "seed": run.seed,
        "ranks": run.ranks,
        "snapshot": run.snapshot.hash,
        "rows": run.snapshot.rows,
        "models": run.models_used,
        "launched_from": run.launched_from_id,
        "page": settings.SITE_URL.rstrip("/") + page if settings.SITE_URL else "",
    }


def outside_id(run: Run) -> str:
    """The run's name elsewhere: the same for each of its attempts on any machine, another for every other run.

    A number alone would not do: two databases both have a run 1.
    """
    mark = hashlib.sha256(f"{run.pk} {run.created_at.isoformat()}".encode()).hexdigest()[:8]
    return f"{run.project.slug}-run-{run.pk}-{mark}"


def _line(message: dict[str, Any]) -> bytes:
    return json.dumps(message, allow_nan=False, default=str).encode() + b"\n"
