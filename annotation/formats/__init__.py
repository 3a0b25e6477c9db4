"""File formats: one file a format. What they share is that a record is an object of named fields that begins on some line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Any, BinaryIO

from annotation.formats import jsonl, table
from annotation.formats.jsonl import Problem

FORMATS = ("jsonl", "csv", "tsv")
ENDINGS = {".csv": "csv", ".tsv": "tsv", ".tab": "tsv"}


def format_of(name: str, head: bytes = b"") -> str:
    """The format of a file by its name; a .txt whose first line holds a tab and no object is a TSV."""
    ending = PurePath(name).suffix.lower()
    if ending == ".txt" and b"\t" in head.partition(b"\n")[0] and not head.lstrip(b"\xef\xbb\xbf \t").startswith(b"{"):
        return "tsv"
    return ENDINGS.get(ending, "jsonl")


def each(file: BinaryIO, form: str, columns: Sequence[str] = ()) -> Iterator[tuple[int, dict[str, Any] | Problem]]:
    """(line where it begins, record or what is wrong with it); `columns` name those of a table without a first row of names.

    Raises jsonl.Unreadable where nothing that follows could be understood.
    """
    if form == "jsonl":
        return jsonl.each(file)
    return table.each(file, tabs=form == "tsv", columns=columns)
