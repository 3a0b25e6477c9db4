"""Calibration against planted probabilities, and against the plain definitions."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.lib.annotators import reliabilities, trust
from plugins.lib.calibration import brier, calibration_error, fitted_temperature, log_loss, probability, reliability

MARGINS = st.lists(st.floats(-30, 30, allow_nan=False), min_size=1, max_size=50)


def planted(count: int, temperature: float, seed: int) -> list[float]:
    """Margins of a model whose log odds are `temperature` times too large."""
    rng = random.Random(seed)
    found = []
    for _ in range(count):
        truth = rng.gauss(0, 2)
        better = 1 if rng.random() < probability(truth) else -1
        found.append(better * truth * temperature)
    return found


@pytest.mark.parametrize("temperature", [0.25, 1.0, 3.0])
def test_the_planted_temperature_is_found_and_mends_the_calibration(temperature: float) -> None:
    margins = planted(8000, temperature, 1)
    found = fitted_temperature(margins)
    assert found == pytest.approx(temperature, rel=0.1)
    assert calibration_error(margins, found) < 0.02
    assert brier(margins, found) <= brier(margins) + 1e-4
    if temperature == 3.0:
        assert calibration_error(margins) > 0.08


@given(MARGINS)
def test_no_temperature_is_better_than_the_fitted_one(margins: list[float]) -> None:
    least = log_loss(margins, fitted_temperature(margins))
    assert all(least <= log_loss(margins, 10 ** (step / 4)) + 1e-6 for step in range(-8, 9))


@given(MARGINS)
def test_bins_hold_every_comparison_once_between_one_half_and_one(margins: list[float]) -> None:
    bins = reliability(margins)
    assert sum(one.size for one in bins) == len(margins)
    assert all(0.5 <= one.confidence <= 1 and 0 <= one.right <= 1 for one in bins)
    assert 0 <= calibration_error(margins) <= 1
    assert 0 <= brier(margins) <= 1


def test_a_constant_is_calibrated_and_knows_nothing() -> None:
    assert reliability([0.0, 0.0]) == [(0.5, 0.5, 2)]
    assert calibration_error([0.0]) == 0
    assert brier([0.0]) == 0.25
    assert log_loss([0.0]) == pytest.approx(math.log(2))


def test_reliability_and_trust_are_bounded_and_need_others() -> None:
    assert reliabilities([{"ada": True}, {"ada": False}]) == {"ada": pytest.approx(0.8)}
    always_alone = [{"ada": True, "bo": True, "cy": False}] * 50
    found = reliabilities(always_alone)
    assert found["ada"] > 0.9 > 0.3 > found["cy"]
    assert trust(found["cy"]) == 0.0
    assert trust(0.9) == pytest.approx(math.log(9))
