"""How a question's options are put before people: their words, in the reader's language, beside the type that they go with.

    levels: Annotated[Literal[3, 5, 7], Shown(_("Steps"), words={3: _("Three: A, equal, B")})] = 7

Without it the builder shows the field's name and its description as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

#: a str, or what gettext_lazy gives
Text = Any


@dataclass(frozen=True)
class Shown:
    """`words` says each value of a choice; `one` names one entry of a list, for its buttons; `long` asks for several lines."""

    label: Text
    help: Text = ""
    words: Mapping[Any, Text] = field(default_factory=dict)
    one: Text = ""
    long: bool = False

    def __hash__(self) -> int:
        return id(self)


def shown(field: FieldInfo, name: str) -> Shown:
    """The words of one option; made up from its name and description where it brings none."""
    found = next((part for part in field.metadata if isinstance(part, Shown)), None)
    return found or Shown(name.replace("_", " ").capitalize(), _(field.description) if field.description else "")


def wrong_options(found: ValidationError) -> dict[str, str]:
    """What is wrong with options, by place ("aspects.0.name"; "" where several do not go together): one sentence each."""
    return {".".join(str(part) for part in error["loc"]): _sentence(error) for error in reversed(found.errors())}


def _sentence(error: ErrorDetails) -> str:
    """Pydantic's message in the reader's language, for what a form can get wrong."""
    limit, kind = error.get("ctx", {}), error["type"]
    for kinds, sentence, name in (
        (("greater_than_equal",), _("At least %(limit)s, please."), "ge"),
        (("less_than_equal",), _("At most %(limit)s, please."), "le"),
        (("greater_than",), _("More than %(limit)s, please."), "gt"),
        (("less_than",), _("Less than %(limit)s, please."), "lt"),
        (("too_short",), _("At least %(limit)s of them are needed."), "min_length"),
        (("too_long",), _("At most %(limit)s of them, please."), "max_length"),
        (("string_too_short",), _("At least %(limit)s characters, please."), "min_length"),
        (("string_too_long",), _("At most %(limit)s characters, please."), "max_length"),
        (("literal_error", "enum"), _("Choose one of these: %(limit)s."), "expected"),
        (("int_parsing", "int_type", "int_from_float"), _("A whole number is needed here."), ""),
        (("float_parsing", "float_type"), _("A number is needed here."), ""),
        (("missing",), _("This is needed."), ""),
        (("extra_forbidden",), _("There is no such option."), ""),
    ):
        if kind in kinds:
            return sentence % {"limit": limit.get(name, "")}
    return str(limit["error"]) if kind == "value_error" and "error" in limit else str(error["msg"])
