"""The listwise losses, each against the plain way of working it out."""

import itertools
import math
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.lib.listwise import LOSSES, Lists, Loss, compares, loss, weight

RANKS = st.lists(st.none() | st.integers(1, 4), min_size=1, max_size=6)
SCORE = st.floats(-5, 5, allow_nan=False, width=32)


def one(name: Loss, scores: Sequence[float], ranks: Sequence[int | None], margin: float | None = None) -> float:
    import torch

    lists = Lists([range(len(ranks))], [ranks], [1.0], [margin])
    return loss(name, torch.tensor(scores, dtype=torch.float64), lists).item()


def bradley_terry(better: float, worse: float) -> float:
    return math.log1p(math.exp(worse - better))


def chance(order: Sequence[int], scores: Sequence[float]) -> float:
    """The probability that a whole order comes about when each next one is drawn by exp(score) among those left."""
    left, found = list(order), 1.0
    while left:
        found *= math.exp(scores[left[0]]) / sum(math.exp(scores[place]) for place in left)
        left.pop(0)
    return found


@settings(deadline=None)
@given(st.lists(st.none() | st.just(0), min_size=2, max_size=5), st.data())
def test_plackett_luce_is_the_chance_of_all_orders_that_agree_with_the_ranking(shape: list[Any], data: Any) -> None:  # noqa: ANN401
    count = len(shape)
    scores = data.draw(st.lists(SCORE, min_size=count, max_size=count))
    order = data.draw(st.permutations(range(count)))
    ranks = [None if keep is None else order[place] + 1 for place, keep in enumerate(shape)]
    ranked = [place for place in sorted(range(count), key=lambda place: order[place]) if ranks[place] is not None]
    agree = [whole for whole in itertools.permutations(range(count)) if [p for p in whole if p in ranked] == ranked]
    assert one("plackett-luce", scores, ranks) == pytest.approx(
        -math.log(sum(chance(whole, scores) for whole in agree)), abs=1e-9
    )


def test_a_tie_is_left_one_part_at_a_time_as_efron_has_it() -> None:
    a, b, c, d = 0.3, -1.0, 0.7, 2.0  # b first, then a and c and d... as three tied, so the risk set shrinks by thirds
    e = [math.exp(value) for value in (a, c, d)]
    first = math.log(math.exp(b) + sum(e)) - b
    tie = sum(math.log(sum(e) * (1 - gone / 3)) for gone in range(3)) - (a + c + d)
    assert one("plackett-luce", [a, b, c, d], [2, 1, 2, 2]) == pytest.approx(first + tie)
    above = sum(math.log(sum(e) * (1 - gone / 3) + math.exp(b)) for gone in range(3)) - (a + c + d)
    assert one("plackett-luce", [a, b, c, d], [1, 2, 1, 1]) == pytest.approx(above)


@settings(deadline=None)
@given(SCORE, SCORE, st.none() | st.floats(0, 2))
def test_of_two_answers_all_losses_are_bradley_terry(better: float, worse: float, margin: float | None) -> None:
    plain = bradley_terry(better, worse + (margin or 0.0))
    for name in ("plackett-luce", "pairwise", "best-vs-worst"):
        assert one(name, [better, worse], [1, 2], margin) == pytest.approx(plain, abs=1e-6)
    swap = 1.0 * (1 - 1 / math.log2(3))  # gain 2**1 - 1, and the two first discounts
    assert one("lambda", [better, worse], [1, 2], margin) == pytest.approx(swap * plain, abs=1e-6)


@settings(deadline=None)
@given(SCORE, SCORE)
def test_a_tie_of_two_is_a_label_of_one_half(one_score: float, other: float) -> None:
    half = (bradley_terry(one_score, other) + bradley_terry(other, one_score)) / 2
    assert one("pairwise", [one_score, other], [1, 1]) == pytest.approx(half, abs=1e-6)
    assert one("plackett-luce", [one_score, other], [1, 1]) == pytest.approx(2 * half - math.log(2), abs=1e-6)
    assert one("best-vs-worst", [one_score, other], [1, 1]) == one("lambda", [one_score, other], [1, 1]) == 0.0


def test_all_pairs_are_averaged_and_only_the_ends_count_for_best_against_worst() -> None:
    scores, ranks = [0.5, -0.2, 1.5, 9.0], [2, 3, 1, None]
    pairs = [bradley_terry(1.5, 0.5), bradley_terry(1.5, -0.2), bradley_terry(0.5, -0.2)]
    assert one("pairwise", scores, ranks) == pytest.approx(sum(pairs) / 3)
    assert one("best-vs-worst", scores, ranks) == pytest.approx(bradley_terry(1.5, -0.2))
    tied_top = (bradley_terry(0.5, -0.2) + bradley_terry(1.5, -0.2)) / 2
    assert one("best-vs-worst", scores, [1, 2, 1, None]) == pytest.approx(tied_top)


