"""The fenced lease on runs: who works which, told by the database's clock alone.

Claiming raises the run's epoch, and every write of the one who claimed it carries that epoch. A worker that was frozen and
has lost its run writes nothing any more: its epoch is gone. (Kleppmann's fencing token, in six statements.)
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import InterfaceError, InternalError, OperationalError, connection
from django.db.models.functions import Now

from training.models import Run

MAX_ATTEMPTS = 3
#: what Django raises when the server is gone, or has thrown us out for being silent
DATABASE_AWAY = (OperationalError, InterfaceError, InternalError)

CLAIM = """
UPDATE training_run SET state = 'starting', lease_epoch = lease_epoch + 1, attempts = attempts + 1, worker = %s,
    lease_until = statement_timestamp() + make_interval(secs => %s), started_at = coalesce(started_at, statement_timestamp()),
    message = ''
WHERE id = (
    SELECT id FROM training_run
    WHERE (%s::bigint IS NULL OR id = %s::bigint) AND (state = 'queued'
        OR (state IN ('starting', 'running', 'stopping') AND lease_until < statement_timestamp()))
    ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id, lease_epoch
"""
THROW_OUT = "SELECT set_config('idle_in_transaction_session_timeout', %s, true)"


class LeaseLost(Exception):
    """Another worker has this run now; whoever gets this stops working it and writes nothing more."""


@dataclass(frozen=True)
class Lease:
    """The right to write to one run."""

    run_id: int
    epoch: int

    def write(self, **fields: Any) -> None:  # noqa: ANN401 - the run's columns
        """Changes the run, if it is still ours. Raises LeaseLost."""
        mine = Run.objects.filter(pk=self.run_id, lease_epoch=self.epoch, state__in=Run.HELD)
        if not mine.update(**fields):
            raise LeaseLost(f"run {self.run_id}, epoch {self.epoch}")

    def beat(self) -> bool:
        """Renews the lease; True when somebody asked to cancel the run. Raises LeaseLost."""
        self.write(lease_until=Now() + timedelta(seconds=settings.RUN_LEASE_SECONDS))
        return Run.objects.filter(pk=self.run_id, cancel_requested_at__isnull=False).exists()

    def leave(self) -> None:
        """Lets it run out now, so that the next worker takes the run over at once. Raises LeaseLost."""
        self.write(lease_until=Now())

    def hold(self) -> Run:
        """Locks the run for the caller's transaction, if it is still ours. Raises LeaseLost.

        One that falls silent while it holds the lock is thrown out by the server, or nobody else could ever claim the run.
        """
        with connection.cursor() as cursor:
            cursor.execute(THROW_OUT, [str(settings.RUN_LEASE_SECONDS * 1000)])
        run = Run.objects.select_for_update().filter(pk=self.run_id, lease_epoch=self.epoch, state__in=Run.HELD).first()
        if run is None:
            raise LeaseLost(f"run {self.run_id}, epoch {self.epoch}")
        return run


def claim(*, worker: str, run_id: int | None = None) -> Lease | None:
    """The oldest run that waits or whose worker fell silent; None when there is none (or `run_id` is not to be had).

    One statement without a transaction around it: a worker that is frozen at this moment leaves no lock behind.
    """
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, [worker, settings.RUN_LEASE_SECONDS, run_id, run_id])
        row = cursor.fetchone()
    return Lease(*row) if row else None
