"""Runs of two ranks on a real Ray cluster of two nodes: streamed, cancelled, and resumed when their node is killed.

Skipped where `make ray` has not made `.venv-ray`; takes some minutes.
"""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from plugins.ray_launcher.configuring import Refused, cluster
from plugins.ray_launcher.jobs_api import JobsApi
from plugins.ray_launcher.launching import RayLauncher
from plugins.ray_launcher.starting import Cluster, free_port, wait_until_up
from tests.training.world_of_runs import frozen, planted
from tests.world import ROOT
from training import launching
from training.models import Run, Snapshot
from training.reporting import results
from training.working import Opened, Worker, open_launcher

RAY = ROOT / ".venv-ray" / "bin" / "ray"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not RAY.exists(), reason="`make ray` installs Ray into .venv-ray; it is not there"),
]
CONFIG = {"epochs": 50, "batch_rows": 2, "evaluations": 2}


@pytest.fixture
def ray(tmp_path: Path) -> Iterator[Cluster]:
    """A head that takes no runs, and a node that does."""
    with Cluster(RAY, tmp_path / "token") as made:
        assert wait_until_up(made, made.head(cpus=1, dashboard=free_port())), made.log.read_text()
        made.node(cpus=2, resources='{"trainer": 1}')
        yield made


def worker(ray: Cluster, home: Path) -> Worker:
    settings = {
        "FEINSCHLIFF_RAY_ADDRESS": ray.address,
        "FEINSCHLIFF_RAY_TOKEN": ray.token,
        "FEINSCHLIFF_HOME": str(home),
    }
    settings |= {"FEINSCHLIFF_RAY_RESOURCES": '{"trainer": 1}'}
    return Worker(launcher=Opened("ray", RayLauncher(lambda: cluster(settings)), True))


def two_ranks(snapshot: Snapshot) -> Run:
    return launching.launch(
        project=snapshot.project, trainer="reward-model", snapshot=snapshot, config=CONFIG, ranks=2,
        models={"base": "tiny:encoder"},
    )  # fmt: skip


def worked(run: Run, worker: Worker, act: Callable[[Run], None] | None = None, *, at: int = 0) -> Run:
    """To its end, over as many attempts as it takes; `act` happens once, when step `at` has been heard of."""
    acted = False

    def heard(current: Run) -> None:
        nonlocal acted
        if act and not acted and current.done >= at:
            acted = True
            act(current)

    while worker.work_one(run.pk, heard):
        pass
    run.refresh_from_db()
    assert acted or not act, (run.state, run.error)
    return run


def losses(run: Run) -> list[list[float | None]]:
    return list(map(list, results.curves(run)["loss/train"]))


def weights(home: Path, run: Run) -> str:
    return hashlib.sha256((home / "runs" / str(run.pk) / "model" / "model.safetensors").read_bytes()).hexdigest()


def test_two_ranks_on_two_nodes_stream_are_cancelled_and_survive_their_node(home: Path, ray: Cluster) -> None:
    snapshot = frozen(planted(12))
    local = worked(two_ranks(snapshot), Worker(launcher=open_launcher("local")))
    assert local.state == Run.SUCCEEDED, local.error
    told: dict[str, float] = {}

    def lose_the_node(run: Run) -> None:
        assert losses(run), "its curve is there while it trains"
        told["step"], began = run.done, time.monotonic()
        for pid in ray.processes(f"{ray.mark}-node"):
            os.kill(pid, signal.SIGKILL)
        told["killed in"] = time.monotonic() - began
        ray.node(cpus=2, resources='{"trainer": 1}')

    ours, began = worker(ray, home), time.monotonic()
    run = worked(two_ranks(snapshot), ours, lose_the_node, at=40)
    told["seconds"] = time.monotonic() - began
    assert (run.state, run.attempts) == (Run.SUCCEEDED, 2), run.error
    assert "resumed from the checkpoint at step" in (home / f"runs/{run.pk}/output.log").read_text()
    assert run.numbers == local.numbers
    assert losses(run) == losses(local)
    assert weights(home, run) == weights(home, local)
    print("node lost and resumed:", told, "loss", run.numbers["loss/train"])

    began = time.monotonic()
    cancelled = worked(two_ranks(snapshot), ours, lambda run: launching.cancel(run=run, actor=None), at=10)
    told["cancelled after"] = time.monotonic() - began
    assert cancelled.state == Run.CANCELLED
    assert (home / "runs" / str(cancelled.pk) / "checkpoints").is_dir()
    print("cancelled:", told)


def test_a_real_cluster_keeps_strangers_out_and_another_worker_watches_on(home: Path, ray: Cluster) -> None:
    """What the small cluster of the quick tests claims about Ray's answers."""
    asked = {"FEINSCHLIFF_RAY_ADDRESS": ray.address, "FEINSCHLIFF_HOME": str(home)}
    for token, said in (("", "asks for a token"), ("wrong", "does not accept the token")):
        with pytest.raises(Refused, match=said):
            JobsApi(cluster(asked | {"FEINSCHLIFF_RAY_TOKEN": token})).job("absent")
    assert JobsApi(cluster(asked | {"FEINSCHLIFF_RAY_TOKEN": ray.token})).job("absent") is None

    run, first, second = two_ranks(frozen(planted(12))), worker(ray, home), worker(ray, home)
    handles = []

    def leave(current: Run) -> None:
        handles.append(current.handle)
        first.stopping = True

    first.work_one(run.pk, lambda current: leave(current) if current.done >= 10 else None)
    run.refresh_from_db()
    assert (run.state, run.handle) == (Run.RUNNING, handles[0])
    second.work_one(run.pk)
    run.refresh_from_db()
    assert (run.state, run.attempts, run.handle) == (Run.SUCCEEDED, 1, handles[0])
    steps = [step for step, _ in losses(run)]
    assert len(steps) == len(set(steps)) == run.total
