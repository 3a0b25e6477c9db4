"""A form for the questions of a project, made out of the schemas of their kinds, and what such a form says.

A field's name is a path: `q.0.title`, `q.0.options.aspects.2.name`. Numbers only hold together what belongs together: the
order of questions and rows is the order in which they stand in the form, so that a page can move them as they are.
"""

from __future__ import annotations

import json
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen
from django.utils.translation import gettext as _
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from annotation import asking
from annotation.kinds import KINDS
from annotation.kinds.shown import shown
from annotation.models import Question

Tree = dict[str, Any]


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


def blank(kind: str, taken: Sequence[str]) -> dict[str, Any]:
    """A new question of a kind with its own words, under a name that none of `taken` has."""
    return asking.draft(kind, name=asking.free_name(kind, taken), required=KINDS[kind].required, options={})


def drafts_of(questions: Sequence[Question]) -> list[dict[str, Any]]:
    """Stored questions as `asking.change` takes them."""
    return [
        {"name": q.name, "kind": q.kind, "title": q.title, "help": q.help, "required": q.required, "options": q.options}
        for q in questions
    ]


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


# ---- a form out of drafts


def forms(drafts: Sequence[Mapping[str, Any]], problems: Mapping[str, str], old: Sequence[str]) -> list[QuestionForm]:
    """One for each draft. `problems` by place, as WrongQuestions has them; `old` names the questions that are asked already."""
    return [
        _question_form(place, draft, _below(problems, str(place)), old)
        for place, draft in enumerate(drafts)
        if draft.get("kind") in KINDS
    ]


def _question_form(
    place: int, draft: Mapping[str, Any], problems: Mapping[str, str], old: Sequence[str]
) -> QuestionForm:
    kind, name = KINDS[draft["kind"]], f"q.{place}"
    schema = kind.schema
    options = draft.get("options") or {}
    if not isinstance(options, Mapping):
        options = {}
    inside = _below(problems, "options")

    def control(part: str, label: str, help: str, shape: str, **more: Any) -> Control:  # noqa: ANN401
        return Control(
            f"{name}.{part}", label, help, shape, draft.get(part, ""), problem=problems.get(part, ""), **more
        )

    return QuestionForm(
        place=place, name=name, kind=kind.name, kind_label=str(kind.label), old=draft.get("name") in old,
        title=control("title", _("Question"), "", "text", limits={"maxlength": asking.LONGEST_TITLE}),
        help=control("help", _("Help"), _("One or two sentences below the question. May be empty."), "long"),
        data_name=control(
            "name", _("Name in the data"), _("Stands in snapshots and exports; it stays when the words change."), "text",
            limits={"maxlength": 40},
        ),
        required=control("required", _("Must be answered"), "", "yes"),
        options=_controls(schema, {**_defaults(schema), **options}, f"{name}.options", inside),
        problem=inside.get("", "") or problems.get("", "") or problems.get("options", ""),
    )  # fmt: skip


def _defaults(schema: type[BaseModel]) -> dict[str, Any]:
    return schema.model_construct().model_dump(mode="json", warnings=False)


def _controls(
    schema: type[BaseModel], values: Mapping[str, Any], prefix: str, problems: Mapping[str, str]
) -> list[Control]:
    return [
        _control(info, f"{prefix}.{name}", name, values.get(name), _below(problems, name))
        for name, info in schema.model_fields.items()
    ]


def _control(info: FieldInfo, name: str, plain: str, value: Any, problems: Mapping[str, str]) -> Control:  # noqa: ANN401
    """`value` may be what somebody typed, fitting or not: it is shown as it is."""
    said, (kind, may_be_none) = shown(info, plain), _bare(info.annotation)
    control = Control(
        name, str(said.label), str(said.help), "text", _text(value), _limits(info), problem=_first(problems)
    )
    if kind is bool:
        control.shape, control.value = "yes", bool(value)
    elif choices := _choices(kind):
        control.shape = "choice"
        control.choices = [(_text(one), str(said.words.get(one, one))) for one in choices]
        if may_be_none:
            control.choices.insert(0, ("", str(said.words.get(None, _("none")))))
    elif kind in (int, float):
        control.shape = "number"
        control.limits |= {"step": "1" if kind is int else "any"}
    elif _is_model(kind):
        control.shape, control.problem = "group", problems.get("", "")
        control.controls = _controls(kind, value if isinstance(value, Mapping) else {}, name, problems)
    elif (entry := _entry(kind)) is not None:
        entries = value if isinstance(value, list | tuple) else []
        control.problem = problems.get("", "")
        control.limits = {}
        if _is_model(entry):
            control.shape, control.one = "rows", str(said.one or _("entry"))
            control.rows = [
                _row(entry, one, f"{name}.{at}", at, _below(problems, str(at))) for at, one in enumerate(entries)
            ]
        else:
            control.shape, control.problem = "lines", _first(problems)
            control.value = value if isinstance(value, str) else "\n".join(_text(one) for one in entries)
    elif kind is str:
        control.shape = "long" if said.long else "text"
    else:  # a mapping, say: as JSON
        control.shape = "json"
        control.value = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return control


