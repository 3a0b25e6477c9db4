"""Bootstrap intervals: as sure as the groups allow, the same for the same seed, and without any library."""

import random
import time

import pytest

from feinschliff.measuring import interval


def test_an_interval_is_about_as_wide_as_theory_says_and_the_same_for_the_same_seed() -> None:
    rng = random.Random(3)
    values = [float(rng.random() < 0.7) for _ in range(400)]
    groups = [str(number) for number in range(400)]
    low, high = interval(values, [1.0] * 400, groups, seed=5)
    share = sum(values) / 400
    width = 2 * 1.96 * (share * (1 - share) / 400) ** 0.5
    assert low < share < high
    assert high - low == pytest.approx(width, rel=0.1)
    assert (low, high) == interval(values, [1.0] * 400, groups, seed=5) != interval(values, [1.0] * 400, groups, seed=6)


def test_a_smaller_share_is_a_narrower_interval_and_equal_groups_leave_no_doubt() -> None:
    values, groups = [0.0, 1.0] * 50, [str(number) for number in range(100)]
    wide, narrow = (interval(values, [1.0] * 100, groups, share=share) for share in (0.95, 0.5))
    assert wide.low < narrow.low < narrow.high < wide.high
    assert interval([0.5, 1.0], [1.0, 2.0], ["a", "b"]) == (0.5, 0.5)


def test_without_rows_or_with_lengths_that_differ_it_says_so() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        interval([], [], [])
    with pytest.raises(ValueError, match="argument 2"):
        interval([1.0], [1.0, 1.0], ["a", "b"])


def test_two_thousand_groups_take_no_time_to_speak_of() -> None:
    began = time.process_time()
    interval([1.0] * 2000, [1.0] * 2000, [str(number) for number in range(2000)])
    assert time.process_time() - began < 4  # a second, measured; a thousand draws half of that
