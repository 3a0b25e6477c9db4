"""How good the scores are on held-out rows, beside what costs nothing: chance, a constant, the longer answer."""

import hashlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from feinschliff.measuring import interval
from plugins.lib.agreement import compared, kendall_tau
from plugins.lib.calibration import brier, calibration_error, fitted_temperature
from plugins.reward_model.reading import Judged

FEW_GROUPS = 8
FEW_COMPARISONS, FAR_APART = 10, 0.5  # see `warning`
Scores = Sequence[Sequence[float]]  # of each row's answers


@dataclass(frozen=True)
class Comparison:
    """Two answers that people told apart: `margin` is the better one's score minus the other's, `longer` its length minus
    the other's, in characters. `unit` is what a bootstrap draws."""

    row: Judged
    better: int
    worse: int
    margin: float
    longer: int
    unit: Hashable

    @property
    def right(self) -> float:
        return _right(self.margin)

    @property
    def longer_is_right(self) -> float:
        return _right(self.longer)


def _right(difference: float) -> float:
    """1 for the right order, 0 for the wrong one, one half for a tie."""
    return (difference > 0) + 0.5 * (difference == 0)


def comparisons(rows: Sequence[Judged], scores: Scores) -> list[Comparison]:
    """All pairs that people told apart. With fewer than eight groups the rows are the units: so few give no interval."""
    by_group = len({row.group for row in rows}) >= FEW_GROUPS
    return [
        Comparison(
            row=row,
            better=better,
            worse=worse,
            margin=found[better] - found[worse],
            longer=row.lengths[better] - row.lengths[worse],
            unit=row.group if by_group else place,
        )
        for place, (row, found) in enumerate(zip(rows, scores, strict=True))
        for better, worse in compared(row.ranks)
    ]


def accuracy(rows: Sequence[Judged], scores: Scores) -> float | None:
    """Share of comparisons that the scores get right; None where there is none."""
    found = comparisons(rows, scores)
    return sum(one.right for one in found) / len(found) if found else None


def share(values: Sequence[float], units: Sequence[Hashable], name: str) -> dict[str, float | None]:
    """A mean and its 95 % interval, `name`, `name/low`, `name/high`; None for all where there is nothing."""
    if not values:
        return dict.fromkeys((name, f"{name}/low", f"{name}/high"))
    low, high = interval(values, [1.0] * len(values), [str(unit) for unit in units])
    return {name: sum(values) / len(values), f"{name}/low": low, f"{name}/high": high}


def measured(rows: Sequence[Judged], scores: Scores, untrained: float | None) -> dict[str, Any]:
    """The final numbers."""
    found = comparisons(rows, scores)
    numbers: dict[str, Any] = {
        "pairs/heldout": len(found),
        "prompts/heldout": len({row.prompt for row in rows}),
        "groups/heldout": len({row.group for row in rows}),
    }
    if not found:
        return numbers
    if told := warning(found):
        numbers["warning"] = told
    units = [one.unit for one in found]
    gains = [one.right - one.longer_is_right for one in found]
    baselines = {
        "accuracy/random": 0.5,
        "accuracy/constant": 0.5,
        "accuracy/longer": sum(one.longer_is_right for one in found) / len(found),
        "accuracy/untrained": untrained,
    }
    return (
        numbers
        | share([one.right for one in found], units, "accuracy/model")
        | baselines
        | share(gains, units, "gain/over-longer")
        | _taus(rows, scores)
        | calibrated(found)
    )


def warning(found: Sequence[Comparison]) -> str | None:
    """A sentence where the scores follow length, right or wrong: accuracy where people chose the shorter answer and where they
    chose the longer one lie half apart or more, each from at least ten comparisons. Both limits are our choice."""
    shorter = [one.right for one in found if one.longer < 0]
    longer = [one.right for one in found if one.longer > 0]
    if min(len(shorter), len(longer)) < FEW_COMPARISONS:
        return None
    where = [sum(right) / len(right) for right in (shorter, longer)]
    if abs(where[0] - where[1]) < FAR_APART:
        return None
    rule = "shorter" if where[0] > where[1] else "longer"
    return (
        f"It has learned little more than that {rule} is better: right in {100 * where[0]:.0f} % of the comparisons in which "
        f"people chose the shorter answer, and in {100 * where[1]:.0f} % of those in which they chose the longer one. Give it "
        "more rows, or a larger base, before anything is trained against it."
    )


def _taus(rows: Sequence[Judged], scores: Scores) -> dict[str, float | None]:
    """Kendall's tau-b of each ranking, the mean over rankings with its interval; beside it the longer answer's."""
    by_group = len({row.group for row in rows}) >= FEW_GROUPS
    taus, lengths, units = [], [], []
    for place, (row, found) in enumerate(zip(rows, scores, strict=True)):
        tau = kendall_tau(row.ranks, found)
        if tau is not None:
            taus.append(tau)
            lengths.append(kendall_tau(row.ranks, row.lengths) or 0.0)  # all of one length: it tells nothing apart
            units.append(row.group if by_group else place)
    longer = sum(lengths) / len(lengths) if lengths else None
    return share(taus, units, "tau/model") | {"tau/random": 0.0, "tau/longer": longer}


def calibrated(found: Sequence[Comparison]) -> dict[str, float | None]:
    """ECE and Brier score as they are; and on one half of the groups after a temperature fitted on the other half."""
    margins = [one.margin for one in found]
    fitting, measuring = halves(found)
    numbers: dict[str, float | None] = {
        "ece/model": calibration_error(margins),
        "brier/model": brier(margins),
        "brier/random": 0.25,
    }
    if not fitting or not measuring:
        return numbers
    temperature = fitted_temperature(fitting)
    return numbers | {
        "temperature": temperature,
        "ece/before-temperature": calibration_error(measuring),
        "ece/after-temperature": calibration_error(measuring, temperature),
        "brier/before-temperature": brier(measuring),
        "brier/after-temperature": brier(measuring, temperature),
    }


def halves(found: Sequence[Comparison]) -> tuple[list[float], list[float]]:
    """The margins of every other group, in an order that has nothing to do with what is in them, and of the rest."""
    units = {one.unit for one in found}
    ordered = sorted(units, key=lambda unit: hashlib.sha256(f"half/{unit}".encode()).digest())
    first = set(ordered[::2])
    return [one.margin for one in found if one.unit in first], [one.margin for one in found if one.unit not in first]
