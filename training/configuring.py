"""Makes form fields of a trainer's config schema, and a config of what a form sent.

The schema is pydantic's JSON Schema of a flat model: every field is a number, a truth value, a text or a choice, with a
default, limits and a description, which the plugin manager has checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext


@dataclass(frozen=True)
class Field:
    """One setting, as a form shows it."""

    name: str
    title: str
    help: str
    kind: str  # integer, number, boolean, text, choice
    default: Any
    value: Any
    choices: list[Any]
    minimum: float | None = None
    maximum: float | None = None
    error: str = ""
    group: str = ""

    @property
    def step(self) -> str:
        return "1" if self.kind == "integer" else "any"

    @property
    def is_renamed(self) -> bool:
        """Whether nobody would guess from its title what `train --set` and the run's page call it."""
        return self.title.lower() != self.name.replace("_", " ").lower()


@dataclass(frozen=True)
class Fold:
    """Settings that a form hides behind one line; `title` is empty for those that belong to no group."""

    title: str
    fields: list[Field]

    @property
    def is_open(self) -> bool:
        return any(field.error for field in self.fields)


def defaults(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A config with nothing chosen."""
    return {name: field["default"] for name, field in schema.get("properties", {}).items() if "default" in field}


def fields(schema: Mapping[str, Any], values: Mapping[str, Any], faults: Mapping[str, str]) -> list[Field]:
    """The schema's settings in its own order, holding `values` where given, else the defaults."""
    made = []
    for name, about in schema.get("properties", {}).items():
        kind, limits = _kind(schema, about)
        made.append(
            Field(
                name=name,
                title=str(about.get("title") or name).replace("_", " "),
                help=str(about.get("description", "")),
                kind=kind,
                default=about.get("default"),
                value=values.get(name, about.get("default")),
                choices=list(limits.get("enum", [])),
                minimum=limits.get("minimum", limits.get("exclusiveMinimum")),
                maximum=limits.get("maximum", limits.get("exclusiveMaximum")),
                error=faults.get(name, ""),
                group=str(about.get("group") or ""),
            )
        )
    return made


def folded(fields: list[Field], shown: int) -> tuple[list[Field], list[Fold]]:
    """The settings that stand open, and the rest: what is left of those without a group, then each group as first named.

    About `shown` stay open; one alone is not worth a fold.
    """
    plain = [field for field in fields if not field.group]
    first = len(plain) if len(plain) <= shown + 1 else shown
    rest = [Fold("", plain[first:])] if plain[first:] else []
    groups = dict.fromkeys(field.group for field in fields if field.group)
    return plain[:first], rest + [Fold(group, [field for field in fields if field.group == group]) for group in groups]


def read(schema: Mapping[str, Any], form: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """(config, faults) from a form whose fields are called `config-<name>`. Empty fields take their default."""
    config: dict[str, Any] = {}
    faults: dict[str, str] = {}
    for name, about in schema.get("properties", {}).items():
        kind, _ = _kind(schema, about)
        text = form.get(f"config-{name}", "").strip()
        if kind == "boolean":
            config[name] = text == "on"
        elif text:
            try:
                config[name] = as_value(kind, text)
            except ValueError as wrong:
                faults[name] = str(wrong)
    return config, faults


def parse(schema: Mapping[str, Any], pairs: Mapping[str, str]) -> dict[str, Any]:
    """`--set name=value` texts as a config. Raises ValueError; unknown names pass, for `launch` to name them."""
    config: dict[str, Any] = {}
    for name, text in pairs.items():
        about = schema.get("properties", {}).get(name)
        kind = _kind(schema, about)[0] if about else "text"
        try:
            config[name] = text.lower() in ("true", "yes", "on", "1") if kind == "boolean" else as_value(kind, text)
        except ValueError as wrong:
            raise ValueError(f"{name}: {wrong}") from None
    return config


def as_value(kind: str, text: str) -> Any:  # noqa: ANN401 - what the kind says
    """One text as a value of `kind`. Raises ValueError."""
    if kind == "integer":
        try:
            return int(text)
        except ValueError:
            raise ValueError(gettext("a whole number was expected, not “%(text)s”") % {"text": text[:30]}) from None
    if kind == "number":
        try:
            value = float(text.replace(",", "."))
        except ValueError:
            raise ValueError(gettext("a number was expected, not “%(text)s”") % {"text": text[:30]}) from None
        if value != value or value in (float("inf"), float("-inf")):
            raise ValueError(gettext("a finite number was expected"))
        return value
    return text


def _kind(schema: Mapping[str, Any], about: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """What sort of field it is, and the part of its schema that holds the limits."""
    if "$ref" in about:
        about = schema.get("$defs", {}).get(str(about["$ref"]).rpartition("/")[2], about)
    for option in about.get("anyOf", []):
        if option.get("type") != "null":
            return _kind(schema, option)
    if "enum" in about:
        return "choice", about
    return {"integer": "integer", "number": "number", "boolean": "boolean"}.get(about.get("type", ""), "text"), about
