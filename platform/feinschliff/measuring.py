"""How sure a number on held-out rows is: bootstrap intervals, resampled by group.

Answers to one prompt are not independent, so whole groups are drawn with replacement. Percentile interval, Efron & Tibshirani
1993, chapter 13; the statistic is a ratio of sums (right comparisons over all). Pure Python, for trainers of any kind.
"""

import random
from collections.abc import Sequence
from typing import NamedTuple

DRAWS = 2000
NOTHING = 1e-12  # what a draw without any weight is divided by


class Interval(NamedTuple):
    low: float
    high: float


def interval(
    values: Sequence[float], weights: Sequence[float], groups: Sequence[str], *, seed: int = 0, share: float = 0.95
) -> Interval:
    """The interval of sum(values)/sum(weights) when groups are drawn with replacement, 2,000 times.

    The same seed draws the same groups on every machine, in the order in which groups first appear. `share` is the part of
    the draws that lies between `low` and `high`. ValueError where there is no group, or the three differ in length.
    """
    sums: dict[str, complex] = {}  # a group's value and weight as one number: drawn and added up in one go
    for value, weight, group in zip(values, weights, groups, strict=True):
        sums[group] = sums.get(group, 0j) + complex(value, weight)
    if not sums:
        raise ValueError("an interval needs at least one row")
    rng, known = random.Random(seed), list(sums.values())  # noqa: S311 - which groups are drawn is no secret
    drawn = (sum(rng.choices(known, k=len(known)), 0j) for _ in range(DRAWS))
    ratios = sorted(total.real / max(total.imag, NOTHING) for total in drawn)
    return Interval(_quantile(ratios, (1 - share) / 2), _quantile(ratios, (1 + share) / 2))


def _quantile(ordered: Sequence[float], share: float) -> float:
    """The value below which that share lies, linear between two."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
