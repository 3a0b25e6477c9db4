"""Files that are not UTF-8: read in the encoding that somebody named, never in one that was guessed."""

from __future__ import annotations

import codecs
import io
import tempfile
from typing import BinaryIO

from django.utils.translation import gettext

from annotation.formats.jsonl import Problem, Unreadable

UTF8 = "utf-8"
#: those that the screen offers; the commands take every one that Python knows
OFFERED = {
    UTF8: "UTF-8",
    "windows-1252": "Windows-1252",
    "iso-8859-1": "ISO 8859-1 (Latin-1)",
    "iso-8859-15": "ISO 8859-15",
    "utf-16": "UTF-16",
}
CHUNK = 1 << 20
IN_MEMORY = 8 << 20


def known(encoding: str) -> str:
    """Python's name of the encoding. Raises Problem for one that there is not."""
    try:
        found = codecs.lookup(encoding)
    except (LookupError, ValueError):  # ValueError: a NUL in the name
        found = None
    if found is None or not found._is_text_encoding:
        raise unknown(encoding)
    return found.name


def unknown(encoding: str) -> Problem:
    said = gettext("there is no encoding “%(name)s”; usual ones are %(offered)s")
    return Problem(0, "encoding", said % {"name": encoding[:40], "offered": ", ".join(OFFERED)})


def as_utf8(file: BinaryIO, encoding: str) -> BinaryIO:
    """The file itself if it is said to be UTF-8, else a temporary copy in UTF-8. Raises Problem with the line that is not so."""
    name = known(encoding)
    if name == UTF8:
        return file
    copy = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - whoever asked reads and drops it
    text = io.TextIOWrapper(file, encoding=name, newline="")
    line = 1
    try:
        while some := text.read(CHUNK):
            line += some.count("\n")
            copy.write(some.encode(UTF8))
    except UnicodeError as wrong:
        place = gettext("not %(encoding)s: %(reason)s") % {
            "encoding": encoding, "reason": getattr(wrong, "reason", str(wrong)),
        }  # fmt: skip
        raise Unreadable(line, "", gettext("in this line or after it: %(said)s") % {"said": place}) from None
    finally:
        text.detach()
    copy.seek(0)
    return copy  # type: ignore[return-value] # it reads like one
