"""Which tokens of a text are hidden, and what stands in their place: BERT's recipe for tokens, whole words and spans.

Own rather than transformers' collator: that one draws from one generator for a whole batch, so that a row's masks depend on
its neighbours and on where a run was resumed, takes words to be what touches (all of a Chinese sentence), and gives up the
80/10/10 for whole words. Here a row's masks follow from its generator alone. No torch.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, NamedTuple, Self

Kind = Literal["tokens", "words", "spans"]
LENGTHS = range(1, 11)  # of a span, in words (Joshi et al. 2020, section 3.1)


class Hidden(NamedTuple):
    """A text with hidden tokens: what is shown, where something is hidden, and what that is (token and number of its word)."""

    ids: list[int]
    places: list[int]
    truth: list[int]
    words: list[int]


@dataclass(frozen=True)
class Masker:
    """How texts are hidden. `ordinary` are the tokens that may stand in for another: all but the special ones; `mean_span` is
    in words.

    Devlin et al. 2019, section 3.1: of the hidden tokens `as_mask` are shown as the mask token, `as_another` as one drawn by
    chance, the others as they are.
    """

    kind: Kind
    share: float
    mask: int
    ordinary: Sequence[int]
    as_mask: float = 0.8
    as_another: float = 0.1
    mean_span: float = 3.8

    @property
    def covering(self) -> Self:
        """The same, but every hidden token is behind the mask: how held-out texts are measured."""
        return replace(self, as_mask=1.0, as_another=0.0)

    def hide(self, ids: Sequence[int], words: Sequence[int], seen: int, rng: random.Random) -> Hidden:
        """Hides `share` of the tokens from `seen` on, at least one; ValueError where there is none.

        In expectation it is the share, of texts that are long enough: its fraction of a token is drawn, and so is whether the
        last word, which would go beyond it, still is hidden. The first word drawn is always hidden whole, so that of a text of
        few words more than the share is.
        """
        free = range(seen, len(ids))
        if not free:
            raise ValueError("a text without a token of its own has nothing to hide")
        budget = max(1, int(self.share * len(free) + rng.random()))
        bundles = self._bundles(words, free, budget, rng)
        shown = list(ids)
        for bundle in bundles:
            together = rng.random()  # a span is shown in one way (Joshi et al. 2020), tokens and words token by token
            for place in bundle:
                shown[place] = self._shown(ids[place], together if self.kind == "spans" else rng.random(), rng)
        places = sorted(place for bundle in bundles for place in bundle)
        return Hidden(shown, places, [ids[place] for place in places], [words[place] for place in places])

    def _shown(self, token: int, draw: float, rng: random.Random) -> int:
        if draw < self.as_mask:
            return self.mask
        return rng.choice(self.ordinary) if draw < self.as_mask + self.as_another else token

    def _bundles(self, words: Sequence[int], free: range, budget: int, rng: random.Random) -> list[list[int]]:
        """What is hidden: tokens, of which those of one bundle were chosen together."""
        if self.kind == "tokens":
            return [[place] for place in rng.sample(free, budget)]
        whole: dict[int, list[int]] = {}
        for place in free:
            whole.setdefault(words[place], []).append(place)
        bundles: list[list[int]] = []
        left, hidden = budget, set[int]()
        for span in self._spans(sorted(whole), rng):
            bundle: list[int] = []
            for word in span:
                size = 0 if word in hidden else len(whole[word])
                if size > left and hidden and rng.random() * size >= left:
                    left = 0  # it would go beyond the share, and the draw says no
                elif size:
                    hidden.add(word)
                    bundle += whole[word]
                    left -= size
                if left <= 0:
                    break
            bundles += [bundle] if bundle else []
            if left <= 0:
                break
        return bundles

    def _spans(self, known: Sequence[int], rng: random.Random) -> Iterator[list[int]]:
        """Words to hide together, in the order in which they are drawn; all words have their turn."""
        if self.kind == "spans":
            for _ in known:
                start = rng.randrange(len(known))
                yield list(known[start : start + span_length(rng, self.mean_span)])
        for word in rng.sample(known, len(known)):
            yield [word]


def span_length(rng: random.Random, mean: float) -> int:
    """From a geometric distribution cut off at ten words, with this mean (3.8 is SpanBERT's, whose p is 0.2)."""
    return rng.choices(LENGTHS, _weights(stopping(mean)))[0]


@lru_cache
def stopping(mean: float) -> float:
    """The geometric distribution's chance to stop after each word, for a mean between 1 and 5.5 words; by bisection."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if _mean(middle) > mean else (low, middle)
    return high


def _mean(stop: float) -> float:
    weights = _weights(stop)
    return sum(length * weight for length, weight in zip(LENGTHS, weights, strict=True)) / sum(weights)


def _weights(stop: float) -> list[float]:
    return [(1 - stop) ** (length - 1) for length in LENGTHS]
