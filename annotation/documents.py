"""Reads raw texts: plain files, each a document, a zip of them, or records with a field `text`. Stores nothing.

What is wrong is noted with the file and the line, and the rest is read on, so that all of it can be said at once.
"""

from __future__ import annotations

import hashlib
import lzma
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from django.conf import settings
from django.utils.translation import gettext

from annotation import formats, picking
from annotation.formats import encodings, jsonl
from annotation.formats.jsonl import Problem, Unreadable
from webapp import saying

LONGEST = 20_000_000  # characters of one text
SHORT = 200  # characters of a key, a title, a group
MOST_PROBLEMS = 20  # after which a file is not read any further
MOST_EXAMPLES = 6  # names of files that were passed over; one of each ending
DOCUMENTS = (".txt", ".text")
WORDS = ("id", "text", "title", "group")
#: word -> names that files usually give it
USUAL = {"id": ("id", "key", "uid"), "text": ("text", "content", "body"), "title": ("title",), "group": ("group",)}
#: what reading a zip raises where it is damaged, locked or packed in a way that is not known
DAMAGED = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError, RuntimeError, NotImplementedError,
    ValueError,
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    """A file under its name, whose ending says what it is; in a folder or a zip the name has a path."""

    name: str
    file: BinaryIO

    @property
    def is_zip(self) -> bool:
        return self.name.lower().endswith(".zip")


@dataclass(frozen=True)
class Found:
    """One text as a file has it. `place` says where, for whoever has to mend it."""

    place: str
    line: int
    key: str
    title: str
    text: str
    group: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True)
class How:
    """`each_line`: every line of a plain file is a text of its own. `mapping`: which field of a record is what."""

    encoding: str = encodings.UTF8
    each_line: bool = False
    mapping: Mapping[str, str] = field(default_factory=dict)


@dataclass
class PassedOver:
    """The files of a zip or folder that are no texts: how many, and the first of each ending. Hidden ones are none of them."""

    count: int = 0
    examples: dict[str, str] = field(default_factory=dict)  # ending -> name

    def note(self, name: str) -> None:
        if _is_hidden(name):
            return
        self.count += 1
        ending = PurePosixPath(name).suffix.lower()
        if ending not in self.examples and len(self.examples) < MOST_EXAMPLES:
            self.examples[ending] = jsonl.shown(_short(name))


def _unpacked(source: Source, passed_over: PassedOver) -> Iterator[Source]:
    """The source, or the texts in it where it is a zip. Raises Problem for one that is too large, DAMAGED for one that is."""
    if not source.is_zip:
        yield source
        return
    with zipfile.ZipFile(source.file) as packed:
        members = []
        for one in packed.infolist():
            if one.is_dir():
                continue  # whatever it is called
            if is_text(one.filename):
                members.append(one)
            else:
                passed_over.note(one.filename)
        if sum(one.file_size for one in members) > settings.IMPORT_MAX_BYTES:
            said = gettext("unpacked it is larger than %(n)s MB") % {"n": settings.IMPORT_MAX_BYTES // 2**20}
            raise Problem(0, source.name, said)
        for one in members:
            with packed.open(one) as file:
                yield Source(one.filename, file)  # type: ignore[arg-type] # it reads like one


def is_text(name: str) -> bool:
    """Whether a file of this name is one that can come in; a folder may hold others."""
    return PurePosixPath(name).suffix.lower() in (*DOCUMENTS, *formats.ENDINGS, ".jsonl", ".ndjson") and not _is_hidden(
        name
    )


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)


def read(source: Source, how: How, problems: list[Problem], passed_over: PassedOver) -> Iterator[Found]:
    """The texts of a file, or of all files in a zip that are texts; what cannot be read is noted in `problems`.

    The other files of a zip are noted in `passed_over`.
    """
    if not source.is_zip and not is_text(source.name):
        problems.append(Problem(0, source.name, no_text()))
        return
    place = source.name
    try:
        for one in _unpacked(source, passed_over):
            place = one.name
            try:
                yield from _of(one, how, problems)
            except Problem as problem:
                problems.append(placed(one.name, problem))
    except Problem as problem:
        problems.append(problem)
    except DAMAGED as wrong:
        if not source.is_zip:
            raise
        said = gettext("the zip cannot be read: %(wrong)s") % {"wrong": wrong}
        problems.append(placed(source.name, Problem(0, place, said)))


