"""What every kind of question can do."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

Answer = dict[str, Any]


class BadAnswer(ValueError):
    """What somebody sent is no answer to the question; the text says what would be."""


class Kind(Protocol):
    """`order` lists response positions as they were shown; answers always speak of positions."""

    name: str
    title: str
    help: str
    fewest: int
    most: int

    def read(self, form: Mapping[str, str], order: Sequence[int]) -> Answer:
        """The answer in a submitted form. Raises BadAnswer."""
        ...

    def check(self, answer: object, count: int) -> Answer:
        """The answer in its one normal shape, for an item of `count` responses. Raises BadAnswer."""
        ...

    def from_ranks(self, ranks: Sequence[int | None]) -> Answer:
        """The answer that imported ranks stand for. Raises BadAnswer."""
        ...

    def shown(self, answer: Answer, order: Sequence[int]) -> Answer:
        """The answer as the desk shows it: by place instead of position."""
        ...

    def summary(self, answer: Answer, order: Sequence[int]) -> str:
        """One line, such as `B > A = C`, by the letters that were shown."""
        ...

    def ranks(self, answer: Answer, count: int) -> list[int | None]:
        """1 = best, equal = tie, None = not ranked; one for each response."""
        ...

    def strength(self, answer: Answer) -> float | None:
        """How much better the better one is, where the answer says so."""
        ...


def letters(order: Sequence[int]) -> dict[int, str]:
    """Response position -> the letter it was shown under."""
    return {position: chr(ord("A") + place) for place, position in enumerate(order)}


def ladder(ranks: Sequence[int | None], order: Sequence[int]) -> str:
    """`B > A = C` for ranks by position."""
    names = letters(order)
    tiers: dict[int, list[str]] = {}
    for position, rank in enumerate(ranks):
        if rank is not None:
            tiers.setdefault(rank, []).append(names.get(position, "?"))
    text = " > ".join(" = ".join(sorted(tiers[rank])) for rank in sorted(tiers))
    left = sorted(names[p] for p, rank in enumerate(ranks) if rank is None and p in names)
    return text + (f" (not ranked: {', '.join(left)})" if left else "")


def competition_ranks(ranks: Sequence[int | None]) -> list[int | None]:
    """Standard competition ranking, 1 2 2 4, of any comparable numbers (smaller = better)."""
    given = [rank for rank in ranks if rank is not None]
    return [None if rank is None else 1 + sum(other < rank for other in given) for rank in ranks]
