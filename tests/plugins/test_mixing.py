"""Several tasks in one order: the mix that was asked for at every moment, none starved, none repeated without end."""

import math
from collections import Counter
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.lib.mixing import asked_shares, drawn, draws_of, fit, interleaved, read_weights, steps

SIZES = st.dictionaries(st.text("abcdefgh", min_size=1, max_size=2), st.integers(1, 400), min_size=1, max_size=8)
COUNTS = st.dictionaries(st.text("abcdefgh", min_size=1, max_size=2), st.integers(1, 60), min_size=2, max_size=8)
MIXES = st.sampled_from(["size", "temperature", "equal"])


def test_shares_follow_size_temperature_or_neither() -> None:
    sizes = {"big": 900, "small": 100}
    assert asked_shares(sizes, "size") == {"big": 0.9, "small": 0.1}
    assert asked_shares(sizes, "temperature", temperature=2) == pytest.approx({"big": 0.75, "small": 0.25})
    assert asked_shares(sizes, "temperature", temperature=1) == asked_shares(sizes, "size")
    assert asked_shares(sizes, "equal") == {"big": 0.5, "small": 0.5}
    assert asked_shares(sizes, "weights", weights={"small": 3}) == {"big": 0.25, "small": 0.75}


@pytest.mark.parametrize("weights", [{"tiny": 1.0}, {"big": 0.0}, {"big": -1.0}])
def test_weights_for_unknown_tasks_or_of_nothing_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="weights are above 0"):
        asked_shares({"big": 900, "small": 100}, "weights", weights=weights)


@given(SIZES, MIXES, st.floats(1, 20), st.floats(0, 1))
def test_no_share_lies_below_the_floor_and_a_larger_task_never_has_less(
    sizes: dict[str, int], mix: str, temperature: float, floor: float
) -> None:
    shares = asked_shares(sizes, mix, temperature=temperature, floor=floor)  # type: ignore[arg-type]
    assert math.isclose(sum(shares.values()), 1)
    assert min(shares.values()) >= floor / len(sizes) * (1 - 1e-6)
    ordered = sorted(sizes, key=sizes.__getitem__)
    assert all(shares[a] <= shares[b] * (1 + 1e-9) for a, b in pairwise(ordered))


@given(SIZES, MIXES, st.integers(1, 5), st.floats(1, 30))
def test_no_row_comes_more_often_than_the_cap_and_no_draw_is_lost_below_it(
    sizes: dict[str, int], mix: str, epochs: int, most: float
) -> None:
    total = epochs * sum(sizes.values())
    counts = draws_of(asked_shares(sizes, mix), sizes, total=total, most=max(most, epochs))  # type: ignore[arg-type]
    assert all(1 <= counts[task] <= max(most, epochs) * size + 1 for task, size in sizes.items())
    assert abs(sum(counts.values()) - total) <= len(sizes), "each rounded up to one draw at most"


@given(COUNTS)
def test_at_every_moment_each_task_is_less_than_a_draw_away_from_its_share(counts: dict[str, int]) -> None:
    order, total, bound = interleaved(counts), sum(counts.values()), 1 - Fraction(1, 2 * len(counts) - 2)
    assert Counter(order) == counts
    seen: Counter[str] = Counter()
    for moment, task in enumerate(order, start=1):
        seen[task] += 1
        for name, count in counts.items():
            assert abs(seen[name] - Fraction(moment * count, total)) <= bound


@given(COUNTS)
def test_no_task_starves(counts: dict[str, int]) -> None:
    order, total = interleaved(counts), sum(counts.values())
    for task, count in counts.items():
        window = -(-2 * total // count)
        for start in range(max(0, total - window) + 1):
            assert task in order[start : start + window]


@given(COUNTS, st.integers(0, 9), st.integers(1, 50))
def test_a_task_repeats_no_row_before_all_have_come(counts: dict[str, int], seed: int, size: int) -> None:
    sizes = dict.fromkeys(counts, size)
    found = drawn(sizes, counts, seed=seed)
    assert found == drawn(sizes, counts, seed=seed), "the same seed, the same order: a place in it is all to remember"
    for task, count in counts.items():
        places = [one.place for one in found if one.task == task]
        assert len(places) == count
        for start in range(0, count, size):
            one_round = places[start : start + size]
            assert len(set(one_round)) == len(one_round)
            assert set(one_round) <= set(range(size))


def test_another_seed_gives_another_order_of_rows() -> None:
    sizes = {"a": 50, "b": 50}
    assert drawn(sizes, sizes, seed=0) != drawn(sizes, sizes, seed=1)


@given(COUNTS, st.integers(1, 40))
def test_steps_hold_all_draws_in_order_and_none_is_much_shorter(counts: dict[str, int], rows: int) -> None:
    draws = drawn(counts, counts, seed=0)
    found = steps(draws, rows)
    assert [one for step in found for one in step] == draws
    assert all(rows <= len(step) < 1.5 * rows for step in found[:-1])
    assert len(found) == 1 or rows / 2 <= len(found[-1]) < 1.5 * rows


@settings(deadline=None, max_examples=40)
@given(SIZES.filter(lambda sizes: len(sizes) > 1), MIXES, st.floats(1, 20))
def test_the_realised_mix_fits_the_asked_one_by_chi_square(sizes: dict[str, int], mix: str, temperature: float) -> None:
    asked = asked_shares(sizes, mix, temperature=temperature, floor=0.1)  # type: ignore[arg-type]
    counts = draws_of(asked, sizes, total=3000, most=3000)
    found = Counter(one.task for step in steps(drawn(sizes, counts, seed=0), 32) for one in step)
    assert fit(found, asked) > 0.9
    assert all(abs(found[task] / 3000 - share) < 2 / 3000 for task, share in asked.items())


def test_chi_square_tells_a_bent_mix_from_the_asked_one() -> None:
    asked = {"a": 0.5, "b": 0.5}
    assert fit({"a": 500, "b": 500}, asked) > 0.99
    assert fit({"a": 600, "b": 400}, asked) < 1e-6
    assert fit({"a": 1000}, asked) < 1e-6, "a task that never came"


def test_a_capped_task_leaves_its_draws_to_the_others() -> None:
    sizes = {"small": 10, "big": 1000, "other": 1000}
    counts = draws_of(asked_shares(sizes, "equal"), sizes, total=3000, most=4)
    assert counts == {"small": 40, "big": 1480, "other": 1480}


def test_weights_are_read_and_faults_are_told() -> None:
    assert read_weights(" titles = 2, long name=0.5 ") == {"titles": 2.0, "long name": 0.5}
    assert read_weights("") == {}
    for wrong in ("titles", "titles=", "titles=0", "a=1, a=2", "=3"):
        with pytest.raises(ValueError, match=r"task"):
            read_weights(wrong)
