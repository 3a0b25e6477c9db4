"""A key-value cache whose rows come and go while others are still being written.

Rows are right-aligned: they all end at the same column and begin where their prompt does, so that one more token is one
more column for all. A row that has ended gives its slot away (the last row moves into it); a new prompt takes a free slot.
Columns are reserved ahead, where transformers' own cache is copied whole for every token.

Loads torch and transformers: import it inside functions.
"""

from collections.abc import Iterable
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

Columns = tuple[torch.Tensor, torch.Tensor]  # keys and values, each (rows, heads, columns, width)


class SlotLayer(DynamicLayer):
    """One layer. Its `keys` and `values` are windows into what is reserved: the rows there are, the columns in use."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[torch.Tensor] = []  # keys and values: (slots, heads, columns reserved, width)
        self._rows = self._start = self._end = 0

    def admit(self, prompts: Columns, *, slots: int, room: int) -> None:
        """Takes in prompts, aligned with the right end of the rows already here and none longer than them."""
        new, _, length, _ = prompts[0].shape
        if not self._rows:
            self._reserve(prompts, slots, length + room)
            self._end = length
        for kept, fresh in zip(self._kept, prompts, strict=True):
            into = kept[self._rows : self._rows + new]
            into[:, :, self._start : self._end - length] = 0  # masked, but a stray NaN there would still spread
            into[:, :, self._end - length : self._end] = fresh
        self._rows += new
        self._look()

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *_: object, **__: object) -> Columns:
        """The next columns of every row, written behind those in use; all columns."""
        more = key_states.shape[-2]
        if self._end + more > self._kept[0].shape[2]:
            used, length = self._used(), self._end - self._start
            self._reserve(used, len(self._kept[0]), 2 * (length + more))
            self._end = length
            for kept, old in zip(self._used(), used, strict=True):
                kept.copy_(old)
        for kept, fresh in zip(self._kept, (key_states, value_states), strict=True):
            kept[: self._rows, :, self._end : self._end + more] = fresh
        self._end += more
        return self._look()

    def close(self, row: int) -> None:
        """Gives a row's slot away; the last row moves into it."""
        self._rows -= 1
        if row < self._rows:
            for kept in self._kept:
                kept[row, :, self._start : self._end] = kept[self._rows, :, self._start : self._end]
        self._look()

    def trim(self, columns: int) -> None:
        """Forgets the first columns, where no row has begun yet."""
        self._start += columns
        self._look()

    def _reserve(self, like: Iterable[torch.Tensor], slots: int, columns: int) -> None:
        self._kept = [part.new_empty((slots, part.shape[1], columns, part.shape[3])) for part in like]
        self._start = 0
        self.dtype, self.device, self.is_initialized = self._kept[0].dtype, self._kept[0].device, True

    def _used(self) -> Columns:
        keys, values = (kept[: self._rows, :, self._start : self._end] for kept in self._kept)
        return keys, values

    def _look(self) -> Columns:
        self.keys, self.values = used = self._used()
        return used


class SlotCache(Cache):
    """The layers of a model together."""

    layers: list[Any]

    def __init__(self, slots: int, room: int) -> None:
        """`slots` rows at most at a time; `room` columns are reserved beyond the first prompts."""
        super().__init__(layer_class_to_replicate=SlotLayer)
        self._slots, self._room = slots, room

    def admit(self, prompts: DynamicCache, pick: torch.Tensor) -> None:
        """Takes in prompts that were run left-padded, behind the rows already here and none longer than them. `pick`
        names the prompt of each new row, so that equal ones need to have been run once only."""
        found: list[Any] = list(prompts.layers)
        self.layers += [SlotLayer() for _ in found[len(self.layers) :]]
        for layer, fresh in zip(self.layers, found, strict=True):
            layer.admit((fresh.keys[pick], fresh.values[pick]), slots=self._slots, room=self._room)

    def close(self, row: int) -> None:
        """Gives a row's slot away; the last row becomes this one."""
        for layer in self.layers:
            layer.close(row)

    def trim(self, columns: int) -> None:
        """Forgets the first columns, where no row has begun yet."""
        for layer in self.layers:
            layer.trim(columns)
