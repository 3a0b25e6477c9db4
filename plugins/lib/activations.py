"""Keeps the hidden states that a frozen trunk gives for every row, so that the trunk runs once and not in every epoch.

They are written one after the other into a file without a name, in the run's own folder: the system keeps as much of it in memory
as there is room for, and it is gone when the process is, however that ends. Float32 as they are, padding left out, so what
is read back is what was written, bit for bit. The order in which the trunk works is told by the rows' lengths alone, so that a
resumed run works out the same states again.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from plugins.lib.batching import packed
from plugins.lib.freezing import Frozen
from plugins.lib.layers import Inputs

if TYPE_CHECKING:
    import torch

TOKENS = 4096  # that go through the trunk at once
FLOAT = 4  # bytes
SPARE = 0.9  # of the disk's room that may be used up
Key = tuple[int, ...]  # one sequence's tokens
Padded = Callable[[Sequence[Key]], Inputs]


class Room(NamedTuple):
    """How large the states of some sequences are, in bytes, and why they are not kept where they are not."""

    size: int
    why_not: str


def room(frozen: Frozen, sequences: Iterable[Key], folder: Path, *, most: float) -> Room:
    """Whether the states of these sequences, in bytes, come to no more than `most`, and to what the disk has room for."""
    width = int(frozen.model.config.get_text_config().hidden_size)
    size = sum(map(len, set(sequences))) * width * FLOAT
    if size > most:
        return Room(size, f"they would take {size / 1e6:,.1f} MB, and may take {most / 1e6:,.1f}")
    if size > SPARE * shutil.disk_usage(folder).free:
        return Room(size, f"they would take {size / 1e6:,.1f} MB, for which the disk has no room")
    return Room(size, frozen.obstacle or "")


class Activations:
    """The states at the border of `sequences`, worked out when it is made; `padded` makes right-padded inputs of some.

    `tell` hears how many are done, and of how many; it may raise, to stop.
    """

    def __init__(
        self,
        frozen: Frozen,
        sequences: Iterable[Key],
        padded: Padded,
        folder: Path,
        *,
        tell: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        self._places: dict[Key, int] = {}  # where in the file a sequence's states begin, in bytes
        self._width = 0
        self._device: Any = None
        self._file: Any = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - lives as long as this object
        todo = sorted(set(sequences), key=lambda key: (len(key), key))
        for batch in packed(todo, lambda key: {key: len(key)}, budget=TOKENS):
            self._keep(batch, frozen.trunk(padded(batch)))
            tell(len(self._places), len(todo))
        self._file.flush()

    def _keep(self, batch: Sequence[Key], states: "torch.Tensor") -> None:
        self._width, self._device = states.shape[-1], states.device
        for key, own in zip(batch, states.float().cpu(), strict=True):
            self._places[key] = self._file.tell()
            self._file.write(own[: len(key)].contiguous().numpy())

    def __call__(self, sequences: Sequence[Key]) -> "torch.Tensor":
        """Their states, right-padded with zeros: float32, shape (sequences, longest, width). KeyError for one not kept."""
        import torch

        longest = max(map(len, sequences))
        found = torch.zeros(len(sequences), longest, self._width)
        for place, key in enumerate(sequences):
            found[place, : len(key)] = self._read(key)
        return found.to(self._device)

    def _read(self, key: Key) -> "torch.Tensor":
        import torch

        wanted = bytearray(len(key) * self._width * FLOAT)
        view, at = memoryview(wanted), self._places[key]
        while view:
            read = os.preadv(self._file.fileno(), [view], at)
            if not read:
                raise OSError("the kept states end before their sequence does: something cut their file")
            view, at = view[read:], at + read
        return torch.frombuffer(wanted, dtype=torch.float32).view(len(key), self._width)

    def close(self) -> None:
        """Gives the room back."""
        self._file.close()
