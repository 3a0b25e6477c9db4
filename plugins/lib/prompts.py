"""The prompts that are sampled from: cut where they are too long, each once, in an order that a run can go on in.

For methods that let a policy write and judge it: PPO, RLOO, GRPO. A prompt that is too long is cut at a natural boundary, not
mid-sentence: at the last paragraph, line, sentence or word that fits, in that order. The reward model reads the prompt as it
was cut, so that both see the same question. Numbers in brackets are the details of docs/methods/ppo.md.
"""

import bisect
import json
import random
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from feinschliff.rows import group_of
from plugins.lib.policies import Policy

Prompt = str | list[dict[str, str]]
BOUNDARIES = (r"\n\s*\n", r"\n", r"(?<=[.!?。！？])\s+", r"\s+")


class Asked(NamedTuple):
    """A prompt that fits: as text or messages for the reward model, as tokens for the policy."""

    prompt: Prompt
    ids: list[int]
    cut: bool
    group: str


class Read(NamedTuple):
    """The prompts of a split, and how many had to be left out because even one word of them does not fit."""

    prompts: list[Asked]
    left_out: int


def read(rows: Iterable[dict[str, Any]], policy: Policy, room: int) -> Read:
    """Every different prompt of the rows once, in their order, in at most `room` tokens."""
    found: dict[str, Asked | None] = {}
    for row in rows:
        key = json.dumps(row["prompt"], sort_keys=True)
        if key not in found:
            found[key] = asked(row["prompt"], policy, room, group_of(row))
    kept = [one for one in found.values() if one is not None]
    return Read(kept, len(found) - len(kept))


def asked(prompt: Prompt, policy: Policy, room: int, group: str = "") -> Asked | None:
    """The prompt, cut where it must be; None where no beginning of it fits."""
    ids = policy.prompt_ids(prompt)
    if len(ids) <= room:
        return Asked(prompt, ids, False, group)
    text = longest_text(prompt)
    fits = bisect.bisect_left(range(len(text)), True, key=lambda end: len(_ids(policy, prompt, end + 1)) > room)
    end = natural_end(text, fits)
    return Asked(_beginning(prompt, end), _ids(policy, prompt, end), True, group) if end else None


def natural_end(text: str, fits: int) -> int:
    """Where to cut a text of which so many characters fit: at the best boundary that keeps at least half of them."""
    for pattern in BOUNDARIES:
        end = max((match.start() for match in re.finditer(pattern, text[: fits + 1])), default=0)
        if 2 * end >= fits:
            return min(end, fits)
    return fits


def longest_text(prompt: Prompt) -> str:
    """What is cut: the prompt, or its longest message."""
    return prompt if isinstance(prompt, str) else max((turn["content"] for turn in prompt), key=len)


def _beginning(prompt: Prompt, end: int) -> Prompt:
    if isinstance(prompt, str):
        return prompt[:end]
    longest = max(range(len(prompt)), key=lambda place: len(prompt[place]["content"]))
    return [
        {**turn, "content": turn["content"][:end]} if place == longest else turn for place, turn in enumerate(prompt)
    ]


def _ids(policy: Policy, prompt: Prompt, end: int) -> list[int]:
    return policy.prompt_ids(_beginning(prompt, end))


class Order:
    """An endless sequence of places 0..count-1: a fresh permutation each time round, told by the seed and a position.

    Nothing but the position has to be kept for a run to go on as if it had not been stopped (32).
    """

    def __init__(self, count: int, seed: int) -> None:
        if count < 1:
            raise ValueError("an order needs at least one thing")
        self.count, self.seed = count, seed

    def at(self, position: int, many: int) -> list[int]:
        """The `many` places from this position on."""
        rounds = range(position // self.count, (position + many - 1) // self.count + 1)
        known = {number: permutation(self.count, f"{self.seed}/prompts/{number}") for number in rounds}
        return [known[n // self.count][n % self.count] for n in range(position, position + many)]


def permutation(count: int, key: str) -> list[int]:
    """An order of 0..count-1, the same for the same key on every machine."""
    places = list(range(count))
    random.Random(key).shuffle(places)  # noqa: S311 - an order, not a secret
    return places


def minibatches(count: int, parts: int, key: str, together: int = 1) -> list[Sequence[int]]:
    """The answers of a batch in a fresh order, in `parts` minibatches of equal size (25).

    Each `together` answers that follow one another, those to one prompt, stay in one minibatch.
    """
    order = [first * together + place for first in permutation(count // together, key) for place in range(together)]
    size = count // parts
    return [order[start : start + size] for start in range(0, size * parts, size)]
