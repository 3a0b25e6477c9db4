"""Losses that learn from a ranking of K answers: one number an answer goes in, what people said decides how they compare.

For whatever gives a number to an answer: a reward model's scores, or a policy's implicit rewards. Four ways to read a
ranking:

- `plackett-luce`: the likelihood of the whole order, best first, each answer chosen among those that are left (Plackett
  1975, Luce 1959; over K answers of a policy: Rafailov et al. 2023, appendix A.3). Ties by Efron's treatment (1977, JASA
  72:557, for the same likelihood in survival analysis): the members of a tie of d leave the choice one d-th at a time.
- `pairwise`: Bradley-Terry (1952) over all pairs, their mean (Ouyang et al. 2022, section 3.5). A tie is a label of one
  half, which pulls two scores together; there is no tie parameter (Rao & Kupper 1967 have one).
- `best-vs-worst`: only the best against the worst, which is what a ranking is worth to methods that know pairs alone.
- `lambda`: LiPO-lambda (Liu et al. 2024, equation 9): all pairs, each weighted by what swapping the two would do to the
  order that the scores give now (its DCG).

Unranked answers (None) are compared with nothing. A margin (how much better, a property of the row) is added to the worse
answer of every comparison, as in Llama 2 (Touvron et al. 2023, section 3.2.2). A row's loss is weighted, and the losses of
the rows that compare something are averaged by weight.
"""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    import torch

Loss = Literal["plackett-luce", "pairwise", "best-vs-worst", "lambda"]
Ranks = Sequence[int | None]
NOTHING = 1e-12  # what rows without any weight are divided by


class Lists(NamedTuple):
    """A batch of rankings. `places` are where a row's answers stand in the flat tensor of scores; equal answers may share
    one. Ranks: 1 is best, equal ranks are ties, None was not ranked."""

    places: Sequence[Sequence[int]]
    ranks: Sequence[Ranks]
    weights: Sequence[float]
    margins: Sequence[float | None]


def loss(name: Loss, scores: "torch.Tensor", lists: Lists, whole: float | None = None) -> "torch.Tensor":
    """Weighted mean of the rows' losses, a scalar with gradients; `scores` has shape (answers,). No NaN, whatever the ranks.

    `whole` is the weight of all rows where these are a part of them (see `weight`): then the parts' losses add up to the
    mean. Rows that compare nothing give exactly 0. Raises ValueError for a name that is none of the four.
    """
    if name not in LOSSES:
        raise ValueError(f"no loss {name!r}; there are {', '.join(LOSSES)}")
    total = weight(name, lists.ranks, lists.weights) if whole is None else whole
    summed = _order(scores, lists) if name == "plackett-luce" else _logistic(scores, _PAIRS[name](scores, lists))
    return summed / max(total, NOTHING)


def weight(name: Loss, ranks: Sequence[Ranks], weights: Sequence[float]) -> float:
    """The weight of the rows from which the loss learns anything, which alone count in its mean."""
    return math.fsum(own for row, own in zip(ranks, weights, strict=True) if compares(name, row))


def compares(name: Loss, ranks: Ranks) -> bool:
    """Whether the loss learns anything from these ranks: two ranked answers, of different ranks where ties say nothing."""
    known = [rank for rank in ranks if rank is not None]
    return len(known) > 1 and (name in ("plackett-luce", "pairwise") or len(set(known)) > 1)


# --- the whole order ---


def _order(scores: "torch.Tensor", lists: Lists) -> "torch.Tensor":
    """Sum of weight * -log P(order): for each choice, log-sum-exp over what was left, minus the score of what was taken."""
    import torch

    choices = [choice for row in zip(*lists, strict=True) for choice in _choices(*row)]
    if not choices:
        return scores[:0].sum()
    most = max(len(choice.left) for choice in choices)
    left = torch.tensor([choice.left + [choice.taken] * (most - len(choice.left)) for choice in choices])
    shift = [choice.shift + [-math.inf] * (most - len(choice.left)) for choice in choices]
    taken, weights = [choice.taken for choice in choices], [choice.weight for choice in choices]
    sums = torch.logsumexp(scores[left.to(scores.device)] + _like(scores, shift), dim=1)
    return ((sums - scores[taken]) * _like(scores, weights)).sum()


class _Choice(NamedTuple):
    """`taken` was chosen among `left` (places of scores, itself among them), each score shifted by its number."""

    taken: int
    left: list[int]
    shift: list[float]
    weight: float


def _choices(places: Sequence[int], ranks: Ranks, weight: float, margin: float | None) -> Iterator[_Choice]:
    """The choices behind a row. The l-th of a tie of d is taken where the tie still counts (d - l)/d, its log as a shift."""
    known = [(rank, place) for rank, place in zip(ranks, places, strict=True) if rank is not None]
    for stage in sorted({rank for rank, _ in known}):
        tied = [place for rank, place in known if rank == stage]
        worse = [place for rank, place in known if rank > stage]
        if len(tied) + len(worse) < 2:
            continue  # the last one left is no choice
        for gone, place in enumerate(tied):
            share = math.log((len(tied) - gone) / len(tied))
            shift = [share] * len(tied) + [margin or 0.0] * len(worse)
            yield _Choice(place, tied + worse, shift, weight)


