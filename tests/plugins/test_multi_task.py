"""Several tasks at once: a head a task or one model that writes, in steps that keep to the mix, beside each task alone."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feinschliff import NeedsNotMet, Opening
from feinschliff.measuring import interval
from feinschliff.run import Stop
from plugins.base_models.opening import open_tiny
from plugins.lib.encoding import Encoded
from plugins.lib.opening import open_trained
from plugins.lib.stepping import Plan, Steps
from plugins.supervised.multi_task import _commonest, begun, mixed, own_steps, planned, told, train, weighed
from plugins.supervised.multi_task_config import MultiTaskConfig
from plugins.supervised.multi_task_learners import Example, Outcomes, Sorter
from plugins.supervised.multi_task_reporting import look
from tests.plugins.task_world import Rows, a_run, demonstrations, labels

FEW: dict[str, Any] = {"batch_rows": 16, "evaluations": 1}
SMALL: dict[str, Any] = {"epochs": 2, **FEW}
Reports = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def encoder(weights: Path) -> Path:
    return open_tiny("tiny:encoder", Opening(weights=weights)).folder


@pytest.fixture(scope="module")
def causal(weights: Path) -> Path:
    return open_tiny("tiny:causal", Opening(weights=weights)).folder


def reports(capsys: pytest.CaptureFixture[str]) -> Reports:
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    return {one["title"]: one for one in told if one["type"] == "report"}


def columns(table: dict[str, Any]) -> list[dict[str, Any]]:
    return [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]


def example(task: str, size: int = 1, weight: float = 1.0) -> Example:
    return Example(task, Encoded([1], [0], cut=False), "g", weight, size)


# --- what a step weighs ---


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9), st.floats(0.1, 5)), min_size=1, max_size=30))
def test_a_task_counts_in_a_step_by_its_rows_whatever_their_lengths_and_weights(rows: list[Any]) -> None:
    step = [example(*row) for row in rows]
    parts = weighed(step, dict.fromkeys("abc", 1.0))
    assert sorted(map(id, step)) == sorted(id(part.example) for part in parts)
    for task, count in Counter(one.task for one in step).items():
        share = sum(part.factor * part.example.size for part in parts if part.example.task == task)
        assert share == pytest.approx(count / len(step))


def test_a_task_of_many_classes_counts_no_more_than_one_of_two() -> None:
    parts = weighed([example("a"), example("b")], {"a": math.log(2), "b": math.log(150)})
    guessing = [part.factor * math.log(classes) for part, classes in zip(parts, (2, 150), strict=True)]
    assert guessing == pytest.approx([0.5, 0.5])


def test_alone_means_the_same_rows_in_the_same_steps_without_the_others() -> None:
    steps = [[example("a"), example("b"), example("a")], [example("b")], [example("b"), example("a")]]
    assert own_steps(steps, "a") == [[steps[0][0], steps[0][2]], [steps[2][1]]]


def test_the_tasks_name_goes_before_a_prompt_and_before_the_last_message() -> None:
    assert told("the text", "titles") == "titles: the text"
    talk = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "the text"}]
    assert told(talk, "titles") == [talk[0], {"role": "user", "content": "titles: the text"}]


# --- on the tiny bases ---


def test_rows_of_several_tasks_go_through_the_trunk_together_and_each_is_read_by_its_own_head(
    encoder: Path, tmp_path: Path
) -> None:
    import torch

    run = a_run(tmp_path / "run", encoder, labels({"topic": 30, "half": 30}, 0), [], dropout=0.0)
    learner = begun(run)
    assert isinstance(learner, Sorter)
    found = learner.gathered().train
    some = [one for pair in zip(found["topic"][:4], found["half"][:4], strict=True) for one in pair]
    losses = learner.losses(some)
    for one, loss in zip(some, losses, strict=True):
        logits = learner.classifier.logits([one.sequence], one.task)[0]
        assert len(logits) == {"topic": 6, "half": 2}[one.task]
        assert torch.isclose(loss, torch.nn.functional.cross_entropy(logits, torch.tensor(one.truth)), atol=1e-5)


def test_a_step_taken_in_pieces_has_the_same_gradient(encoder: Path, tmp_path: Path) -> None:
    import torch

    rows = labels({"topic": 30, "half": 30}, 0)
    gradients = []
    for name, tokens in (("whole", 4096), ("pieces", 40)):
        run = a_run(tmp_path / name, encoder, rows, [], dropout=0.0, batch_tokens=tokens)
        learner = begun(run)
        found = learner.gathered()
        plan = planned(run, learner, mixed(run, found, 1)[1], found.heldout)
        step = plan.batches[0]
        pieces = plan.pieces(step)
        assert (len(pieces) > 3) == (name == "pieces")
        for piece in pieces:
            plan.loss(piece, plan.weight(step)).backward()
        gradients.append([weight.grad for weight in learner.model.parameters() if weight.grad is not None])
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*gradients, strict=True))


def test_labels_of_two_tasks_are_learned_told_apart_and_found_again(
    encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train_rows, heldout = labels({"topic": 160, "half": 80}, 0), labels({"topic": 60, "half": 60}, 1)
    asked: dict[str, Any] = {**FEW, "epochs": 4, "mix": "weights", "weights": "half=3", "most_repeats": 2}
    run = a_run(tmp_path / "run", encoder, train_rows, heldout, **asked)
    numbers = train(run)
    assert numbers["accuracy/model/low"] > max(numbers["accuracy/majority"], numbers["accuracy/untrained"])
    shown = reports(capsys)
    mix = {row["task"]: row for row in columns(shown["The mix"])}
    assert mix["half"]["share asked for"] == 0.75
    assert mix["half"]["share learned from"] == pytest.approx(80 * 8 / 960, abs=0.001), "no row more than 8 times"
    assert "half" in numbers["warning"], "the cap bent the mix, which is told"
    assert numbers["mix/fit"] < 0.01
    assert {row["task"] for row in columns(shown["Tasks"])} == {"topic", "half"}
    model = open_trained(run.out / "model")
    texts = [row["prompt"] for row in heldout]
    for row, shares in zip(heldout, model.classify(texts), strict=True):
        assert sum(shares.values()) == pytest.approx(1)
        assert sum(p for name, p in shares.items() if name.startswith(f"{row['task']}/")) == pytest.approx(0.5)
    right = [
        max((name for name in shares if name.startswith(f"{row['task']}/")), key=shares.__getitem__)
        == f"{row['task']}/{row['label']}"
        for row, shares in zip(heldout, model.classify(texts), strict=True)
    ]
    by_task = {row["task"]: row["accuracy"] for row in columns(shown["Tasks"])}
    assert sum(right) / len(right) == pytest.approx((by_task["topic"] + by_task["half"]) / 2), (
        "what was measured is saved"
    )


class StopAfter(Stop):
    """Asks to stop when it has been looked at so many times: once a step."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    @property
    def asked(self) -> bool:  # type: ignore[override]
        self.looks -= 1
        return self.looks < 0


