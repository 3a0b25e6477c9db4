"""A form out of drafts: each question's fields, made of the schema of its kind, with what was typed and what is wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from annotation import asking
from annotation.building import schemas
from annotation.building.fields import Control, QuestionForm, Row
from annotation.kinds import KINDS
from annotation.kinds.shown import shown


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
        options=_controls(schema, {**schemas.defaults(schema), **options}, f"{name}.options", inside),
        problem=inside.get("", "") or problems.get("", "") or problems.get("options", ""),
    )  # fmt: skip


def _controls(
    schema: type[BaseModel], values: Mapping[str, Any], prefix: str, problems: Mapping[str, str]
) -> list[Control]:
    return [
        _control(info, f"{prefix}.{name}", name, values.get(name), _below(problems, name))
        for name, info in schema.model_fields.items()
    ]


def _control(info: FieldInfo, name: str, plain: str, value: Any, problems: Mapping[str, str]) -> Control:  # noqa: ANN401
    """`value` may be what somebody typed, fitting or not: it is shown as it is."""
    said, (kind, may_be_none) = shown(info, plain), schemas.bare(info.annotation)
    control = Control(
        name,
        str(said.label),
        str(said.help),
        "text",
        schemas.text(value),
        schemas.limits(info),
        problem=_first(problems),
    )
    if kind is bool:
        control.shape, control.value = "yes", bool(value)
    elif choices := schemas.choices(kind):
        control.shape = "choice"
        control.choices = [(schemas.text(one), str(said.words.get(one, one))) for one in choices]
        if may_be_none:
            control.choices.insert(0, ("", str(said.words.get(None, _("none")))))
    elif kind in (int, float):
        control.shape = "number"
        control.limits |= {"step": "1" if kind is int else "any"}
    elif schemas.is_model(kind):
        control.shape, control.problem = "group", problems.get("", "")
        control.controls = _controls(kind, value if isinstance(value, Mapping) else {}, name, problems)
    elif (entry := schemas.entry(kind)) is not None:
        entries = value if isinstance(value, list | tuple) else []
        control.problem = problems.get("", "")
        control.limits = {}
        if schemas.is_model(entry):
            control.shape, control.one = "rows", str(said.one or _("entry"))
            control.rows = [
                _row(entry, one, f"{name}.{at}", at, _below(problems, str(at))) for at, one in enumerate(entries)
            ]
        else:
            control.shape, control.problem = "lines", _first(problems)
            control.value = value if isinstance(value, str) else "\n".join(schemas.text(one) for one in entries)
    elif kind is str:
        control.shape = "long" if said.long else "text"
    else:  # a mapping, say: as JSON
        control.shape = "json"
        control.value = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return control


def _row(schema: type[BaseModel], value: Any, name: str, at: int, problems: Mapping[str, str]) -> Row:  # noqa: ANN401
    values = {**schemas.defaults(schema), **value} if isinstance(value, Mapping) else schemas.defaults(schema)
    return Row(name, at + 1, _controls(schema, values, name, problems), problems.get("", ""))


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
