"""The fields of a record: named by dotted paths, their values as texts that can be kept.

Stands inside mapping. Several fields are parted by commas; a field whose name has a comma stands in quotation marks, as in CSV.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext

from annotation.formats.jsonl import Problem
from webapp import saying

MAX_TEXT = 1_000_000  # characters
MAX_NAMED = 12  # fields that a message lists
CONDITION = re.compile(r'(\s*"(?:[^"]|"")*"\s*|[^=]*)=(.*)', re.DOTALL)


def named(fields: str) -> list[str]:
    """The fields that a text names: `instruction,"input, long"` names two. Raises Problem for one that names none."""
    try:
        found = [path.strip() for path in next(csv.reader([fields], skipinitialspace=True, strict=True), [])]
    except csv.Error:
        said = gettext('a quotation mark is never closed, or something stands behind it; write "one, two",three')
        raise Problem(0, fields, said) from None
    if paths := [path for path in found if path]:
        return paths
    raise Problem(0, fields, gettext("no field is named"))


def one(field: str) -> str:
    """The field that a text names where only one can be: as it stands, or without its quotation marks. Raises Problem."""
    field = field.strip()
    if not field.startswith('"'):
        return field
    paths = named(field)
    if len(paths) > 1:
        raise Problem(0, field, gettext("one field was expected here, not %(n)s") % {"n": len(paths)})
    return paths[0]


def condition(text: str) -> tuple[str, str]:
    """The field and the value of `field=value`; what stands in quotation marks may hold commas and =. Raises Problem."""
    found = CONDITION.match(text)
    return (one(found[1]), found[2]) if found else (one(text), "")


def quoted(name: str) -> str:
    """A field's name as `named` reads it."""
    return '"' + name.replace('"', '""') + '"' if "," in name or name.startswith('"') else name


def several(record: Mapping[str, Any], fields: str, line: int) -> list[str]:
    """The fields that a text names. Raises Problem where the record has one of that whole name, comma and all."""
    paths = named(fields)
    if len(paths) > 1 and fields in record:
        said = gettext(
            "a comma parts two fields; one that has a comma in its name stands in quotation marks: %(quoted)s"
        )
        raise Problem(line, fields, said % {"quoted": quoted(fields)})
    return paths


def value(record: Mapping[str, Any], path: str, line: int) -> Any:  # noqa: ANN401 - any JSON value
    """What stands at a path. Raises Problem that says what there is."""
    if path in record:  # a column may have a dot in its name
        return record[path]
    found: Any = record
    for step in path.split("."):
        if isinstance(found, Mapping) and step in found:
            found = found[step]
        elif isinstance(found, list) and step.isdigit() and int(step) < len(found):
            found = found[int(step)]
        else:
            there = listed(found) if isinstance(found, Mapping) else type(found).__name__
            raise Problem(
                line,
                path,
                gettext("there is no field “%(step)s”; there is: %(there)s") % {"step": step, "there": there},
            )
    return found


def listed(record: Mapping[str, Any]) -> str:
    """The names of its fields, for a message; not more than twelve."""
    return ", ".join(map(quoted, list(record)[:MAX_NAMED]))


def optional(line: int, record: Mapping[str, Any], mapping: Mapping[str, str], word: str) -> Any:  # noqa: ANN401
    """The value of a word that may be missing. A field that somebody named must be there; a native one need not."""
    path = mapping.get(word)
    if path is None or (path == word and word not in record):
        return None
    return value(record, path, line)


def remark(line: int, record: Mapping[str, Any], mapping: Mapping[str, str], word: str, limit: int) -> str:
    """A short text about the item that may be missing, null or empty; on one line."""
    found = optional(line, record, mapping, word)
    if found is None or found == "":
        return ""
    return " ".join(short(line, mapping[word], found, limit).split())


def short(line: int, name: str, value: object, limit: int = 200) -> str:
    """The value as a text of so many characters at most. Raises Problem."""
    found = text(line, name, value)
    if len(found) > limit:
        raise Problem(line, name, gettext("longer than %(n)s characters") % {"n": saying.number(limit)})
    return found


def text(line: int, name: str, value: object, *, may_be_empty: bool = False) -> str:
    """The value as text; a number or truth value is the text that JSON writes for it. Raises Problem."""
    if isinstance(value, bool | int | float):
        value = json.dumps(value)
    if not isinstance(value, str):
        raise Problem(line, name, gettext("a text was expected, not %(value)s") % {"value": kind_of(value)})
    if not value.strip() and not may_be_empty:
        raise Problem(line, name, gettext("the text is empty"))
    if len(value) > MAX_TEXT:
        raise Problem(line, name, gettext("the text is longer than %(n)s characters") % {"n": saying.number(MAX_TEXT)})
    if "\x00" in value or any("\ud800" <= c <= "\udfff" for c in value):
        raise Problem(line, name, gettext("the text holds a NUL or half a surrogate pair, which no UTF-8 text can"))
    return value


def kind_of(value: object) -> str:
    """What a value is, in words, for a message."""
    names = {
        dict: gettext("an object"),
        list: gettext("a list"),
        str: gettext("a text"),
        bool: gettext("true or false"),
        int: gettext("a number"),
        float: gettext("a number"),
        type(None): "null",
    }
    return names.get(type(value), type(value).__name__)
