"""How a question's options are put before people: their words, in the reader's language, beside the type that they go with.

    levels: Annotated[Literal[3, 5, 7], Shown(_("Steps"), words={3: _("Three: A, equal, B")})] = 7

Without it the builder shows the field's name and its description as they are.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _
from pydantic import ValidationError

if TYPE_CHECKING:
    from pydantic import BaseModel
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


def data_name(name: str) -> str:
    """A validator: a name as it stands in the data."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,39}", name):
        raise ValueError(
            _("“%(name)s” cannot be a name in the data: use small letters, digits, - and _ (not first), at most 40.")
            % {"name": name[:60]}
            if name
            else _("A name is needed here, such as “quality”.")
        )
    return name


class WrongTogether(ValueError):
    """What a validator of several fields says where they do not go together; `place` is the field to look at, "highest"."""

    def __init__(self, place: str, sentence: str) -> None:
        super().__init__(sentence)
        self.place = place


def wrong_options(schema: type[BaseModel], given: Any) -> dict[str, str]:  # noqa: ANN401 - whatever somebody sent
    """What is wrong with options, by place ("aspects.0.name"; "" where no field is to blame): one sentence each.

    Pydantic looks at fields together only once each is right by itself. Where all that is wrong lies inside of lists, the
    rest is looked at all the same, so that nobody mends one thing to be told of the next.
    """
    try:
        schema.model_validate(given)
    except ValidationError as found:
        wrong = _by_place(found.errors())
        try:
            schema.model_validate(_without(given, found.errors()))
        except (ValidationError, LookupError, TypeError) as rest:
            together = rest.errors() if isinstance(rest, ValidationError) else []
            return _by_place(together[:1] if together and not together[0]["loc"] else []) | wrong
        return wrong
    return {}


def _by_place(errors: list[ErrorDetails]) -> dict[str, str]:
    """One sentence a place: the first of it."""
    return {_place(error): _sentence(error) for error in reversed(errors)}


def _place(error: ErrorDetails) -> str:
    cause = error.get("ctx", {}).get("error")
    inside = [cause.place] if isinstance(cause, WrongTogether) else []
    return ".".join([*(str(part) for part in error["loc"]), *inside])


def _without(given: Any, errors: list[ErrorDetails]) -> Any:  # noqa: ANN401
    """`given` with something right for what is wrong in its lists. Raises LookupError or TypeError if it cannot."""
    rest = copy.deepcopy(given)
    for number, error in enumerate(errors):
        if len(error["loc"]) < 2 or not isinstance(error["loc"][-1], str):
            raise LookupError(error["loc"])
        *above, last = error["loc"]
        at = rest
        for part in above:
            at = at[part]
        if isinstance(at[last], str):  # of its own, for names must differ
            at[last] = f"mend-{number}"
        else:
            del at[last]
    return rest


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
