"""What people's ratings have to say: which aspects there are, on which scale each was used, and what an answer got."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from feinschliff import NeedsNotMet
from plugins.reward_model.outputs import LEAST_SPREAD, Outputs

Row = Mapping[str, Any]


def outputs_of(rows: Sequence[Row], wanted: Mapping[str, float], heads: int) -> Outputs:
    """One output an aspect and head, with each aspect's mean and standard deviation over the rows by their weight.

    An aspect in which all answers got the same teaches nothing and is left out. NeedsNotMet where none is left, or where one
    that was asked for is not there.
    """
    scales = {name: _scale(rows, name) for name in sorted({name for row in rows for name in row["scores"]})}
    missing = [name for name in wanted if name not in scales]
    if missing:
        raise NeedsNotMet(
            f"no training row rates the aspect {missing[0]!r}; there are: {', '.join(scales) or 'none'}. Change `aspects`"
        )
    used = [name for name in wanted or scales if scales[name][1] > LEAST_SPREAD]
    if not used:
        raise NeedsNotMet("every answer has the same rating: nothing can be learned from these rows")
    total = sum(wanted.get(name, 1.0) for name in used)
    return Outputs(
        heads=heads,
        aspects=tuple(used),
        shares=tuple(wanted.get(name, 1.0) / total for name in used),
        means=tuple(scales[name][0] for name in used),
        spreads=tuple(scales[name][1] for name in used),
    )


def standardised(row: Row, outputs: Outputs) -> tuple[float | None, ...]:
    """The row's ratings in standard deviations from the training mean, None where an aspect was not rated."""
    return tuple(
        (row["scores"][name] - mean) / spread if name in row["scores"] else None
        for name, mean, spread in zip(outputs.aspects, outputs.means, outputs.spreads, strict=True)
    )


def _scale(rows: Iterable[Row], name: str) -> tuple[float, float]:
    """(mean, standard deviation) of an aspect, by weight."""
    known = [(row["scores"][name], row.get("weight", 1.0)) for row in rows if name in row["scores"]]
    total = sum(weight for _, weight in known)
    if not total:
        return 0.0, 0.0
    mean = sum(value * weight for value, weight in known) / total
    return mean, (sum(weight * (value - mean) ** 2 for value, weight in known) / total) ** 0.5
