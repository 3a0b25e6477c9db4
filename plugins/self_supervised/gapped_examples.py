"""Texts as a model that learns to fill gaps is shown them: with gaps or from left to right, made anew for every epoch.

Gaps follow from (seed, epoch, place of the text) alone, so that a resumed run cuts what it would have cut.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from plugins.lib.encoding import answer_ids
from plugins.lib.policies import Policy
from plugins.lib.texts import Part
from plugins.self_supervised.contextual_config import ContextualConfig
from plugins.self_supervised.gapping import Arranged, Gapped, Ids, Marks, arranged, cut, question, without_words
from plugins.self_supervised.infilling import starting
from plugins.self_supervised.rounds import Shown

MOST_WORDS = 8  # in a held-out gap
ROOM = 16  # tokens that marks, and cuts within words, may add to a text
Tokenizer = Any


class Asked(NamedTuple):
    """A held-out text with one gap: what is read with both sides and with the left alone, and what truly stands there."""

    gapped: Gapped
    both: Ids
    left: Ids
    truth: Ids
    group: str


@dataclass
class Examples:
    """Makes them from the parts of texts."""

    parts: Sequence[Part]
    policy: Policy
    marks: Marks
    config: ContextualConfig
    seed: int

    def __post_init__(self) -> None:
        self.start = starting(self.policy.tokenizer)

    @property
    def spans(self) -> bool:
        return self.config.gaps > 1

    @property
    def asks_suffix_first(self) -> bool:
        """How the model is asked to fill a gap: in the order that it saw more often, with the suffix first where equal.

        With the suffix first, a gap's words stand right after the words before it, as in any text that the model has read.
        """
        return self.config.suffix_first >= 0.5

    def at(self, shown: Shown) -> Arranged:
        """For training: with gaps as often as `gap_rate` says, where there is room."""
        part = self.parts[shown.place]
        rng = random.Random(f"{self.seed}/{shown.epoch}/{shown.place}")  # noqa: S311 - where a text is cut is no secret
        gapped = rng.random() < self.config.gap_rate
        suffix_first = rng.random() < self.config.suffix_first
        words = rng.random() < self.config.whole_words
        found = self._cut(part.text, rng, words) if gapped else None
        if found is not None:
            one = arranged(
                [self._ids(piece) for piece in found.outside],
                [self._ids(piece) for piece in found.inside],
                self.marks,
                spans=self.spans,
                suffix_first=suffix_first,
                start=self.start,
            )
            if len(one.ids) <= self.policy.longest:
                return one
        return self.plain(part)

    def _cut(self, text: str, rng: random.Random, whole_words: bool) -> Gapped | None:
        config = self.config
        return cut(text, rng, gaps=config.gaps, longest=config.longest_gap, whole_words=whole_words)

    def plain(self, part: Part) -> Arranged:
        """From left to right, with the end of text where the text ends."""
        ids = [*self.start, *part.ids, *([self.policy.eos] if part.last else [])]
        return Arranged(ids, [place > 0 for place in range(len(ids))])

    def asked(self, *, words: int = MOST_WORDS) -> list[Asked]:
        """Every text that is long enough, with a gap of one to so many words: the same whatever the seed is."""
        found = []
        for place, part in enumerate(self.parts):
            gapped = without_words(part.text, random.Random(f"heldout/{words}/{place}"), most=words)  # noqa: S311
            if gapped is not None:
                one = self._asked(gapped, part.group)
                if max(len(one.both), len(one.left)) + len(one.truth) + 1 <= self.policy.longest:  # and the gap's end
                    found.append(one)
        return found

    def _asked(self, gapped: Gapped, group: str) -> Asked:
        outside = [self._ids(piece) for piece in gapped.outside]
        both = question(
            outside, [], self.marks, spans=self.spans, suffix_first=self.asks_suffix_first, start=self.start
        )
        return Asked(gapped, both, [*self.start, *outside[0]], self._ids(gapped.inside[0]), group)

    def _ids(self, text: str) -> Ids:
        return answer_ids(self.policy.tokenizer, text)
