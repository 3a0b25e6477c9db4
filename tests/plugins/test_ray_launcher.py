"""The launcher `ray`: what it refuses, and runs that go to a cluster and come back.

Most tests speak to a small cluster over real HTTP; that Ray itself answers so is shown by tests/loop/test_ray.py (slow).
"""

import io
import json
import os
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from feinschliff import Job, JobStatus, Launches
from feinschliff.manager import load
from feinschliff.model import resolve
from plugins.ray_launcher.configuring import Refused, cluster
from plugins.ray_launcher.launching import RayLauncher
from plugins.ray_launcher.packing import checkpoints, code
from tests.plugins.small_cluster import SmallCluster, small_cluster
from tests.plugins.small_world import ROOT, result
from tests.training.world_of_runs import install_quick_trainers

FAR = {"FEINSCHLIFF_RAY_ADDRESS": "https://ray.example.org", "FEINSCHLIFF_STORE": "/shared", "RAY_AUTH_TOKEN": "t"}


@pytest.fixture
def small(tmp_path: Path) -> Iterator[SmallCluster]:
    path = os.pathsep.join([install_quick_trainers(tmp_path / "site"), str(ROOT)])
    with small_cluster(tmp_path / "cluster", path=path) as running:
        yield running


@pytest.fixture
def run_folder(tmp_path: Path) -> Callable[..., Path]:
    def make(**config: Any) -> Path:  # noqa: ANN401
        folder = tmp_path / "home" / "runs" / "7"
        folder.mkdir(parents=True, exist_ok=True)
        rows = tmp_path / "home" / "snapshot.jsonl"
        rows.write_text(json.dumps({"prompt": "p", "completions": ["a", "b"], "ranks": [1, 2]}) + "\n")
        job = {
            "api": 1,
            "run": "7",
            "trainer": "quick",
            "config": config,
            "snapshot": "s",
            "rows": {"train": str(rows)},
        }
        (folder / "job.json").write_text(json.dumps(job))
        return folder

    return make


def launcher(small: SmallCluster, tmp_path: Path, **more: str) -> RayLauncher:
    settings = {"FEINSCHLIFF_RAY_ADDRESS": small.address, "FEINSCHLIFF_RAY_TOKEN": "only-for-tests"}
    settings |= {"FEINSCHLIFF_HOME": str(tmp_path / "home"), "FEINSCHLIFF_RAY_LOST_SECONDS": "5"}
    return RayLauncher(lambda: cluster(settings | more))


def until(true: Callable[[], Any], seconds: float = 60) -> Any:  # noqa: ANN401
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


def ended(launcher: RayLauncher, handle: str) -> JobStatus:
    return until(lambda: (status := launcher.status(handle)).state != "running" and status)


def at_step(launcher: RayLauncher, handle: str, step: int) -> bool:
    return f'"step": {step},'.encode() in launcher.logs(handle, 0)[0]


def test_a_run_goes_to_the_cluster_and_its_result_comes_back(
    small: SmallCluster, tmp_path: Path, run_folder: Callable[..., Path]
) -> None:
    record = load(["plugins.ray_launcher"], entry_points=False).launchers["ray"]
    assert record.outlives
    assert isinstance(resolve(record.makes)(), Launches)
    folder, ours = run_folder(steps=4), launcher(small, tmp_path, FEINSCHLIFF_RAY_RESOURCES='{"trainer": 1}')
    (folder / "output.log").write_text("what an earlier attempt wrote\n")
    handle = ours.submit(Job(folder=folder, root=ROOT, name="run-7-1"))
    assert ended(ours, handle) == JobStatus("ended", 0)
    assert result(folder)["numbers"]["total"] == 10
    assert (folder / "model" / "scale.json").exists()
    assert not (folder / "checkpoints").exists()
    whole, end = ours.logs(handle, 0)
    assert whole.startswith(b"what an earlier attempt wrote\n")
    assert whole.count(b'"done": 4') == 1
    assert ours.logs(handle, end) == (b"", end)
    assert ours.logs(handle, end - 3) == (whole[-3:], end)
    [job] = small.submitted
    assert (job["submission_id"], job["entrypoint_num_cpus"], job["entrypoint_resources"]) == (
        "run-7-1",
        1,
        {"trainer": 1},
    )
    assert "only-for-tests" not in json.dumps(job) + handle + whole.decode(), (
        "the token goes in a header and nowhere else"
    )
    again = launcher(small, tmp_path)
    assert ended(again, again.submit(Job(folder=folder, root=ROOT, name="run-7-1"))) == JobStatus("ended", 0)
    assert small.submitted == [job], "one name is one job"
    assert sorted(kept.name for kept in (tmp_path / "home" / "store" / "runs" / "run-7-1").iterdir()) == [
        "end",
        "result",
    ]


def test_a_cluster_is_first_asked_without_the_token_and_one_that_answers_is_refused(
    tmp_path: Path, run_folder: Callable[..., Path]
) -> None:
    with small_cluster(tmp_path / "cluster", token="") as open_one:
        ours = launcher(open_one, tmp_path)
        status = ended(ours, ours.submit(Job(folder=run_folder(), root=ROOT)))
        assert status.state == "ended"
        assert "answers without a token: whoever reaches it runs code on it" in status.cause
        assert open_one.asked == [("GET", "/api/jobs/", "")]
        ours = launcher(open_one, tmp_path, FEINSCHLIFF_RAY_ALLOW_OPEN="1")
        ours.submit(Job(folder=run_folder(), root=ROOT))
        until(lambda: open_one.submitted)


