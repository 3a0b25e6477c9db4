"""How good the scores are on held-out rows, beside what costs nothing: chance, a constant, the longer answer."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from feinschliff.measuring import interval
from feinschliff.rows import group_of
from plugins.lib.agreement import kendall_tau, right_pairs
from plugins.lib.encoding import Encoded

FEW_GROUPS = 8


@dataclass(frozen=True)
class Judged:
    """A row ready for training or evaluation: its answers encoded, with what people said about them."""

    sequences: tuple[Encoded, ...]
    ranks: tuple[int | None, ...]
    lengths: tuple[int, ...]
    weight: float
    margin: float | None
    group: str
    prompt: str

    @cached_property
    def lengths_by_sequence(self) -> dict[Hashable, int]:
        """The row's different sequences, and how many tokens each has."""
        return {tuple(sequence.ids): len(sequence.ids) for sequence in self.sequences}


def accuracy(rows: Sequence[Judged], scores: Sequence[Sequence[float]]) -> float | None:
    """Share of held-out comparisons that the scores get right; None where there is none."""
    results = [right_pairs(row.ranks, found) for row, found in zip(rows, scores, strict=True)]
    total = sum(count for _, count in results)
    return sum(right for right, _ in results) / total if total else None


def measured(rows: Sequence[Judged], scores: Sequence[Sequence[float]], untrained: float | None) -> dict[str, Any]:
    """The final numbers. With fewer than eight groups intervals are resampled by row, since so few groups give none."""
    model = [right_pairs(row.ranks, found) for row, found in zip(rows, scores, strict=True)]
    longer = [right_pairs(row.ranks, row.lengths) for row in rows]
    counts = [count for _, count in model]
    total, groups = sum(counts), {row.group for row in rows}
    numbers: dict[str, Any] = {"pairs/heldout": total, "prompts/heldout": len({row.prompt for row in rows})}
    numbers |= {"groups/heldout": len(groups)}
    if not total:
        return numbers
    units = [row.group if len(groups) >= FEW_GROUPS else str(place) for place, row in enumerate(rows)]
    low, high = interval([right for right, _ in model], counts, units)
    gains = [right - other for (right, _), (other, _) in zip(model, longer, strict=True)]
    gain_low, gain_high = interval(gains, counts, units)
    taus = [tau for row, found in zip(rows, scores, strict=True) if (tau := kendall_tau(row.ranks, found)) is not None]
    return numbers | {
        "accuracy/model": sum(right for right, _ in model) / total,
        "accuracy/model/low": low,
        "accuracy/model/high": high,
        "accuracy/random": 0.5,
        "accuracy/constant": 0.5,
        "accuracy/longer": sum(right for right, _ in longer) / total,
        "accuracy/untrained": untrained,
        "gain/over-longer": sum(gains) / total,
        "gain/over-longer/low": gain_low,
        "gain/over-longer/high": gain_high,
        "tau/model": sum(taus) / len(taus) if taus else None,
    }


def judged(row: dict[str, Any], sequences: Sequence[Encoded]) -> Judged:
    """A ranking or pair row with its encoded answers; a pair is a ranking of two."""
    pair = "chosen" in row
    texts = [row["chosen"], row["rejected"]] if pair else row["completions"]
    return Judged(
        sequences=tuple(sequences),
        ranks=(1, 2) if pair else tuple(row["ranks"]),
        lengths=tuple(map(len, texts)),
        weight=row["weight"],
        margin=row.get("margin"),
        group=group_of(row),
        prompt=group_of({**row, "group": ""}),
    )
