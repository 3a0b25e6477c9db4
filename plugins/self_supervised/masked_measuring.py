"""How well hidden words are guessed on held-out texts: loss, perplexity and words right, beside what costs nothing."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from feinschliff.measuring import interval
from plugins.lib.batching import packed
from plugins.lib.encoding import pad
from plugins.lib.places import logits_at
from plugins.self_supervised.masked_examples import Example

if TYPE_CHECKING:
    import torch

TOKENS = 8192  # that go through the model at once
Numbers = dict[str, float | None]
Loaded = Any


class Guessed(NamedTuple):
    """What came of one text: the loss of its hidden tokens, added up, in nats; and which tokens were taken for likeliest."""

    loss: float
    guesses: list[int]
    order: float | None  # 1 where the order of its two parts was told, 0 where not; None where it was not asked


class Unigram:
    """Tokens by how often they stand in the training texts, each counted once more (Laplace)."""

    def __init__(self, tokens: Iterable[int], vocabulary: int) -> None:
        self.counts = Counter(tokens)
        self.total = sum(self.counts.values()) + vocabulary

    def guess(self, examples: Sequence[Example]) -> list[Guessed]:
        best = min(self.counts, key=lambda token: (-self.counts[token], token))
        return [
            Guessed(
                -sum(math.log((self.counts[token] + 1) / self.total) for token in one.truth),
                [best] * len(one.truth),
                None,
            )
            for one in examples
        ]


def forward(
    model: Loaded, examples: Sequence[Example], *, pad_id: int, device: "torch.device", types: bool
) -> tuple["torch.Tensor", "torch.Tensor", "torch.Tensor"]:
    """Logits at all hidden places of the examples, one after another, of shape (guesses, vocabulary); what truly stands there,
    (guesses,); and each example's first hidden state, (examples, width). With gradients.
    """
    import torch

    inputs = pad([one.sequence for one in examples], pad_id=pad_id, device=device, types=types)
    places = [[row, place] for row, one in enumerate(examples) for place in one.places]
    logits, firsts = logits_at(model, inputs, torch.tensor(places, device=device))
    return logits, torch.tensor([token for one in examples for token in one.truth], device=device), firsts


def guess(
    model: Loaded, examples: Sequence[Example], *, pad_id: int, device: "torch.device", types: bool
) -> list[Guessed]:
    """What the model makes of each example, dropout off; the model is left in the mode it was in."""
    import torch

    found: list[Guessed | None] = [None] * len(examples)
    order = sorted(range(len(examples)), key=lambda place: len(examples[place].sequence.ids))
    training = model.training
    model.eval()
    with torch.no_grad():
        for batch in packed(order, lambda place: {place: len(examples[place].sequence.ids)}, budget=TOKENS):
            rows = [examples[place] for place in batch]
            logits, truth, firsts = forward(model, rows, pad_id=pad_id, device=device, types=types)
            losses = torch.nn.functional.cross_entropy(logits.float(), truth, reduction="none").double().tolist()
            likeliest = logits.argmax(-1).tolist()
            told = (model.order_head(firsts)[:, 0] > 0).tolist() if hasattr(model, "order_head") else [None] * len(rows)
            start = 0
            for place, one, swapped in zip(batch, rows, told, strict=True):
                end = start + len(one.truth)
                right = None if one.swapped is None or swapped is None else float(swapped == one.swapped)
                found[place] = Guessed(sum(losses[start:end]), likeliest[start:end], right)
                start = end
    model.train(training)
    return [one for one in found if one is not None]


def words_right(example: Example, guesses: Sequence[int]) -> tuple[int, int]:
    """(words of which every hidden token was guessed, words of which a token was hidden)."""
    right: dict[tuple[int, int], bool] = {}
    for word, truth, token in zip(example.words, example.truth, guesses, strict=True):
        right[word] = right.get(word, True) and token == truth
    return sum(right.values()), len(right)


def summed(examples: Sequence[Example], found: Sequence[Guessed], name: str) -> Numbers:
    """`loss/<name>` (mean of a hidden token, nats), `perplexity/<name>`, `accuracy/<name>` (share of words right)."""
    tokens = sum(len(one.truth) for one in examples)
    right, words = (
        sum(column) for column in zip(*(words_right(*pair) for pair in _guesses(examples, found)), strict=True)
    )
    loss = sum(one.loss for one in found) / tokens
    return {f"loss/{name}": loss, f"perplexity/{name}": math.exp(min(loss, 700.0)), f"accuracy/{name}": right / words}


def gains(examples: Sequence[Example], found: Sequence[Guessed], other: Sequence[Guessed], name: str) -> Numbers:
    """How much smaller the loss of a hidden token is than another's, with its interval by groups: `gain/over-<name>`."""
    differences = [theirs.loss - ours.loss for ours, theirs in zip(found, other, strict=True)]
    tokens = [float(len(one.truth)) for one in examples]
    spread = interval(differences, tokens, [one.group for one in examples])
    return {
        f"gain/over-{name}": sum(differences) / sum(tokens),
        f"gain/over-{name}/low": spread.low,
        f"gain/over-{name}/high": spread.high,
    }


def ordered(found: Sequence[Guessed], name: str) -> Numbers:
    """`order/<name>`: share of texts whose two parts were put in the right order; nothing where none was asked."""
    told = [one.order for one in found if one.order is not None]
    return {f"order/{name}": sum(told) / len(told)} if told else {}


def _guesses(examples: Sequence[Example], found: Sequence[Guessed]) -> Iterable[tuple[Example, Sequence[int]]]:
    return ((example, one.guesses) for example, one in zip(examples, found, strict=True))
