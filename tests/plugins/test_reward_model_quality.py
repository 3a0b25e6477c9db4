"""What is claimed on docs/methods/reward-model.md, in worlds with a planted truth: seeds 0 to 4, intervals decide."""

import pytest

from benchmarks import ranking_losses, reward_model_worlds

pytestmark = pytest.mark.slow
SEEDS = [0, 1, 2, 3, 4]


@pytest.fixture(scope="module")
def gains() -> dict[tuple[str, str], dict[str, float]]:
    """(world, loss) -> what Plackett-Luce gains over that loss."""
    lines = [
        line
        for world in ranking_losses.WORLDS
        for line in ranking_losses.compared(world, SEEDS, rankings=60, answers=8, trials=10)
    ]
    return {
        (str(line["world"]), str(line["plackett-luce over"])): line for line in lines if "plackett-luce over" in line
    }  # type: ignore[misc]


def test_plackett_luce_is_the_better_estimate_where_its_model_holds(
    gains: dict[tuple[str, str], dict[str, float]],
) -> None:
    """Zhu, Jordan & Jiao 2023, theorem 4.3: splitting rankings into pairs is less efficient."""
    line = gains["plackett-luce", "pairwise"]
    assert line["angle low"] > 0
    assert line["tau low"] > 0


def test_pairs_are_the_better_estimate_where_people_slip_however_large_the_difference(
    gains: dict[tuple[str, str], dict[str, float]],
) -> None:
    assert gains["mallows", "pairwise"]["tau high"] < 0


def test_best_against_worst_throws_most_of_a_ranking_away(gains: dict[tuple[str, str], dict[str, float]]) -> None:
    assert all(gains[world, "best-vs-worst"]["tau low"] > 0.1 for world in ranking_losses.WORLDS)


def test_a_temperature_mends_a_model_that_is_too_sure_of_itself() -> None:
    *seeds, summary = reward_model_worlds.shown("calibration", SEEDS)
    assert all(line["temperature"] > 1 for line in seeds)
    assert summary["low"] > 0
