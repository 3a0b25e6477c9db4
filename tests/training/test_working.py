"""Runs at work, with real child processes: every way in which one ends has a clear state and says why."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.builders import child_environment
from tests.training.world_of_runs import frozen, install_quick_trainers, launch, planted, wait_for
from tests.world import ROOT
from training import freezing, launching, preparing, working
from training.models import Metric, Model, Run, Sample, Snapshot
from training.reporting import logs, results
from training.working import Worker

pytestmark = pytest.mark.django_db
Act = Callable[[Run], None]


@pytest.fixture
def snapshot(quick: Path) -> Snapshot:
    return frozen(planted(6))


def worked(run: Run, act: Act | None = None, *, at: int = 2, worker: Worker | None = None) -> Run:
    """Works the run in this process until it has ended; `act` happens once, when the trainer has reported step `at`."""
    worker, acted = worker or Worker(), False

    def heard(current: Run) -> None:
        nonlocal acted
        if act and not acted and current.done >= at:
            acted = True
            act(current)

    while worker.work_one(run.pk, heard) and not worker.stopping:
        pass
    run.refresh_from_db()
    assert acted or not act
    return run


def pid(run: Run) -> int:
    return int(json.loads(run.handle)["pid"])


def kill(run: Run) -> None:
    os.kill(pid(run), signal.SIGKILL)


def is_alive(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_a_run_leaves_a_model_numbers_and_curves(snapshot: Snapshot, quick: Path) -> None:
    run = worked(launch(snapshot, steps=4))
    assert (run.state, run.error, run.attempts, run.done, run.total) == (Run.SUCCEEDED, "", 1, 4, 4)
    assert run.numbers == {"accuracy/model": 0.75, "accuracy/random": 0.5, "total": 10, "resumed-from": 0}
    assert run.versions["python"]
    assert results.curves(run) == {"loss/train": [[1, 1.0], [2, 0.5], [3, 1 / 3], [4, 0.25]]}
    model = Model.objects.get(run=run)
    assert (model.ref, model.yields, model.project) == (f"run:{run.pk}", ["score"], snapshot.project)
    about = json.loads((quick / "runs" / str(run.pk) / "model" / "feinschliff-model.json").read_text("utf-8"))
    assert (about["run"], about["snapshot"], about["trainer"]) == (str(run.pk), snapshot.hash, "quick")


def test_its_folder_can_be_worked_again_by_hand_to_the_same_numbers(snapshot: Snapshot, tmp_path: Path) -> None:
    run = worked(launch(snapshot, steps=4))
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "platform"), "TMPDIR": str(tmp_path)}
    command = f"{preparing.replay_command(run)} && cat $again/result.json"
    done = subprocess.run(["/bin/sh", "-c", command], cwd=ROOT, env=environment, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout[done.stdout.rindex(b"\n{") :])["numbers"] == run.numbers


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ("error", "ValueError: the rows are  too odd"),
        ("needs", "it needs more than this"),
        ("no-model", "the trainer quick returned without saving a model"),
    ],
)
def test_what_the_trainer_says_of_its_failure_is_kept(snapshot: Snapshot, ends: str, said: str) -> None:
    run = worked(launch(snapshot, ends=ends))
    assert run.state == Run.FAILED
    assert run.error.startswith(said)
    assert run.attempts == 1  # an error would only come again
    assert not Model.objects.exists()


def test_a_crash_is_named_by_its_signal(snapshot: Snapshot) -> None:
    run = worked(launch(snapshot, "once", ends="crash"))
    assert (run.state, run.error) == (Run.FAILED, "The trainer crashed (SIGSEGV).")


def test_a_resumable_trainer_that_keeps_crashing_is_tried_three_times(snapshot: Snapshot) -> None:
    run = worked(launch(snapshot, ends="crash"))
    assert (run.state, run.attempts, run.error) == (Run.FAILED, 3, "The trainer crashed (SIGSEGV).")


def test_a_killed_trainer_that_can_resume_ends_with_the_same_numbers(snapshot: Snapshot) -> None:
    undisturbed = worked(launch(snapshot, steps=12))
    run = worked(launch(snapshot, steps=12, pause=0.1), kill, at=3)
    assert (run.state, run.attempts) == (Run.SUCCEEDED, 2)
    assert run.numbers["resumed-from"] >= 3
    assert run.numbers["total"] == undisturbed.numbers["total"]
    assert results.curves(run) == results.curves(undisturbed)


def test_a_killed_trainer_that_cannot_resume_fails_and_the_cause_is_said(snapshot: Snapshot) -> None:
    run = worked(launch(snapshot, "once", steps=50, pause=0.1), kill)
    assert run.state == Run.FAILED
    assert "killed (signal 9)" in run.error
    assert not Model.objects.exists()


def test_a_running_run_that_is_cancelled_ends_and_leaves_no_model(snapshot: Snapshot) -> None:
    run = worked(launch(snapshot, steps=500, pause=0.05), lambda run: launching.cancel(run=run, actor=None))
    assert (run.state, run.error) == (Run.CANCELLED, "")
    assert run.ended_at
    assert not is_alive(pid(run))
    assert not Model.objects.exists()


def test_a_trainer_that_does_not_listen_is_made_to_end(snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(working, "GRACE", 0.5)
    run = launch(snapshot, steps=500, pause=0.1, careful=False)
    worked(run, lambda run: launching.cancel(run=run, actor=None))
    assert run.state == Run.CANCELLED
    assert not is_alive(pid(run))


def test_a_worker_that_is_told_to_stop_gives_its_run_back_and_the_next_goes_on(snapshot: Snapshot) -> None:
    first = Worker()
    run = worked(launch(snapshot, steps=12, pause=0.1), lambda _: first.stop(), at=3, worker=first)
    assert (run.state, run.attempts) == (Run.QUEUED, 0)  # an attempt that we ended does not count
    worked(run)
    assert (run.state, run.numbers["total"]) == (Run.SUCCEEDED, 78)
    assert run.numbers["resumed-from"] >= 3


def test_odd_output_and_odd_numbers_hurt_nothing(snapshot: Snapshot) -> None:
    run = worked(launch(snapshot, ends="odd"))
    assert run.state == Run.SUCCEEDED, run.error
    assert run.numbers == {"accuracy/model": None, "ab": 1.0, "?": 2.0}
    assert list(Metric.objects.filter(run=run, step=7).values_list("name", "value")) == [("loss/train", 7.0)]
    sample = Sample.objects.get(run=run)
    assert (sample.text, sample.prompt) == ("ab ?", ["\\u0000", None])
    assert "half a line" in logs.log_tail(run)
    assert len(logs.log_tail(run)) <= logs.LOG_TAIL


def test_rows_that_were_changed_after_launching_fail_the_run_in_a_sentence(snapshot: Snapshot) -> None:
    run = launch(snapshot)
    path = freezing.folder(snapshot) / "train.jsonl"
    path.write_text(path.read_text("utf-8") + "\n", "utf-8")
    worked(run)
    assert run.state == Run.FAILED
    assert "train rows" in run.error
    assert "were changed" in run.error


def test_a_child_knows_no_secret_of_ours(snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://hush-hush")
    monkeypatch.setenv("SECRET_KEY", "hush-hush")
    seen: list[str] = []
    worked(
        launch(snapshot, steps=20, pause=0.05),
        lambda run: seen.append(Path(f"/proc/{pid(run)}/environ").read_text("utf-8", "replace")),
    )
    assert "FEINSCHLIFF_PARENT" in seen[0]
    assert "hush-hush" not in seen[0]


class Crew:
    """`manage.py work`, as the site starts it, with the quick trainers installed as a package."""

    def __init__(self, home: Path) -> None:
        self.environment = child_environment() | {
            "FEINSCHLIFF_HOME": str(home),
            "RUN_LEASE_SECONDS": "3",
            "PYTHONPATH": install_quick_trainers(home / "packages"),
        }
        self.all: list[subprocess.Popen[bytes]] = []

    def start(self) -> subprocess.Popen[bytes]:
        self.all.append(
            subprocess.Popen(
                [sys.executable, "manage.py", "work"], cwd=ROOT, env=self.environment, start_new_session=True
            )
        )
        return self.all[-1]

    def end(self) -> None:
        for worker in self.all:
            worker.kill()
            worker.wait()


@pytest.fixture
def crew(quick: Path) -> Any:  # noqa: ANN401
    made = Crew(quick)
    yield made
    made.end()


def at_step(run: Run, step: int) -> bool:
    run.refresh_from_db()
    return run.done >= step


def ended(run: Run) -> bool:
    run.refresh_from_db()
    return not run.is_live


@pytest.mark.django_db(transaction=True)
def test_a_killed_worker_takes_its_trainer_with_it_and_the_next_finishes_the_run(
    snapshot: Snapshot, crew: Crew
) -> None:
    run = launch(snapshot, steps=30, pause=0.1)
    first = crew.start()
    wait_for(lambda: at_step(run, 5), 30)
    first.kill()
    wait_for(lambda: not is_alive(pid(run)), 10)
    crew.start()
    wait_for(lambda: ended(run), 40)
    assert (run.state, run.attempts, run.numbers["total"]) == (Run.SUCCEEDED, 2, 465)
    assert run.numbers["resumed-from"] >= 5
    assert Model.objects.filter(run=run).count() == 1
    assert len(results.curves(run)["loss/train"]) >= 28  # what was printed but not yet heard is lost


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_is_terminated_hands_its_run_on(snapshot: Snapshot, crew: Crew) -> None:
    run = launch(snapshot, steps=30, pause=0.1)
    first = crew.start()
    wait_for(lambda: at_step(run, 5), 30)
    first.terminate()
    assert first.wait(20) == 0
    run.refresh_from_db()
    assert (run.state, run.attempts) == (Run.QUEUED, 0)
    crew.start()
    wait_for(lambda: ended(run), 40)
    assert (run.state, run.attempts, run.numbers["total"]) == (Run.SUCCEEDED, 1, 465)


@pytest.mark.django_db(transaction=True)
def test_a_frozen_worker_loses_its_run_and_its_process_and_writes_nothing_when_it_wakes(
    snapshot: Snapshot, crew: Crew
) -> None:
    run = launch(snapshot, steps=60, pause=0.1)
    first = crew.start()
    wait_for(lambda: at_step(run, 5), 30)
    old = pid(run)
    os.kill(first.pid, signal.SIGSTOP)
    crew.start()
    wait_for(lambda: at_step(run, 5) and pid(run) != old, 30)
    assert not is_alive(old)
    os.kill(first.pid, signal.SIGCONT)
    wait_for(lambda: ended(run), 40)
    assert (run.state, run.attempts, run.numbers["total"]) == (Run.SUCCEEDED, 2, 1830)
    assert run.worker.endswith(f":{crew.all[1].pid}")
    steps = list(Metric.objects.filter(run=run, attempt=2).values_list("step", flat=True))
    assert len(steps) == len(set(steps))
    assert first.poll() is None  # it lives on and works other runs
    other = launch(snapshot, steps=2)
    wait_for(lambda: ended(other), 20)
    assert other.state == Run.SUCCEEDED