@pytest.mark.parametrize("looks", [3, 11], ids=["in the middle", "while a task is trained alone"])
def test_stopped_and_gone_on_it_ends_in_the_same_numbers(looks: int, encoder: Path, tmp_path: Path) -> None:
    rows, heldout = labels({"topic": 60, "half": 20}, 0), labels({"topic": 20, "half": 20}, 1)
    settings: dict[str, Any] = {**FEW, "epochs": 2, "compare_single": True, "evaluations": 0}
    whole = train(a_run(tmp_path / "whole", encoder, rows, heldout, **settings))
    assert (whole["steps"], whole["learning-rate"]) == (10, 1e-3)
    assert train(a_run(tmp_path / "stopped", encoder, rows, heldout, stop=StopAfter(looks), **settings)) == {}
    place = json.loads(next((tmp_path / "stopped" / "checkpoints").glob("*/place.json")).read_text())
    assert place["step"] == min(looks, 10), "it goes on from here"
    again = train(a_run(tmp_path / "stopped", encoder, rows, heldout, **settings))
    assert again == whole


def test_demonstrations_of_two_tasks_are_learned_by_one_model(
    causal: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train_rows, heldout = demonstrations({"topic": 60, "half": 60}, 0), demonstrations({"topic": 12, "half": 12}, 1)
    run = a_run(
        tmp_path / "run", causal, train_rows, heldout, **SMALL, name_task=True, samples=2, sample_tokens=4, lora_rank=4
    )
    numbers = train(run)
    assert numbers["loss/heldout"] < numbers["loss/untrained"] - 1
    assert numbers["prompts/compared"] == 2
    assert "warning" not in numbers
    assert [row["task"] for row in columns(reports(capsys)["Tasks"])] == ["half", "topic"]
    learner = begun(run)
    first = learner.gathered().train["topic"][0].sequence
    asked = learner.policy.tokenizer.decode(
        [token for token, kind in zip(first.ids, first.types, strict=True) if not kind]
    )  # type: ignore[attr-defined]
    assert "topic: What is" in asked
    assert len(open_trained(run.out / "model").generate(["topic: What is fak?"], max_new_tokens=4)) == 1  # type: ignore[union-attr]


# --- what is refused, before anything is loaded ---


def without_task(rows: Rows) -> Rows:
    return [{key: value for key, value in row.items() if key != "task"} for row in rows]


REFUSED: list[tuple[str, Rows, dict[str, Any], str]] = [
    ("unnamed", without_task(labels({"topic": 30}, 0)), {}, "30 of 30 rows say of no task"),
    ("some unnamed", [*labels({"topic": 30}, 0), *without_task(labels({"half": 5}, 0))], {}, "5 of 35 rows"),
    ("one task", labels({"topic": 30}, 0), {}, "take task-specific for one task"),
    ("two kinds", [*labels({"topic": 20}, 0), *demonstrations({"half": 20}, 0)], {}, "either labels or answers"),
    (
        "one class",
        [*labels({"topic": 60}, 0), *({**row, "label": "x"} for row in labels({"half": 9}, 0))],
        {},
        "of the task 'half' have the label 'x'",
    ),
    (
        "a class of one row",
        [*labels({"topic": 60, "half": 30}, 0), {**labels({"half": 1}, 9)[0], "label": "odd"}],
        {},
        "'odd'",
    ),
    (
        "an empty text",
        [*labels({"topic": 60, "half": 30}, 0), {**labels({"half": 1}, 9)[0], "prompt": " "}],
        {},
        "empty",
    ),
    ("an unknown task", labels({"topic": 60, "half": 60}, 0), {"mix": "weights", "weights": "thirds=2"}, "thirds"),
]


@pytest.mark.parametrize(("rows", "config", "says"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_what_cannot_be_learned_is_refused_with_what_to_change(
    rows: Rows, config: dict[str, Any], says: str, encoder: Path, tmp_path: Path
) -> None:
    with pytest.raises(NeedsNotMet, match=says):
        train(a_run(tmp_path / "run", encoder, rows, [], **config))
    assert not (tmp_path / "run" / "model").exists()


def test_a_task_of_which_no_answer_fits_is_refused(causal: Path, tmp_path: Path) -> None:
    rows = demonstrations({"topic": 20, "half": 20}, 0)
    long = [{**row, "completion": "word " * 300} if row["task"] == "half" else row for row in rows]
    with pytest.raises(NeedsNotMet, match=r"\['half'\] fits into 64 tokens"):
        train(a_run(tmp_path / "run", causal, long, [], max_length=64))


def test_a_task_without_held_out_rows_is_trained_and_said_so(
    encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = a_run(tmp_path / "run", encoder, labels({"topic": 60, "half": 60}, 0), labels({"topic": 20}, 1), **SMALL)
    numbers = train(run)
    assert numbers["warning"] == "Nothing is known of half: no held-out rows."
    assert [row["task"] for row in columns(reports(capsys)["Tasks"])] == ["topic"]


def test_tasks_that_are_held_out_alone_are_told_and_rows_of_none_refused(encoder: Path, tmp_path: Path) -> None:
    rows, heldout = labels({"topic": 60, "half": 60}, 0), labels({"topic": 10, "half": 10}, 1)
    stranger = [{**row, "task": "other"} for row in heldout[:3]]
    numbers = train(a_run(tmp_path / "run", encoder, rows, [*heldout, *stranger], **{**SMALL, "epochs": 1}))
    assert "Nothing was learned of other: no rows to learn from, 3 held out." in numbers["warning"]
    assert (numbers["rows/heldout"], numbers["rows/not-measured"]) == (20, 3)
    with pytest.raises(NeedsNotMet, match="2 of 22 rows say of no task"):
        train(a_run(tmp_path / "unnamed", encoder, rows, [*heldout, *without_task(heldout[:2])], **SMALL))


def test_weights_that_cannot_be_read_or_are_not_asked_for_are_refused_by_the_form() -> None:
    with pytest.raises(ValueError, match="no task with a weight"):
        MultiTaskConfig(mix="weights", weights="half")
    with pytest.raises(ValueError, match="weights are for the mix 'weights', and it is 'temperature'"):
        MultiTaskConfig(weights="half=2")


# --- what the loop and the page rest on ---


def test_a_gradient_that_is_no_number_ends_the_run_at_its_step(encoder: Path, tmp_path: Path) -> None:
    import torch

    layer = torch.nn.Linear(1, 1)
    was = layer.weight.detach().clone()
    plan: Plan[int] = Plan(
        [[[1]]], loss=lambda rows, whole: (layer.weight * 0).sqrt().sum()
    )  # 0, and steep without end
    run = a_run(tmp_path / "run", encoder, [], [])
    with pytest.raises(FloatingPointError, match="the gradient became nan at step 1 of 1"):
        Steps(run, layer, plan, run.config, rate=1e-3).work()
    assert torch.equal(layer.weight, was)


def test_the_commonest_class_is_one_that_people_are_sure_of() -> None:
    rows = [Example("a", example("a").sequence, "g", 1.0, truth=truth) for truth in (-1, -1, -1, 1, 1, 0, 0, 2)]
    assert _commonest(rows) == 0, "of equals the first"
    assert _commonest(rows[:3]) == -1


class Looked(Sorter):
    """A learner of which everything but the metric is unknown."""

    def __init__(self) -> None:
        pass

    def outcomes(self, examples: Sequence[Example]) -> Outcomes:
        return Outcomes([1.0] * len(examples))


def test_no_two_curves_have_one_name_whatever_the_tasks_are_called() -> None:
    tasks = ["train", "heldout", "x" * 70 + "a", "x" * 70 + "b"]
    names = look(Looked(), {task: [example(task)] for task in tasks})
    assert len(names) == 5 and {"accuracy/task/train", "accuracy/task/heldout", "accuracy/heldout"} < set(names)


def test_no_model_lives_on_beside_the_single_tasks(encoder: Path, tmp_path: Path) -> None:
    import gc

    from torch.nn import Parameter

    def weights() -> int:
        return sum(one.numel() for one in gc.get_objects() if type(one) is Parameter)

    rows, heldout = labels({"topic": 40, "half": 40}, 0), labels({"topic": 10, "half": 10}, 1)
    run = a_run(tmp_path / "run", encoder, rows, heldout, **FEW, epochs=1, compare_single=True)
    gc.collect()
    before, found = weights(), []
    run.state = lambda name, message="": found.append(weights()) if "alone" in message else None  # type: ignore[method-assign]
    numbers = train(run)
    assert found == [before, before]
    places = [json.loads(one.read_text())["step"] for one in (tmp_path / "run" / "checkpoints").glob("*/place.json")]
    assert places == [numbers["steps"]], "the single tasks wrote none"


# --- quality ---


@pytest.mark.slow
def test_a_small_task_learns_more_beside_a_big_related_one_than_alone_at_equal_steps(
    encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Q12: five seeds, the same rows of the small task in the same steps; paired differences over held-out rows and seeds."""
    gains: list[float] = []
    for seed in range(5):
        train_rows, heldout = labels({"topic": 240, "half": 24}, seed), labels({"topic": 10, "half": 200}, 100 + seed)
        settings: dict[str, Any] = {"epochs": 8, "batch_rows": 16, "evaluations": 0, "compare_single": True}
        train(a_run(tmp_path / str(seed), encoder, train_rows, heldout, seed=seed, **settings))
        table = {row["task"]: row for row in columns(reports(capsys)["Together and alone"])}
        gains.append(table["half"]["gain"])
    found = interval(gains, [1.0] * len(gains), list(map(str, range(len(gains)))))
    print(f"gains {gains}, {found}")
    assert found.low > 0, f"gains {gains}"
    assert mean(gains) > 0.03


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
