"""Orders the texts a run wrote on the way by prompt and step, so that one sees it learn. Beside reporting.

Texts that come with what was written before training are shown side by side, by `pairing`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from training.models import Run, Sample

PROMPTS, STEPS = 12, 24  # shown; of more steps an even choice, with the first and the last in it
READ = 2_000
T = TypeVar("T")


@dataclass(frozen=True)
class Written:
    """What was written to one prompt: (step, samples), the earliest first; None: before any step."""

    prompt: str
    steps: list[tuple[int | None, list[Sample]]]
    left_out: int


def samples_by_prompt(run: Run) -> list[Written]:
    """The prompts in the order in which they were first tried. A text that a resumed run wrote again stands once."""
    found: dict[str, dict[int | None, dict[str, Sample]]] = {}
    for sample in run.samples.filter(before=None).order_by("id")[:READ]:
        found.setdefault(prompt_words(sample.prompt), {}).setdefault(sample.step, {}).setdefault(sample.text, sample)
    told = []
    for prompt, of in list(found.items())[:PROMPTS]:
        ordered = sorted(of.items(), key=lambda pair: -1 if pair[0] is None else pair[0])
        steps = [(step, list(samples.values())) for step, samples in _evenly(ordered)]
        told.append(Written(prompt, steps, len(ordered) - len(steps)))
    return told


def prompt_words(prompt: object) -> str:
    """A prompt is a string or a list of messages."""
    if isinstance(prompt, list):
        return "\n".join(str(message.get("content", "")) for message in prompt if isinstance(message, dict))
    return str(prompt)


def _evenly(found: list[T]) -> list[T]:
    if len(found) <= STEPS:
        return found
    return [found[round(place * (len(found) - 1) / (STEPS - 1))] for place in range(STEPS)]
