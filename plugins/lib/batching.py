"""Batches under a budget of padded tokens: neighbours in length, rows of one prompt together, a fresh order every epoch.

Departs from plain bucketing: rows of the same prompt come into the same batch where they fit, and a sequence that several
of them share counts once, since it will go through the model once. InstructGPT (section 3.5) found that comparisons of one
prompt that are scattered over batches overfit within an epoch. A prompt that several sequences share counts once too where
the model runs it once: then the cost is `KWay.tokens`, and a sequence's length is what `KWay.length` makes of it.
"""

import random
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
Size = Any  # an int of tokens, or what `cost` understands (plugins.lib.sharing.Length)
Lengths = Mapping[Hashable, Size]
Cost = Callable[[Collection[Size]], float]
NO_BUDGET = 10**9  # tokens: rows alone bound a batch


def padded(lengths: Collection[int]) -> int:
    """The tokens of a batch of sequences that are all padded to the longest."""
    return len(lengths) * max(lengths, default=0)


def batches(
    rows: Sequence[T],
    lengths: Callable[[T], Lengths],
    prompt: Callable[[T], Hashable],
    *,
    budget: int,
    seed: int,
    epoch: int,
    most: int = 64,
    cost: Cost = padded,
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
    longest = {
        key: max((_tokens(size) for row in found for size in lengths(row).values()), default=0)
        for key, found in together.items()
    }
    ordered = [row for key in sorted(together, key=longest.__getitem__) for row in together[key]]
    found = packed(ordered, lengths, budget=budget, most=most, cost=cost)
    rng.shuffle(found)
    return found


def packed(
    rows: Sequence[T], lengths: Callable[[T], Lengths], *, budget: int, most: int = 64, cost: Cost = padded
) -> list[list[T]]:
    """Neighbouring rows packed into batches, order kept: the cost of each batch's different sequences is in the budget."""
    found: list[list[T]] = []
    current: list[T] = []
    held: dict[Hashable, Size] = {}
    for row in rows:
        wider = held | dict(lengths(row))
        if current and (len(current) >= most or cost(wider.values()) > budget):
            found.append(current)
            current, wider = [], dict(lengths(row))
        current.append(row)
        held = wider
    return [*found, current] if current else found


def _tokens(size: Size) -> int:
    return size if isinstance(size, int) else size.head + size.tail