# --- pairs ---


class _Pairs(NamedTuple):
    """Comparisons as places of scores: the better first, its label (1, a tie one half), and what the pair counts."""

    first: list[int]
    second: list[int]
    label: list[float]
    margin: list[float]
    share: list[float]


def _logistic(scores: "torch.Tensor", pairs: _Pairs) -> "torch.Tensor":
    """Sum of share * cross-entropy between the label and sigmoid(first - second - margin)."""
    from torch.nn.functional import binary_cross_entropy_with_logits

    if not pairs.first:
        return scores[:0].sum()
    label, margin, share = (_like(scores, values) for values in pairs[2:])
    difference = scores[pairs.first] - scores[pairs.second] - margin
    return (binary_cross_entropy_with_logits(difference, label, reduction="none") * share).sum()


def _all_pairs(_scores: "torch.Tensor", lists: Lists) -> _Pairs:
    """Every pair of ranked answers; a row's pairs together count its weight."""
    found = _Pairs([], [], [], [], [])
    for places, ranks, own, margin in zip(*lists, strict=True):
        known = sorted((rank, place) for rank, place in zip(ranks, places, strict=True) if rank is not None)
        pairs = [(one, other) for number, one in enumerate(known) for other in known[number + 1 :]]
        for (rank, better), (other_rank, worse) in pairs:
            tie = rank == other_rank
            _add(found, better, worse, 0.5 if tie else 1.0, 0.0 if tie else margin, own / len(pairs))
    return found


def _ends(_scores: "torch.Tensor", lists: Lists) -> _Pairs:
    """The best against the worst; where several are tied there, each against each, together counting once."""
    found = _Pairs([], [], [], [], [])
    for places, ranks, own, margin in zip(*lists, strict=True):
        known = [(rank, place) for rank, place in zip(ranks, places, strict=True) if rank is not None]
        if not known or min(known)[0] == max(known)[0]:
            continue
        best = [place for rank, place in known if rank == min(known)[0]]
        worst = [place for rank, place in known if rank == max(known)[0]]
        for better in best:
            for worse in worst:
                _add(found, better, worse, 1.0, margin, own / (len(best) * len(worst)))
    return found


def _lambda(scores: "torch.Tensor", lists: Lists) -> _Pairs:
    """All pairs told apart; a pair counts |gain - gain'| * |discount - discount'|: what swapping the two would cost.

    The gain is 2**label - 1, the label the share of the others that an answer beats (a tie one half): LiPO's label is the
    same share under a reward model. The discount is 1/log2(1 + position) in the order of the scores. Equal scores stand in
    people's order: a policy that is still its reference scores all alike, and in any order of chance it would begin by luck.
    """
    values = scores.detach().tolist()
    found = _Pairs([], [], [], [], [])
    for places, ranks, own, margin in zip(*lists, strict=True):
        known = [(rank, place) for rank, place in zip(ranks, places, strict=True) if rank is not None]
        keys = [(-values[place], rank) for rank, place in known]
        gains = [2.0 ** _label(rank, [other for other, _ in known]) - 1.0 for rank, _ in known]
        positions = [1 + sum(key < own_key for key in keys) + (keys.count(own_key) - 1) / 2 for own_key in keys]
        discounts = [1 / math.log2(1 + position) for position in positions]
        for i, (rank, better) in enumerate(known):
            for j, (other_rank, worse) in enumerate(known):
                if rank < other_rank:
                    swap = (gains[i] - gains[j]) * abs(discounts[i] - discounts[j])
                    _add(found, better, worse, 1.0, margin, own * swap)
    return found


def _label(rank: int, ranks: Sequence[int]) -> float:
    """The share of the other answers that this one beats; a tie counts one half. 0 where it is alone."""
    beaten = sum((rank < other) + (rank == other) / 2 for other in ranks) - 0.5
    return beaten / (len(ranks) - 1) if len(ranks) > 1 else 0.0


def _add(pairs: _Pairs, better: int, worse: int, label: float, margin: float | None, share: float) -> None:
    pairs.first.append(better)
    pairs.second.append(worse)
    pairs.label.append(label)
    pairs.margin.append(margin or 0.0)
    pairs.share.append(share)


def _like(scores: "torch.Tensor", values: Sequence[Any]) -> "torch.Tensor":
    import torch

    return torch.tensor(values, dtype=scores.dtype, device=scores.device)


_PAIRS = {"pairwise": _all_pairs, "best-vs-worst": _ends, "lambda": _lambda}
LOSSES: tuple[Loss, ...] = ("plackett-luce", "pairwise", "best-vs-worst", "lambda")
