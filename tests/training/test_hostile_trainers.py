"""Trainers that do harm, as real processes: each costs one run, whose cause is said, and leaves no process behind."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plugins.local_launcher.processes import mark, processes
from tests.training.world_of_runs import frozen, launch, planted
from training import launching, preparing
from training.catalogue import listing
from training.machine import limiting
from training.models import Metric, Model, Run, Snapshot
from training.reporting import logs, results
from training.working import Worker

pytestmark = pytest.mark.django_db
LIMIT = 300_000_000


@pytest.fixture
def snapshot(quick: Path, settings: Any) -> Snapshot:  # noqa: ANN401
    settings.BUILTIN_PLUGINS = [*settings.BUILTIN_PLUGINS, "tests.training.hostile_trainers"]
    settings.RUN_MEMORY_BYTES = LIMIT
    listing.listing()
    return frozen(planted(4))


def worked(snapshot: Snapshot, deed: str, act: Callable[[Run], None] | None = None, **more: Any) -> Run:  # noqa: ANN401
    run = launch(snapshot, "hostile", deed=deed, **more)
    Worker().work_one(run.pk, act)
    run.refresh_from_db()
    assert left_of(run) == []
    return run


def left_of(run: Run) -> list[str]:
    """Command lines of what still runs in the name of this run, or sleeps as one of its wiped children does."""
    found = []
    for one in processes():
        about, words = mark(one.pid), command(one.pid)
        if (about and about.folder == str(preparing.folder(run))) or words.endswith(f"time.sleep(1000)\0{run.pk}\0"):
            found.append(words)
    return found


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace")
    except OSError:
        return ""


@pytest.mark.parametrize(
    ("deed", "said"),
    [
        ("exit", "The trainer ended with status 7 and left no result; its last lines say more."),
        ("segfault", "The trainer crashed (SIGSEGV)."),
        ("empty-model", "The trainer says it succeeded, and left no model."),
        pytest.param("no-end-of-line", "The trainer crashed (SIGABRT).", marks=pytest.mark.slow),
        pytest.param(
            "close-output",
            "The trainer ended with status 9 and left no result; its last lines say more.",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_an_end_without_a_word_is_named(snapshot: Snapshot, deed: str, said: str) -> None:
    run = worked(snapshot, deed, megabytes=20)
    assert (run.state, run.error, run.attempts) == (Run.FAILED, said, 1)
    assert not Model.objects.exists()


def test_the_last_lines_of_a_trainer_that_ended_itself_stand_in_its_log(snapshot: Snapshot) -> None:
    assert logs.last_lines(worked(snapshot, "exit")) == "the last thing it said"


def test_an_error_says_whom_to_tell(snapshot: Snapshot) -> None:
    run = worked(snapshot, "recurse")
    assert run.error.startswith("RecursionError: maximum recursion depth exceeded")
    assert "(plugin hostile-trainers, its author: whoever wrote tests.training.hostile_trainers)" in run.error
    assert "in _recurse" in logs.last_lines(run)


def test_an_allocation_that_fails_says_what_to_take_smaller(snapshot: Snapshot) -> None:
    run = worked(snapshot, "allocate")
    assert run.state == Run.FAILED
    assert run.error == "Out of memory: take smaller batches, shorter texts or a smaller model."


@pytest.mark.parametrize("deed", ["share", "breed"])
def test_memory_that_no_rlimit_counts_is_seen_and_ends_the_run(snapshot: Snapshot, deed: str) -> None:
    began = time.monotonic()
    run = worked(snapshot, deed)
    assert run.state == Run.FAILED
    assert run.error.startswith("It used more than 0.3 GB of memory, the limit for a run here; take smaller batches")
    assert "RUN_MEMORY_BYTES" in run.error
    assert time.monotonic() - began < 25


def test_what_it_prints_beyond_the_limit_is_dropped_but_for_numbers_and_the_end(
    snapshot: Snapshot,
    settings: Any,  # noqa: ANN401
) -> None:
    settings.RUN_LOG_BYTES = 1_000_000
    run = worked(snapshot, "print", megabytes=100)
    assert run.error.startswith("ValueError: said all there was to say")
    assert results.curves(run) == {"loss/train": [[1, 0.5]]}
    log = (preparing.folder(run) / "output.log").read_bytes()
    assert 1_000_000 < len(log) < 1_200_000
    assert b"98.9 MB were printed here and not kept" in log[900_000:]
    assert b"Traceback" in log[-5000:]
    assert logs.last_lines(run).endswith("feinschliff: ValueError: said all there was to say")


@pytest.mark.slow
def test_a_gigabyte_of_output_is_taken_as_fast_as_it_is_printed(snapshot: Snapshot) -> None:
    began = time.monotonic()
    run = worked(snapshot, "print", megabytes=1000)
    assert run.error.startswith("ValueError: said all there was to say")
    assert (preparing.folder(run) / "output.log").stat().st_size < 10_200_000
    print(f"1 GB of output: {time.monotonic() - began:.1f} s from launch to end")
    assert time.monotonic() - began < 60


def test_a_flood_of_numbers_is_bounded_and_said(snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limiting, "MOST_POINTS", 5_000)
    run = worked(snapshot, "flood", megabytes=2)
    assert (run.state, run.message) == (Run.SUCCEEDED, "Only its first 5,000 numbers were kept.")
    assert Metric.objects.filter(run=run).count() == 5_000


def test_nan_and_infinity_are_kept_as_no_number(snapshot: Snapshot) -> None:
    run = worked(snapshot, "nan")
    assert (run.state, run.numbers) == (Run.SUCCEEDED, {"loss/train": None, "accuracy/model": None})
    assert results.curves(run) == {"loss/train": [[1, None], [2, None]]}


def test_what_it_wrote_beside_its_folder_is_said(snapshot: Snapshot) -> None:
    run = worked(snapshot, "write-beside")
    assert run.state == Run.SUCCEEDED
    assert run.message == "New beside its folder, written by it or a run at the same time: evil.txt"


def test_children_that_left_their_group_and_lost_their_parent_end_with_the_run(snapshot: Snapshot) -> None:
    run = worked(snapshot, "fork")
    assert run.error.startswith("ValueError: my children live on")


def test_a_trainer_that_hears_no_signal_is_cancelled(snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.working.GRACE", 1.0)
    cancel_and_measure(snapshot, gone_in=5)


@pytest.mark.slow
def test_a_cancelled_run_is_acknowledged_in_2_s_and_gone_in_35(snapshot: Snapshot) -> None:
    print(cancel_and_measure(snapshot, gone_in=35))


def cancel_and_measure(snapshot: Snapshot, *, gone_in: float) -> dict[str, float]:
    asked: dict[str, float] = {}

    def act(run: Run) -> None:
        if run.done == 2 and not asked:
            asked["at"] = time.monotonic()
            launching.cancel(run=run, actor=None)

    run = launch(snapshot, "hostile", deed="deaf")
    watched = Watching(asked)
    watched.work_one(run.pk, act)
    gone = time.monotonic() - asked["at"]
    run.refresh_from_db()
    assert (run.state, run.error, left_of(run)) == (Run.CANCELLED, "", [])
    assert os.listdir(preparing.folder(run) / "checkpoints") == ["000001"]
    assert watched.told - asked["at"] < 2
    assert gone < gone_in
    return {"acknowledged_s": round(watched.told - asked["at"], 2), "gone_s": round(gone, 2)}


class Watching(Worker):
    """Notes when the run was first seen stopping: when its launcher was asked to cancel it."""

    def __init__(self, asked: dict[str, float]) -> None:
        super().__init__()
        self.told, real = 0.0, self.launcher.launches.cancel

        def cancel(handle: str) -> None:
            self.told = self.told or time.monotonic()
            real(handle)

        self.launcher.launches.cancel = cancel  # type: ignore[method-assign]
