"""Trying a model on texts of one's own: which labels fit, what is alike, what belongs into a gap. For its page and commands.

Asks the warm process (`answering`) and arranges what it says for people; scoring and writing have their own forms there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext

from training import answering
from training.answering import NoAnswer
from training.models import Model

VERBS = ("classify", "embed", "fill")
MOST_BARS = 10  # labels that are shown of a text
GAP = re.compile(r"_{3,}|\[MASK\]")  # what people write for what is missing; a model may know its own sign too


@dataclass(frozen=True)
class Bar:
    """A label and the share that the model gives it, from 0 to 1."""

    label: str
    share: float

    @property
    def percent(self) -> float:
        return 100 * self.share


@dataclass(frozen=True)
class Classified:
    """A text with its likeliest labels, and what is left for the others together."""

    text: str
    bars: list[Bar]
    others: int
    rest: float

    @property
    def rest_percent(self) -> float:
        return 100 * self.rest


@dataclass(frozen=True)
class Alike:
    """How alike texts are: a cosine for each two, 1 for the same direction; null where a vector has no length."""

    texts: list[str]
    cosines: list[list[float | None]]
    width: int

    @property
    def nearest(self) -> tuple[int, int] | None:
        """The two that are most alike, counted from 1."""
        pairs = [
            (cosine, one, other)
            for one, row in enumerate(self.cosines, 1)
            for other, cosine in enumerate(row, 1)
            if one < other and cosine is not None
        ]
        return max(pairs)[1:] if len(pairs) > 1 else None


def classify(model: Model, texts: Sequence[str]) -> list[dict[str, float]]:
    """Label -> probability for each text. Raises NoAnswer."""
    found = answering.warm_models.ask(answering.servable(model), "classify", {"texts": list(texts)})
    return [{str(label): _number(share) for label, share in shares.items()} for shares in found]


def classified(texts: Sequence[str], shares: Sequence[Mapping[str, float]]) -> list[Classified]:
    """For each text its labels, the likeliest first."""
    found = []
    for text, of_text in zip(texts, shares, strict=True):
        order = sorted(of_text.items(), key=lambda pair: (-pair[1], pair[0]))
        shown, left = order[:MOST_BARS], order[MOST_BARS:]
        bars = [Bar(label, share) for label, share in shown]
        found.append(Classified(text, bars, len(left), sum(share for _, share in left)))
    return found


def embed(model: Model, texts: Sequence[str]) -> list[list[float]]:
    """A vector for each text. Raises NoAnswer."""
    vectors = answering.warm_models.ask(answering.servable(model), "embed", {"texts": list(texts)})
    return [[_number(one) for one in vector] for vector in vectors]


def alike(texts: Sequence[str], vectors: Sequence[Sequence[float]]) -> Alike:
    """The cosine of every two vectors."""
    units = [_unit(vector) for vector in vectors]
    cosines = [[_product(one, other) if one and other else None for other in units] for one in units]
    return Alike(list(texts), cosines, len(vectors[0]) if vectors else 0)


def _unit(vector: Sequence[float]) -> list[float] | None:
    """The vector with length 1; divided before it is multiplied, so that small numbers do not vanish."""
    length = math.hypot(*vector)
    return [one / length for one in vector] if length else None


def _product(one: Sequence[float], other: Sequence[float]) -> float:
    return max(-1.0, min(1.0, math.fsum(a * b for a, b in zip(one, other, strict=True))))


def fill(model: Model, texts: Sequence[str], n: int) -> list[list[str]]:
    """For each text `n` completions of what is missing in it. Raises NoAnswer, also for a text without a gap."""
    if any(not GAP.search(text) for text in texts):
        raise NoAnswer(gettext("The text has no gap: write ___ for what is missing."))
    found = answering.warm_models.ask(answering.servable(model), "fill", {"texts": list(texts), "n": n})
    return [[str(text) for text in some] for some in found]


def _number(value: Any) -> float:  # noqa: ANN401 - what a plugin's model said, as JSON
    """Raises NoAnswer: a number that is none travels as null."""
    if not isinstance(value, int | float):
        raise NoAnswer(gettext("The model gave something that is no number."))
    return float(value)
