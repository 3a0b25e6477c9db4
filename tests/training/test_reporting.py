"""What a run's numbers are said to mean."""

import pytest

from training.reporting.results import aside, comparisons, held_out, verdict, warnings

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


def test_a_trainer_that_does_not_tell_how_much_it_held_out_is_not_said_to_have_too_little() -> None:
    untold = {name: value for name, value in numbers(0.7, 0.8).items() if not name.endswith("/heldout")}
    assert verdict(untold).startswith("Better than")


@pytest.mark.parametrize(
    ("told", "few"),
    [
        ({"groups/heldout": 12}, False), ({"groups/heldout": 2}, True), ({"pairs/heldout": 300}, False),
        ({"pairs/heldout": 67}, True), ({"pairs/heldout": 67, "groups/heldout": 12}, False),
    ],
)  # fmt: skip
def test_whichever_counts_there_are_decide_whether_it_is_too_few(told: dict[str, float], few: bool) -> None:
    rest = {name: value for name, value in numbers(0.7, 0.8).items() if not name.endswith("/heldout")}
    assert verdict(rest | told).startswith("Too few") == few


def test_a_classifier_is_held_against_counting_words_and_the_commonest_label() -> None:
    """Beating itself before training is nothing where counting words does better."""
    found = {
        "accuracy/model": 0.64, "accuracy/model/low": 0.6, "accuracy/model/high": 0.66, "accuracy/untrained": 0.5,
        "accuracy/majority": 0.55, "accuracy/words": 0.7,
    }  # fmt: skip
    assert verdict(found).startswith("Worse than word counts, without a language model (0.700)")
    [shown] = comparisons(found, {"accuracy": "Texts it labels right"})
    assert shown.title == "Texts it labels right, on what was held out"
    assert [(bar.who, bar.value) for bar in shown.bars] == [
        ("this model", 0.64), ("before training", 0.5), ("always the commonest label", 0.55),
        ("word counts, without a language model", 0.7),
    ]  # fmt: skip


def test_groups_stand_for_prompts_where_only_they_are_counted() -> None:
    assert held_out({"pairs/heldout": 67, "groups/heldout": 12}) == (67, 12)


@pytest.mark.parametrize(("judge", "said"), [("own-reward", "judges itself"), ("reward", "trained against")])
def test_praise_by_itself_or_by_what_it_was_trained_to_please_is_no_verdict(judge: str, said: str) -> None:
    won = {f"winrate/{judge}": 0.92, f"winrate/{judge}/low": 0.8, f"winrate/{judge}/high": 0.99}
    assert verdict(won) == ""
    assert said in aside(won)
    assert "92\u00a0%" in aside(won)
    both = won | {"winrate/judge": 0.7, "winrate/judge/low": 0.6, "winrate/judge/high": 0.8}
    assert verdict(both).startswith("The judge prefers")
    assert [of.name for of in comparisons(both)] == [
        "winrate-judge",
        f"winrate-{judge}",
    ]  # whose word counts stands first


def test_warnings_are_a_paragraph_each_and_numbers_are_none() -> None:
    assert warnings({"warning": "All answers were cut.\n\nIt learned length alone. "}) == [
        "All answers were cut.", "It learned length alone.",
    ]  # fmt: skip
    assert warnings({"warning": 3.0}) == warnings({}) == []
