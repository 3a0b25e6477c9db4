"""Joins groups that hold the same, so that what one of them is trained on is never held out in another.

Stands inside freezing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


class Joined:
    """Groups, some of which are one: a union-find whose sets go by the group that sorts first."""

    def __init__(self, held: Iterable[tuple[str, str]] = ()) -> None:
        """`held`: (group, what is in it); groups that hold the same are joined."""
        self._above: dict[str, str] = {}  # group -> one that sorts before it and is of the same set
        first: dict[bytes, str] = {}  # hash of what is held -> the group that held it first
        for group, text in held:
            self._join(group, first.setdefault(hashlib.sha256(text.encode()).digest(), group))

    def of(self, group: str) -> str:
        """The group under which it goes: itself where it was joined to none that sorts before it."""
        while (above := self._above.get(group)) is not None:
            if (next_above := self._above.get(above)) is not None:
                self._above[group] = next_above  # halves the way for whoever comes next
            group = above
        return group

    def _join(self, one: str, other: str) -> None:
        one, other = sorted((self.of(one), self.of(other)))
        if one != other:
            self._above[other] = one
