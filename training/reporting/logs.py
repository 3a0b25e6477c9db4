"""Reads a run's output.log for people: its end, a stretch of it, and every line that holds a word. After working.

Whatever a trainer printed is shown as plain text of bounded length: escape sequences and control characters are taken out, of
a line that was drawn over (a progress bar) the last state is kept. Line numbers are those of the file as it is downloaded.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.utils.translation import gettext

from training import preparing
from training.models import Run
from webapp import saying

LOG_READ = 256_000  # bytes at the end of the output, protocol lines among them
LOG_TAIL = 16_000  # characters shown
PIECE = 256 * 1024  # bytes; a longer line is read, and looked through, in pieces of this many
SHOWN = 2_000  # characters of a line
AROUND = 200  # characters before a match in a line that is cut
CONTEXT = 2  # lines on each side of a match
PAGE = 50  # matches
STRETCH = 400  # lines
LAST_LINES = 15
PROTOCOL = b'{"type"'
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\|$)|[ -/]*[0-~])")
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Line:
    """One line; `parts` are its text cut at the matches, which stand at the odd places."""

    number: int
    parts: tuple[str, ...]
    is_match: bool = False

    @property
    def text(self) -> str:
        return "".join(self.parts)


@dataclass(frozen=True)
class Found:
    """Matches with the lines around them, in groups that touch; `after` is where the next page begins, if there is one."""

    groups: list[list[Line]]
    count: int
    after: int | None


def log_path(run: Run) -> Path:
    return preparing.folder(run) / "output.log"


def clean(raw: bytes) -> str:
    """A line as text that does nothing but be read."""
    line = raw.rstrip(b"\r\n").rpartition(b"\r")[2]
    return CONTROLS.sub("\N{REPLACEMENT CHARACTER}", ESCAPES.sub("", line.decode("utf-8", "replace")))


def cut(text: str, start: int = 0) -> str:
    """What is shown of a line."""
    shown = text[start : start + SHOWN]
    before = gettext("[%(n)s characters]") % {"n": saying.number(start)} + " … " if start else ""
    left = len(text) - start - len(shown)
    after = " … " + gettext("[%(n)s more characters]") % {"n": saying.number(left)} if left else ""
    return f"{before}{shown}{after}"


def log_tail(run: Run) -> str:
    """The end of what its process printed."""
    try:
        with log_path(run).open("rb") as file:
            start = max(0, file.seek(0, 2) - LOG_READ)
            file.seek(start)
            lines = file.read().split(b"\n")
    except FileNotFoundError:
        return ""
    whole = lines[1:] if start and len(lines) > 1 else lines  # the first may be the end of a line
    shown = "\n".join(cut(clean(line)) for line in whole if not line.startswith(PROTOCOL)).strip("\n")
    return shown[-LOG_TAIL:]


def last_lines(run: Run) -> str:
    """The last words of a run, to stand beside the cause of its failure."""
    said = [line for line in log_tail(run).split("\n") if line.strip()]
    return "\n".join(said[-LAST_LINES:])


def lines(run: Run) -> Iterator[tuple[int, bytes]]:
    """Every line of log text with its number, a long one in pieces under the same number."""
    try:
        file = log_path(run).open("rb")
    except FileNotFoundError:
        return
    with file:
        number, at_start, said = 1, True, True
        while piece := file.readline(PIECE):
            if at_start:
                said = not piece.startswith(PROTOCOL)
            if said:
                yield number, piece
            at_start = piece.endswith(b"\n")
            number += at_start


def whole_lines(run: Run) -> Iterator[tuple[int, str, int]]:
    """Number, the first piece of its text, and how long the line is all in all (in bytes)."""
    number, first, size = 0, b"", 0
    for found, piece in lines(run):
        if found != number:
            if number:
                yield number, clean(first), size
            number, first, size = found, piece, 0
        size += len(piece)
    if number:
        yield number, clean(first), size


def stretch(run: Run, around: int | None = None) -> tuple[list[Line], int]:
    """The lines around a line, or the last ones; and how many lines there are."""
    kept: deque[Line] = deque(maxlen=STRETCH)
    last = 0
    for number, text, size in whole_lines(run):
        last = number
        if around is None or number <= around + STRETCH // 2:
            kept.append(Line(number, (cut(text) + _rest(text, size),), number == around))
    return list(kept), last


def _rest(text: str, size: int) -> str:
    return " … " + gettext("[a line of %(n)s bytes]") % {"n": saying.number(size)} if size > PIECE else ""


def search(run: Run, query: str, after: int = 0) -> Found:
    """A page of the lines after line `after` that hold `query`, upper and lower case alike, with the lines around them."""
    pattern = re.compile(re.escape(query), re.IGNORECASE)
    groups: list[list[Line]] = []
    before: deque[Line] = deque(maxlen=CONTEXT)
    count = still = seen = matched = 0
    for number, piece in lines(run):
        if number <= after or number == matched:
            continue
        text = clean(piece)
        if hit := pattern.search(text):
            if count == PAGE:
                return Found(groups, count, matched)
            count, still, matched = count + 1, CONTEXT, number
            _add(groups, [*before, _marked(number, text, hit.start(), pattern)])
            before.clear()
        elif number != seen and still:
            groups[-1].append(Line(number, (cut(text),)))
            still -= 1
        elif number != seen:
            before.append(Line(number, (cut(text),)))
        seen = number
    return Found(groups, count, None)


def _add(groups: list[list[Line]], found: list[Line]) -> None:
    """A match with the lines before it joins the group it touches. Of a line in pieces an earlier one may stand there already."""
    *before, match = found
    before = [line for line in before if line.number != match.number]
    if groups and groups[-1][-1].number == match.number:
        groups[-1].pop()
    if groups and (not before or before[0].number == groups[-1][-1].number + 1):
        groups[-1] += [*before, match]
    else:
        groups.append([*before, match])


def _marked(number: int, text: str, at: int, pattern: re.Pattern[str]) -> Line:
    shown = cut(text, max(0, at - AROUND) if at > SHOWN - AROUND else 0)
    parts, last = [], 0
    for hit in pattern.finditer(shown):
        parts += [shown[last : hit.start()], hit.group()]
        last = hit.end()
    return Line(number, (*parts, shown[last:]), True)
