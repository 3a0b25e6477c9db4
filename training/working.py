"""Works runs: claims one, gives its folder to the launcher, hears what it prints, and writes down how it ended.

The worker never loads a trainer or torch. A run that dies with its worker is claimed by the next one and goes on from its
last checkpoint; one whose process is killed is tried again while it has attempts left; an error of the trainer ends it.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import InterfaceError, InternalError, OperationalError, close_old_connections, transaction
from django.db.models.functions import Now

from feinschliff import Job, Launches
from feinschliff.manager import load
from feinschliff.model import resolve
from training import notifying, preparing
from training.leasing import MAX_ATTEMPTS, Lease, LeaseLost, claim
from training.loggers import Loggers
from training.models import Metric, Model, Run, Sample
from training.streaming import Ear, Heard, storable

POLL = 0.5  # seconds between looks at a run's output
IDLE = 1.0  # seconds between looks for a run
GRACE = 30.0  # seconds a trainer has to end after being asked to
#: what Django raises when the server is gone, or has thrown us out for being silent
DATABASE_AWAY = (OperationalError, InterfaceError, InternalError)
log = logging.getLogger(__name__)


class LauncherMissing(Exception):
    """The launcher that the settings name is not to be had; the text says why."""


def open_launcher() -> Launches:
    """The operator's launcher. Launchers are light, and loaded here alone."""
    registry = load(settings.LAUNCHER_PLUGINS)
    record = registry.launchers.get(settings.LAUNCHER)
    if record is None:
        refused = "; ".join(f"{r.plugin}: {r.reason}" for r in registry.refusals)
        raise LauncherMissing(
            f"There is no launcher “{settings.LAUNCHER}”; there are: {', '.join(registry.launchers) or 'none'}. {refused}"
        )
    return resolve(record.makes)()


def name_of_this_worker() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


class Worker:
    """One run at a time, until told to stop. Then the run at work is ended and queued again."""

    def __init__(self, *, launcher: Launches | None = None) -> None:
        self.launcher = launcher or open_launcher()
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


