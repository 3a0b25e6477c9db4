"""How much each row counts: by its own weight, by who judged it, by how often its answers were judged, and in which head."""

import hashlib
import random
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Literal

from plugins.lib.annotators import reliabilities, trust
from plugins.reward_model.reading import Judged

MOST_EQUAL = 1e-9


def weighed(
    rows: Sequence[Judged], *, counts: Literal["judgement", "item"], annotators: Literal["equal", "agreement"]
) -> list[Judged]:
    """The rows with their weights. Weights by agreement have mean 1 over the rows, so the loss keeps its size."""
    found = list(rows)
    if annotators == "agreement":
        found = _by_agreement(found)
    return _each_item_once(found) if counts == "item" else found


def _by_agreement(rows: list[Judged]) -> list[Judged]:
    """A row's weight times its annotators' mean trust. Where nobody can be told apart from the others, as it was."""
    known = reliability_of(rows)
    trusts = [
        sum(trust(known[name]) for name in row.annotators) / len(row.annotators) if row.annotators else None
        for row in rows
    ]
    given = [value for value in trusts if value is not None]
    mean = sum(given) / len(given) if given else 0.0
    if mean <= MOST_EQUAL:
        return rows
    return [
        row if value is None else row.weighing(row.weight * value / mean)
        for row, value in zip(rows, trusts, strict=True)
    ]


def reliability_of(rows: Sequence[Judged]) -> dict[str, float]:
    """Annotator -> share of comparisons they are estimated to get right; rows that name several people tell nothing."""
    votes: dict[Hashable, dict[str, bool]] = {}
    for row in rows:
        known = [(rank, key) for rank, key in zip(row.ranks, row.keys, strict=True) if rank is not None]
        for number, (rank, key) in enumerate(known if len(row.annotators) == 1 else []):
            for other_rank, other in known[number + 1 :]:
                if rank != other_rank and key != other:
                    first = min(key, other)
                    better = key if rank < other_rank else other
                    votes.setdefault((row.prompt, first, max(key, other)), {})[row.annotators[0]] = better == first
    found = reliabilities(list(votes.values()))
    everybody = {name for row in rows for name in row.annotators}
    usual = sum(found.values()) / len(found) if found else 0.5
    return {name: found.get(name, usual) for name in sorted(everybody)}


def _each_item_once(rows: list[Judged]) -> list[Judged]:
    """A row's weight divided by how many rows judge the same answers to the same prompt.

    The Bradley-Terry loss is linear in its label: the mean over n judgements of a pair, of which a share says "first", is the
    loss with that share as a soft label. So pooling changes no more than how much an item with many judgements counts.
    """
    times = Counter((row.prompt, frozenset(row.keys)) for row in rows)
    return [row.weighing(row.weight / times[row.prompt, frozenset(row.keys)]) for row in rows]


def resampled(rows: Sequence[Judged], heads: int, seed: int) -> dict[str, tuple[int, ...]]:
    """Group -> how often each head's bootstrap resample of the groups holds it. A single head sees everything once.

    Whole groups are drawn, since answers to one prompt are not independent; the bootstrap as a mask over heads on one trunk:
    Osband et al. 2016, section 4.
    """
    groups = sorted({row.group for row in rows})
    if heads == 1:
        return dict.fromkeys(groups, (1,))
    drawn = []
    for head in range(heads):
        digest = hashlib.sha256(f"{seed}/head/{head}".encode()).digest()
        rng = random.Random(digest)  # noqa: S311 - which groups are drawn is no secret
        drawn.append(Counter(rng.choices(groups, k=len(groups))))
    return {group: tuple(counts[group] for counts in drawn) for group in groups}