def _row(schema: type[BaseModel], value: Any, name: str, at: int, problems: Mapping[str, str]) -> Row:  # noqa: ANN401
    values = {**_defaults(schema), **value} if isinstance(value, Mapping) else _defaults(schema)
    return Row(name, at + 1, _controls(schema, values, name, problems), problems.get("", ""))


def _text(value: object) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _first(problems: Mapping[str, str]) -> str:
    return next(iter(problems.values()), "")


def _below(problems: Mapping[str, str], place: str) -> dict[str, str]:
    """The problems at a place and inside it, by the rest of their places."""
    start = f"{place}."
    return {
        where[len(start) :] if where.startswith(start) else "": sentence
        for where, sentence in problems.items()
        if where == place or where.startswith(start)
    }


def _limits(info: FieldInfo) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    for rule in info.metadata:
        if isinstance(rule, Ge):
            limits["min"] = rule.ge
        elif isinstance(rule, Le):
            limits["max"] = rule.le
        elif isinstance(rule, Gt) and isinstance(rule.gt, int):
            limits["min"] = rule.gt + 1
        elif isinstance(rule, Lt) and isinstance(rule.lt, int):
            limits["max"] = rule.lt - 1
        elif isinstance(rule, MaxLen):
            limits["maxlength"] = rule.max_length
    return limits


def _bare(annotation: Any) -> tuple[Any, bool]:  # noqa: ANN401 - types, of which typing knows no type
    """The type without Annotated and without None, and whether None was in it."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        inner = [one for one in get_args(annotation) if one is not type(None)]
        if len(inner) == 1:
            return _bare(inner[0])[0], len(inner) < len(get_args(annotation))
    return annotation, False


def _choices(kind: Any) -> list[Any]:  # noqa: ANN401
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    return [one.value for one in kind] if isinstance(kind, type) and issubclass(kind, Enum) else []


def _is_model(kind: Any) -> bool:  # noqa: ANN401
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _entry(kind: Any) -> Any:  # noqa: ANN401
    """The type of a list's entries, None for what is no list."""
    return _bare(get_args(kind)[0])[0] if get_origin(kind) in (list, tuple, Sequence) and get_args(kind) else None


# ---- drafts out of a form


@dataclass
class Read:
    """What a form says: `drafts` for `asking.change`, and for each place in them the name of its field."""

    drafts: list[dict[str, Any]]
    names: dict[str, str]

    def named(self, problems: Mapping[str, str]) -> dict[str, str]:
        """Problems by the form's names, for the page that shows them beside its fields.

        What is wrong with options that do not go together stands with their question.
        """
        return {self._name(place).removesuffix(".options"): sentence for place, sentence in problems.items()}

    def _name(self, place: str) -> str:
        while place and place not in self.names:
            place = place.rpartition(".")[0]
        return self.names.get(place, "")


def read(form: Mapping[str, Any]) -> Read:
    """The drafts in a submitted form, well formed or not: `asking.checked` judges them."""
    found = Read([], {})
    questions = _tree(form).get("q")
    for key, part in questions.items() if isinstance(questions, dict) else ():
        if not isinstance(part, dict) or part.get("kind") not in KINDS:
            continue
        name, place = f"q.{key}", str(len(found.drafts))
        found.names[place] = name
        for word in ("kind", "title", "name", "help", "required"):
            found.names[f"{place}.{word}"] = f"{name}.{word}"
        inside = part.get("options")
        options = _read_model(
            KINDS[part["kind"]].schema, inside if isinstance(inside, dict) else {}, f"{name}.options",
            f"{place}.options", found.names,
        )  # fmt: skip
        words = {word: part[word] for word in ("title", "name", "help") if isinstance(part.get(word), str)}
        found.drafts.append({"kind": part["kind"], **words, "required": "required" in part, "options": options})
    return found


