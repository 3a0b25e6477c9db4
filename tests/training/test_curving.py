"""Curves as they are drawn: whole where they are short, thinned without losing a peak or a gap, one line a run."""

from __future__ import annotations

import json
import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone

from tests.training import world_of_runs as world
from training import preparing
from training.models import Metric, Run, Sample
from training.reporting import comparing, curving, pacing, sampling

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(home: Path) -> Run:
    return world.queued(world.frozen(world.planted(4)))


def report(run: Run, values: dict[int, float | None], name: str = "loss", attempt: int = 1) -> None:
    Metric.objects.bulk_create(
        Metric(run=run, attempt=attempt, step=step, name=name, value=value) for step, value in values.items()
    )


def test_a_short_curve_is_drawn_whole_and_a_later_report_of_a_step_stands(run: Run) -> None:
    report(run, {1: 1.0, 2: 0.5, 3: None})
    report(run, {3: 0.4, 4: None}, attempt=2)
    assert curving.curves([run]) == {run.pk: {"loss": [[1, 1.0], [2, 0.5], [3, 0.4], [4, None]]}}


def test_a_long_curve_is_thinned_and_its_peaks_its_gap_and_its_end_are_kept(run: Run) -> None:
    values: dict[int, float | None] = {step: 1 / (step + 1) for step in range(20_000)}
    values |= {7777: 99.0, 12_345: -99.0, 15_000: None}
    report(run, values)
    curve = curving.curves([run])[run.pk]["loss"]
    assert 200 < len(curve) <= curving.POINTS + 3
    assert {(7777, 99.0), (12_345, -99.0), (15_000, None), (19_999, values[19_999])} <= {tuple(p) for p in curve}
    assert curve[0] == [0, 1.0]
    assert curve == sorted(curve, key=lambda point: point[0] or 0)


def test_two_hundred_thousand_points_are_thinned_in_a_moment(run: Run) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO training_metric (run_id, attempt, step, name, value) SELECT %s, 1, step, name, sin(step)"
            " FROM generate_series(1, 100000) AS step, unnest(ARRAY['loss', 'accuracy']) AS name", [run.pk],
        )  # fmt: skip
    began = time.perf_counter()
    found = curving.curves([run])[run.pk]
    print("thinned in", time.perf_counter() - began)
    assert set(found) == {"loss", "accuracy"}
    assert time.perf_counter() - began < 5  # about 0.4 s on a quiet machine


def test_the_names_of_all_curves_are_told_once_each(run: Run) -> None:
    other = world.queued(run.snapshot)
    for of, name in ((run, "b"), (run, "a/b"), (other, "b"), (other, "c"), (world.queued(run.snapshot), "d")):
        for step in (1, 2):
            Metric.objects.create(run=of, attempt=1, step=step, name=name, value=1.0)
    assert curving.names([run, other]) == ["a/b", "b", "c"]
    assert curving.names([]) == []


def test_a_run_that_reported_only_gaps_is_drawn_as_such(run: Run) -> None:
    report(run, {1: None, 2: None})
    assert curving.curves([run])[run.pk] == {"loss": [[1, None], [2, None]]}


def test_runs_are_named_in_any_order_and_what_names_none_is_told(run: Run) -> None:
    other = world.queued(run.snapshot)
    found = curving.chosen(run.project.runs, [f"{other.pk},{run.pk}", f"{run.pk}", "x", "9" * 30, "0"])
    assert found == ([other, run], ["x", "9" * 30, "0"])


def test_what_differs_is_shown_and_what_is_alike_is_not(run: Run) -> None:
    other = world.queued(run.snapshot)
    run.config, other.config = {"epochs": 3, "lr": 0.1}, {"epochs": 5, "lr": 0.1, "new": True}
    assert comparing.differing([run, other]) == [("epochs", [3, 5]), ("new", [None, True])]


def marks(*numbers: dict[str, float], name: str = "accuracy/model") -> list[str]:
    snapshot = world.frozen(world.planted(4, name=f"marks {len(numbers)} {numbers}"[:40]))
    runs = [Run(pk=at, snapshot=snapshot, numbers=of) for at, of in enumerate(numbers)]
    return [cell.mark for cell in dict(comparing.numbers(runs))[name]]


def test_the_best_is_marked_only_where_the_intervals_stand_apart(home: Path) -> None:
    far = {"accuracy/model": 0.9, "accuracy/model/low": 0.85, "accuracy/model/high": 0.95}
    near = {"accuracy/model": 0.8, "accuracy/model/low": 0.7, "accuracy/model/high": 0.88}
    low = {"accuracy/model": 0.5, "accuracy/model/low": 0.4, "accuracy/model/high": 0.6}
    assert marks(low, far) == ["", "best"]
    assert marks(near, far, low) == ["", "first, not told apart at 95 %", ""]
    assert marks({"loss": 0.2}, {"loss": 0.3}, name="loss") == ["best", ""]
    assert marks({"loss": 0.2}, {"loss": 0.2}, name="loss") == ["", ""]
    assert marks({"accuracy/random": 0.5}, {"accuracy/random": 0.6}, name="accuracy/random") == ["", ""]


