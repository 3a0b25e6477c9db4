"""Cuts long texts into passages to learn from: whole paragraphs where they fit, then whole sentences, then whole words.

Stands inside freezing. Nothing is lost but blanks at the cuts, and the same text is always cut alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

LEAST, USUAL, MOST = 100, 1000, 100_000  # characters a passage
PARAGRAPHS = re.compile(r"\n[ \t]*\n\s*")
SENTENCES = re.compile(r"(?<=[.!?…。！？])[\"'”’»“)\]]*\s+")
WORDS = re.compile(r"\s+")


def cut(text: str, most: int) -> list[str]:
    """The text in passages of at most `most` characters, none of them empty; 0: as it is, in one."""
    text = text.strip()
    if not text:
        return []
    return [text] if not most else list(_gathered(text, most, [_by(PARAGRAPHS), _by(SENTENCES), _by(WORDS), _hard]))


Cutting = Callable[[str, int], list[str]]


def _by(places: re.Pattern[str]) -> Cutting:
    """Cuts before what begins after a match; the blanks stay at the end of the part before, so that parts join to the text."""

    def parts(text: str, _most: int) -> list[str]:
        ends = [match.end() for match in places.finditer(text)]
        return [text[begin:end] for begin, end in zip([0, *ends], [*ends, len(text)], strict=True) if begin < end]

    return parts


def _hard(text: str, most: int) -> list[str]:
    """A word longer than a passage, such as a text without any blank."""
    return [text[begin : begin + most] for begin in range(0, len(text), most)]


def _gathered(text: str, most: int, cuttings: list[Cutting]) -> Iterator[str]:
    """As many parts in a row as fit make a passage; one that alone is too long is cut more finely."""
    held, length = list[str](), 0  # the parts of the passage so far; joined once, for a passage may have many words
    for part in cuttings[0](text, most):
        bare = len(part.rstrip())
        if held and bare and length + bare > most:
            yield "".join(held).rstrip()
            held, length = [], 0
        if bare > most:
            *whole, last = _gathered(part, most, cuttings[1:])
            yield from whole
            held = [last, part[bare:]]
            length = len(last) + len(part) - bare
        else:
            held.append(part)
            length += len(part)
    if passage := "".join(held).rstrip():
        yield passage
