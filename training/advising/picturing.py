"""The decision picture: the questions one below the other, the answer that the project gives to each, and the methods beside it.

Numbers and words only; templates/training/advice_picture.html draws them as SVG, in the colours of the page. It is as narrow as
a phone, so that it can be read on one. Whoever does not see it reads the same questions as a list.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from django.utils.translation import gettext

from training.advising import ruling
from training.advising.advice import Advice
from training.advising.judging import FITS, Method
from training.catalogue.listing import title_of

WIDTH, EDGE, LINE, PAD, GAP = 360, 4, 16, 9, 12
BOX, LETTERS = 172, 22  # the width of a question, and how many letters fit into a line of it
LEAF_X, LEAF_LETTERS, BOLD_LETTERS = EDGE + BOX + 22, 20, 17


@dataclass(frozen=True)
class Line:
    """A line of words; `sort` is fits, nearly or first."""

    text: str
    y: int
    sort: str = ""


@dataclass(frozen=True)
class Step:
    """One question: its box, what is answered, and beside a yes the methods. `from_y` is where the box above it ends."""

    asks: str
    is_yes: bool
    answer: str
    methods: list[Method]
    lines: list[Line]
    leaves: list[Line]
    y: int
    from_y: int

    right = EDGE + BOX

    @property
    def height(self) -> int:
        return _height(len(self.lines) + 1)

    @property
    def answer_y(self) -> int:
        return _line(self.y, len(self.lines))

    @property
    def leaf_height(self) -> int:
        return _height(len(self.leaves))

    @property
    def leaf_y(self) -> int:
        """Leaves begin beside their question, and a short one stands at its middle."""
        return self.y + max(0, self.height - self.leaf_height) // 2

    @property
    def middle(self) -> int:
        return self.y + self.height // 2

    @property
    def bottom(self) -> int:
        return max(self.y + self.height, self.y + self.leaf_height if self.leaves else 0)


@dataclass(frozen=True)
class Picture:
    """Boxes from top to bottom in a field of `width` by `height`."""

    steps: list[Step]
    height: int
    width: int = WIDTH
    edge: int = EDGE
    box: int = BOX
    text: int = EDGE + PAD
    spine: int = EDGE + BOX // 2
    leaf_x: int = LEAF_X
    leaf_text: int = LEAF_X + PAD
    leaf_width: int = WIDTH - LEAF_X - EDGE


def picture(advice: Advice) -> Picture:
    """The way through the questions of the rules."""
    steps, y, above = list[Step](), EDGE, EDGE
    for question in ruling.book().question:
        steps.append(_step(advice, question, y, above))
        y, above = steps[-1].bottom + GAP, steps[-1].y + steps[-1].height
    return Picture(steps, y - GAP + EDGE)


def _step(advice: Advice, question: ruling.Question, y: int, above: int) -> Step:
    is_yes, asks = question.holds(advice.have.facts), gettext(question.asks)
    beside = [one for one in advice.considered if is_yes and _stands_beside(one, question)]
    lines = [Line(text, _line(y, place)) for place, text in enumerate(textwrap.wrap(asks, LETTERS))]
    sorts = [(one, _sort(one, advice)) for one in beside]
    titles = [
        (text, sort)
        for one, sort in sorts
        for text in textwrap.wrap(title_of(one.trainer), BOLD_LETTERS if sort == "first" else LEAF_LETTERS)
    ]
    step = Step(
        asks, is_yes, ruling.said(question.yes, advice.have.facts) if is_yes else gettext("no"), beside, lines,
        [Line("", 0)] * len(titles), y, above,
    )  # fmt: skip
    leaves = [Line(text, _line(step.leaf_y, place), sort) for place, (text, sort) in enumerate(titles)]
    return Step(step.asks, step.is_yes, step.answer, step.methods, step.lines, leaves, step.y, step.from_y)


def _height(lines: int) -> int:
    return 2 * PAD + LINE * lines - 3


def _line(top: int, place: int) -> int:
    """Where the letters of a line stand."""
    return top + PAD + LINE * place + 11


def _stands_beside(method: Method, question: ruling.Question) -> bool:
    return question.of.means(
        trainer=method.name, family=str(method.trainer["family"]), kind=method.kind, yields=method.yields,
        asks=method.asks.values(),
    )  # fmt: skip


def _sort(method: Method, advice: Advice) -> str:
    if advice.first and method.key == advice.first.key:
        return "first"
    return FITS if method.verdict == FITS else "nearly"