def test_nothing_is_called_best_across_snapshots(home: Path) -> None:
    runs = [
        Run(pk=at, snapshot=world.frozen(world.planted(4, name=f"p{at}", seed=at)), numbers={"loss": at})
        for at in (1, 2)
    ]
    assert [cell.mark for cell in comparing.numbers(runs)[0][1]] == ["", ""]


def began(run: Run, seconds_ago: float, log: str, log_from: int = 0) -> None:
    """The folder of an attempt that began a while ago."""
    folder = preparing.folder(run)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "output.log").write_text(log, "utf-8")
    (folder / "job.json").write_text(json.dumps({"log_from": log_from}), "utf-8")
    then = (timezone.now() - timedelta(seconds=seconds_ago)).timestamp()
    os.utime(folder / "job.json", (then, then))


def at(step: int, total: int) -> str:
    metric = {"type": "metric", "step": step, "values": {"loss": 1}}
    return f"{json.dumps(metric)}\n{json.dumps({'type': 'progress', 'done': step, 'total': total})}\n"


def test_what_remains_is_told_by_the_pace_of_this_attempt_alone(run: Run) -> None:
    first = at(1, 100) + at(60, 100)
    began(run, 20, first + "loading\n" + at(41, 100) + at(51, 100), log_from=len(first))
    run.state, run.attempts, run.done, run.total = Run.RUNNING, 2, 51, 100
    run.started_at = timezone.now() - timedelta(hours=5)
    told = pacing.told(run)
    assert 95 <= told["remaining_s"] <= 105  # ten steps in 20 s, 49 are left
    assert told["attempt"] == "Attempt 2 of 3, resumed at step 41."


def test_a_first_attempt_counts_from_its_beginning(run: Run) -> None:
    began(run, 50, at(25, 100) + at(50, 100))
    run.state, run.attempts, run.done, run.total = Run.RUNNING, 1, 50, 100
    assert 48 <= pacing.told(run)["remaining_s"] <= 54
    assert pacing.told(run)["attempt"] == ""


def test_loading_counts_for_no_pace_once_the_first_step_was_noted(run: Run) -> None:
    began(run, 300, at(1, 100) + at(11, 100))
    run.state, run.attempts, run.done, run.total = Run.RUNNING, 1, 11, 100
    assert pacing.told(run)["remaining_s"] > 2000  # five minutes of loading and work for eleven steps
    pacing.note(run, 1)
    noted = preparing.folder(run) / pacing.PACE
    noted.write_text(json.dumps(json.loads(noted.read_text("utf-8")) | {"at": time.time() - 20}), "utf-8")
    pacing.note(run, 7)  # only the first counts
    assert 173 <= pacing.told(run)["remaining_s"] <= 187  # ten steps in 20 s, 89 are left
    began(run, 5, at(1, 100) + at(11, 100))  # an attempt later knows nothing of that pace
    assert pacing.told(run)["remaining_s"] < 60


@pytest.mark.parametrize("odd", ["", "[]", '{"at": "soon", "done": 1}', '{"at": 1e99, "done": 1}', "{}"])
def test_a_spoilt_note_of_the_pace_does_no_harm(run: Run, odd: str) -> None:
    began(run, 50, at(25, 100) + at(50, 100))
    (preparing.folder(run) / pacing.PACE).write_text(odd, "utf-8")
    run.state, run.attempts, run.done, run.total = Run.RUNNING, 1, 50, 100
    assert 48 <= pacing.told(run)["remaining_s"] <= 54


def test_nothing_is_promised_before_anything_is_known(run: Run) -> None:
    run.state, run.attempts = Run.RUNNING, 1
    assert pacing.told(run)["remaining_s"] is None
    began(run, 5, "loading\n")
    assert pacing.told(run)["remaining_s"] is None


def test_samples_of_a_prompt_stand_in_the_order_of_their_steps(run: Run) -> None:
    for step, prompt, text in ((None, "a", "start"), (10, "a", "ten"), (10, "b", "other"), (30, "a", "thirty"),
                               (20, "a", "twenty"), (20, "a", "twenty"), (20, "a", "and more")):  # fmt: skip
        Sample.objects.create(run=run, prompt=prompt, text=text, step=step)
    first, second = sampling.samples_by_prompt(run)
    assert [(step, [sample.text for sample in samples]) for step, samples in first.steps] == [
        (None, ["start"]), (10, ["ten"]), (20, ["twenty", "and more"]), (30, ["thirty"]),
    ]  # fmt: skip
    assert (first.prompt, second.prompt, first.left_out) == ("a", "b", 0)


def test_of_many_steps_an_even_choice_is_shown_and_the_rest_is_counted(run: Run) -> None:
    Sample.objects.bulk_create(Sample(run=run, prompt="a", text=str(step), step=step) for step in range(100))
    [written] = sampling.samples_by_prompt(run)
    steps = [step for step, _ in written.steps]
    assert (len(steps), steps[0], steps[-1], written.left_out) == (sampling.STEPS, 0, 99, 100 - sampling.STEPS)
