"""In which order texts are shown, epoch after epoch: batches of neighbours in length, several of which may make a step."""

from collections.abc import Sequence
from typing import NamedTuple

from plugins.lib.batching import batches
from plugins.lib.settings import Batches

NO_BUDGET = 2**60


class Shown(NamedTuple):
    """Which text is shown in which epoch."""

    place: int
    epoch: int


Batch = tuple[Shown, ...]  # what goes through the model at once


def rounds(lengths: Sequence[int], settings: Batches, *, epochs: int, seed: int) -> list[list[list[Batch]]]:
    """Epochs of steps of batches; the same seed gives the same. `lengths` are those of the texts, in tokens."""
    found = []
    for epoch in range(epochs):
        one = batches(
            [Shown(place, epoch) for place in range(len(lengths))],
            lambda row: {row.place: lengths[row.place]},
            lambda row: row.place,
            budget=settings.batch_tokens or NO_BUDGET,
            most=settings.batch_rows,
            seed=seed,
            epoch=epoch,
        )
        whole = [tuple(batch) for batch in one]
        found.append(
            [whole[start : start + settings.accumulate] for start in range(0, len(whole), settings.accumulate)]
        )
    return found
