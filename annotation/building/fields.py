"""The fields of such a form, as a page shows them, and the list of what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Control:
    """One field of the form. `shape` is text, long, lines, number, yes, choice, group or rows; the last two hold others."""

    name: str
    label: str
    help: str
    shape: str
    value: Any = ""
    limits: dict[str, Any] = field(default_factory=dict)  # of the HTML element
    choices: list[tuple[str, str]] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    controls: list[Control] = field(default_factory=list)
    one: str = ""
    problem: str = ""

    @property
    def id(self) -> str:
        return _id(self.name)


@dataclass
class Row:
    """One entry of a list, such as an aspect of a rating."""

    name: str
    number: int
    controls: list[Control]
    problem: str = ""

    @property
    def id(self) -> str:
        return _id(self.name)


@dataclass
class QuestionForm:
    """One question of the form; `place` is its number there."""

    place: int
    name: str
    kind: str
    kind_label: str
    old: bool
    title: Control
    help: Control
    data_name: Control
    required: Control
    options: list[Control]
    problem: str = ""

    @property
    def id(self) -> str:
        return _id(self.name)


def _id(name: str) -> str:
    return f"b-{name.replace('.', '-')}"


@dataclass(frozen=True)
class Mistake:
    """What is wrong in one place of a form: a field, a row or a question, by its `name` and its `id` on the page."""

    name: str
    id: str
    where: str
    sentence: str


def mistakes(forms: Sequence[QuestionForm]) -> list[Mistake]:
    """All that is wrong with the fields, in their order, for a list above the form."""
    found = []
    for form in forms:
        title = str(form.title.value) or form.kind_label
        if form.problem:
            found.append(Mistake(form.name, form.id, title, form.problem))
        for control in _inside([form.title, form.help, form.required, *form.options, form.data_name]):
            if control.problem:
                label = control.label if isinstance(control, Control) else ""
                found.append(Mistake(control.name, control.id, f"{title} · {label}".strip(" ·"), control.problem))
    return found


def _inside(controls: Sequence[Control]) -> Iterator[Control | Row]:
    for control in controls:
        yield control
        yield from _inside(control.controls)
        for row in control.rows:
            yield row
            yield from _inside(row.controls)
