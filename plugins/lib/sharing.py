"""When several answers may share their prompt's forward, and when that pays: the two questions behind `plugins.lib.kway`.

Whether it holds for a model is asked of the model itself (`KWay` compares both ways once), since lists of families age;
here stand only the reasons that such a check cannot see. Whether it pays is arithmetic on lengths alone: a choice by the
clock would let two runs of one seed take different ways, and end with different last digits.
"""

from collections.abc import Collection, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch

Loaded = Any  # transformers' models, which carry no usable types
# What one more call of the model costs, in multiply-adds that are done in that time: for each layer, and in tokens for
# reading the matrices and adding up their gradients once more. On a CPU from `benchmarks/kway.py --lengths`, on the high
# side; on a GPU an estimate. They matter for inputs of a few dozen tokens only.
CALL = {"cpu": 2e7, "cuda": 1e10}
CALL_TOKENS = 40
COPIED = 80  # multiply-adds in the time of copying one number of the cache to an answer, and its gradient back
MARGIN = 0.95  # sharing must look this much cheaper: near break-even the plain way is at least the simple one
SAME = 800  # times the dtype's epsilon: how far apart the two ways may be, beside the size of what they give
ATTENTION = {"full_attention", "sliding_attention"}  # layers of which a cached key is all that a later token needs


class Length(NamedTuple):
    """One sequence's tokens: those of the prompt, which equal prompts may share, and those of its answer."""

    prompt: Hashable
    head: int
    tail: int


class Shape(NamedTuple):
    """What both ways would run, in padded tokens: (rows, longest row)."""

    whole: tuple[int, int]
    heads: tuple[int, int]
    tails: tuple[int, int]


def shape(lengths: Collection[Length]) -> Shape:
    """The padded shapes of a batch of different sequences."""
    heads = {length.prompt: length.head for length in lengths}
    return Shape(
        (len(lengths), max((length.head + length.tail for length in lengths), default=0)),
        (len(heads), max(heads.values(), default=0)),
        (len(lengths), max((length.tail for length in lengths), default=0)),
    )


@dataclass(frozen=True)
class Costs:
    """One model's arithmetic, in multiply-adds of a forward (a backward takes twice as many, either way)."""

    token: float  # a token through all layers' matrices
    pair: float  # one query with one key, in all layers
    key: float  # copying one token's keys and values of all layers to one answer
    call: float  # calling the model at all
    width: float  # of key and value together, beside what a layer keeps for the backward of one token

    @classmethod
    def of(cls, body: Loaded, device: str) -> "Costs":
        """Read off the model without its head. Experts count as if all were asked, which both ways share."""
        import torch

        config = body.config.get_text_config()
        layers, width = int(config.num_hidden_layers), int(config.hidden_size)
        heads = int(getattr(config, "num_attention_heads", 1) or 1)
        each = int(getattr(config, "head_dim", None) or width // heads)
        kept = 2 * each * int(getattr(config, "num_key_value_heads", None) or heads)
        embeddings = sum(one.weight.numel() for one in body.modules() if isinstance(one, torch.nn.Embedding))
        matrices = sum(weight.numel() for weight in body.parameters() if weight.ndim > 1) - embeddings
        return cls(
            token=max(matrices, 1),
            pair=2 * layers * each * heads,
            key=COPIED * kept * layers,
            call=CALL.get(device, CALL["cpu"]) * layers + CALL_TOKENS * matrices,
            width=kept / (16 * width),
        )

    def plain(self, found: Shape) -> float:
        rows, longest = found.whole
        return self.call + rows * longest * (self.token + longest * self.pair)

    def shared(self, found: Shape) -> float:
        (prompts, head), (answers, tail) = found.heads, found.tails
        before = prompts * head * (self.token + head * self.pair)
        after = answers * tail * (self.token + (head + tail) * self.pair)
        return 2 * self.call + before + after + answers * (head + tail) * self.key

    def pays(self, found: Shape) -> bool:
        return self.shared(found) < MARGIN * self.plain(found)

    def tokens(self, found: Shape) -> int:
        """Padded tokens held at once when shared; copied keys and values count as the share of a token that they are."""
        (prompts, head), (answers, tail) = found.heads, found.tails
        return round(prompts * head + answers * tail + answers * (head + tail) * self.width)


def obstacle(model: Loaded) -> str | None:
    """Why this model's answers can never share a prompt; None where nothing is known against it."""
    config = model.config.get_text_config()
    if getattr(model, "_is_stateful", False):
        return "it carries a state from token to token instead of keys and values"
    kinds = set(getattr(config, "layer_types", None) or ()) - ATTENTION
    if kinds or getattr(config, "attention_chunk_size", None):
        return f"its layers ({', '.join(sorted(kinds)) or 'chunked attention'}) keep more or less than keys and values"
    if getattr(config, "is_encoder_decoder", False):
        return "it reads the prompt with an encoder of its own"
    return None


def checkpoints(model: Loaded) -> bool:
    """Whether a backward would recompute the layers, for which the cache must stay away."""
    return model.training and any(getattr(one, "gradient_checkpointing", False) for one in model.modules())


def same(found: "torch.Tensor", wanted: "torch.Tensor") -> bool:
    """Equal but for rounding; low precision is let off with a tenth."""
    import torch

    return bool((found - wanted).abs().max() <= min(SAME * torch.finfo(wanted.dtype).eps, 0.1) * wanted.abs().max())


@contextmanager
def quietly(model: Loaded) -> Iterator[None]:
    """No gradients and no dropout inside; each module's mode afterwards is what it was."""
    import torch

    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode
