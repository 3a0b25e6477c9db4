"""One attempt at one run, inside the worker: start it or take it over, hear what it says, bound it, write down how it ended.

Every write carries the lease's epoch. A job that its launcher lost is tried again like one that was killed; an error of the
trainer, and a lack of memory or disk, end the run.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from django.conf import settings
from django.db import close_old_connections, transaction
from django.db.models.functions import Now
from django.utils import translation
from django.utils.translation import gettext

from feinschliff import Job, JobStatus, Launches
from training import explaining, notifying, preparing
from training.bounding import storable
from training.catalogue.environments import EnvironmentUnusable
from training.leasing import DATABASE_AWAY, MAX_ATTEMPTS, Lease, LeaseLost
from training.loggers import Loggers
from training.machine import limiting
from training.models import Metric, Model, Report, Run, Sample
from training.reporting import pacing
from training.streaming import Ear, Heard
from webapp.saying import number

if TYPE_CHECKING:
    from training.working import Worker

RETRY = 1.0  # seconds between two tries at a database that is away
HEAR_FOR = 1.0  # seconds of listening between two looks at everything else
ELSEWHERE = 60.0  # seconds that another launcher has to end what it had started
PAUSE = 10.0  # seconds, times the attempts so far, before a launcher that could not be reached is asked again
STOP_GRACE = 8.0  # seconds a trainer has to end when its worker ends
LARGEST_RESULT = 5_000_000  # bytes
log = logging.getLogger(__name__)
T = TypeVar("T")


class Attempt:
    """Whatever goes wrong on the way, no process stays behind that nobody watches."""

    def __init__(self, lease: Lease, worker: Worker, heard: Callable[[Run], None] | None = None) -> None:
        self.lease, self.worker, self.told = lease, worker, heard
        self.launcher, self.outlives = worker.launcher.launches, worker.launcher.outlives
        self.ear = Ear()
        self.loggers: Loggers | None = None
        self.handle, self.offset = "", 0
        self.points = self.samples = 0
        self.titles: set[str] = set()  # of its reports
        self.beside: set[str] = set()
        self.note = ""  # what people should know of the run after its end
        self.cancelled = self.left = self.paced = False
        self.asked_at: float | None = None  # when the trainer was asked to end
        self.beaten_at = time.monotonic()

    def work(self) -> None:
        """To the end of the attempt. Raises LeaseLost."""
        try:
            self._work()
        except LeaseLost:
            self._lose()
            raise
        except DATABASE_AWAY:  # another will have it when the lease runs out
            if not self.outlives:
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
            why = storable(explaining.of_launcher(wrong))
            self._patiently(lambda: self._end(Run.FAILED, error=why))

    def _work(self) -> None:
        run = Run.objects.select_related("snapshot", "project", "launched_by").get(pk=self.lease.run_id)
        with translation.override(run.launched_by.reads if run.launched_by else settings.LANGUAGE_CODE):
            self._attempt(run)

    def _attempt(self, run: Run) -> None:
        self.points, self.samples = run.metrics.count(), run.samples.count()
        self.titles = set(run.reports.values_list("title", flat=True))
        self.beside = _beside(run)
        if not self._take_over(run) and not self._start(run):
            return
        self.loggers = Loggers(run)
        self._watch(run)
        if self.left:
            self._close_loggers("lost")
        else:
            self._finish(run)

    def _take_over(self, run: Run) -> bool:
        """Watches on what an earlier worker left; whatever cannot be watched is ended, so that no two write to one folder."""
        if not run.handle:
            return False
        if run.launcher not in ("", self.worker.launcher.name):
            self._end_elsewhere(run)
            return False
        with suppress(ValueError, KeyError, TypeError):  # a handle that says nothing to this launcher
            if self.launcher.reattach(run.handle):
                self.handle, self.offset, run.attempts = run.handle, run.log_offset, max(run.attempts - 1, 0)
                self._patiently(lambda: self.lease.write(state=Run.RUNNING, attempts=run.attempts))
                return True
        return False

    def _end_elsewhere(self, run: Run) -> None:
        """The job of an attempt that another launcher had started. Where that cannot be reached any more, we go on."""
        other: Launches | None = self.worker.other_launcher(run.launcher)
        try:
            if other and other.reattach(run.handle):
                other.cancel(run.handle)
                other.cancel(run.handle)
                until = time.monotonic() + ELSEWHERE
                while other.status(run.handle).state == "running" and time.monotonic() < until:
                    self._patiently(self.lease.beat)
                    time.sleep(self.worker.poll)
        except (LeaseLost, *DATABASE_AWAY):
            raise
        except Exception as wrong:
            log.warning("run %s: its job with the launcher %s cannot be ended: %s", run.pk, run.launcher, wrong)

    def _start(self, run: Run) -> bool:
        """Submits the job, unless the run has come to its end."""
        if run.cancel_requested_at:
            return self._end(Run.CANCELLED)
        if run.attempts > MAX_ATTEMPTS:
            return self._end(
                Run.FAILED,
                error=gettext("It was interrupted %(n)s times, and not tried again.") % {"n": MAX_ATTEMPTS},
            )
        try:
            folder = preparing.prepare(run)
            (folder / "result.json").unlink(missing_ok=True)  # an earlier attempt's tells nothing of this one
            python = preparing.python(run)
        except OSError as wrong:
            return self._end(Run.FAILED, error=explaining.of_launcher(wrong))
        except (preparing.CannotPrepare, EnvironmentUnusable) as wrong:
            return self._end(Run.FAILED, error=str(wrong))
        self.offset = preparing.log_size(folder)
        self._patiently(self.lease.beat)  # a worker that was frozen until now starts nothing
        job = Job(
            folder=folder,
            root=Path(settings.ROOT),
            name=f"run-{run.pk}-{self.lease.epoch}-{_home()}",
            python=python,
            memory=limiting.memory(),
            log=settings.RUN_LOG_BYTES,
        )
        try:
            self.handle = self.launcher.submit(job)
        except OSError as wrong:
            if not self.outlives:
                raise
            return self._not_reached(run, wrong)
        started = {"handle": self.handle, "launcher": self.worker.launcher.name, "log_offset": self.offset}
        self._patiently(lambda: self.lease.write(state=Run.RUNNING, **started))
        return True

    def _not_reached(self, run: Run, wrong: OSError) -> bool:
        """A cluster may be away for a moment: the run waits, and is tried again while it has attempts left."""
        said = gettext("The launcher %(launcher)s could not be reached: %(wrong)s")
        why = (said % {"launcher": self.worker.launcher.name, "wrong": wrong}).splitlines()[0][:170]
        why = storable(why.rstrip(".") + ".")
        if run.attempts >= MAX_ATTEMPTS:
            return self._end(Run.FAILED, error=why)
        until = time.monotonic() + PAUSE * run.attempts
        while time.monotonic() < until and not self.worker.stopping:
            self._patiently(self.lease.beat)
            time.sleep(RETRY)
        self._patiently(lambda: self._requeue(" ".join([why, gettext("It is tried again.")])))
        return False

    def _watch(self, run: Run) -> None:
        """Until the process has ended: hear, beat, and pass on a wish to stop."""
        while self.launcher.status(self.handle).state == "running":
            self._patiently(lambda: self._turn(run))
            if self.left:
                return
            time.sleep(self.worker.poll)  # also in a flood of numbers: those who wait for a page go first
        while self._patiently(lambda: self._listen(run)):
            self._patiently(self.lease.beat)

    def _turn(self, run: Run) -> None:
        self._listen(run)
        if time.monotonic() - self.beaten_at > settings.RUN_LEASE_SECONDS / 6 or self.worker.stopping:
            self.cancelled = self.lease.beat()
            self.beaten_at = time.monotonic()
        elif Run.objects.filter(pk=run.pk, cancel_requested_at__isnull=False).exists():
            self.cancelled = True
        if self.worker.stopping and self.outlives:
            self.lease.leave()
            self.left = True
        elif (self.cancelled or self.worker.stopping) and self.asked_at is None:
            self.asked_at = time.monotonic()
            self.launcher.cancel(self.handle)
            self.lease.write(state=Run.STOPPING)
        elif self.asked_at is not None and time.monotonic() - self.asked_at > self._grace():
            self.asked_at = time.monotonic()
            self.launcher.cancel(self.handle)  # the second time it is killed

    def _grace(self) -> float:
        return STOP_GRACE if self.worker.stopping else self.worker.grace

    def _patiently(self, step: Callable[[], T]) -> T:
        """One step, tried again while the database is away: a short outage ends no run.

        An outage longer than the lease may cost the run; then its epoch is gone and LeaseLost says so.
        """
        while True:
            try:
                return step()
            except DATABASE_AWAY as wrong:
                log.warning("the database does not answer: %s", str(wrong).strip().splitlines()[0])
                close_old_connections()
                time.sleep(RETRY)

    def _listen(self, run: Run) -> bool:
        """What was printed since the last time, each piece stored in one transaction with its offset. True: there is more."""
        until = time.monotonic() + HEAR_FOR
        while time.monotonic() < until:
            piece, offset = self.launcher.logs(self.handle, self.offset)
            if not piece:
                return False
            ear = self.ear.copy()  # the real one moves on only when the transaction has
            heard = ear.hear(piece)
            self._bound(heard)
            self._store(run, heard, offset - ear.unread)
            self.ear, self.offset = ear, offset
            self.points += len(heard.metrics)
            self.samples += len(heard.samples)
            self.titles |= set(heard.reports)
        return True

    def _bound(self, heard: Heard) -> None:
        """Drops what is beyond the limits; the page says so."""
        points, samples = limiting.MOST_POINTS - self.points, limiting.MOST_SAMPLES - self.samples
        if len(heard.metrics) > points:
            self.note = gettext("Only its first %(n)s numbers were kept.") % {"n": number(limiting.MOST_POINTS)}
        elif len(heard.samples) > samples:
            self.note = gettext("Only its first %(n)s samples were kept.") % {"n": number(limiting.MOST_SAMPLES)}
        del heard.metrics[max(points, 0) :], heard.samples[max(samples, 0) :]
        new = [title for title in heard.reports if title not in self.titles]
        for title in new[max(limiting.MOST_REPORTS - len(self.titles), 0) :]:
            del heard.reports[title]
            self.note = gettext("Only its first %(n)s tables and pictures were kept.") % {
                "n": number(limiting.MOST_REPORTS)
            }

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
            for title, report in heard.reports.items():
                Report.objects.update_or_create(run=held, title=title, defaults=report)
            self.lease.write(**fields)
        if heard.progress and heard.progress[0] and not self.paced:
            self.paced = True
            pacing.note(run, heard.progress[0])
        if self.loggers:
            self.loggers.hear(heard)
        if self.told:
            run.refresh_from_db()
            self.told(run)

    def _finish(self, run: Run) -> None:
        status = self.launcher.status(self.handle)
        result = _result(preparing.folder(run))
        strays = ", ".join(sorted(_beside(run) - self.beside))
        if strays:
            log.warning("run %s: beside its folder is new: %s", run.pk, strays)
            said = gettext("New beside its folder, written by it or a run at the same time: %(files)s")
            self.note = said % {"files": strays}
        self._patiently(lambda: self._conclude(status, result))

    def _conclude(self, status: JobStatus, result: dict[str, Any]) -> None:
        run = Run.objects.select_related("project").get(pk=self.lease.run_id)
        if result.get("state") == "succeeded" and status.exit in (0, None):
            return self._succeed(result)
        if self.cancelled:
            self._end(Run.CANCELLED, numbers=_numbers(result))
            return None
        if self.worker.stopping:
            return self._requeue()
        cause = explaining.cause_of(run, status, result)
        if cause.again and (run.resumable or status.state == "lost") and run.attempts < MAX_ATTEMPTS:
            log.warning("run %s: %s It is tried again.", run.pk, cause.text)
            return self._requeue(" ".join([cause.text[:170], gettext("It is tried again.")]))
        self._end(Run.FAILED, error=storable(cause.text))
        return None

    def _succeed(self, result: dict[str, Any]) -> None:
        """The end and the model it left, in one transaction."""
        with transaction.atomic():
            run = self.lease.hold()
            yields = _verbs(preparing.folder(run))
            if yields is None:
                self._end(Run.FAILED, error=gettext("The trainer says it succeeded, and left no model."))
                return
            Model.objects.create(project=run.project, run=run, name=run.title, yields=yields)
            self._end(Run.SUCCEEDED, numbers=_numbers(result), versions=result.get("versions") or {})

    def _end(self, state: str, **fields: Any) -> bool:  # noqa: ANN401 - the run's columns
        """Writes the end. False, for whoever asks whether the run goes on."""
        with transaction.atomic():
            run = self.lease.hold()
            self.lease.write(state=state, ended_at=Now(), lease_until=None, message=self.note[:200], **fields)
            run.refresh_from_db()
            notifying.run_ended(run)
        self._close_loggers(state)
        return False

    def _close_loggers(self, state: str) -> None:
        if self.loggers:
            self.loggers.end(state)

    def _requeue(self, message: str = "") -> None:
        """Back to the queue. An attempt that we ended ourselves does not count."""
        run = Run.objects.get(pk=self.lease.run_id)
        attempts = run.attempts - 1 if self.worker.stopping else run.attempts
        self.lease.write(state=Run.QUEUED, lease_until=None, message=storable(message), attempts=max(attempts, 0))
        self._close_loggers(Run.QUEUED)

    def _lose(self) -> None:
        """Another worker has the run. A job that it watches on, or will, is not ours to end; any other is."""
        with suppress(*DATABASE_AWAY):
            goes_on = self.outlives and Run.objects.filter(pk=self.lease.run_id, handle=self.handle, state__in=Run.LIVE)
            if not goes_on or not goes_on.exists():
                self._kill()
        self._close_loggers("lost")

    def _kill(self) -> None:
        """Ends a process that is not to be worked on."""
        if self.handle:
            self.launcher.cancel(self.handle)
            self.launcher.cancel(self.handle)


def _beside(run: Run) -> set[str]:
    """What lies among the runs' folders and is none. A trainer may write into its own folder alone."""
    try:
        return {path.name for path in preparing.folder(run).parent.iterdir() if not path.name.isdigit()}
    except OSError:
        return set()


def _home() -> str:
    """Tells the jobs of two homes apart that share one cluster."""
    return hashlib.sha256(str(settings.HOME).encode()).hexdigest()[:8]


def _verbs(folder: Path) -> list[str] | None:
    """What the model in a run's folder can do; None where there is none."""
    try:
        about = json.loads((folder / "model" / "feinschliff-model.json").read_text("utf-8"))
        return [storable(str(verb)) for verb in about.get("yields", [])]
    except (OSError, ValueError, AttributeError, TypeError):
        return None


def _result(folder: Path) -> dict[str, Any]:
    try:
        with (folder / "result.json").open("rb") as file:
            found = json.loads(file.read(LARGEST_RESULT))
    except (OSError, ValueError, RecursionError):
        return {}
    return storable(found) if isinstance(found, dict) else {}


def _numbers(result: dict[str, Any]) -> dict[str, Any]:
    found = result.get("numbers")
    return found if isinstance(found, dict) else {}
