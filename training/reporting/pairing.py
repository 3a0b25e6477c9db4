"""Arranges what a run's model wrote before and after it was trained: side by side, with the words that differ.

Beside reporting. Of two texts with little in common nothing is marked, for then everything would be.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby

from training.models import Run, Sample
from training.reporting.sampling import READ, prompt_words

MOST_PAIRS = 40
MOST_WORDS = 800  # of a text; longer ones are shown unmarked, for comparing takes the square of it in steps
ALIKE = 0.3  # share of equal words below which everything would be marked, which tells nothing
BEFORE, AFTER = "/before", "/after"


@dataclass(frozen=True)
class Piece:
    """Some words of a text, and whether the other text lacks them."""

    text: str
    differs: bool = False


@dataclass(frozen=True)
class Side:
    """One of the two texts. `better`: the score says so."""

    pieces: list[Piece]
    numbers: list[tuple[str, float]]
    better: bool = False


@dataclass(frozen=True)
class Pair:
    """What was written to one prompt before and after, and numbers about both."""

    prompt: str
    before: Side
    after: Side
    numbers: list[tuple[str, float]]


def pairs(run: Run) -> list[Pair]:
    """The prompts in the order in which they were first shown; of a prompt that was shown again the latest texts."""
    latest: dict[str, Sample] = {}
    for sample in run.samples.exclude(before=None).order_by("id")[:READ]:
        latest[prompt_words(sample.prompt)] = sample
    return [_pair(prompt, sample) for prompt, sample in list(latest.items())[:MOST_PAIRS]]


def _pair(prompt: str, sample: Sample) -> Pair:
    values = {name: value for name, value in sample.values.items() if isinstance(value, int | float)}
    first, second = values.get(f"score{BEFORE}"), values.get(f"score{AFTER}")
    gained = second - first if first is not None and second is not None else 0.0
    before, after = marked(sample.before or "", sample.text)
    return Pair(
        prompt,
        Side(before, _of(values, BEFORE), gained < 0),
        Side(after, _of(values, AFTER), gained > 0),
        [(name, value) for name, value in values.items() if not name.endswith((BEFORE, AFTER))],
    )


def _of(values: dict[str, float], side: str) -> list[tuple[str, float]]:
    return [(name.removesuffix(side), value) for name, value in values.items() if name.endswith(side)]


def marked(before: str, after: str) -> tuple[list[Piece], list[Piece]]:
    """Both texts in pieces, the words marked that the other lacks. Joined, the pieces are the text, blanks and all."""
    first, second = before.split(), after.split()
    if before == after or max(len(first), len(second)) > MOST_WORDS:
        return [Piece(before)], [Piece(after)]
    matcher = SequenceMatcher(None, first, second, autojunk=False)
    if matcher.ratio() < ALIKE:
        return [Piece(before)], [Piece(after)]
    blocks = matcher.get_matching_blocks()
    return (
        _pieces(before, {block.a + step for block in blocks for step in range(block.size)}),
        _pieces(after, {block.b + step for block in blocks for step in range(block.size)}),
    )


def _pieces(text: str, shared: set[int]) -> list[Piece]:
    """A text cut where marked and unmarked words meet; a blank is marked between two marked words. `shared`: by place."""
    parts = re.split(r"(\S+)", text)  # blanks at the even places, words at the odd
    differs = [place % 2 == 1 and place // 2 not in shared for place in range(len(parts))]
    for place in range(2, len(parts) - 1, 2):
        differs[place] = differs[place - 1] and differs[place + 1]
    pieces = groupby(zip(parts, differs, strict=True), key=lambda part: part[1])
    return [Piece("".join(part for part, _ in group), is_marked) for is_marked, group in pieces]
