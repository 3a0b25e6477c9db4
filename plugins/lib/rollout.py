"""Writes many texts at once with a causal model: what PPO learns from, and what a finished model answers with.

Prompts are left-padded and share one key-value cache. A text that has ended leaves it at once and the next prompt takes its
place, so the model never runs on what is finished; equal prompts are read once. Each text's chance is its own: row 7 of seed
3 is the same text alone, in any batch and in any order (up to float rounding, which may tip a token whose draw falls on the
very border between two).
"""

import hashlib
import inspect
import math
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch

Loaded = Any  # transformers' and peft's models, which carry no usable types
STATE_ALONE = "cache_params"  # how a model without any attention calls its cache
REFILL = 4  # new prompts are read when this part of the batch is free: a forward for each alone would cost more
HIGHEST = 1 - 2**-40  # a draw below 1 even after it was multiplied, so that it never falls beyond the last token


class Written(NamedTuple):
    """One text. `ids` ends with EOS where `ended`; `logps` are log-probabilities of `ids` under the temperature."""

    ids: list[int]
    logps: list[float]
    ended: bool


def sample(
    model: Loaded,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    temperature: float,
    eos: int,
    pad: int,
    seed: int,
    batch: int = 32,
    top_p: float = 1.0,
) -> list[Written]:
    """A text for every prompt, in the order given; for several to a prompt, give it several times.

    Tokens are drawn from softmax(logits / temperature), of which `top_p` keeps the smallest set of likeliest tokens with
    at least that probability (Holtzman et al. 2020); nothing is cut by rank (top_k). Temperature 0 takes the likeliest.
    `logps` are of the whole distribution before `top_p`, in nats, at temperature 1 where it is 0. The model is run in
    evaluation mode and left in the mode it was in. Raises ValueError for an empty prompt or numbers out of range,
    FloatingPointError when the model's logits are not numbers.
    """
    import torch

    if max_new_tokens < 1 or temperature < 0 or not 0 < top_p <= 1 or batch < 1:
        raise ValueError(
            "max_new_tokens and batch must be 1 or more, temperature 0 or more, top_p above 0 and at most 1"
        )
    if not all(prompts):
        raise ValueError("a prompt has no token to go on from; begin it with one")
    # The longest first: who comes later is never longer than the rows there. Equal prompts stand side by side.
    waiting = deque(sorted(range(len(prompts)), key=lambda row: (-len(prompts[row]), *prompts[row])))
    chances = _chances(seed, len(prompts), 0 if temperature == 0 else max_new_tokens)
    texts = [Written([], [], ended=False) for _ in prompts]
    # Not inference_mode: a buffer that a model makes anew while it writes (scaled rotary frequencies) could not be
    # trained through afterwards.
    with torch.no_grad(), _evaluating(model):
        writing = Writing(model, pad=pad, slots=min(batch, len(prompts)), room=max_new_tokens)
        rows: list[int] = []
        while rows or waiting:
            free = batch - len(rows)
            if waiting and (not rows or (writing.joins and free * REFILL >= batch)):
                fresh = [waiting.popleft() for _ in range(min(free, len(waiting)))]
                writing.read([prompts[row] for row in fresh])
                rows += fresh
            drawn = [chances[row][len(texts[row].ids)] for row in rows] if temperature else None
            tokens, logps = draw(writing.logits, drawn, temperature=temperature, top_p=top_p)
            over: list[int] = []
            for place, (row, token, logp) in enumerate(zip(rows, tokens.tolist(), logps.tolist(), strict=True)):
                if not math.isfinite(logp):
                    raise FloatingPointError("the model's logits are not numbers: its weights are broken")
                texts[row].ids.append(token)
                texts[row].logps.append(logp)
                if token == eos:
                    texts[row] = texts[row]._replace(ended=True)
                if token == eos or len(texts[row].ids) == max_new_tokens:
                    over.append(place)
            for place in reversed(over):
                rows[place] = rows[-1]
                rows.pop()
            tokens = writing.close(over, tokens)
            if rows:
                writing.write(tokens)
    return texts


def draw(
    logits: "torch.Tensor", chances: Sequence[float] | None, *, temperature: float, top_p: float = 1.0
) -> "tuple[torch.Tensor, torch.Tensor]":
    """A token for each row of `logits` (rows, vocabulary), and its log-probability under the temperature; both (rows,).

    By inverting the cumulative distribution at each row's chance in [0, 1): one random number a token, whatever the
    batch. Without chances (temperature 0), the likeliest.
    """
    import torch

    logps = torch.log_softmax(logits.float() / (temperature or 1.0), dim=-1)
    if chances is None:
        tokens = logps.argmax(-1, keepdim=True)
        return tokens.squeeze(-1), logps.gather(-1, tokens).squeeze(-1)
    weights = logps.exp()
    if top_p < 1:
        ordered, places = weights.sort(dim=-1, descending=True, stable=True)
        before = ordered.cumsum(-1, dtype=torch.float64) - ordered
        weights = weights.scatter(-1, places, ordered.masked_fill(before >= top_p, 0.0))
    reached = weights.cumsum(-1, dtype=torch.float64)
    drawn = torch.tensor(chances, dtype=torch.float64, device=logits.device).clamp(max=HIGHEST).unsqueeze(-1)
    tokens = torch.searchsorted(reached, drawn * reached[:, -1:], right=True).clamp(max=logits.shape[-1] - 1)
    return tokens.squeeze(-1), logps.gather(-1, tokens).squeeze(-1)