def _read_model(schema: type[BaseModel], tree: Tree, name: str, place: str, names: dict[str, str]) -> dict[str, Any]:
    names[place] = name
    return {
        part: value
        for part, info in schema.model_fields.items()
        if (value := _read_one(info, tree.get(part), f"{name}.{part}", f"{place}.{part}", names)) is not _UNSAID
    }


_UNSAID = object()


def _read_one(info: FieldInfo, given: Any, name: str, place: str, names: dict[str, str]) -> Any:  # noqa: ANN401
    names[place] = name
    kind, may_be_none = _bare(info.annotation)
    if kind is bool:
        return given is not None
    if _is_model(kind):
        return _read_model(kind, given if isinstance(given, dict) else {}, name, place, names)
    entry = _entry(kind)
    if entry is not None and _is_model(entry):
        rows = given.items() if isinstance(given, dict) else ()
        return [
            _read_model(entry, row if isinstance(row, dict) else {}, f"{name}.{key}", f"{place}.{at}", names)
            for at, (key, row) in enumerate(rows)
        ]
    if not isinstance(given, str):
        return _UNSAID
    if entry is not None:
        return [_scalar(entry, line.strip()) for line in given.splitlines() if line.strip()]
    if not given.strip() and (may_be_none or kind is not str):
        return None if may_be_none else _UNSAID if _choices(kind) else ""
    return _scalar(kind, given.replace("\r\n", "\n"))


def _scalar(kind: Any, text: str) -> Any:  # noqa: ANN401
    """`text` as the type wants it, or as it is, for pydantic to refuse."""
    for choice in _choices(kind):
        if _text(choice) == text:
            return choice
    if kind is str:
        return text
    try:
        return kind(text.strip()) if kind in (int, float) else text if _choices(kind) else json.loads(text)
    except ValueError:
        return text


def _tree(form: Mapping[str, Any]) -> Tree:
    """Names with dots as nested dicts, in the order in which they came. A name that is both leaf and branch stays what it was."""
    root: Tree = {}
    for name in form:
        *branches, leaf = name.split(".")
        if branches[:1] != ["q"] or len(branches) > MOST_DEEP:
            continue
        at: Any = root
        for branch in branches:
            at = at.setdefault(branch, {}) if isinstance(at, dict) else None
        value = form[name]
        if isinstance(at, dict) and isinstance(value, str):
            at.setdefault(leaf, value)
    return root


MOST_DEEP = 9


# ---- what a button of the form does


def step(said: Read, done: str, what: str, taken: Sequence[str]) -> list[dict[str, Any]]:
    """The drafts after a button `done:what`: add:<kind>; remove, up or down of a question or row by its name in the form;
    row of a list by its name. Whatever else it says changes nothing."""
    drafts = said.drafts
    if done == "add" and what in KINDS and len(drafts) < asking.MOST_QUESTIONS:
        return [*drafts, blank(what, [*taken, *(str(draft.get("name")) for draft in drafts)])]
    places = {name: place for place, name in said.names.items()}
    if what not in places:
        return drafts
    if done == "row":
        entries = _at(drafts, places[what].split("."))
        if isinstance(entries, list):
            entries.append(_another(drafts, places[what].split("."), entries))
        return drafts
    *above, last = places[what].split(".")
    entries = _at(drafts, above)
    if isinstance(entries, list) and last.isdigit():
        at = int(last)
        if done == "remove":
            del entries[at]
        elif done == "up" and at > 0:
            entries.insert(at - 1, entries.pop(at))
        elif done == "down":
            entries.insert(at + 1, entries.pop(at))
    return drafts


def _another(drafts: list[dict[str, Any]], path: Sequence[str], entries: Sequence[Any]) -> dict[str, Any]:
    """A new entry of a list in the options: its defaults, but under a name that no other entry has."""
    at: Any = KINDS[drafts[int(path[0])]["kind"]].schema
    for part in path[2:]:
        if not part.isdigit():
            field = _bare(at.model_fields[part].annotation)[0]
            at = _entry(field) or field
    name = _defaults(at).get("name")
    taken = [str(entry.get("name")) for entry in entries if isinstance(entry, dict)]
    return {"name": asking.free_name(name, taken)} if isinstance(name, str) else {}


def _at(drafts: list[dict[str, Any]], path: Sequence[str]) -> Any:  # noqa: ANN401 - any part of a draft
    at: Any = drafts
    for part in path:
        at = at[int(part)] if isinstance(at, list) else at[part]
    return at
