"""Agreement: counted by hand, and never by another rule than the page says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation import agreeing
from annotation.agreeing import Tally, Voice


def test_pairs_in_the_same_order_agree_and_ties_are_counted_apart() -> None:
    # A>B>C against B>A>C: of AB, AC, BC only AB differs
    assert agreeing.orders([1, 2, 3], [2, 1, 3]) == Tally(2, 3, 2, 0)
    # A=B>C against A>B>C: AB is a tie, the two others agree
    assert agreeing.orders([1, 1, 3], [1, 2, 3]) == Tally(2, 2, 2, 1)
    assert agreeing.orders([1, 2], [2, 1]) == Tally(0, 1, 0, 0)
    assert agreeing.orders([1, 1], [1, 1]) == Tally(0, 0, 0, 1)


def test_an_answer_that_somebody_did_not_rank_is_in_no_pair() -> None:
    assert agreeing.orders([1, None, 2], [1, 2, 3]) == Tally(1, 1, 1, 0)


def test_scores_are_equal_or_within_one_point() -> None:
    first = {(0, "helpful"): 4.0, (0, "true"): 2.0, (1, "helpful"): 0.0, (1, "true"): None}
    second = {(0, "helpful"): 4.0, (0, "true"): 3.0, (1, "helpful"): 3.0, (1, "true"): 1.0}
    assert agreeing.scores(first, second) == Tally(1, 3, 2)


def test_labels_are_the_same_set_or_overlap() -> None:
    a, b = frozenset({"rude", "wrong"}), frozenset({"rude"})
    assert agreeing.labels({None: a}, {None: b}) == Tally(0, 1, 0.5)
    assert agreeing.labels({None: a, 1: frozenset()}, {None: a, 1: frozenset()}) == Tally(2, 2, 2)


def test_every_two_annotators_of_an_item_are_compared_and_one_against_the_others() -> None:
    voices = [Voice(7, 1, [1, 2]), Voice(7, 2, [1, 2]), Voice(7, 3, [2, 1]), Voice(8, 1, [1, 2])]
    assert agreeing.between(voices, agreeing.orders) == {7: Tally(1, 3, 1, 0)}
    assert agreeing.between(voices, agreeing.orders, member=1) == {7: Tally(1, 2, 1, 0)}
    assert agreeing.between(voices, agreeing.orders, member=3) == {7: Tally(0, 2, 0, 0)}


def test_wilson_as_in_the_textbook() -> None:
    # 81 of 263: Newcombe (1998), table I, method 3
    low, high = agreeing.wilson(81 / 263, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    low, high = agreeing.wilson(0, 20)
    assert (low, round(high, 4)) == (0.0, 0.1611)


def test_pairs_of_one_item_that_stand_and_fall_together_count_as_one() -> None:
    # ten items of six pairs, five agree in all and five in none: n = 60, p = 1/2;
    # variance = 10/9 * 10 * 3^2 / 60^2 = 1/36, of independent pairs 1/240, design effect 20/3, worth 9
    clustered = agreeing.effective_size([(6, 6)] * 5 + [(0, 6)] * 5)
    assert clustered == pytest.approx(9)
    # every item agrees in half of its pairs: no more spread than a coin's, so all count
    assert agreeing.effective_size([(3, 6)] * 10) == 60


def test_one_item_and_full_agreement_are_worth_as_many_pairs_as_items() -> None:
    found = agreeing.agreement({1: Tally(6, 6, 6, 0), 2: Tally(6, 6, 6, 0)})
    assert found is not None
    assert (found.share, found.pairs, found.items) == (1, 12, 2)
    assert found.low == pytest.approx(agreeing.wilson(1, 2)[0])
    assert agreeing.effective_size([(1, 6)]) == 1


def test_without_a_strict_pair_there_is_nothing_to_say() -> None:
    assert agreeing.agreement({}) is None
    assert agreeing.agreement({1: Tally(0, 0, 0, 3)}) is None


clusters = st.lists(st.integers(1, 9).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), min_size=1)


@given(clusters)
def test_the_interval_holds_the_share_and_lies_within_0_and_1(told: list[tuple[int, int]]) -> None:
    found = agreeing.agreement({n: Tally(a, p, a, 0) for n, (a, p) in enumerate(told)})
    assert found is not None
    assert 0 <= found.low <= found.share + 1e-9
    assert found.share - 1e-9 <= found.high <= 1
    assert 0 < agreeing.effective_size(told) <= found.pairs