class Writing:
    """The rows that are being written: reads prompts, goes on by a token, drops rows. `logits` are of the next tokens.

    Attention layers keep their rows in a `SlotCache`. A model that carries a state along instead (Mamba and its kin) cannot
    take new rows in between; `joins` is False, and its rows only shrink.
    """

    def __init__(self, model: Loaded, *, pad: int, slots: int, room: int) -> None:
        from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

        from plugins.lib.slots import SlotCache

        self.model, self.pad = model, pad
        plain = model.get_base_model() if hasattr(model, "get_base_model") else model
        self.device = next(plain.parameters()).device
        known = inspect.signature(plain.forward).parameters
        self._places = "position_ids" in known
        self._last = {"logits_to_keep": 1} if "logits_to_keep" in known else {}
        self._past = STATE_ALONE if STATE_ALONE in known else "past_key_values"
        kinds = {type(layer) for layer in DynamicCache(config=plain.config).layers}
        self.joins = kinds <= {DynamicLayer, DynamicSlidingWindowLayer}
        # Without a config all columns are kept; the mask alone makes the window of layers that look back only so far.
        self._new_cache = DynamicCache if self.joins else lambda: DynamicCache(config=plain.config)
        self.cache: Loaded = SlotCache(slots, room) if self.joins else None
        self._begins: list[int] = []
        self._columns = 0
        self.logits: Any = None

    def read(self, prompts: Sequence[Sequence[int]]) -> None:
        """Takes in new rows behind those that are there; equal neighbours are read once."""
        import torch

        different: list[Sequence[int]] = []
        pick: list[int] = []
        for prompt in prompts:
            if not different or list(different[-1]) != list(prompt):
                different.append(prompt)
            pick.append(len(different) - 1)
        longest = max(map(len, different))
        ids = torch.full((len(different), longest), self.pad, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for place, prompt in enumerate(different):
            ids[place, longest - len(prompt) :] = torch.tensor(prompt)
            mask[place, longest - len(prompt) :] = 1
        cache: Loaded = self._new_cache()
        chosen = torch.tensor(pick, device=self.device)
        fresh = self._forward(
            ids.to(self.device), mask.to(self.device), (mask.cumsum(-1) - mask).to(self.device), cache
        )
        fresh = fresh[chosen]
        if self.joins:
            unused = min(self._begins, default=0)
            self.cache.trim(unused)
            self.cache.admit(cache, chosen)
            self._begins = [begin - unused for begin in self._begins]
            self.logits = torch.cat([self.logits, fresh]) if self._begins else fresh
        else:
            cache.reorder_cache(chosen)
            self.cache, self.logits = cache, fresh
        self._columns = self.cache.get_seq_length() if self.joins else longest
        self._begins += [self._columns - len(prompt) for prompt in prompts]

    def write(self, tokens: "torch.Tensor") -> None:
        """Goes on with one token a row, shape (rows,)."""
        import torch

        self._columns += 1
        begins = torch.tensor(self._begins, device=self.device).unsqueeze(-1)
        mask: torch.Tensor | None = None
        if (
            self._past != STATE_ALONE
        ):  # which has nothing to look back at, and would take it for a mask of the one token
            mask = (torch.arange(self._columns, device=self.device) >= begins).long()
        self.logits = self._forward(tokens.unsqueeze(-1), mask, self._columns - 1 - begins, self.cache)

    def close(self, over: Sequence[int], tokens: "torch.Tensor") -> "torch.Tensor":
        """Drops rows: the last one moves into each place that falls free, from the last place to the first. Gives the
        tokens and keeps the logits of those that stay, in their new order."""
        import torch

        if not over:
            return tokens
        order = list(range(len(tokens)))
        for place in reversed(over):
            order[place] = order[-1]
            order.pop()
            if self.joins:
                self.cache.close(place)
        kept = torch.tensor(order, dtype=torch.long, device=self.device)
        if not self.joins and order:
            self.cache.reorder_cache(kept)
        self._begins = [self._begins[place] for place in order]
        self.logits = self.logits[kept]
        return tokens[kept]

    def _forward(
        self, ids: "torch.Tensor", mask: "torch.Tensor | None", places: "torch.Tensor", cache: Loaded
    ) -> "torch.Tensor":
        where = {self._past: cache} | ({"position_ids": places} if self._places else {})
        return self.model(input_ids=ids, attention_mask=mask, use_cache=True, **where, **self._last).logits[:, -1]


def _chances(seed: int, rows: int, tokens: int) -> list[list[float]]:
    """Every row's random numbers in [0, 1), from the seed and the row's number alone."""
    import torch

    generator, found = torch.Generator(), []
    for row in range(rows):
        digest = hashlib.sha256(f"{seed}/{row}".encode()).digest()
        generator.manual_seed(int.from_bytes(digest[:7]))
        found.append(torch.rand(tokens, generator=generator, dtype=torch.float64).tolist())
    return found


@contextmanager
def _evaluating(model: Loaded) -> Iterator[None]:
    """Inside, the model and its parts are in evaluation mode; afterwards each is in the mode it was in."""
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
