"""The fenced lease: a run has one worker at a time, and one that lost it writes nothing more."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from django.db import connections, transaction
from django.db.models.functions import Now

from feinschliff import Job, JobStatus
from tests.builders import child_environment
from tests.training.world_of_runs import FolderLauncher, frozen, planted, queued, wait_for
from tests.world import ROOT
from training import launching, leasing
from training.leasing import DATABASE_AWAY, Lease, LeaseLost, claim
from training.models import Metric, Model, Run, Snapshot
from training.working import Opened, Worker

pytestmark = pytest.mark.django_db


@pytest.fixture
def snapshot(quick: Path) -> Snapshot:
    return frozen(planted(4))


def run_out(run_id: int) -> None:
    """The worker of this run has been silent for too long."""
    Run.objects.filter(pk=run_id).update(lease_until=Now())


def taken(lease: Lease | None) -> Lease:
    assert lease is not None
    return lease


def test_runs_are_claimed_in_the_order_in_which_they_were_launched(snapshot: Snapshot) -> None:
    first, second = queued(snapshot), queued(snapshot)
    assert [taken(claim(worker="one")).run_id, taken(claim(worker="two")).run_id] == [first.pk, second.pk]
    assert claim(worker="three") is None


def test_a_named_run_is_claimed_or_none(snapshot: Snapshot) -> None:
    queued(snapshot)
    second = queued(snapshot)
    assert taken(claim(worker="one", run_id=second.pk)).run_id == second.pk
    assert claim(worker="two", run_id=second.pk) is None


def test_a_lease_that_ran_out_goes_to_the_next_worker_with_a_higher_epoch(snapshot: Snapshot) -> None:
    run = queued(snapshot)
    old = taken(claim(worker="one"))
    assert claim(worker="two") is None
    run_out(run.pk)
    new = taken(claim(worker="two"))
    assert (new.run_id, new.epoch) == (old.run_id, old.epoch + 1)
    run.refresh_from_db()
    assert (run.worker, run.attempts) == ("two", 2)


def test_a_beat_keeps_the_lease(snapshot: Snapshot) -> None:
    run = queued(snapshot)
    lease = taken(claim(worker="one"))
    run_out(run.pk)
    lease.beat()
    assert claim(worker="two") is None


@pytest.mark.parametrize("act", ["write", "beat", "hold"])
def test_the_write_of_an_old_epoch_is_refused_and_changes_nothing(snapshot: Snapshot, act: str) -> None:
    run = queued(snapshot)
    old = taken(claim(worker="one"))
    run_out(run.pk)
    new = taken(claim(worker="two"))
    before = Run.objects.filter(pk=run.pk).values().get()
    with pytest.raises(LeaseLost):
        {"write": lambda: old.write(state=Run.SUCCEEDED, numbers={"a": 1}), "beat": old.beat, "hold": old.hold}[act]()
    assert Run.objects.filter(pk=run.pk).values().get() == before
    new.write(message="still mine")


@pytest.mark.parametrize("state", Run.ENDED)
def test_nobody_writes_to_a_run_that_has_ended(snapshot: Snapshot, state: str) -> None:
    queued(snapshot)
    lease = taken(claim(worker="one"))
    lease.write(state=state)
    with pytest.raises(LeaseLost):
        lease.write(state=Run.RUNNING)
    assert claim(worker="two") is None


def test_a_queued_run_that_is_cancelled_ends_at_once_and_is_never_worked(snapshot: Snapshot) -> None:
    run = queued(snapshot)
    launching.cancel(run=run, actor=None)
    run.refresh_from_db()
    assert run.state == Run.CANCELLED
    assert run.ended_at is not None
    assert claim(worker="one") is None


def test_a_run_whose_cancelling_was_asked_for_when_its_worker_died_ends_cancelled(snapshot: Snapshot) -> None:
    run = queued(snapshot)
    taken(claim(worker="one"))
    launching.cancel(run=run, actor=None)
    run_out(run.pk)
    launcher = FolderLauncher()
    assert Worker(launcher=Opened("folder", launcher)).work_one()
    run.refresh_from_db()
    assert (run.state, launcher.submitted) == (Run.CANCELLED, [])


def test_cancelling_twice_or_after_the_end_changes_nothing(snapshot: Snapshot) -> None:
    run = queued(snapshot)
    Worker(launcher=Opened("folder", FolderLauncher())).work_one()
    before = Run.objects.filter(pk=run.pk).values().get()
    launching.cancel(run=run, actor=None)
    assert Run.objects.filter(pk=run.pk).values().get() == before


def test_a_run_that_was_interrupted_too_often_is_given_up_with_the_cause(snapshot: Snapshot) -> None:
    run = queued(snapshot)
    for _ in range(leasing.MAX_ATTEMPTS):
        taken(claim(worker="one that dies"))
        run_out(run.pk)
    Worker(launcher=Opened("folder", FolderLauncher())).work_one()
    run.refresh_from_db()
    assert (run.state, run.error) == (Run.FAILED, "It was interrupted 3 times, and not tried again.")


class Thief(FolderLauncher):
    """While its run is looked after, another worker claims it."""

    def __init__(self, at: str) -> None:
        super().__init__()
        self.at = at

    def steal(self, handle: str) -> None:
        number = int(Path(handle).name)
        run_out(number)
        taken(claim(worker="thief", run_id=number))

    def submit(self, job: Job) -> str:
        handle = super().submit(job)
        if self.at == "submit":
            self.steal(handle)
        return handle

    def status(self, handle: str) -> JobStatus:
        found = super().status(handle)
        if self.at == found.state:
            self.at = ""
            self.steal(handle)
        return found


@pytest.mark.parametrize("at", ["submit", "running", "ended"])
def test_a_worker_that_loses_its_run_ends_the_process_and_writes_nothing(snapshot: Snapshot, at: str) -> None:
    run = queued(snapshot)
    launcher = Thief(at)
    assert Worker(launcher=Opened("folder", launcher)).work_one()
    run.refresh_from_db()
    assert (run.worker, run.state, run.numbers) == ("thief", Run.STARTING, {})
    assert not Model.objects.filter(run=run).exists()
    assert Metric.objects.filter(run=run).count() == (FolderLauncher.METRICS if at == "ended" else 0)
    assert len(launcher.cancelled) == 2  # asked, then made to end


class Faulty(FolderLauncher):
    """A launcher with a fault of its own in one of its verbs."""

    def __init__(self, verb: str) -> None:
        super().__init__()

        def fail(*_: object) -> Any:  # noqa: ANN401
            raise RuntimeError("the cluster \x00 is not there")

        setattr(self, verb, fail)


@pytest.mark.parametrize("verb", ["submit", "status", "logs"])
def test_a_fault_of_the_launcher_costs_the_run_and_not_the_worker(snapshot: Snapshot, verb: str) -> None:
    run, next_one = queued(snapshot), queued(snapshot)
    assert Worker(launcher=Opened("folder", Faulty(verb))).work_one()
    assert Worker(launcher=Opened("folder", FolderLauncher())).work_one()
    run.refresh_from_db()
    next_one.refresh_from_db()
    assert (run.state, next_one.state) == (Run.FAILED, Run.SUCCEEDED)
    assert run.error == "It could not be worked: RuntimeError: the cluster  is not there"


@pytest.mark.django_db(transaction=True)
def test_workers_that_claim_at_once_never_get_the_same_run(snapshot: Snapshot) -> None:
    runs = [queued(snapshot) for _ in range(25)]
    got: list[Lease] = []

    def take() -> None:
        while lease := claim(worker=threading.current_thread().name):
            got.append(lease)
        connections.close_all()

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(lease.run_id for lease in got) == [run.pk for run in runs]
    assert {lease.epoch for lease in got} == {1}


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_is_frozen_while_it_stores_something_does_not_keep_the_run_for_ever(
    snapshot: Snapshot,
    settings: Any,  # noqa: ANN401
) -> None:
    settings.RUN_LEASE_SECONDS = 1
    queued(snapshot)
    lease, woken, lost = taken(claim(worker="frozen")), threading.Event(), []

    def freeze() -> None:
        try:
            with transaction.atomic():
                lease.hold()
                woken.wait(30)
                lease.write(message="stale")
        except DATABASE_AWAY as thrown_out:
            lost.append(thrown_out)
        connections.close_all()

    frozen_worker = threading.Thread(target=freeze)
    frozen_worker.start()
    next_lease = wait_for(lambda: claim(worker="next"), 15)
    woken.set()
    frozen_worker.join()
    assert lost
    assert next_lease.epoch == lease.epoch + 1
    next_lease.write(message="mine")


class Crew:
    """Worker processes that are killed and replaced."""

    def __init__(self, home: Path) -> None:
        self.environment = child_environment() | {"FEINSCHLIFF_HOME": str(home), "RUN_LEASE_SECONDS": "2"}
        self.all: list[subprocess.Popen[bytes]] = []

    def start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.training.folder_worker"]
        self.all.append(subprocess.Popen(command, cwd=ROOT, env=self.environment))
        return self.all[-1]

    def end(self) -> None:
        for worker in self.all:
            worker.kill()
            worker.wait()


@pytest.mark.django_db(transaction=True)
def test_workers_may_be_killed_or_frozen_while_runs_are_worked_and_nothing_is_doubled(
    snapshot: Snapshot, quick: Path
) -> None:
    for _ in range(40):
        queued(snapshot)
    crew, rng = Crew(quick), random.Random(3)
    try:
        for _ in range(3):
            crew.start()
        wait_for(lambda: Run.objects.filter(state=Run.SUCCEEDED).exists())
        for _ in range(4):
            time.sleep(rng.uniform(0.05, 0.3))
            crew.all[-1].kill()
            crew.start()
        os.kill(crew.all[0].pid, signal.SIGSTOP)
        wait_for(lambda: not Run.objects.exclude(state=Run.SUCCEEDED).exists(), 60, lambda: states())
        os.kill(crew.all[0].pid, signal.SIGCONT)
        crew.all[0].terminate()
        crew.all[0].wait(20)
    finally:
        crew.end()
    assert Counter(Model.objects.values_list("run_id", flat=True)).most_common(1)[0][1] == 1
    assert Model.objects.count() == 40
    seen = Counter(Metric.objects.values_list("run_id", "attempt", "step"))
    assert set(seen.values()) == {1}
    for run in Run.objects.all():
        assert run.numbers == {"attempt": run.attempts}
        assert Metric.objects.filter(run=run, attempt=run.attempts).count() == FolderLauncher.METRICS


def states() -> object:
    return Counter(Run.objects.values_list("state", "attempts"))
