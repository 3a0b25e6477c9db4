"""How well a policy's implicit rewards agree with held-out judgements, beside what costs nothing.

The implicit reward of an answer is beta times (log policy - log reference) of it (Rafailov et al. 2023, equation 5).
"""

from collections.abc import Sequence
from itertools import accumulate

from feinschliff.measuring import interval
from plugins.preference.rows import Pair, Verdict

FEW_GROUPS = 8
Numbers = dict[str, float | None]


def implicit(after: Sequence[float], before: Sequence[float], beta: float) -> list[float]:
    """Rewards from the log-probabilities of answers under the policy and under its reference."""
    return [beta * (new - old) for new, old in zip(after, before, strict=True)]


def behind(rows: Sequence[Pair] | Sequence[Verdict]) -> Numbers:
    """How many different prompts and groups were measured on."""
    return {
        "prompts/heldout": len({row.prompt for row in rows}),
        "groups/heldout": len({row.group for row in rows}),
    }


def agreement(
    pairs: Sequence[Pair], rewards: Sequence[tuple[float, float]], reference: Sequence[tuple[float, float]]
) -> Numbers:
    """Share of held-out pairs whose preferred answer has the higher implicit reward; equal ones count one half.

    `rewards` and `reference` (log-probabilities of the untrained base) are (preferred, other) for each pair. Intervals are
    resampled by group, by pair where there are fewer than eight groups. `accuracy/untrained` is a half by arithmetic: before
    the first step every implicit reward is 0.
    """
    numbers: Numbers = {"pairs/heldout": len(pairs)} | behind(pairs)
    if not pairs:
        return numbers
    right = [float(good > bad) + 0.5 * (good == bad) for good, bad in rewards]
    likelier = [float(good > bad) + 0.5 * (good == bad) for good, bad in reference]
    groups = {pair.group for pair in pairs}
    units = [pair.group if len(groups) >= FEW_GROUPS else str(place) for place, pair in enumerate(pairs)]
    ones = [1.0] * len(pairs)
    gains = [one - pair.longer for one, pair in zip(right, pairs, strict=True)]
    share, gain = interval(right, ones, units), interval(gains, ones, units)
    return numbers | {
        "accuracy/model": sum(right) / len(right),
        "accuracy/model/low": share.low,
        "accuracy/model/high": share.high,
        "accuracy/random": 0.5,
        "accuracy/untrained": 0.5,
        "accuracy/longer": sum(pair.longer for pair in pairs) / len(pairs),
        "accuracy/base": sum(likelier) / len(likelier),
        "gain/over-longer": sum(gains) / len(gains),
        "gain/over-longer/low": gain.low,
        "gain/over-longer/high": gain.high,
        "margin/heldout": sum(good - bad for good, bad in rewards) / len(rewards),
    }


def separation(verdicts: Sequence[Verdict], rewards: Sequence[float], reference: Sequence[float]) -> Numbers:
    """How often a good answer has a higher implicit reward than a bad one: the area under the ROC curve; a half is chance."""
    good = [verdict.good for verdict in verdicts]
    if len(set(good)) < 2:
        return behind(verdicts)
    return behind(verdicts) | {
        "auc/model": auc(good, rewards),
        "auc/random": 0.5,
        "auc/untrained": 0.5,
        "auc/longer": auc(good, [float(verdict.characters) for verdict in verdicts]),
        "auc/base": auc(good, reference),
        "reward/good": _mean(rewards, good, True),
        "reward/bad": _mean(rewards, good, False),
    }


def auc(good: Sequence[bool], scores: Sequence[float]) -> float:
    """The probability that a good one scores higher than a bad one, ties one half (Mann & Whitney 1947)."""
    counts: dict[float, tuple[int, int]] = {}
    for is_good, score in zip(good, scores, strict=True):
        wins, losses = counts.get(score, (0, 0))
        counts[score] = (wins + is_good, losses + (not is_good))
    ordered = [counts[score] for score in sorted(counts)]
    below = [0, *accumulate(bad for _, bad in ordered)]
    won = sum(goods * (under + bads / 2) for (goods, bads), under in zip(ordered, below, strict=False))
    return won / (sum(good) * (len(good) - sum(good)))


def _mean(values: Sequence[float], good: Sequence[bool], wanted: bool) -> float:
    chosen = [value for value, is_good in zip(values, good, strict=True) if is_good == wanted]
    return sum(chosen) / len(chosen)
