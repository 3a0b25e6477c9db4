"""CSV and TSV: UTF-8, the first row names the columns. Says where a file is wrong, in lines of the file and not in rows.

CSV as RFC 4180 has it, parted by commas, semicolons (what spreadsheets write in much of Europe) or tabs: whichever the first row
holds most. In TSV a quotation mark is a character like any other (IANA's text/tab-separated-values), so that texts that begin
with one come in whole.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from django.utils.translation import gettext

from annotation.formats import jsonl
from annotation.formats.jsonl import MAX_LINE_BYTES, Problem, Unreadable

DELIMITERS = ",;\t"
MOST_COLUMNS = 500
Found = tuple[int, dict[str, Any] | Problem]

csv.field_size_limit(MAX_LINE_BYTES)  # one for the process; the module's own limit of 128 kB is less than a long text


def each(file: BinaryIO, *, tabs: bool = False, columns: Sequence[str] = ()) -> Iterator[Found]:
    """(line where it begins, record or what is wrong with it) for each row that is not blank.

    `tabs`: TSV. `columns` name those of a file whose first row is a record already. An empty field is an empty text. Raises
    Unreadable where nothing that follows could be understood.
    """
    lines = _Lines(file)
    names = _checked(list(columns), 0) if columns else []
    if tabs:
        reader = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    else:
        lines.peek()
        reader = csv.reader(lines, delimiter=_delimiter(lines.first), strict=True)
    while True:
        begun = reader.line_num + 1
        try:
            fields = next(reader, None)
        except csv.Error as wrong:
            raise Unreadable(begun, "", _said(wrong)) from None
        if fields is None:
            return
        if not any(field.strip() for field in fields):
            continue
        if not names:
            names = _checked(fields, begun)
        elif len(fields) != len(names):
            yield begun, Problem(begun, "", _uneven(fields, names))
        else:
            yield begun, dict(zip(names, fields, strict=True))


class _Lines:
    """The lines of a file as text, each with its end, the first of them to be looked at beforehand."""

    def __init__(self, file: BinaryIO) -> None:
        self.raw = jsonl.lines(file)
        self.first = ""
        self.ahead: list[str] = []

    def peek(self) -> None:
        for line in self:
            self.ahead.append(line)
            if line.strip():
                self.first = line
                return

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if self.ahead and self.first:
            return self.ahead.pop(0)
        number, raw = next(self.raw)
        try:
            return jsonl.decoded(number, raw)
        except Problem as problem:  # which quotation marks are open is not known any more
            raise Unreadable(problem.line, problem.field, problem.message) from None


def _delimiter(header: str) -> str:
    """What parts the columns: of the candidates outside quotation marks the most frequent; a comma where there is none."""
    outside = "".join(header.split('"')[::2])
    counts = Counter(sign for sign in outside if sign in DELIMITERS)
    return max(DELIMITERS, key=lambda sign: counts[sign])


def _checked(names: list[str], line: int) -> list[str]:
    """The columns' names, on one line each: a nameless one gets its number; two of one name cannot be told apart."""
    found = [" ".join(name.strip().splitlines()) or f"column-{number}" for number, name in enumerate(names, 1)]
    twice = [name for name, count in Counter(found).items() if count > 1]
    if twice:
        raise Unreadable(line, twice[0], gettext("two columns have this name; the first row names the columns"))
    if len(found) > MOST_COLUMNS:
        raise Unreadable(line, "", gettext("more than %(n)s columns") % {"n": MOST_COLUMNS})
    return found


def _uneven(fields: Sequence[str], names: Sequence[str]) -> str:
    said = gettext("%(fields)s fields, where the first row names %(names)s columns: %(which)s") % {
        "fields": len(fields), "names": len(names), "which": ", ".join(names[:12]),
    }  # fmt: skip
    if len(fields) > len(names):
        said += "; " + gettext("a text that holds what parts the columns stands in quotation marks")
    return said


def _said(wrong: csv.Error) -> str:
    text = str(wrong)
    if "unexpected end of data" in text or "field larger than field limit" in text:
        return gettext("a quotation mark that is opened here is never closed")
    if "expected after" in text:
        return gettext("a text in quotation marks goes on behind the closing one; a mark inside it is written twice")
    if "new-line character seen in unquoted field" in text:
        return gettext("a line break stands in a text without quotation marks")
    return gettext("not CSV: %(wrong)s") % {"wrong": text}