def no_text() -> str:
    return gettext("there is no text in it: a file ends in .txt, .jsonl, .csv or .tsv")


def _of(source: Source, how: How, problems: list[Problem]) -> Iterator[Found]:
    """The texts of one file. Raises Problem where it cannot be read any further."""
    file = encodings.as_utf8(source.file, how.encoding)
    if PurePosixPath(source.name).suffix.lower() not in DOCUMENTS:
        yield from _records(source.name, file, how, problems)
    elif how.each_line:
        alike = Counter[str]()
        for number, raw in jsonl.lines(file):
            if line := jsonl.decoded(number, raw).strip():
                key = _numbered(_short(f"{source.name}:{_hash(line)}"), alike)
                yield Found(source.name, number, key, "", line, _hash(line))
    else:
        yield _document(source.name, file.read(LONGEST * 4 + 4))


def _document(name: str, raw: bytes) -> Found:
    """A plain file as one text; of `raw` no more is read than the longest text can have, and a byte."""
    if len(raw) > LONGEST * 4 + 3:  # at most four bytes a character, and a mark before them; it may be cut inside one
        raise Unreadable(0, "", too_long())
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        line = raw.count(b"\n", 0, wrong.start) + 1
        said = gettext(
            "not UTF-8: byte 0x%(byte)s, the %(place)s. of the file; save it as UTF-8, or say which encoding it has"
        )
        values = {"byte": f"{raw[wrong.start]:02x}", "place": saying.number(wrong.start + 1)}
        raise Unreadable(line, "", said % values) from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    title = PurePosixPath(name).stem
    return Found(name, 0, _short(name), title[:SHORT], text, _short(name))


def _records(name: str, file: BinaryIO, how: How, problems: list[Problem]) -> Iterator[Found]:
    """The records of a file of JSON Lines, CSV or TSV; one that is wrong is noted and passed over."""
    words: Mapping[str, str] = {}
    alike = Counter[str]()
    for line, record in formats.each(file, formats.format_of(name)):
        try:
            if isinstance(record, Problem):
                raise record
            words = words or _guess(line, record, how.mapping)
            values = {word: _value(line, record, path, word) for word, path in words.items()}
            text = values["text"]
            key = values.get("id") or _hash(text)
            if "id" not in words:
                key = _numbered(key, alike)
            yield Found(name, line, key, values.get("title", ""), text, values.get("group") or _hash(text))
        except Unreadable:
            raise
        except Problem as problem:
            problems.append(placed(name, problem))
            if len(problems) >= MOST_PROBLEMS:
                return


def _guess(line: int, record: Mapping[str, Any], named: Mapping[str, str]) -> dict[str, str]:
    """Which field is what: as it was named, and the others by their usual names; a word named as empty has no field."""
    found = {word: next((name for name in names if name in record), "") for word, names in USUAL.items()} | dict(named)
    if not found["text"]:
        there = picking.listed(record)
        raise Unreadable(line, "text", gettext("there is no field “text”; there is: %(there)s") % {"there": there})
    return {word: name for word, name in found.items() if name}


def _value(line: int, record: Mapping[str, Any], path: str, word: str) -> str:
    if path not in record:
        there = picking.listed(record)
        said = gettext("there is no field “%(step)s”; there is: %(there)s") % {"step": path, "there": there}
        raise Problem(line, path, said)
    value = record[path]
    if word != "text" and value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool) and word != "text":
        value = str(value)
    if not isinstance(value, str):
        raise Problem(line, path, gettext("a text was expected"))
    if word != "text" and len(value) > SHORT:
        raise Problem(line, path, gettext("longer than %(n)s characters") % {"n": SHORT})
    return value


def placed(place: str, problem: Problem) -> Problem:
    """The problem with the file that has it."""
    if place in (problem.field, ""):
        return problem
    return Problem(problem.line, ", ".join(filter(None, [place, problem.field])), problem.message)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:20]


def _numbered(key: str, alike: Counter[str]) -> str:
    """A key out of the content, which the second of its kind has with a number."""
    alike[key] += 1
    return key if alike[key] == 1 else f"{key}-{alike[key]}"


def too_long() -> str:
    return gettext("the text is longer than %(n)s characters") % {"n": saying.number(LONGEST)}


def _short(name: str) -> str:
    """A key of a file: its name, or its end with a hash of it all where it is too long."""
    return name if len(name) <= SHORT else f"{_hash(name)}-{name[-(SHORT - 21) :]}"
