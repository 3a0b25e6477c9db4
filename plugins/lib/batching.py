"""Length-bucketed batches under a budget of padded tokens: little padding, yet a fresh random order every epoch.

Departs from plain bucketing: lengths are sorted only within random pools, so a batch still mixes prompts.
"""

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
POOL = 256


def batches(
    rows: Sequence[T], size: Callable[[T], tuple[int, int]], *, budget: int, seed: int, epoch: int, most: int = 64
) -> list[list[T]]:
    """The epoch's batches. `size` gives (sequences, longest sequence) of a row; a batch pads all to its longest.

    A row that is over the budget alone gets a batch of its own; no batch has more than `most` rows. The same seed and
    epoch give the same batches, which is what resuming in the middle of an epoch rests on.
    """
    rng = random.Random(f"{seed}/{epoch}")  # noqa: S311 - an order, not a secret
    order = list(rows)
    rng.shuffle(order)
    found: list[list[T]] = []
    for start in range(0, len(order), POOL):
        pool = sorted(order[start : start + POOL], key=lambda row: size(row)[1])
        found += packed(pool, size, budget=budget, most=most)
    rng.shuffle(found)
    return found


def packed(rows: Sequence[T], size: Callable[[T], tuple[int, int]], *, budget: int, most: int = 64) -> list[list[T]]:
    """Neighbouring rows packed into batches under the budget, order kept."""
    found: list[list[T]] = []
    current: list[T] = []
    sequences = longest = 0
    for row in rows:
        count, length = size(row)
        if current and (len(current) >= most or (sequences + count) * max(longest, length) > budget):
            found.append(current)
            current, sequences, longest = [], 0, 0
        current.append(row)
        sequences, longest = sequences + count, max(longest, length)
    return [*found, current] if current else found
