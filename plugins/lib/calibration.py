"""Whether a score's probabilities can be believed: of the comparisons called 80 % sure, are four in five right?

A difference of scores is read as log odds (Bradley & Terry 1952). Expected calibration error over ten bins of confidence
and one temperature for all scores: Guo et al. 2017. Brier score: Brier 1950, its two-class form. Plain Python.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

BINS = 10
COLDEST, HOTTEST = 1e-3, 1e3
SEARCH_STEPS = 200
GOLDEN = (math.sqrt(5) - 1) / 2


class Bin(NamedTuple):
    """Comparisons of about the same confidence: mean confidence, share that was right, how many."""

    confidence: float
    right: float
    size: int


def probability(difference: float, temperature: float = 1.0) -> float:
    """That the first answer is the better one, when its score is higher by `difference`."""
    scaled = difference / temperature
    return 1 / (1 + math.exp(-scaled)) if scaled >= 0 else math.exp(scaled) / (1 + math.exp(scaled))


def reliability(margins: Sequence[float], temperature: float = 1.0) -> list[Bin]:
    """Ten bins of confidence from 0.5 to 1, empty ones left out.

    `margins` are score differences, people's choice minus the other answer; confidence is the probability of the answer
    that the model prefers, and it is right where the margin is above zero (equal scores: one half).
    """
    held: list[list[tuple[float, float]]] = [[] for _ in range(BINS)]
    for margin in margins:
        confidence = probability(abs(margin), temperature)
        held[min(BINS - 1, int((confidence - 0.5) * 2 * BINS))].append(
            (confidence, float(margin > 0) + 0.5 * (margin == 0))
        )
    return [
        Bin(_mean([one for one, _ in some]), _mean([right for _, right in some]), len(some)) for some in held if some
    ]


def calibration_error(margins: Sequence[float], temperature: float = 1.0) -> float:
    """ECE: how far confidence and share of right ones are apart, averaged over the comparisons. 0 is perfect."""
    bins = reliability(margins, temperature)
    return sum(one.size * abs(one.confidence - one.right) for one in bins) / max(1, len(margins))


def brier(margins: Sequence[float], temperature: float = 1.0) -> float:
    """Mean squared distance between the probability of people's choice and 1. Chance gets 0.25, lower is better."""
    return sum((1 - probability(margin, temperature)) ** 2 for margin in margins) / max(1, len(margins))


def log_loss(margins: Sequence[float], temperature: float = 1.0) -> float:
    """Mean negative log probability of people's choice; chance gets log 2."""
    return sum(_softplus(-margin / temperature) for margin in margins) / max(1, len(margins))


def fitted_temperature(margins: Sequence[float]) -> float:
    """What to divide scores by for the least log loss, between 1/1000 and 1000. Above 1: the scores were too sure.

    The log loss is convex in one over the temperature, hence unimodal in its logarithm: golden-section search (Kiefer 1953).
    """
    low, high = math.log(COLDEST), math.log(HOTTEST)
    for _ in range(SEARCH_STEPS):
        if high - low < 1e-6:
            break
        first, second = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        if log_loss(margins, math.exp(first)) <= log_loss(margins, math.exp(second)):
            high = second
        else:
            low = first
    return math.exp((low + high) / 2)


def _softplus(value: float) -> float:
    return max(value, 0.0) + math.log1p(math.exp(-abs(value)))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
