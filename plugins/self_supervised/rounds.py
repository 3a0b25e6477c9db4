"""In which order texts are shown, epoch after epoch: batches of neighbours in length, several of which may make a step."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, TypeVar

from plugins.lib.batching import NO_BUDGET, batches
from plugins.lib.settings import Batches

T = TypeVar("T")


class Shown(NamedTuple):
    """Which text is shown in which epoch."""

    place: int
    epoch: int


@dataclass(frozen=True)
class Batch:
    """What goes through the model at once. Eight bytes a text, since the batches of all epochs are made beforehand."""

    epoch: int
    places: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[Shown]:
        return (Shown(place, self.epoch) for place in self.places)


def rounds(lengths: Sequence[int], settings: Batches, *, epochs: int, seed: int) -> list[list[list[Batch]]]:
    """Epochs of steps of batches; the same seed gives the same. `lengths` are those of the texts, in tokens."""
    found = []
    places = list(range(len(lengths)))
    for epoch in range(epochs):
        one = batches(
            places,
            lambda place: {place: lengths[place]},
            lambda place: place,
            budget=settings.batch_tokens or NO_BUDGET,
            most=settings.batch_rows,
            seed=seed,
            epoch=epoch,
        )
        whole = [Batch(epoch, tuple(batch)) for batch in one]
        found.append(
            [whole[start : start + settings.accumulate] for start in range(0, len(whole), settings.accumulate)]
        )
    return found


def remembered(make: Callable[[Shown], T], settings: Batches) -> Callable[[Sequence[Batch]], list[T]]:
    """Batches as examples, those of the last step kept: a step asks first for their weight, then for their loss."""

    @lru_cache(maxsize=settings.accumulate)
    def made(batch: Batch) -> list[T]:
        return [make(row) for row in batch]

    return lambda some: [one for batch in some for one in made(batch)]
