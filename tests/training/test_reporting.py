"""What a run's numbers are said to mean."""

import pytest

from training.reporting.results import verdict

ENOUGH = {"prompts/heldout": 60, "pairs/heldout": 300, "accuracy/random": 0.5, "accuracy/longer": 0.6}


def numbers(low: float, high: float, **more: float) -> dict[str, float]:
    gain = {"gain/over-longer/low": low - 0.6, "gain/over-longer/high": high - 0.6}
    middle = (low + high) / 2
    return ENOUGH | gain | {"accuracy/model": middle, "accuracy/model/low": low, "accuracy/model/high": high} | more


@pytest.mark.parametrize(
    ("low", "high", "begins"), [(0.7, 0.8, "Better than"), (0.4, 0.5, "Worse than"), (0.55, 0.7, "Not told apart")]
)
def test_the_interval_decides_and_the_best_baseline_is_named(low: float, high: float, begins: str) -> None:
    said = verdict(numbers(low, high))
    assert said.startswith(begins)
    assert "the longer answer (0.600)" in said


def test_two_held_out_prompts_say_nothing() -> None:
    few = numbers(0.0, 0.5) | {"prompts/heldout": 2, "pairs/heldout": 6}
    assert verdict(few).startswith("Too few")


def test_the_paired_gain_outweighs_the_unpaired_interval() -> None:
    paired = numbers(0.5, 0.59) | {"gain/over-longer/low": -0.1, "gain/over-longer/high": 0.02}
    assert verdict(paired).startswith("Not told apart")


def test_without_an_interval_or_a_baseline_nothing_is_said() -> None:
    assert verdict({}) == ""
    assert verdict({"accuracy/model": 0.9, "accuracy/random": 0.5}) == ""
