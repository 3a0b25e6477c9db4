"""Batches under a budget of padded tokens: neighbours in length, rows of one prompt together, a fresh order every epoch.

Departs from plain bucketing: rows of the same prompt come into the same batch where they fit, and a sequence that several
of them share counts once, since it will go through the model once. InstructGPT (section 3.5) found that comparisons of one
prompt that are scattered over batches overfit within an epoch.
"""

import random
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")
Lengths = Mapping[Hashable, int]


def batches(
    rows: Sequence[T],
    lengths: Callable[[T], Lengths],
    prompt: Callable[[T], Hashable],
    *,
    budget: int,
    seed: int,
    epoch: int,
    most: int = 64,
) -> list[list[T]]:
    """The epoch's batches. `lengths` gives a row's sequences and how many tokens each has.

    A row that is over the budget alone gets a batch of its own; no batch has more than `most` rows. The same seed and
    epoch give the same batches, which is what resuming in the middle of an epoch rests on.
    """
    rng = random.Random(f"{seed}/{epoch}")  # noqa: S311 - an order, not a secret
    order = list(rows)
    rng.shuffle(order)
    together: dict[Hashable, list[T]] = {}
    for row in order:
        together.setdefault(prompt(row), []).append(row)
    longest = {key: max(max(lengths(row).values()) for row in found) for key, found in together.items()}
    ordered = [row for key in sorted(together, key=longest.__getitem__) for row in together[key]]
    found = packed(ordered, lengths, budget=budget, most=most)
    rng.shuffle(found)
    return found


def packed(rows: Sequence[T], lengths: Callable[[T], Lengths], *, budget: int, most: int = 64) -> list[list[T]]:
    """Neighbouring rows packed into batches, order kept: different sequences times the longest stays in the budget."""
    found: list[list[T]] = []
    current: list[T] = []
    held: dict[Hashable, int] = {}
    for row in rows:
        wider = held | dict(lengths(row))
        if current and (len(current) >= most or len(wider) * max(wider.values()) > budget):
            found.append(current)
            current, wider = [], dict(lengths(row))
        current.append(row)
        held = wider
    return [*found, current] if current else found
