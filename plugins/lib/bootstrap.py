"""Bootstrap intervals, resampled by group: answers to one prompt are not independent, so whole groups are drawn.

Percentile interval, Efron & Tibshirani 1993, chapter 13. The statistic is a ratio of sums (right comparisons over all).
"""

from collections.abc import Sequence
from typing import NamedTuple

DRAWS = 2000


class Interval(NamedTuple):
    low: float
    high: float


def interval(
    values: Sequence[float], weights: Sequence[float], groups: Sequence[str], *, seed: int = 0, share: float = 0.95
) -> Interval:
    """The interval of sum(values)/sum(weights) when groups are drawn with replacement."""
    import numpy as np

    names = {name: place for place, name in enumerate(dict.fromkeys(groups))}
    sums = np.zeros((len(names), 2))
    for value, weight, group in zip(values, weights, groups, strict=True):
        sums[names[group]] += (value, weight)
    drawn = np.random.default_rng(seed).integers(len(names), size=(DRAWS, len(names)))
    totals = sums[drawn].sum(axis=1)
    ratios = totals[:, 0] / np.maximum(totals[:, 1], 1e-12)
    edge = 100 * (1 - share) / 2
    low, high = np.percentile(ratios, [edge, 100 - edge])
    return Interval(float(low), float(high))
