"""Jobs that outlive their worker: the next one watches on, a lost one is resumed, and nobody ends what another watches."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db.models.functions import Now

from tests.training.elsewhere_launcher import Elsewhere
from tests.training.world_of_runs import frozen, launch, planted, wait_for
from training import attempting, launching
from training.leasing import claim
from training.models import Metric, Run, Snapshot
from training.reporting import results
from training.working import Worker

pytestmark = pytest.mark.django_db
PLUGIN = "tests.training.elsewhere_launcher"


@pytest.fixture
def cluster(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Elsewhere]:  # noqa: ANN401
    settings.LAUNCHER, settings.LAUNCHER_PLUGINS = "elsewhere", [*settings.LAUNCHER_PLUGINS, PLUGIN]
    (tmp_path / "cluster").mkdir()
    monkeypatch.setenv("ELSEWHERE", str(tmp_path / "cluster"))
    made = Elsewhere()
    yield made
    for job in made.place.glob("*.json"):
        made.cancel(job.stem)
        made.cancel(job.stem)


@pytest.fixture
def snapshot(quick: Path, cluster: Elsewhere) -> Snapshot:
    return frozen(planted(4))


def jobs(cluster: Elsewhere) -> list[str]:
    return sorted(job.stem for job in cluster.place.glob("*.json"))


def worked(run: Run, act: Callable[[], object] | None = None, *, at: int = 3, worker: Worker | None = None) -> Run:
    """One claim of the run; `act` happens once, when step `at` was heard."""
    acted = act is None

    def heard(current: Run) -> None:
        nonlocal acted
        if act and not acted and current.done >= at:
            acted = True
            act()

    (worker or Worker()).work_one(run.pk, heard)
    run.refresh_from_db()
    assert acted
    return run


def test_a_worker_that_is_told_to_stop_leaves_its_job_and_the_next_watches_on(
    snapshot: Snapshot, cluster: Elsewhere
) -> None:
    run, first = launch(snapshot, steps=30, pause=0.1), Worker()
    worked(run, first.stop, worker=first)
    assert (run.state, run.attempts, run.launcher) == (Run.RUNNING, 1, "elsewhere")
    assert cluster.pid(run.handle)
    worked(run)
    assert (run.state, run.attempts, run.numbers["total"], run.numbers["resumed-from"]) == (Run.SUCCEEDED, 1, 465, 0)
    assert len(jobs(cluster)) == 1
    assert [step for step, _ in results.curves(run)["loss/train"]] == list(range(1, 31))
    assert Metric.objects.filter(run=run).count() == 30


def test_a_cancel_that_came_between_two_workers_reaches_the_job(snapshot: Snapshot, cluster: Elsewhere) -> None:
    run, first = launch(snapshot, steps=500, pause=0.1), Worker()
    worked(run, first.stop, worker=first)
    launching.cancel(run=run, actor=None)
    worked(run)
    assert run.state == Run.CANCELLED
    assert cluster.pid(run.handle) is None


def test_a_worker_that_loses_its_run_leaves_the_job_to_the_one_that_watches_it(
    snapshot: Snapshot, cluster: Elsewhere
) -> None:
    run = launch(snapshot, steps=30, pause=0.1)

    def stolen() -> None:
        for thief in ("thief", None):
            Run.objects.filter(pk=run.pk).update(lease_until=Now())
            assert thief is None or claim(worker=thief, run_id=run.pk)

    worked(run, stolen)
    assert (run.worker, cluster.pid(run.handle) is not None) == ("thief", True)
    worked(run)
    assert (run.state, run.numbers["resumed-from"], len(jobs(cluster))) == (Run.SUCCEEDED, 0, 1)


def test_a_job_that_nobody_watches_any_more_is_ended_by_the_one_who_lost_it(
    snapshot: Snapshot, cluster: Elsewhere
) -> None:
    run = launch(snapshot, steps=100, pause=0.1)
    old: list[str] = []

    def given_away() -> None:
        old.append(Run.objects.get(pk=run.pk).handle)
        Run.objects.filter(pk=run.pk).update(lease_until=Now())
        assert claim(worker="thief", run_id=run.pk)
        Run.objects.filter(pk=run.pk).update(handle="another job")

    worked(run, given_away)
    wait_for(lambda: cluster.pid(old[0]) is None, 10)


def test_a_lost_job_is_resumed_as_a_new_one_even_if_its_trainer_cannot_resume(
    snapshot: Snapshot, cluster: Elsewhere
) -> None:
    run = launch(snapshot, "once", steps=12, pause=0.1)
    worked(run, lambda: lose(cluster, run))
    assert (run.state, run.attempts, run.message) == (Run.QUEUED, 1, "The cluster is gone. It is tried again.")
    (cluster.place / "lost").unlink()
    worked(run)
    assert (run.state, run.attempts, run.numbers["total"], len(jobs(cluster))) == (Run.SUCCEEDED, 2, 78, 2)


def lose(cluster: Elsewhere, run: Run) -> None:
    os.kill(cluster.pid(Run.objects.get(pk=run.pk).handle) or 0, signal.SIGKILL)
    (cluster.place / "lost").touch()


def test_a_run_whose_cluster_is_lost_again_and_again_fails_with_the_cause(
    snapshot: Snapshot, cluster: Elsewhere
) -> None:
    run = launch(snapshot, steps=12)
    (cluster.place / "lost").touch()
    while run.is_live:
        worked(run)
    assert (run.state, run.attempts, run.error) == (Run.FAILED, 3, "The cluster is gone.")


def test_a_cluster_that_is_away_for_a_moment_costs_an_attempt_and_not_the_run(
    snapshot: Snapshot, cluster: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempting, "PAUSE", 0.1)
    run = launch(snapshot, steps=2)
    (cluster.place / "away").touch()
    worked(run)
    assert (run.state, run.attempts) == (Run.QUEUED, 1)
    assert run.message == "The launcher elsewhere could not be reached: the cluster does not answer. It is tried again."
    (cluster.place / "away").unlink()
    assert worked(run).state == Run.SUCCEEDED


def test_a_worker_with_another_launcher_ends_the_old_job_before_it_starts_its_own(
    snapshot: Snapshot, cluster: Elsewhere, settings: Any  # noqa: ANN401
) -> None:  # fmt: skip
    run, first = launch(snapshot, steps=12, pause=0.1), Worker()
    worked(run, first.stop, worker=first)
    job = run.handle
    settings.LAUNCHER = "local"
    worked(run)
    assert (run.state, run.launcher, run.numbers["total"]) == (Run.SUCCEEDED, "local", 78)
    assert run.numbers["resumed-from"] >= 3
    assert cluster.pid(job) is None
