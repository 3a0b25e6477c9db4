"""Several processes that share a run: the same numbers as one, and none is left behind, however it ends."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.plugins.small_world import Make, finish, make_run, result, start
from tests.plugins.test_reward_model_runs import digest, lines_until


def two_ranks(folder: Path) -> Path:
    job = json.loads((folder / "job.json").read_text())
    (folder / "job.json").write_text(json.dumps(job | {"resources": {"device": "cpu", "ranks": 2}}))
    return folder


def ranks_of(agent: subprocess.Popen[str]) -> dict[int, int]:
    """rank -> pid of the processes that the agent started."""
    found = {}
    for pid in Path(f"/proc/{agent.pid}/task/{agent.pid}/children").read_text().split():
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        for value in (one.partition(b"=")[2] for one in variables if one.startswith(b"RANK=")):
            found[int(value)] = int(pid)
    return found


def all_gone(pids: dict[int, int]) -> bool:
    until = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids.values()):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Path:
    """A run of two ranks that nobody disturbed; the same job as `undisturbed` has with one."""
    folder = two_ranks(make_run(tmp_path_factory.mktemp("runs") / "shared", weights, batch_rows=4))
    code, lines, log = finish(start(folder))
    assert code == 0, log
    done = [line["done"] for line in lines if line["type"] == "progress"]
    assert done == sorted(done), "one rank speaks"
    return folder


def test_two_ranks_end_with_the_numbers_of_one(shared: Path, undisturbed: Path) -> None:
    two, one = result(shared)["numbers"], result(undisturbed)["numbers"]
    print("loss of two ranks and one:", two["loss/train"], one["loss/train"])
    assert two.keys() == one.keys()
    assert two["steps"] == one["steps"]
    assert two["loss/train"] == pytest.approx(one["loss/train"], abs=1e-5)
    assert two["accuracy/model"] == pytest.approx(one["accuracy/model"], abs=0.02)
    assert not (shared / ".ranks").exists()


@pytest.mark.slow
def test_a_killed_rank_ends_the_others_is_named_and_the_run_resumes_to_the_same_weights(
    run_folder: Make, shared: Path
) -> None:
    folder = two_ranks(run_folder("disturbed", batch_rows=4))
    first = start(folder)
    lines_until(first, 20)  # past the end of the first epoch, which left a checkpoint
    pids = ranks_of(first)
    assert sorted(pids) == [0, 1]
    os.kill(pids[1], signal.SIGKILL)
    code, _, log = finish(first)
    assert code == -signal.SIGKILL, log
    assert result(folder)["state"] == "died"
    assert result(folder)["error"].startswith("rank 1 was killed (signal 9, SIGKILL)")
    assert all_gone(pids)

    code, lines, log = finish(start(folder))
    assert code == 0, log
    assert any("resumed" in line.get("message", "") for line in lines)
    assert result(folder)["numbers"] == result(shared)["numbers"]
    assert digest(folder) == digest(shared)


@pytest.mark.slow
def test_ranks_that_are_asked_to_stop_do_so_at_the_same_step_and_go_on_from_there(
    run_folder: Make, shared: Path
) -> None:
    folder = two_ranks(run_folder("stopped", batch_rows=4))
    first = start(folder)
    lines_until(first, 6)
    pids = ranks_of(first)
    first.terminate()
    code, _, log = finish(first)
    assert (code, result(folder)["state"]) == (3, "stopped"), log
    assert all_gone(pids)
    code, _, log = finish(start(folder))
    assert code == 0, log
    assert result(folder)["numbers"] == result(shared)["numbers"]
    assert digest(folder) == digest(shared)


@pytest.mark.slow
def test_ranks_end_with_the_process_that_started_them(run_folder: Make) -> None:
    folder = two_ranks(run_folder("orphans", epochs=50, rows=8))
    agent = start(folder)
    lines_until(agent, 1)
    pids = ranks_of(agent)
    agent.kill()
    agent.wait()
    assert all_gone(pids)


def test_a_trainer_that_fails_says_why_and_more_ranks_than_it_can_use_are_refused(run_folder: Make) -> None:
    folder = two_ranks(run_folder("few", rows=3))
    code, _, log = finish(start(folder))
    assert code == 2, log
    assert result(folder)["error"].startswith("Reward model needs at least 8 rows")
    job = json.loads((folder / "job.json").read_text())
    (folder / "job.json").write_text(json.dumps(job | {"resources": {"ranks": 9}}))
    code, _, log = finish(start(folder))
    assert code == 1, log
    assert result(folder)["error"] == "Reward model shares its work among 8 processes at most, not 9"