class Attempt:
    """One attempt at one run."""

    def __init__(self, lease: Lease, worker: Worker, heard: Callable[[Run], None] | None = None) -> None:
        self.lease, self.worker, self.launcher, self.told = lease, worker, worker.launcher, heard
        self.ear = Ear()
        self.loggers: Loggers | None = None
        self.handle = ""
        self.cancelled = False
        self.asked_at: float | None = None  # when the trainer was asked to end
        self.beaten_at = time.monotonic()

    def work(self) -> None:
        """To the end. Whatever goes wrong on the way, no process stays behind that nobody watches."""
        try:
            self._work()
        except (LeaseLost, *DATABASE_AWAY):  # another has the run, or will have it when the lease runs out
            self._kill()
            raise
        except KeyboardInterrupt:  # only a run worked by hand: `train --wait`
            self._kill()
            self._end(Run.CANCELLED)
            raise
        except SystemExit:
            self._kill()
            self.worker.stopping = True
            self._requeue()
            raise
        except Exception as wrong:  # a launcher's fault, a full disk: it costs this run, not the worker
            log.exception("run %s", self.lease.run_id)
            self._kill()
            why = storable(f"It could not be worked: {type(wrong).__name__}: {wrong}".splitlines()[0][:500])
            self._patiently(lambda: self._end(Run.FAILED, error=why))

    def _work(self) -> None:
        run = Run.objects.select_related("snapshot", "project").get(pk=self.lease.run_id)
        if run.cancel_requested_at:
            return self._end(Run.CANCELLED)
        if run.attempts > MAX_ATTEMPTS:
            return self._end(Run.FAILED, error=f"It was interrupted {MAX_ATTEMPTS} times, and not tried again.")
        try:
            folder = preparing.prepare(run)
        except (preparing.CannotPrepare, OSError) as wrong:
            return self._end(Run.FAILED, error=str(wrong))
        self._end_previous(run)
        self.loggers = Loggers(run)
        self.offset = preparing.log_size(folder)
        self.handle = self.launcher.submit(Job(folder=folder, root=Path(settings.ROOT)))
        self._patiently(lambda: self.lease.write(state=Run.RUNNING, handle=self.handle, log_offset=self.offset))
        self._watch(run)
        self._finish(run, folder)
        return None

    def _end_previous(self, run: Run) -> None:
        """Ends a process that outlived its worker (which was frozen, say), so that no two write to one folder."""
        with suppress(ValueError, KeyError, TypeError):  # the handle of another launcher
            if run.handle and self.launcher.reattach(run.handle):
                self.launcher.cancel(run.handle)
                self.launcher.cancel(run.handle)
                while self.launcher.status(run.handle).state == "running":
                    self._patiently(self.lease.beat)
                    time.sleep(POLL)

    def _watch(self, run: Run) -> None:
        """Until the process has ended: hear, beat, and pass on a wish to stop."""
        while self.launcher.status(self.handle).state == "running":
            self._patiently(lambda: self._turn(run))
            time.sleep(POLL)
        self._patiently(lambda: self._listen(run))

    def _turn(self, run: Run) -> None:
        self._listen(run)
        if time.monotonic() - self.beaten_at > settings.RUN_LEASE_SECONDS / 6 or self.worker.stopping:
            self.cancelled = self.lease.beat()
            self.beaten_at = time.monotonic()
        elif Run.objects.filter(pk=run.pk, cancel_requested_at__isnull=False).exists():
            self.cancelled = True
        if (self.cancelled or self.worker.stopping) and self.asked_at is None:
            self.asked_at = time.monotonic()
            self.launcher.cancel(self.handle)
            self.lease.write(state=Run.STOPPING)
        elif self.asked_at is not None and time.monotonic() - self.asked_at > self._grace():
            self.asked_at = time.monotonic()
            self.launcher.cancel(self.handle)  # the second time it is killed

    def _grace(self) -> float:
        return 8.0 if self.worker.stopping else GRACE

    def _patiently(self, step: Callable[[], Any]) -> None:
        """One step, tried again while the database is away: a short outage ends no run.

        An outage longer than the lease may cost the run; then its epoch is gone and LeaseLost says so.
        """
        while True:
            try:
                step()
                return
            except DATABASE_AWAY as wrong:
                log.warning("the database does not answer: %s", str(wrong).strip().splitlines()[0])
                close_old_connections()
                time.sleep(IDLE)

    def _listen(self, run: Run) -> None:
        """Everything printed since the last time, stored in one transaction with the new offset."""
        while True:
            piece, offset = self.launcher.logs(self.handle, self.offset)
            if not piece:
                return
            ear = self.ear.copy()  # the real one moves on only when the transaction has
            heard = ear.hear(piece)
            self._store(run, heard, offset)
            self.ear, self.offset = ear, offset

    def _store(self, run: Run, heard: Heard, offset: int) -> None:
        fields: dict[str, Any] = {"log_offset": offset}
        if heard.progress:
            fields["done"], fields["total"] = heard.progress
        if heard.message is not None:
            fields["message"] = heard.message
        with transaction.atomic():
            held = self.lease.hold()
            Metric.objects.bulk_create(
                Metric(run=held, attempt=held.attempts, step=step, name=name, value=value)
                for step, name, value in heard.metrics
            )
            Sample.objects.bulk_create(Sample(run=held, **sample) for sample in heard.samples)
            self.lease.write(**fields)
        if self.loggers:
            self.loggers.hear(heard)
        if self.told:
            run.refresh_from_db()
            self.told(run)

    def _finish(self, run: Run, folder: Path) -> None:
        code = self.launcher.status(self.handle).exit
        result = _result(folder)
        state = result.get("state")
        if state == "succeeded" and code in (0, None):
            return self._patiently(lambda: self._succeed(result))
        if self.cancelled:
            return self._patiently(lambda: self._end(Run.CANCELLED, numbers=_numbers(result)))
        if self.worker.stopping:
            return self._patiently(self._requeue)
        if state in ("failed", "needs-not-met") and result.get("error"):
            return self._patiently(lambda: self._end(Run.FAILED, error=str(result["error"])))
        why = _why(code)
        run.refresh_from_db()
        if run.resumable and run.attempts < MAX_ATTEMPTS:
            log.warning("run %s: %s It is tried again.", run.pk, why)
            return self._patiently(self._requeue)
        return self._patiently(lambda: self._end(Run.FAILED, error=why))

    def _succeed(self, result: dict[str, Any]) -> None:
        """The end and the model it left, in one transaction."""
        with transaction.atomic():
            run = self.lease.hold()
            about = json.loads((preparing.folder(run) / "model" / "feinschliff-model.json").read_text("utf-8"))
            name = f"{run.trainer} {run.pk}"
            Model.objects.create(project=run.project, run=run, name=name, yields=about.get("yields", []))
            self.lease.write(
                state=Run.SUCCEEDED, numbers=_numbers(result), versions=result.get("versions") or {},
                ended_at=Now(), lease_until=None, message="",
            )  # fmt: skip
            self._tell_people(run)
        self._close_loggers(Run.SUCCEEDED)

    def _end(self, state: str, **fields: Any) -> None:  # noqa: ANN401 - the run's columns
        with transaction.atomic():
            run = self.lease.hold()
            self.lease.write(state=state, ended_at=Now(), lease_until=None, message="", **fields)
            self._tell_people(run)
        self._close_loggers(state)

    def _tell_people(self, run: Run) -> None:
        run.refresh_from_db()
        notifying.run_ended(run)

    def _close_loggers(self, state: str) -> None:
        if self.loggers:
            self.loggers.end(state)

    def _requeue(self) -> None:
        """Back to the queue. An attempt that we ended ourselves does not count."""
        run = Run.objects.get(pk=self.lease.run_id)
        attempts = run.attempts - 1 if self.worker.stopping else run.attempts
        self.lease.write(state=Run.QUEUED, lease_until=None, message="", attempts=max(attempts, 0))

    def _kill(self) -> None:
        """Ends a process that is not to be worked on."""
        if self.handle:
            self.launcher.cancel(self.handle)
            self.launcher.cancel(self.handle)


def _result(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "result.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return storable(found) if isinstance(found, dict) else {}


def _numbers(result: dict[str, Any]) -> dict[str, Any]:
    found = result.get("numbers")
    return found if isinstance(found, dict) else {}


def _why(code: int | None) -> str:
    """The cause of an end without a result, in one sentence."""
    if code is None:
        return "The trainer's process is gone and left no result."
    if code == -signal.SIGKILL:
        return "The trainer was killed (signal 9), most likely because the machine ran out of memory."
    if code < 0:
        with suppress(ValueError):
            return f"The trainer crashed ({signal.Signals(-code).name})."
    return f"The trainer ended with status {code} and left no result; its last lines say more."
