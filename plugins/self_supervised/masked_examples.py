"""Texts with hidden words, as the model is shown them: made anew for every epoch, and always the same for the same seed.

Masks follow from (seed, epoch, place of the text) alone, so that a resumed run hides what it would have hidden.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from plugins.lib.encoding import Encoded
from plugins.lib.masking import Hidden, Masker
from plugins.lib.texts import Part, halves, parts_of
from plugins.self_supervised.masked_model import framed
from plugins.self_supervised.rounds import Shown

WHOLE = 2**20  # tokens: room enough to read a half in one part
HELD = "heldout"  # in place of seed and epoch: held-out texts hide the same words in every run
Tokenizer = Any


class Example(NamedTuple):
    """A text as it is shown. `swapped` tells whether its two parts stand in the wrong order; None where they are not asked."""

    sequence: Encoded
    places: list[int]
    truth: list[int]
    words: list[tuple[int, int]]  # (segment, number of the word in it)
    swapped: bool | None
    group: str


@dataclass
class Examples:
    """Makes them. `order` says whether texts of two sentences or more are cut in two and asked for the order."""

    parts: Sequence[Part]
    masker: Masker
    tokenizer: Tokenizer
    seed: int
    room: int
    order: bool = False

    def at(self, shown: Shown) -> Example:
        """For training."""
        return self._made(shown.place, self.masker, f"{self.seed}/{shown.epoch}/{shown.place}")

    @cached_property
    def held(self) -> list[Example]:
        """All of them for measuring: every hidden token behind the mask, and the same ones whatever the seed is."""
        return [self._made(place, self.masker.covering, f"{HELD}/{place}") for place in range(len(self.parts))]

    def length(self, place: int) -> int:
        return len(self.parts[place].ids) + 3

    def _made(self, place: int, masker: Masker, seed: str) -> Example:
        rng = random.Random(seed)  # noqa: S311 - which words are hidden is no secret
        part, pair = self.parts[place], self._pairs[place]
        if pair is None:
            hidden = masker.hide(part.ids, part.words, part.seen, rng)
            return self._example([hidden], part.group, None)
        swapped = rng.random() < 0.5
        first, second = (masker.hide(one.ids, one.words, 0, rng) for one in pair)
        return self._example([second, first] if swapped else [first, second], part.group, swapped)

    def _example(self, segments: Sequence[Hidden], group: str, swapped: bool | None) -> Example:
        """Segments between the tokenizer's marks; `words` are numbered on from one segment to the next."""
        gap = int(self.tokenizer.sep_token_id is not None)
        start = border = int(self.tokenizer.cls_token_id is not None)
        places, truth, words = [], [], []
        for number, segment in enumerate(segments):
            border = start if number else border
            places += [start + place for place in segment.places]
            words += [(number, word) for word in segment.words]
            truth += segment.truth
            start += len(segment.ids) + gap
        ids = framed(self.tokenizer, *(segment.ids for segment in segments))
        types = [int(len(segments) > 1 and place >= border) for place in range(len(ids))]
        return Example(Encoded(ids, types, cut=False), places, truth, words, swapped, group)

    @cached_property
    def _pairs(self) -> list[tuple[Part, Part] | None]:
        """The two halves of each text, where their order is asked.

        Each is made into tokens by itself: the blank before a sentence, which byte-level tokenizers count in, would tell that
        it was not the first.
        """
        return [self._pair(part) if self.order else None for part in self.parts]

    def _pair(self, part: Part) -> tuple[Part, Part] | None:
        found = halves(part.text)
        if found is None:
            return None
        read = [part for half in found for part in parts_of(half, self.tokenizer, room=WHOLE)]
        if len(read) < 2:
            return None
        first, second = read
        # Read apart they may be a few tokens longer than the part was. What does not fit is farthest from the border; what
        # the shorter half leaves of the room is the longer one's.
        kept = min(len(first.ids), max(self.room // 2, self.room - len(second.ids)))
        return _tail(first, kept), _head(second, self.room - kept)


def _tail(part: Part, most: int) -> Part:
    """Its last tokens, from a word's start on."""
    start = len(part.ids) - most
    while 0 < start < len(part.ids) - 1 and part.words[start] == part.words[start - 1]:
        start += 1
    return part._replace(ids=part.ids[start:], words=part.words[start:])


def _head(part: Part, most: int) -> Part:
    """Its first tokens, up to a word's end."""
    end = min(most, len(part.ids))
    while 1 < end < len(part.ids) and part.words[end] == part.words[end - 1]:
        end -= 1
    return part._replace(ids=part.ids[:end], words=part.words[:end])
