"""How far annotators agree: a share with an interval, and how many pairs of answers it rests on.

What is counted depends on the kind of question. For orders (ranking, comparison) it is pairs of answers that both people
put in a strict order: the share in which both put the same one first. A pair that either calls a tie says nothing about
direction and is counted apart. For ratings it is scores of the same answer on the same aspect: equal, and equal or one
point apart. For labels it is the sets chosen: equal, and how much they overlap (Jaccard 1912: shared / all chosen).

Interval: Wilson's (1927) for a share, with the number of pairs divided by the design effect, because pairs of one item stand
and fall together (Rao and Scott 1992). Left out: agreement by chance. A coin agrees in half of the strict pairs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import sqrt
from typing import Any, NamedTuple

Z95 = 1.959964  # two-sided 95 % of the normal distribution
#: agreement between trained people on which of two answers is better, as published: InstructGPT 72.6 % and 77.3 %
REFERENCE = (0.73, 0.77)


@dataclass(frozen=True)
class Tally:
    """What two people's answers, or many such pairs, have in common: `agree` of `pairs`, `near` at least nearly so.

    `agree` and `near` may be fractions (overlap of labels); `ties` are pairs left out because one of the two was undecided.
    """

    agree: float = 0
    pairs: int = 0
    near: float = 0
    ties: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.agree + other.agree, self.pairs + other.pairs, self.near + other.near, self.ties + other.ties)


@dataclass(frozen=True)
class Agreement:
    """A share of 0 to 1 with its 95 % interval; `near` is the share that agrees at least nearly. None without any pair."""

    share: float
    low: float
    high: float
    near: float
    pairs: int
    items: int
    ties: int


class Voice(NamedTuple):
    """What one annotator said about one item, ready to be compared."""

    item: int
    member: int
    said: Any
    version: int = 0  # of the guidelines


Compare = Callable[[Any, Any], Tally]


def orders(first: Sequence[int | None], second: Sequence[int | None]) -> Tally:
    """Two rankings of the same answers (1 = best, equal = tie, None = not ranked): the concordant of their strict pairs."""
    agree = pairs = ties = 0
    for i, j in combinations(range(min(len(first), len(second))), 2):
        a, b, c, d = first[i], first[j], second[i], second[j]
        if a is None or b is None or c is None or d is None:
            continue
        if a == b or c == d:
            ties += 1
            continue
        pairs += 1
        agree += (a < b) == (c < d)
    return Tally(agree, pairs, agree, ties)


def scores(first: Mapping[Any, float | None], second: Mapping[Any, float | None]) -> Tally:
    """Two people's scores by what they rate: equal, and `near`: at most one point apart. A None rates nothing."""
    agree = pairs = near = 0
    for rated in first.keys() & second.keys():
        a, b = first[rated], second[rated]
        if a is None or b is None:
            continue
        pairs += 1
        agree += a == b
        near += abs(a - b) <= 1
    return Tally(agree, pairs, near)


def labels(first: Mapping[Any, frozenset[str]], second: Mapping[Any, frozenset[str]]) -> Tally:
    """Two people's labels by what they label: the same set, and `near`: Jaccard's overlap. Two empty sets are the same."""
    agree, pairs, near = 0, 0, 0.0
    for labelled in first.keys() & second.keys():
        a, b = first[labelled], second[labelled]
        pairs += 1
        agree += a == b
        near += len(a & b) / len(a | b) if a | b else 1.0
    return Tally(agree, pairs, near)


def between(voices: Iterable[Voice], compare: Compare, member: int | None = None) -> dict[int, Tally]:
    """Item -> what its annotators have in common, every two of them; with `member`, that one against each other."""
    by_item: dict[int, list[Voice]] = defaultdict(list)
    for voice in voices:
        by_item[voice.item].append(voice)
    found: dict[int, Tally] = {}
    for item, said in by_item.items():
        tally = Tally()
        for one, other in combinations(said, 2):
            if one.member != other.member and (member is None or member in (one.member, other.member)):
                tally += compare(one.said, other.said)
        if tally.pairs or tally.ties:
            found[item] = tally
    return found


def agreement(by_item: Mapping[int, Tally]) -> Agreement | None:
    """The share over all items, each item one cluster; None where no two people said anything comparable."""
    told = [tally for tally in by_item.values() if tally.pairs]
    total = sum(by_item.values(), Tally())
    if not told:
        return None
    share = total.agree / total.pairs
    low, high = wilson(share, effective_size([(tally.agree, tally.pairs) for tally in told]))
    return Agreement(share, low, high, total.near / total.pairs, total.pairs, len(told), total.ties)


def effective_size(clusters: Sequence[tuple[float, int]]) -> float:
    """How many independent pairs the (agreeing, all) pairs of each item are worth: all of them / design effect.

    The design effect is the variance of the ratio between items (linearised: Cochran 1977, eq. 2.39, without the finite
    population) over that of independent pairs, p (1 - p) / n; never below 1 (Rao and Scott 1992). Where it cannot be known,
    with one item or when all agree or none, an item counts as one pair.
    """
    pairs = sum(count for _, count in clusters)
    share = sum(agree for agree, _ in clusters) / pairs
    items = len(clusters)
    if items < 2 or share in (0, 1):
        return items
    spread = sum((agree - share * count) ** 2 for agree, count in clusters)
    variance = items / (items - 1) * spread / pairs**2
    return pairs / max(1.0, variance / (share * (1 - share) / pairs))


def wilson(share: float, size: float, z: float = Z95) -> tuple[float, float]:
    """Wilson's score interval of a share of `size` trials (Wilson 1927), within 0 and 1."""
    middle = share + z * z / (2 * size)
    half = z * sqrt(share * (1 - share) / size + z * z / (4 * size * size))
    whole = 1 + z * z / size
    return max(0.0, (middle - half) / whole), min(1.0, (middle + half) / whole)
