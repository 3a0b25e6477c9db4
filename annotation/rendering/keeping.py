"""Keeps what was made once, up to an amount of characters: a count of texts would let 64 kB texts fill the memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock


class Kept:
    """What `make` made, by its text; the least lately asked go first. Safe between threads."""

    def __init__(self, make: Callable[[str], str], *, characters: int) -> None:
        self._make, self._room = make, characters
        self._texts: OrderedDict[str, str] = OrderedDict()
        self._held = 0
        self._lock = Lock()

    def __call__(self, text: str) -> str:
        with self._lock:
            if text in self._texts:
                self._texts.move_to_end(text)
                return self._texts[text]
        made = self._make(text)
        with self._lock:
            if text not in self._texts:
                self._texts[text] = made
                self._held += len(text) + len(made)
            while self._held > self._room:
                old, shown = self._texts.popitem(last=False)
                self._held -= len(old) + len(shown)
        return made

    def clear(self) -> None:
        with self._lock:
            self._texts.clear()
            self._held = 0
