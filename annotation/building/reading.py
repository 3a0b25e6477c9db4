"""Drafts out of a submitted form, well formed or not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from annotation.building import schemas
from annotation.kinds import KINDS

Tree = dict[str, Any]
MOST_DEEP = 9
_UNSAID = object()


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


def _read_one(info: FieldInfo, given: Any, name: str, place: str, names: dict[str, str]) -> Any:  # noqa: ANN401
    names[place] = name
    kind, may_be_none = schemas.bare(info.annotation)
    if kind is bool:
        return given is not None
    if schemas.is_model(kind):
        return _read_model(kind, given if isinstance(given, dict) else {}, name, place, names)
    entry = schemas.entry(kind)
    if entry is not None and schemas.is_model(entry):
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
        return None if may_be_none else _UNSAID if schemas.choices(kind) else ""
    return _scalar(kind, given.replace("\r\n", "\n"))


def _scalar(kind: Any, text: str) -> Any:  # noqa: ANN401
    """`text` as the type wants it, or as it is, for pydantic to refuse."""
    for choice in schemas.choices(kind):
        if schemas.text(choice) == text:
            return choice
    if kind is str:
        return text
    try:
        return kind(text.strip()) if kind in (int, float) else text if schemas.choices(kind) else json.loads(text)
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
