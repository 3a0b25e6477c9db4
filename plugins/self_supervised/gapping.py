"""Texts with gaps, arranged so that a model that writes from left to right sees both sides of a gap before it fills it.

Fill-in-the-middle (Bavarian et al. 2022): a text is cut at two characters drawn by chance, and what stands between is moved to
the end. With several gaps, each leaves a mark behind and is written at the end in turn (Fried et al. 2023). No torch.
"""

import random
import re
from collections.abc import Sequence
from typing import NamedTuple

#: marks that some bases know already (Qwen2.5-Coder, StarCoder), and ours where none is known
KNOWN = (("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"), ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"))
OURS = ("<|feinschliff-before|>", "<|feinschliff-after|>", "<|feinschliff-fill|>")
END, GAP = "<|feinschliff-filled|>", "<|feinschliff-gap|>"
HOLE = re.compile(r"\[MASK\]|<mask>|_{3,}")  # what stands for a gap where a text is typed
WORD = re.compile(r"\s*\S{1,12}")  # longer ones in pieces: scripts without blanks have no others
Ids = list[int]


class Marks(NamedTuple):
    """The tokens that tell the parts of an arranged text from each other."""

    before: int
    after: int
    fill: int
    end: int
    gap: int


class Gapped(NamedTuple):
    """A text in pieces: `inside` the gaps, and `outside` of them, one piece more. Joined in turn they are the text."""

    outside: list[str]
    inside: list[str]

    @property
    def text(self) -> str:
        return "".join(map("".join, zip(self.outside, [*self.inside, ""], strict=True)))


class Arranged(NamedTuple):
    """Token ids, and for each whether it is to be predicted from those before it."""

    ids: Ids
    learned: list[bool]


def cut(text: str, rng: random.Random, *, gaps: int, longest: float, whole_words: bool = False) -> Gapped | None:
    """From one to `gaps` gaps, between places drawn evenly; None for a text that is too short for one.

    A place is before any character or, for `whole_words`, before the blank before a word. All gaps together are about
    `longest` of the text at most, none is empty; one that is too long loses its end.
    """
    count = rng.randint(1, gaps)
    places = [match.start() for match in WORD.finditer(text)] if whole_words else list(range(len(text)))
    places.append(len(text))
    if len(places) < 2 * count:
        return None
    chosen = sorted(rng.sample(range(len(places)), 2 * count))
    most = max(1, int(longest * len(places) / count))
    outside, inside, last = [], [], 0
    for first, end in zip(chosen[::2], chosen[1::2], strict=True):
        start, stop = places[first], places[min(end, first + most)]
        outside.append(text[last:start])
        inside.append(text[start:stop])
        last = stop
    return Gapped([*outside, text[last:]], inside)


def without_words(text: str, rng: random.Random, *, most: int) -> Gapped | None:
    """One gap of one to `most` whole words (at most a quarter of them), with a word or more on either side; None without room."""
    words = [match.span() for match in WORD.finditer(text)]
    if len(words) < 3:
        return None
    count = rng.randint(1, max(1, min(most, len(words) // 4)))
    first = rng.randint(1, len(words) - count - 1)
    start, end = words[first][0], words[first + count - 1][1]
    return Gapped([text[:start], text[end:]], [text[start:end]])


def arranged(
    outside: Sequence[Ids], inside: Sequence[Ids], marks: Marks, *, spans: bool, suffix_first: bool, start: Ids
) -> Arranged:
    """All of a text with gaps, as tokens, the gaps last. Marks are not to be predicted, but for the end of a gap.

    So the model never learns to write a mark in an ordinary text: a departure from Bavarian et al., who predict them too.
    """
    ids = question(outside, [], marks, spans=spans, suffix_first=suffix_first, start=start)
    for one in inside:
        ids += [*one, marks.end]
    silent = {marks.before, marks.after, marks.fill, marks.gap}
    return Arranged(ids, [place > 0 and token not in silent for place, token in enumerate(ids)])


def question(
    outside: Sequence[Ids],
    filled: Sequence[Ids],
    marks: Marks,
    *,
    spans: bool,
    start: Ids,
    suffix_first: bool = False,
) -> Ids:
    """What a model reads before it writes the next gap: all the rest, and the gaps that were filled before.

    One gap: `before P after S fill` (PSM), or with the suffix first `before after S fill P` (SPM; the paper's second variant,
    in which the two are told apart by what follows the first mark). Spans: `P gap Q gap R fill`, then the gaps filled so far.
    """
    if spans:
        ids = [*start, *outside[0]]
        for piece in outside[1:]:
            ids += [marks.gap, *piece]
        ids.append(marks.fill)
        for one in filled:
            ids += [*one, marks.end]
        return ids
    prefix, suffix = outside
    if suffix_first:
        return [*start, marks.before, marks.after, *suffix, marks.fill, *prefix]
    return [*start, marks.before, *prefix, marks.after, *suffix, marks.fill]