def test_a_wrong_token_is_said_so(small: SmallCluster, tmp_path: Path, run_folder: Callable[..., Path]) -> None:
    for token, said in (("wrong", "does not accept the token"), ("", "asks for a token: set FEINSCHLIFF_RAY_TOKEN")):
        ours = launcher(small, tmp_path, FEINSCHLIFF_RAY_TOKEN=token)
        assert said in ended(ours, ours.submit(Job(folder=run_folder(), root=ROOT))).cause
    assert not small.submitted


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"FEINSCHLIFF_RAY_ADDRESS": ""}, "must be the address of a cluster's dashboard"),
        ({"FEINSCHLIFF_RAY_ADDRESS": "ray://10.0.0.1:10001"}, "must be the address"),
        ({"FEINSCHLIFF_RAY_ADDRESS": "file:///etc/passwd"}, "must be the address"),
        ({"FEINSCHLIFF_RAY_ADDRESS": "http://10.0.0.1:8265"}, "unencrypted"),
        ({"FEINSCHLIFF_RAY_ADDRESS": "http://127.0.0.1.example.org:8265"}, "unencrypted"),
        ({"FEINSCHLIFF_STORE": ""}, "set FEINSCHLIFF_STORE"),
        ({"FEINSCHLIFF_RAY_RESOURCES": "[1"}, "FEINSCHLIFF_RAY_RESOURCES must be JSON"),
        ({"FEINSCHLIFF_RAY_LOST_SECONDS": "soon"}, "must be a number"),
        ({"RAY_AUTH_TOKEN": "a\nb: c"}, "characters that no token has"),
        ({"RAY_AUTH_TOKEN": "", "RAY_AUTH_TOKEN_PATH": "/absent"}, "the token cannot be read"),
    ],
)
def test_settings_that_will_not_do_are_refused_with_what_would(settings: dict[str, str], said: str) -> None:
    assert cluster(FAR).address == "https://ray.example.org"
    assert "token" not in repr(cluster(FAR))
    with pytest.raises(Refused, match=said):
        cluster(FAR | settings)


def test_a_cancelled_job_saves_its_work_and_another_goes_on_from_there(
    small: SmallCluster, tmp_path: Path, run_folder: Callable[..., Path]
) -> None:
    folder, ours = run_folder(steps=20, pause=0.1), launcher(small, tmp_path)
    handle = ours.submit(Job(folder=folder, root=ROOT, name="run-7-1"))
    until(lambda: at_step(ours, handle, 5))
    ours.cancel(handle)
    assert ended(ours, handle) == JobStatus("ended", 3)
    assert result(folder)["state"] == "stopped"
    assert checkpoints(folder)
    assert not ours.reattach(handle), "nothing of it runs, and another attempt would not repeat it"
    handle = ours.submit(Job(folder=folder, root=ROOT, name="run-7-2"))
    assert ended(ours, handle) == JobStatus("ended", 0)
    assert result(folder)["numbers"]["resumed-from"] >= 5
    assert result(folder)["numbers"]["total"] == 210


def test_a_job_whose_node_is_gone_is_lost_and_its_checkpoints_are_brought_home(
    small: SmallCluster, tmp_path: Path, run_folder: Callable[..., Path]
) -> None:
    folder, ours = run_folder(steps=100, pause=0.1), launcher(small, tmp_path)
    handle = ours.submit(Job(folder=folder, root=ROOT, name="run-7-1"))
    store = tmp_path / "home" / "store" / "runs" / "run-7-1" / "checkpoints"
    until(lambda: list(store.glob("*/manifest.json")))
    small.lose_the_node_of("run-7-1")
    status = ended(ours, handle)
    assert status.state == "lost"
    assert status.cause.startswith("The job's node is gone: Job supervisor actor died")
    assert checkpoints(folder)
    assert not (folder / "result.json").exists()
    assert not ours.reattach(handle)


def test_another_worker_watches_the_same_job_on_and_hears_every_line_once(
    small: SmallCluster, tmp_path: Path, run_folder: Callable[..., Path]
) -> None:
    folder, first, second = run_folder(steps=30, pause=0.1), launcher(small, tmp_path), launcher(small, tmp_path)
    handle = first.submit(Job(folder=folder, root=ROOT, name="run-7-1"))
    until(lambda: at_step(first, handle, 3))
    assert second.reattach(handle)
    assert ended(second, handle) == ended(first, handle) == JobStatus("ended", 0)
    steps = [line for line in (folder / "output.log").read_text().splitlines() if line.startswith('{"type": "metric"')]
    assert len(steps) == len(set(steps)) == 30
    assert launcher(small, tmp_path).reattach(handle), "it has a result that this worker has not heard of yet"
    assert not launcher(small, tmp_path).reattach("12345")


@pytest.mark.slow
def test_a_cluster_that_stays_silent_has_lost_the_job(
    small: SmallCluster, tmp_path: Path, run_folder: Callable[..., Path]
) -> None:
    folder, ours = run_folder(steps=100, pause=0.1), launcher(small, tmp_path)
    handle = ours.submit(Job(folder=folder, root=ROOT, name="run-7-1"))
    until(lambda: at_step(ours, handle, 1))
    small.close()
    assert launcher(small, tmp_path).reattach(handle), "one that does not answer may have the job at work"
    status = ended(ours, handle)
    assert status.state == "lost"
    assert "does not answer" in status.cause
    assert "for 5 seconds" in status.cause
    assert not ours.reattach(handle)


def test_the_code_that_is_sent_is_the_same_every_time_and_holds_no_site() -> None:
    name, content = code()
    assert code() == (name, content)
    names = zipfile.ZipFile(io.BytesIO(content)).namelist()
    assert {name.partition("/")[0] for name in names} == {"feinschliff", "plugins"}
    assert len(content) < 1_000_000