def test_lambda_counts_a_pair_by_what_its_swap_would_cost() -> None:
    scores, ranks = [0.5, -0.2, 1.5], [1, 3, 2]  # the model puts the second-best first
    gain, position = [2.0**1 - 1, 2.0**0 - 1, 2.0**0.5 - 1], [2, 3, 1]

    def part(better: int, worse: int) -> float:
        discount = abs(1 / math.log2(1 + position[better]) - 1 / math.log2(1 + position[worse]))
        return (gain[better] - gain[worse]) * discount * bradley_terry(scores[better], scores[worse])

    assert one("lambda", scores, ranks) == pytest.approx(part(0, 1) + part(0, 2) + part(2, 1))


def test_lambda_learns_from_a_policy_that_still_scores_all_alike() -> None:
    import torch

    scores = torch.zeros(3, requires_grad=True)
    loss("lambda", scores, Lists([range(3)], [[2, 1, 3]], [1.0], [None])).backward()
    assert scores.grad is not None
    assert scores.grad[1] < scores.grad[2]
    assert scores.grad[1] < 0 < scores.grad[2]


@settings(deadline=None)
@given(st.sampled_from(LOSSES), RANKS, st.randoms(use_true_random=False))
def test_the_order_in_which_answers_stand_is_no_matter(
    name: Loss,
    ranks: list[int | None],
    rng: random.Random,
) -> None:
    scores = [rng.choice([0.0, 0.0, 1.0, rng.random()]) for _ in ranks]
    order = list(range(len(ranks)))
    rng.shuffle(order)
    moved = one(name, [scores[place] for place in order], [ranks[place] for place in order])
    assert moved == pytest.approx(one(name, scores, ranks), abs=1e-9)


@settings(deadline=None)
@given(
    st.sampled_from(LOSSES), st.lists(st.tuples(RANKS, st.floats(0.1, 3)), min_size=1, max_size=5), st.integers(0, 5)
)
def test_parts_of_a_batch_add_up_to_the_weighted_mean_of_its_rows(
    name: Loss,
    rows: list[tuple[list[int | None], float]],
    cut: int,
) -> None:
    import torch

    rng = random.Random(len(rows))
    places, start = [], 0
    for ranks, _ in rows:
        places.append(range(start, start + len(ranks)))
        start += len(ranks)
    scores = torch.tensor([rng.uniform(-2, 2) for _ in range(start)], dtype=torch.float64)
    lists = Lists(places, [ranks for ranks, _ in rows], [own for _, own in rows], [None] * len(rows))
    whole = weight(name, lists.ranks, lists.weights)
    mean = loss(name, scores, lists).item()
    parts = [Lists(*(part[:cut] for part in lists)), Lists(*(part[cut:] for part in lists))]
    assert sum(loss(name, scores, part, whole).item() for part in parts) == pytest.approx(mean, abs=1e-9)
    each = [
        own * one(name, [scores[place].item() for place in row], ranks)
        for (ranks, own), row in zip(rows, places, strict=True)
    ]
    told = sum(own for ranks, own in rows if compares(name, ranks))
    assert mean == pytest.approx(sum(each) / told if told else 0.0, abs=1e-9)


@pytest.mark.parametrize("name", LOSSES)
def test_far_scores_have_finite_gradients_and_nothing_to_compare_is_exactly_nothing(name: Loss) -> None:
    import torch

    far = torch.tensor([1e4, -1e4, 0.0, 1e4], requires_grad=True)
    value = loss(name, far, Lists([range(4)], [[4, 1, 2, 2]], [1.0], [0.5]))
    value.backward()
    assert torch.isfinite(value)
    assert value > 1e3
    assert far.grad is not None
    assert torch.isfinite(far.grad).all()
    assert far.grad.abs().max() > 0
    assert one(name, [5.0], [1]) == 0.0
    scores = torch.tensor([1e4, -1e4, 3.0], requires_grad=True)
    nothing_compared: list[list[list[int | None]]] = [[[1, None, None]], [[None] * 3], []]
    for ranks in nothing_compared:
        rows = len(ranks)
        nothing = loss(name, scores, Lists([range(3)] * rows, ranks, [1.0] * rows, [None] * rows))
        nothing.backward()
        assert nothing.item() == 0.0
        assert scores.grad is None or not scores.grad.any()


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_of_the_numbers(name: Loss) -> None:
    import torch

    lists = Lists([[0, 1, 2, 3], [4, 5, 1]], [[2, 1, 2, None], [3, 1, 2]], [1.0, 0.5], [None, 0.3])
    scores = torch.tensor([0.3, -0.2, 1.1, 0.9, -1.0, 0.4], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda found: loss(name, found, lists), (scores,))


def test_an_unknown_loss_is_refused() -> None:
    import torch

    with pytest.raises(ValueError, match="no loss 'listnet'; there are plackett-luce, pairwise"):
        loss("listnet", torch.zeros(1), Lists([], [], [], []))  # type: ignore[arg-type]
