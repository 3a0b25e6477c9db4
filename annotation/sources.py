"""A file to read records from, in one of the formats, with second files that its fields refer to. Stands inside importing."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from django.utils.translation import gettext

from annotation import formats
from annotation.formats import jsonl
from annotation.formats.jsonl import Problem
from annotation.storing import ImportRefused


@dataclass(frozen=True)
class Lookup:
    """A second file whose records take the place of references to them: `field` holds the record's `key`."""

    field: str
    key: str
    records: Mapping[str, Any]

    def join(self, line: int, record: dict[str, Any]) -> None:
        reference = record.get(self.field)
        if str(reference) not in self.records:
            raise Problem(
                line,
                self.field,
                gettext("no record with %(key)s %(reference)s in the joined file")
                % {"key": self.key, "reference": repr(reference)},
            )
        record[self.field] = self.records[str(reference)]


@dataclass(frozen=True)
class Source:
    """A file to read: UTF-8, in one of the formats. `columns` name those of a table without a first row of names."""

    file: BinaryIO
    form: str = "jsonl"
    columns: Sequence[str] = ()
    lookups: Sequence[Lookup] = ()


def read_lookup(*, field: str, key: str, file: BinaryIO) -> Lookup:
    """The whole second file, by `key`. Raises ImportRefused."""
    records = {}
    try:
        for line, record in jsonl.read(file):
            if key not in record:
                raise Problem(line, key, gettext("the joined file has no such field here"))
            records[str(record[key])] = record
    except Problem as problem:
        raise ImportRefused([problem]) from None
    return Lookup(field=field, key=key, records=records)


def first_of(source: Source, count: int) -> list[dict[str, Any]]:
    """The first records of a source. Raises ImportRefused when there is none or they cannot be read."""
    records = []
    try:
        for _, found in itertools.islice(formats.each(source.file, source.form, source.columns), count):
            if isinstance(found, Problem):
                raise found
            records.append(found)
    except Problem as problem:
        raise ImportRefused([problem]) from None
    if not records:
        raise ImportRefused([empty(source)])
    return records


def empty(source: Source) -> Problem:
    """What is wrong with a source that has no record."""
    if source.form == "jsonl":
        return Problem(0, "", gettext("the file is empty; it needs one JSON object a line"))
    return Problem(0, "", gettext("the file is empty; below the names of the columns it needs a record a row"))
