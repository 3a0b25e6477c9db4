"""Rows as a reward model learns from them: answers encoded, with what people said about them and who said it.

A pair becomes a ranking of two. The ratings that one person gave to answers of one prompt become a ranking, too
(`plugins.lib.rankings`): to learn from where a ranking loss is asked for, and to measure on in any case, so that all losses are
measured alike.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from feinschliff.rows import group_of
from plugins.lib.encoding import Encoded

Row = dict[str, Any]
Encode = Callable[[Any, Sequence[str]], Sequence[Encoded | None]]


@dataclass(frozen=True)
class Judged:
    """A row ready for training or evaluation. `targets`: a single answer's standardised ratings by aspect, None: not rated."""

    sequences: tuple[Encoded, ...]
    ranks: tuple[int | None, ...]
    lengths: tuple[int, ...]  # characters
    weight: float
    margin: float | None
    group: str
    prompt: str
    annotators: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    targets: tuple[float | None, ...] = ()

    @cached_property
    def keys(self) -> tuple[tuple[int, ...], ...]:
        """What tells its sequences apart."""
        return tuple(tuple(one.ids) for one in self.sequences)

    @property
    def compares(self) -> int:
        """Pairs of different answers that people told apart: what there is to learn from the order."""
        known = [(rank, key) for rank, key in zip(self.ranks, self.keys, strict=True) if rank is not None]
        return sum(a != b and one != other for n, (a, one) in enumerate(known) for b, other in known[n + 1 :])

    def weighing(self, weight: float) -> "Judged":
        return replace(self, weight=weight)


class Read(NamedTuple):
    """Usable rows; how many were left out since an answer does not fit; how many had their prompt cut."""

    rows: list[Judged]
    left_out: int
    cut: int


def read(rows: Iterable[Row], encode: Encode, targets: Callable[[Row], Any] = lambda _row: ()) -> Read:
    """Rankings (or single ratings, with their `targets`) encoded. `encode` gives one sequence an answer, None: too long."""
    found, left_out, cut = [], 0, 0
    for row in rows:
        texts = row["completions"] if "completions" in row else [row["completion"]]
        sequences = encode(row["prompt"], texts)
        fitting = tuple(one for one in sequences if one is not None)
        if len(fitting) < len(texts):
            left_out += 1
            continue
        cut += any(one.cut for one in fitting)
        found.append(_judged(row, texts, fitting, targets(row)))
    return Read(found, left_out, cut)


def _judged(row: Row, texts: Sequence[str], sequences: tuple[Encoded, ...], targets: Any) -> Judged:  # noqa: ANN401
    sources = row.get("sources")
    return Judged(
        sequences=sequences,
        ranks=tuple(row.get("ranks", [None] * len(texts))),
        lengths=tuple(map(len, texts)),
        weight=row.get("weight", 1.0),
        margin=row.get("margin"),
        group=group_of(row),
        prompt=group_of({**row, "group": ""}),
        annotators=tuple(row.get("annotators", ())),
        sources=tuple(sources) if isinstance(sources, list) and len(sources) == len(texts) else (),
        targets=tuple(targets),
    )
