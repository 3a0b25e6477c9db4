"""Answers as tensors, and what the policy says about them: log-probabilities, entropy, hidden states.

They go through the engine of `plugins.lib.kway`: several answers to one prompt read it once where that pays, and only the
answers' columns go through the language-model head. Positions count real tokens (3), so padding changes nothing.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from plugins.lib.encoding import Encoded
from plugins.lib.kway import KWay

if TYPE_CHECKING:
    import torch

Loaded = Any  # transformers' and peft's models, which carry no usable types


class Answer(NamedTuple):
    """A prompt and an answer to it as token ids; the answer ends with EOS where it ended by itself."""

    prompt: Sequence[int]
    ids: Sequence[int]


class Inputs(NamedTuple):
    """A batch as the engine reads it; `tokens` and `mask` have shape (answers, longest answer), `mask` 1 at an answer's own."""

    sequences: list[Encoded]
    tokens: "torch.Tensor"
    mask: "torch.Tensor"


class Said(NamedTuple):
    """(answers, longest answer) each, 0 beyond an answer's end; `hidden` (answers, longest answer, width) is the state
    before each token."""

    logps: "torch.Tensor"
    entropy: "torch.Tensor"
    hidden: "torch.Tensor"


def inputs(answers: Sequence[Answer], *, pad: int, device: "torch.device", longest: int = 0) -> Inputs:
    """The batch. `longest` answers as many columns at least, so that several batches have the same."""
    import torch

    width = max(1, longest, *(len(one.ids) for one in answers))
    tokens = torch.tensor([[*one.ids, *[pad] * (width - len(one.ids))] for one in answers])
    mask = torch.tensor([[1.0] * len(one.ids) + [0.0] * (width - len(one.ids)) for one in answers])
    kinds = [[0] * len(one.prompt) + [1] * len(one.ids) for one in answers]
    sequences = [Encoded([*one.prompt, *one.ids], types, False) for one, types in zip(answers, kinds, strict=True)]
    return Inputs(sequences, tokens.to(device), mask.to(device))


def by_length(answers: Sequence[Answer], places: Sequence[int], size: int) -> list[list[int]]:
    """Neighbours in length together, answers to one prompt side by side: less padding, prompts read once, the same sums."""
    longest: dict[tuple[int, ...], int] = {}
    for place in places:
        prompt = tuple(answers[place].prompt)
        longest[prompt] = max(longest.get(prompt, 0), len(prompt) + len(answers[place].ids))

    def key(place: int) -> tuple[int, tuple[int, ...], int]:
        prompt = tuple(answers[place].prompt)
        return longest[prompt], prompt, len(answers[place].ids)

    order = sorted(places, key=key)
    return [order[start : start + size] for start in range(0, len(order), size)]


def said(model: Loaded, batch: Inputs, *, temperature: float) -> Said:
    """What a causal model says about the answers, with gradients where they are on; `temperature` divides the logits (11)."""
    import torch

    hidden = states(model, batch)
    logits = _engine(model).logits(hidden).float() / temperature
    whole = logits.logsumexp(-1)
    logps = (logits.gather(-1, batch.tokens.unsqueeze(-1)).squeeze(-1) - whole).masked_fill(batch.mask == 0, 0.0)
    with torch.no_grad():
        # E[-log p] = log Z - E[logit]; softmax anew, so that the graph above keeps no copy of it
        entropy = (whole - (logits.softmax(-1) * logits).sum(-1)) * batch.mask
    return Said(logps, entropy, hidden)


def states(model: Loaded, batch: Inputs) -> "torch.Tensor":
    """The last hidden state before each of the answers' tokens, (answers, longest answer, width)."""
    from torch.nn.functional import pad

    found, _ = _engine(model).states(batch.sequences)
    return pad(found, (0, 0, 0, batch.mask.shape[1] - found.shape[1]))


@lru_cache(maxsize=4)
def _engine(model: Loaded) -> KWay:
    """Asked of a model once, since the engine looks at it first. A run has three: policy, reference, critic."""
    return KWay(model, pad=0, device=next(model.parameters()).device)
