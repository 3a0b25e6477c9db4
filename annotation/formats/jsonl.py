"""JSON Lines: UTF-8, one object a line. Reads with bounded memory and says where a file is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from django.utils.translation import gettext

MAX_LINE_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 100
MAX_MESSAGE = 500  # characters; a message may quote what stood in the file


@dataclass(eq=False)
class Problem(Exception):
    """What is wrong with a file, and where. `line` counts from 1; 0 is the whole file."""

    line: int
    field: str
    message: str

    def __post_init__(self) -> None:
        self.field, self.message = shown(self.field), shown(self.message)

    def __str__(self) -> str:
        where = ", ".join(
            part for part in (gettext("line %(n)s") % {"n": self.line} if self.line else "", self.field) if part
        )
        said = f"{where}: {self.message}" if where else self.message
        return said if len(said) <= MAX_MESSAGE else said[: MAX_MESSAGE - 1] + "…"


def shown(text: str) -> str:
    """A text out of a file as a page can have it: JSON may hold halves of surrogate pairs, which no UTF-8 text can."""
    return text.encode("utf-8", "replace").decode()


class Unreadable(Problem):
    """A problem of the whole file: what follows this line would only repeat it."""


def lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """(line number, line) from 1 on. Raises Unreadable for a line that is too long to be one object."""
    number = 0
    while raw := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(raw) > MAX_LINE_BYTES:
            text = gettext("the line is longer than %(n)s MB; is it one object a line?") % {
                "n": MAX_LINE_BYTES // 2**20
            }
            raise Unreadable(number, "", text)
        yield number, raw


def record(number: int, raw: bytes) -> dict[str, Any] | None:
    """The object on a line; None for a blank one. Raises Problem."""
    text = decoded(number, raw)
    return _parsed(number, text) if text.strip() else None


def read(file: BinaryIO) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, object) for each line that is not blank. Raises Problem at the first line that cannot be read."""
    for number, raw in lines(file):
        found = record(number, raw)
        if found is not None:
            yield number, found


def each(file: BinaryIO) -> Iterator[tuple[int, dict[str, Any] | Problem]]:
    """(line number, object or what is wrong with the line). Raises Unreadable where the rest would only repeat it."""
    for number, raw in lines(file):
        try:
            found: dict[str, Any] | Problem | None = record(number, raw)
        except Unreadable:
            raise
        except Problem as problem:
            found = problem
        if found is not None:
            yield number, found


def decoded(number: int, raw: bytes) -> str:
    """A line as text; a byte order mark before the first one is dropped. Raises Problem with the byte that is not UTF-8."""
    try:
        return raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as wrong:
        if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise Unreadable(
                number, "", gettext("the file is UTF-16; save it as UTF-8, or say so as its encoding")
            ) from None
        byte = raw[wrong.start]
        raise Problem(
            number,
            "",
            gettext("not UTF-8: byte 0x%(byte)s at position %(column)s; save it as UTF-8, or say which encoding it has")
            % {"byte": f"{byte:02x}", "column": wrong.start + 1},
        ) from None


def _parsed(number: int, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as wrong:
        if number == 1 and text.strip() in ("[", "[{"):
            raise Unreadable(
                1, "", gettext("the file is one JSON list; write one object a line (JSON Lines)")
            ) from None
        if wrong.msg.startswith(("Invalid control character", "Unterminated string")) or wrong.pos >= len(
            text.rstrip()
        ):
            text = gettext("the line ends before its object does; a line break inside a text is written \\n")
            raise Problem(number, "", gettext("not JSON: %(wrong)s") % {"wrong": text}) from None
        raise Problem(
            number,
            "",
            gettext("not JSON: %(wrong)s at position %(column)s") % {"wrong": wrong.msg, "column": wrong.colno},
        ) from None
    except ValueError as wrong:  # Python reads no whole number of more than 4,300 digits
        raise Problem(number, "", gettext("not JSON that can be read: %(wrong)s") % {"wrong": wrong}) from None
    except RecursionError:
        raise Problem(number, "", gettext("the JSON is nested too deeply")) from None
    if isinstance(value, list) and number == 1:
        raise Unreadable(1, "", gettext("the line holds a JSON list; write one object a line (JSON Lines)"))
    if _depth(value) > MAX_DEPTH:
        raise Problem(
            number,
            "",
            gettext("the JSON is nested too deeply: %(n)s levels are enough") % {"n": MAX_DEPTH},
        )
    if not isinstance(value, dict):
        raise Problem(
            number, "", gettext("a line holds one JSON object, not %(found)s") % {"found": type(value).__name__}
        )
    return value


def _depth(value: object) -> int:
    """Levels of lists and objects; without recursion, which deep JSON would exhaust."""
    depth, level = 0, [value]
    while level := [inner for outer in level for inner in _inside(outer)]:
        depth += 1
        if depth > MAX_DEPTH:
            break
    return depth


def _inside(value: object) -> Iterable[object]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
