"""Raw texts as tokens, in parts that a model can read: for every method that learns from `text` rows.

A part never holds two texts: nothing is learned across a border that no author drew, which also did slightly better than
filling parts up with the next text (Liu et al. 2019, section 4.2, DOC-SENTENCES), and batches of like lengths pad little.
"""

import re
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, NamedTuple

from feinschliff import NeedsNotMet
from feinschliff.rows import group_of

LONGEST_WORD = 10  # tokens; scripts without spaces have "words" as long as a sentence, which are taken in pieces
SENTENCE = re.compile(r"(?<=[.!?…])[\"'”’»)]*\s+|(?<=[。！？])|\n\s*\n")  # what stands between two sentences
REPLACED = "\ufffd"  # what stands where bytes could not be read
Tokens = Sequence[int]  # kept as arrays: four bytes a token, where a list of numbers takes up to forty
Tokenizer = Any  # transformers' tokenizers carry no usable types


class Part(NamedTuple):
    """A text, or a part of one, as tokens without special ones.

    `words` numbers each token's word. The first `seen` tokens were read in the part before: context, not to be learned from
    again. `text` is the characters that belong to this part alone: those of all parts of a text, joined, are the text;
    `last` is its last part.
    """

    ids: Tokens
    words: Tokens
    seen: int
    text: str
    group: str
    last: bool


class Texts(NamedTuple):
    """What was read: `empty` rows held no token or had the weight 0; `broken` ones hold characters that were lost before."""

    parts: list[Part]
    empty: int
    broken: int


def read_texts(rows: Sequence[dict[str, Any]], tokenizer: Tokenizer, *, room: int, overlap: int = 0) -> Texts:
    """The parts of all `text` rows, in order: at most `room` tokens each, cut before a word where possible.

    Each part but a text's first begins with `overlap` tokens of the one before (at most half of `room`). Raises NeedsNotMet
    for a row whose characters cannot be written as UTF-8.
    """
    parts: list[Part] = []
    empty = broken = 0
    for number, row in enumerate(rows, start=1):
        text = row["text"]
        _check(text, number)
        broken += REPLACED in text
        found = parts_of(text, tokenizer, room=room, overlap=overlap, group=group_of(row)) if _counts(row) else []
        empty += not found
        parts += found
    return Texts(parts, empty, broken)


def parts_of(text: str, tokenizer: Tokenizer, *, room: int, overlap: int = 0, group: str = "") -> list[Part]:
    """One text in parts; none where it has no token. What is spelt like a special token is read as characters."""
    if not text.strip():
        return []
    read = tokenizer(
        text,
        add_special_tokens=False,
        split_special_tokens=True,
        return_offsets_mapping=tokenizer.is_fast,
        verbose=False,
    )
    ids = array("I", read["input_ids"])
    if not ids:
        return []
    starts = [start for start, _ in read["offset_mapping"]] if tokenizer.is_fast else list(range(len(ids)))
    words = array("I", word_numbers(read.word_ids() if tokenizer.is_fast else None, starts, text))
    overlap = min(overlap, room // 2)
    parts: list[Part] = []
    begin = new = 0  # the part's first token, and its first that no part before it had
    while new < len(ids):
        end = _end(words, begin, new, room)
        until = starts[end] if end < len(ids) and tokenizer.is_fast else len(text)
        after = 0 if new == 0 else starts[new]
        parts.append(
            Part(
                ids=ids[begin:end],
                words=words[begin:end],
                seen=new - begin,
                text=text[after:until] if tokenizer.is_fast else tokenizer.decode(list(ids[new:end])),
                group=group,
                last=end == len(ids),
            )
        )
        begin, new = max(end - overlap, begin + 1), end
    return parts


def halves(text: str) -> tuple[str, str] | None:
    """The text cut between the two sentences that are nearest to its middle, no blanks at the cut; None where it has but one."""
    text = text.strip()
    borders = [match for match in SENTENCE.finditer(text) if match.end() < len(text)]
    if not borders:
        return None
    border = min(borders, key=lambda match: abs(2 * match.end() - len(text)))
    return text[: border.end()].rstrip(), text[border.end() :]


def word_numbers(known: Sequence[int | None] | None, starts: Sequence[int], text: str) -> list[int]:
    """A rising number for each token's word: the tokenizer's own words, or what stands between blanks where it knows none.

    A word of more than ten tokens counts as several. Without words and offsets (a slow tokenizer) each token is a word.
    """
    if known is None:
        return list(range(len(starts)))
    if (
        len(set(known)) == 1 and len(text.split()) > 1
    ):  # it cuts no words itself (SentencePiece without a pre-tokenizer)
        known = _by_blanks(starts, text)
    found: list[int] = []
    number, length = -1, 0
    for place, word in enumerate(known):
        fresh = place == 0 or word != known[place - 1]
        if fresh or length == LONGEST_WORD:
            number, length = number + 1, 0
        found.append(number)
        length += 1
    return found


def _by_blanks(starts: Sequence[int], text: str) -> list[int]:
    """The number of the word between blanks in which each token begins; a blank belongs to the word that follows."""
    ends = [match.end() for match in re.finditer(r"\S+", text)]
    return [bisect_left(ends, start + 1) for start in starts]


def _end(words: Sequence[int], begin: int, new: int, room: int) -> int:
    """Where a part ends: after `room` tokens, or before the word that would be torn, if at least half of the room is used."""
    end = begin + room
    if end >= len(words):
        return len(words)
    whole = end
    while whole > begin + room // 2 and whole > new + 1 and words[whole] == words[whole - 1]:
        whole -= 1
    return whole if words[whole] != words[whole - 1] else end


def _counts(row: dict[str, Any]) -> bool:
    return float(row.get("weight", 1.0)) > 0


def _check(text: str, number: int) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise NeedsNotMet(
            f"the text of row {number} holds half a character ({text[error.start]!r} at place {error.start + 1}), as a file read "
            "in the wrong encoding does: read it again as what it is (UTF-8, Latin-1, ...) and freeze anew"
        ) from None
