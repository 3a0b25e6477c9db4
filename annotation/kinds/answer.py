"""What every kind of question can do, and what they share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict

Answer = dict[str, Any]
#: a form's fields without the question's name before them: one value, or several
Entered = dict[str, str | list[str]]


class BadAnswer(ValueError):
    """What somebody sent is no answer to the question; the text says what would be."""


class Options(BaseModel):
    """What a lead can choose about a question of one kind: every field has a default, limits and a description."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Subject:
    """What is judged. Answers speak of responses by position; `order` lists the positions as they were shown."""

    order: Sequence[int]
    texts: Sequence[str] = ()
    prompt: Any = ""  # a text, or a list of {role, content}

    @property
    def count(self) -> int:
        return len(self.order)

    def letter(self, position: int) -> str:
        return chr(ord("A") + list(self.order).index(position))


class Fields:
    """The part of a submitted form that belongs to one question: its field names begin with the question's name and a dot."""

    def __init__(self, form: Mapping[str, Any], question: str) -> None:
        self._form, self._prefix = form, f"{question}."

    def get(self, name: str, default: str = "") -> str:
        value = self._form.get(self._prefix + name, default)
        return value if isinstance(value, str) else value[-1] if value else default

    def getlist(self, name: str) -> list[str]:
        if hasattr(self._form, "getlist"):
            return list(self._form.getlist(self._prefix + name))
        value = self._form.get(self._prefix + name, [])
        return [value] if isinstance(value, str) else list(value)


class Projection(NamedTuple):
    """What an answer becomes for trainers: rows without their bookkeeping, and what was lost, counted by name."""

    rows: list[dict[str, Any]]
    dropped: dict[str, int]


NOTHING = Projection([], {})


class Kind(ABC):
    """One kind of question. `options` is an instance of its `schema`; `place` is where the desk puts it: in the dock that
    stays in sight, or on the page where there is room. `template` and `widget` are named after the kind."""

    name: ClassVar[str]
    label: ClassVar[Any]  # translated when shown
    title: ClassVar[Any]
    help: ClassVar[Any]
    place: ClassVar[str]
    fewest: ClassVar[int]
    most: ClassVar[int]
    #: whether it has to be answered, unless a lead says otherwise
    required: ClassVar[bool] = True
    schema: ClassVar[type[Options]]
    rows: ClassVar[tuple[str, ...]]
    #: of these, the ones that only follow from the answer; they are not made where another question gives them itself
    derived: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def read(self, fields: Fields, subject: Subject, options: Any) -> Answer | None:  # noqa: ANN401
        """The answer in a submitted form, None if it was left empty. Raises BadAnswer."""

    @abstractmethod
    def check(self, answer: object, subject: Subject, options: Any) -> Answer:  # noqa: ANN401
        """The answer in its one normal shape. Raises BadAnswer."""

    @abstractmethod
    def fields(self, answer: Answer, subject: Subject, options: Any) -> Entered:  # noqa: ANN401
        """The form's fields that `read` reads as this answer."""

    @abstractmethod
    def summary(self, answer: Answer, subject: Subject, options: Any) -> str:  # noqa: ANN401
        """One line, such as `B > A = C`, by the letters that were shown."""

    def legend(self, options: Any) -> str:  # noqa: ANN401
        """What the numbers of a summary stand for, in their order; empty where the summary says it all."""
        return ""

    @abstractmethod
    def project(self, rows: str, answer: Answer, subject: Subject, options: Any, task: str) -> Projection:  # noqa: ANN401
        """Rows of one of its kinds of rows; `task` is the question's name."""


class Rankable(Kind):
    """A kind whose answers are an order, so that imported ranks can be one."""

    @abstractmethod
    def from_ranks(self, ranks: Sequence[int | None]) -> Answer:
        """The answer that imported ranks stand for. Raises BadAnswer."""

    @abstractmethod
    def ranks(self, answer: Answer, count: int) -> list[int | None]:
        """1 = best, equal = tie, None = not ranked; one for each response."""


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
