"""The rules as records: read once from rules.toml, checked, and asked whom they speak of and whether they hold."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

from django.utils.translation import gettext
from pydantic import BaseModel, ConfigDict, Field, model_validator

from training.advising.looking import FACTS, KINDS
from webapp.saying import number

PLACE = Path(__file__).with_name("rules.toml")
Facts = Mapping[str, float | None]
#: those of them that weigh most first; what they do stands at the head of rules.toml
EFFECTS = ("rules-out", "stops", "waits", "for", "against", "note")
Effect = Literal["rules-out", "stops", "waits", "for", "against", "note"]
Evidence = Literal["strong", "some", "thin"]
_KNOWN = {*FACTS, *(f"{kind}_rows" for kind in KINDS)}


class Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(Entry):
    """Where a rule comes from."""

    title: str
    url: str = ""


class Limits(Entry):
    """What a fact must be: at least so much, below so much, or both."""

    at_least: float | None = None
    below: float | None = None

    def hold(self, value: float | None) -> bool:
        """A fact that is not known keeps to no limit."""
        if value is None:
            return False
        return (self.at_least is None or value >= self.at_least) and (self.below is None or value < self.below)


class Of(Entry):
    """Which methods an entry speaks of; all that is named must hold, and nothing named is every method."""

    trainers: tuple[str, ...] = ()
    family: str = ""
    rows: tuple[str, ...] = ()
    yields: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    asks_not: tuple[str, ...] = ()

    def means(self, *, trainer: str, family: str, kind: str, yields: Iterable[str], asks: Iterable[str]) -> bool:
        """`kind`: of the rows that it would learn from; `asks`: verbs of the models that it cannot do without."""
        return (
            (not self.trainers or trainer in self.trainers)
            and (not self.family or family == self.family)
            and (not self.rows or kind in self.rows)
            and (not self.yields or bool({*self.yields} & {*yields}))
            and {*self.asks} <= {*asks}
            and not {*self.asks_not} & {*asks}
        )


class Conditional(Entry):
    """What holds under conditions."""

    name: str
    of: Of
    when: Mapping[str, Limits] = {}

    @model_validator(mode="after")
    def _asks_for_facts_that_there_are(self) -> Conditional:
        if unknown := sorted({*self.when} - _KNOWN):
            raise ValueError(f"{self.name}: there are no facts {unknown}")
        return self

    def holds(self, facts: Facts) -> bool:
        return all(limits.hold(facts.get(name)) for name, limits in self.when.items())


class Rule(Conditional):
    """What a study says of methods, where a project is so and so."""

    effect: Effect
    weight: int = Field(default=0, ge=0, le=5)
    short_of: Mapping[str, float] = {}
    text: str
    source: tuple[str, ...] = Field(min_length=1)
    evidence: Evidence
    settings: Mapping[str, Any] = Field(default={}, description="of its form, where the trainer has such settings")

    @property
    def points(self) -> int:
        return {"for": self.weight, "against": -self.weight}.get(self.effect, 0)


class Question(Conditional):
    """A question of the picture, and the methods beside its yes."""

    asks: str
    yes: str


class Book(Entry):
    """All of rules.toml."""

    sources: Mapping[str, Source]
    rule: tuple[Rule, ...]
    question: tuple[Question, ...]

    @model_validator(mode="after")
    def _sources_are_listed(self) -> Book:
        unknown = sorted({key for rule in self.rule for key in rule.source} - {*self.sources})
        if unknown:
            raise ValueError(f"no such sources: {unknown}")
        return self


@cache
def book() -> Book:
    """The rules. Raises pydantic's ValidationError for a file that breaks their form."""
    return Book.model_validate(tomllib.loads(PLACE.read_text("utf-8")))


def said(text: str, facts: Facts) -> str:
    """A text of the book in the reader's language, with the facts it names."""
    told = {
        name: number(value, 1 if value % 1 and value < 10 else 0) for name, value in facts.items() if value is not None
    }
    return gettext(text) % told
