"""The cause of a failure in one sentence, from exit status, result and last lines; and whether another try may end better."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from feinschliff import JobStatus
from tests.training.world_of_runs import frozen, planted, queued
from training import explaining, preparing
from training.models import Run

pytestmark = pytest.mark.django_db
TORCH = (
    "RuntimeError: [enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"
)


@pytest.fixture
def run(quick: Path) -> Run:
    made = queued(frozen(planted(4)))
    preparing.folder(made).mkdir(parents=True)
    return made


def failed(error: str, state: str = "failed") -> dict[str, Any]:
    return {"state": state, "error": error}


@pytest.mark.parametrize(
    ("error", "begins"),
    [
        (TORCH, "It ran out of memory; take smaller batches, shorter texts or a smaller model. (RuntimeError"),
        ("OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "It ran out of memory; take smaller"),
        ("Out of memory: take smaller batches.", "Out of memory: take smaller batches."),
        ("OSError: [Errno 28] No space left on device: 'model'", "The disk is full; delete finished runs"),
        ("SafetensorError: I/O error: No space left on device (os error 28)", "The disk is full; delete finished"),
        ("ValueError: too odd", "ValueError: too odd"),
    ],
)
def test_an_error_of_the_trainer_is_said_and_not_tried_again(run: Run, error: str, begins: str) -> None:
    cause = explaining.cause_of(run, JobStatus("ended", 1), failed(error))
    assert cause.text.startswith(begins)
    assert not cause.again


def test_needs_that_are_not_met_are_nobodys_fault(run: Run) -> None:
    run.plugin = "acme"
    cause = explaining.cause_of(run, JobStatus("ended", 2), failed("it needs 8 rows", "needs-not-met"))
    assert cause == ("it needs 8 rows", False)


@pytest.mark.parametrize(
    ("plugin", "told"),
    [
        ("quick-trainers", "whoever wrote tests.training.quick_trainers"),
        ("gone", ""),
        ("reward-model", None),
        ("", None),
    ],
)
def test_an_error_names_the_plugin_and_its_author_unless_it_is_ours(run: Run, plugin: str, told: str | None) -> None:
    run.plugin = plugin
    cause = explaining.cause_of(run, JobStatus("ended", 1), failed("ValueError: odd"))
    ends = "" if told is None else f" (plugin {plugin}, its author: {told})" if told else f" (plugin {plugin})"
    assert cause.text == "ValueError: odd" + ends


def test_a_rank_that_died_is_worth_another_try(run: Run) -> None:
    said = "rank 1 was killed (signal 9, SIGKILL), and the other ranks were ended with it"
    assert explaining.cause_of(run, JobStatus("ended", -9), failed(said, "died")) == (said, True)


@pytest.mark.parametrize(
    ("code", "printed", "said", "again"),
    [
        (-signal.SIGKILL, "", "The trainer was killed (signal 9), not by Feinschliff.", True),
        (-signal.SIGBUS, "", "The trainer crashed (SIGBUS).", True),
        (-signal.SIGABRT, "terminate called after throwing 'std::bad_alloc'", explaining.SMALLER, False),
        (1, "OSError: [Errno 28] No space left on device", explaining.FULL, False),
        (7, "bye", "The trainer ended with status 7 and left no result; its last lines say more.", True),
        (None, "", "The trainer's process is gone and left no result.", True),
    ],
)
def test_an_end_without_a_result_is_told_by_status_and_last_lines(
    run: Run, code: int | None, printed: str, said: str, again: bool
) -> None:
    (preparing.folder(run) / "output.log").write_text(printed + "\n", "utf-8")
    assert explaining.cause_of(run, JobStatus("ended", code), {}) == (said, again)


def test_a_trainer_that_somebody_else_asked_to_end_goes_on(run: Run) -> None:
    cause = explaining.cause_of(run, JobStatus("ended", 3), {"state": "stopped", "error": None})
    assert cause == ("The trainer was asked to end, not by Feinschliff, and did.", True)


def test_what_the_launcher_knows_comes_first(run: Run) -> None:
    lost = JobStatus("lost", cause="The cluster is gone.")
    assert explaining.cause_of(run, lost, failed("ValueError: odd")) == ("The cluster is gone.", True)
    limit = JobStatus("ended", -9, "It used more than 4.0 GB of memory, out of memory.")
    assert not explaining.cause_of(run, limit, {}).again
