"""How well the policy's own rewards agree with people on held-out rankings, beside what costs nothing.

Before its first step a policy is its base, every reward is 0 and it is right about half of all comparisons: no measurement
is needed for that. What the base's plain log-probability and the longer answer would have said is measured.
"""

from collections.abc import Sequence
from typing import Any

from feinschliff import Run
from feinschliff.measuring import interval
from plugins.comparative_ranking.reading import Ranked
from plugins.comparative_ranking.rewards import Answers, lists, quiet
from plugins.lib import listwise, ranks
from plugins.lib.agreement import kendall_tau, right_pairs

FEW_GROUPS = 8
Numbers = dict[str, float | None]
Scores = Sequence[Sequence[float]]  # of each row's answers


def rewarded(run: Run, answers: Answers, rows: Sequence[Ranked]) -> list[list[float]]:
    """Every row's rewards, in the order given; each rank works on its share."""
    mine = ranks.share(run, rows)
    found: dict[int, list[float]] = {}
    with quiet(answers.policy.model):
        for piece in answers.pieces(mine):
            values = iter(answers.rewards(piece).tolist())
            found |= {id(row): [next(values) for _ in row.sequences] for row in piece}
    return ranks.gathered(run, [found[id(row)] for row in mine])


def glance(loss: listwise.Loss, rows: Sequence[Ranked], scores: Scores) -> Numbers:
    """The two numbers behind the curves."""
    right, total = _counted(rows, scores)
    return {
        "accuracy/heldout": sum(right) / sum(total) if sum(total) else None,
        "loss/heldout": mean_loss(loss, rows, scores),
    }


def mean_loss(loss: listwise.Loss, rows: Sequence[Ranked], scores: Scores) -> float | None:
    """The loss of rewards that are known already; None where no row teaches anything."""
    import torch

    flat = torch.tensor([value for row in scores for value in row], dtype=torch.float64)
    if not listwise.weight(loss, [row.ranks for row in rows], [row.weight for row in rows]):
        return None
    return listwise.loss(loss, flat, lists(rows)).item()


def measured(loss: listwise.Loss, rows: Sequence[Ranked], scores: Scores) -> Numbers:
    """The final numbers. With fewer than eight groups intervals are resampled by row, since so few groups give none."""
    groups = {row.group for row in rows}
    units = [row.group if len(groups) >= FEW_GROUPS else str(place) for place, row in enumerate(rows)]
    right, total = _counted(rows, scores)
    numbers: Numbers = {
        "pairs/heldout": sum(total),
        "prompts/heldout": len({row.prompt for row in rows}),
        "groups/heldout": len(groups),
    }
    if not sum(total):
        return numbers
    lengths = [row.lengths for row in rows]
    base = [row.reference for row in rows]
    per_token = [[a / b for a, b in zip(row.reference, row.tokens, strict=True)] for row in rows]
    still = [[0.0] * len(row.sequences) for row in rows]
    return (
        numbers
        | _with_interval("accuracy/model", right, total, units)
        | {"accuracy/random": 0.5, "accuracy/untrained": 0.5}
        | {f"accuracy/{name}": _share(rows, found) for name, found in (("longer", lengths), ("base", base))}
        | {"accuracy/base-per-token": _share(rows, per_token)}
        | _gain(rows, right, total, lengths, units)
        | _taus(rows, scores, units)
        | {"tau/random": 0.0, "tau/longer": _tau(rows, lengths), "tau/base": _tau(rows, base)}
        | {"loss/heldout": mean_loss(loss, rows, scores), "loss/untrained": mean_loss(loss, rows, still)}
        | {"reward/best": _mean_of(rows, scores, min), "reward/worst": _mean_of(rows, scores, max)}
    )


def _counted(rows: Sequence[Ranked], scores: Scores) -> tuple[list[float], list[int]]:
    pairs = [right_pairs(row.ranks, found) for row, found in zip(rows, scores, strict=True)]
    return [right for right, _ in pairs], [count for _, count in pairs]


def _share(rows: Sequence[Ranked], scores: Scores) -> float:
    right, total = _counted(rows, scores)
    return sum(right) / sum(total)


def _gain(
    rows: Sequence[Ranked], right: Sequence[float], total: Sequence[int], lengths: Scores, units: Sequence[str]
) -> Numbers:
    longer, _ = _counted(rows, lengths)
    gains = [own - other for own, other in zip(right, longer, strict=True)]
    return _with_interval("gain/over-longer", gains, total, units)


def _with_interval(name: str, values: Sequence[float], weights: Sequence[float], units: Sequence[str]) -> Numbers:
    low, high = interval(values, weights, units)
    return {name: sum(values) / sum(weights), f"{name}/low": low, f"{name}/high": high}


def _taus(rows: Sequence[Ranked], scores: Scores, units: Sequence[str]) -> Numbers:
    """Mean Kendall tau-b over rankings, with its interval; a ranking that people tied throughout says nothing."""
    found = [
        (tau, unit)
        for row, own, unit in zip(rows, scores, units, strict=True)
        if (tau := kendall_tau(row.ranks, own)) is not None
    ]
    if not found:
        return {"tau/model": None}
    return _with_interval("tau/model", [tau for tau, _ in found], [1.0] * len(found), [unit for _, unit in found])


def _tau(rows: Sequence[Ranked], scores: Scores) -> float | None:
    found = [kendall_tau(row.ranks, own) for row, own in zip(rows, scores, strict=True)]
    known = [tau for tau in found if tau is not None]
    return sum(known) / len(known) if known else None


def _mean_of(rows: Sequence[Ranked], scores: Scores, which: Any) -> float | None:  # noqa: ANN401 - min or max
    """Mean reward of the answers that people put first (`min`) or last (`max`): both may fall, the gap is what counts."""
    found = []
    for row, own in zip(rows, scores, strict=True):
        known = [(rank, value) for rank, value in zip(row.ranks, own, strict=True) if rank is not None]
        if known and len({rank for rank, _ in known}) > 1:
            end = which(rank for rank, _ in known)
            found += [value for rank, value in known if rank == end]
    return sum(found) / len(found) if found else None
