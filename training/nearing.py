"""Arithmetic on unit vectors of items: what is nearly the same, what is nearest, and which topic the neighbours suggest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from annotation.models import Item

if TYPE_CHECKING:
    import numpy as np

CELLS = 1 << 24  # of the table of cosines that are in memory at once: 64 MiB
NEIGHBOURS = 5  # whose topics are asked
AGREED = 0.6  # of them must name the same one
NEAR = 0.5  # cosine from which a neighbour counts


@dataclass(frozen=True)
class Pair:
    """Two items by their places in the list that was compared."""

    first: int
    second: int
    cosine: float


@dataclass(frozen=True)
class Alike:
    """What a comparison of all rows with all others found, by their places."""

    sets: list[list[int]]  # each in order, the largest first
    nearest: list[float]  # each row's cosine with the nearest other one; -1 where there is none
    pairs: list[Pair]  # the nearest first; no more than were asked for
    count: int  # of pairs in all


@dataclass(frozen=True)
class Suggestion:
    """A topic for an item that has none; `agreed` of `asked` neighbours have it."""

    item: Item
    topic: str
    agreed: int
    asked: int
    nearest: Item
    cosine: float


def compare(vectors: np.ndarray, threshold: float, most: int = 0) -> Alike:
    """All rows with all others, in blocks: memory goes with the rows, however many pairs there are.

    `most` of the pairs with a cosine of at least the threshold are told apart. Sets are single linkage: what hangs together by
    such pairs.
    """
    import numpy as np

    nearest = np.full(len(vectors), -1.0, dtype=np.float32)
    labels, members = np.arange(len(vectors)), {place: [place] for place in range(len(vectors))}
    kept = np.empty((3, 0))  # first, second, cosine
    count, step = 0, max(1, CELLS // max(1, len(vectors)))
    for start in range(0, len(vectors), step):
        block = vectors[start : start + step] @ vectors[start:].T
        np.minimum(block, 1.0, out=block)
        compared = np.tri(len(block), dtype=bool)  # each row with itself, and pairs from their other side
        block[:, : len(block)][compared] = -1.0
        here = slice(start, start + len(block))
        nearest[here] = np.maximum(nearest[here], block.max(axis=1))
        nearest[start:] = np.maximum(nearest[start:], block.max(axis=0))
        over = block >= threshold - 1e-6
        count += int(np.count_nonzero(over))
        for row in np.flatnonzero(over.any(axis=1)):
            _join(labels, members, start + int(row), start + np.flatnonzero(over[row]))
        if most:
            if kept.shape[1] == most:  # of equal ones those found first stay
                over = block > kept[2, -1]
            flat = np.flatnonzero(over)
            flat = flat[np.argsort(-block.ravel()[flat], kind="stable")[:most]]
            first, second = np.divmod(flat, block.shape[1])
            kept = np.hstack([kept, [start + first, start + second, block[first, second]]])
            kept = kept[:, np.argsort(-kept[2], kind="stable")[:most]]
    sets = sorted(
        (sorted(places) for places in members.values() if len(places) > 1), key=lambda one: (-len(one), one[0])
    )
    pairs = [Pair(int(first), int(second), float(cosine)) for first, second, cosine in kept.T]
    return Alike(sets, nearest.tolist(), pairs, count)


def _join(labels: np.ndarray, members: dict[int, list[int]], place: int, near: np.ndarray) -> None:
    """Puts the sets of the rows `near` and that of `place` into one; the smaller move."""
    import numpy as np

    if (labels[near] == labels[place]).all():
        return
    together = {int(labels[place]), *np.unique(labels[near]).tolist()}
    largest = max(together, key=lambda label: len(members[label]))
    moved = [one for label in together - {largest} for one in members.pop(label)]
    labels[moved] = largest
    members[largest] += moved


def most_grouped(items: int) -> int:
    """How many items a set may have, of so many in all, to be put in one group without somebody asking for it by name.

    Chains of pairs reach far: at a low threshold everything is one set, and as one group nothing of it is left to hold out.
    """
    return min(20, max(4, items // 10))


def neighbours(vectors: np.ndarray, place: int, count: int) -> list[Pair]:
    """The rows most like one, nearest first."""
    cosines = vectors @ vectors[place]
    order = [int(other) for other in (-cosines).argsort(kind="stable") if int(other) != place][:count]
    return [Pair(place, other, min(1.0, float(cosines[other]))) for other in order]


def suggestions(items: Sequence[Item], vectors: np.ndarray) -> list[Suggestion]:
    """A topic for each item without one of whose nearest items with one most agree; the surest first.

    k nearest neighbours (Cover & Hart 1967) with k = 5, of which only those with a cosine of at least .5 are asked, and at
    least two must be there: far ones know nothing, and one alone agrees with itself.
    """
    with_topic = [place for place, item in enumerate(items) if item.topic]
    without = [place for place, item in enumerate(items) if not item.topic]
    if not with_topic or not without:
        return []
    found = []
    known = vectors[with_topic]
    for place in without:
        cosines = known @ vectors[place]
        near = [int(one) for one in (-cosines).argsort(kind="stable")[:NEIGHBOURS] if cosines[one] >= NEAR]
        votes = Counter(items[with_topic[one]].topic for one in near)
        if len(near) < 2:
            continue
        [(topic, agreed)] = votes.most_common(1)
        if agreed / len(near) >= AGREED:
            best = next(one for one in near if items[with_topic[one]].topic == topic)
            found.append(
                Suggestion(items[place], topic, agreed, len(near), items[with_topic[best]], float(cosines[best]))
            )
    return sorted(found, key=lambda one: (-one.agreed / one.asked, -one.cosine))
