"""Batches of our own making for a Hugging Face trainer: neighbours in length under a budget of padded tokens.

Its samplers draw single rows and cut them into batches of equal numbers. So what is given to it as a row is a whole batch, the
places of its rows, and its collator looks the rows up: one row "at once" is one of our batches, and the trainer counts, skips
and resumes batches as it does rows. All epochs stand in the table, in order; nothing is left to chance when a run goes on.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from plugins.lib.batching import packed

BUCKET = 16  # batches of full size among which rows are sorted by length
PLACES = "places"
Row = Mapping[str, Any]
Trainer = Any  # transformers' Trainer and its descendants


def bucketed(lengths: Sequence[int], *, tokens: int, rows: int, epochs: int, seed: int) -> list[list[int]]:
    """The batches of all epochs, as places of rows: each epoch has every place once, and no batch more than `rows`.

    Every epoch is shuffled, cut into buckets of 16 full batches, each sorted by length and cut into batches that stay within
    `tokens`, padding counted (0: no budget; a longer row goes alone), and its batches are shuffled: little padding, and
    batches that are still drawn by chance. Equal seeds give equal batches.
    """
    found: list[list[int]] = []
    for epoch in range(epochs):
        rng = random.Random(f"{seed}/{epoch}")  # noqa: S311 - an order, not a secret
        places = rng.sample(range(len(lengths)), len(lengths))
        batches: list[list[int]] = []
        for start in range(0, len(places), rows * BUCKET):
            bucket = sorted(places[start : start + rows * BUCKET], key=lambda place: lengths[place])
            budget = tokens or rows * max(lengths)
            batches += packed(bucket, lambda place: {place: lengths[place]}, budget=budget, most=rows)
        rng.shuffle(batches)
        found += batches
    return found


def table(batches: Sequence[Sequence[int]]) -> Any:  # noqa: ANN401 - a datasets.Dataset
    """The batches as what a trainer takes for rows; its arguments must have a batch size of 1, and keep unused columns."""
    from datasets import Dataset

    return Dataset.from_dict({PLACES: [list(batch) for batch in batches]})


def feed(trainer: Trainer, rows: Sequence[Row]) -> Trainer:
    """The trainer, its collator told which rows the places mean. Held-out rows may come to it as rows, as ever."""
    trainer.data_collator = _Looking(trainer.data_collator, rows)
    return trainer


class _Looking:
    """A collator that looks up the rows of a batch before another makes tensors of them."""

    def __init__(self, collate: Callable[[list[Row]], Any], rows: Sequence[Row]) -> None:
        self.collate, self.rows = collate, rows

    def __call__(self, examples: list[Row]) -> Any:  # noqa: ANN401 - tensors by name
        if PLACES in examples[0]:
            examples = [self.rows[place] for one in examples for place in one[PLACES]]
        return self.collate(examples)
