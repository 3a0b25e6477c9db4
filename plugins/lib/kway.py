"""Scores and log-probabilities of K answers to a prompt, with gradients: each answer runs once, and the prompt once for all.

A ranking of K answers makes K(K-1)/2 comparisons, which an engine for pairs sends through the model K(K-1) times. Here
each different sequence runs once (Ouyang et al. 2022, section 3.5). Where it holds and pays (`plugins.lib.sharing`), the
prompt too runs only once: it goes through the model under gradient with its keys and values kept, and all answers run
from copies of those as one batch, so that the backward adds up what all answers say about the prompt. Both ways give the
numbers and gradients of transformers' own classes; `docs/methods/kway.md` has the families for which a test proves it.
"""

from collections.abc import Collection, Sequence
from functools import cached_property
from inspect import signature
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from plugins.lib.encoding import Encoded, pad
from plugins.lib.sharing import Costs, Length, Shape, checkpoints, obstacle, quietly, same, shape

if TYPE_CHECKING:
    import torch

Sharing = Literal["auto", "always", "never"]
Loaded = Any  # transformers' and peft's models, which carry no usable types
HEAD_ROWS = 1024  # tokens that go through a language-model head at once
# What configs call that which is done to a head's numbers: a constant times or by, and a soft cap
FACTORS = ("logit_scale", "logits_scaling", "lm_head_multiplier", "output_multiplier")
CAPS = ("final_logit_softcapping", "logits_soft_cap", "output_logit_soft_cap")


class Piece(NamedTuple):
    """What runs for one sequence: its hidden states from token `first` on are read; tokens before `cut` may be shared."""

    ids: tuple[int, ...]
    cut: int
    first: int

    @property
    def length(self) -> Length:
        return Length(self.ids[: self.cut], self.cut, len(self.ids) - self.cut)


class KWay:
    """A transformers model (in peft's wrapper or not) that answers for many sequences at once.

    `pad` may be any token: what is padded is masked. `types` is for encoders that know token types. `sharing`: `auto`
    shares a prompt where that is cheaper and holds, `always` raises ValueError where it does not hold, `never` is one
    forward an answer. With dropout on, answers that share a prompt share its dropout too.
    """

    def __init__(
        self, model: Loaded, *, pad: int, device: "torch.device | str", types: bool = False, sharing: Sharing = "auto"
    ) -> None:
        import torch

        self.model, self.pad, self.types, self.sharing = model, pad, types, sharing
        self.device = torch.device(device)
        if getattr(getattr(model, "active_peft_config", None), "is_prompt_learning", False):
            raise ValueError("this adapter writes a prompt of its own into every call (prompt tuning); take LoRA")
        # Adapters sit inside the model's own layers, so below peft's wrapper they are at work too.
        self.inner = model.get_base_model() if hasattr(model, "get_base_model") else model
        prefix = self.inner.base_model_prefix
        self.body: Loaded = getattr(self.inner, prefix, None) or getattr(self.inner, "model", None)
        self._bare = self.body is None  # no head that is known here: all that can be asked is `states`
        self.body = self.inner if self._bare else self.body
        self._writes = not self._bare and self.inner.get_output_embeddings() is not None
        if sharing == "always" and not (self._scores or self._writes or self._bare):
            raise ValueError(f"answers cannot share their prompt: {self.unshareable}")

    def scores(self, sequences: Sequence[Encoded]) -> "torch.Tensor":
        """Shape (sequences, outputs) of a *ForSequenceClassification; causal models are read at the last token.

        Raises ValueError where there is no sequence, or one without tokens, which has no last one.
        """
        if not sequences or not all(one.ids for one in sequences):
            raise ValueError("there is nothing to score: every sequence needs at least one token")
        places, different = _different(sequences)
        if not self._scores:
            inputs = pad(different, pad_id=self.pad, device=self.device, types=self.types)
            return self.model(**inputs).logits[places]
        pieces = [Piece(tuple(one.ids), min(_head(one), len(one.ids) - 1), len(one.ids) - 1) for one in different]
        return self.inner.score(self._states(pieces))[places]

    def logps(self, sequences: Sequence[Encoded], temperature: float = 1.0) -> tuple["torch.Tensor", "torch.Tensor"]:
        """Log-probabilities (nats, float32) of the answers' tokens under a *ForCausalLM, and where they are.

        Both of shape (sequences, longest answer), zero and False behind an answer's end. The logits are divided by
        `temperature` first. Raises ValueError for an answer without a prompt: its first token follows from nothing.
        """
        import torch

        places, different = _different(sequences)
        pieces, mask = self._answers(different)
        found = torch.zeros(mask.shape, device=self.device)
        if pieces:
            targets = torch.tensor([token for one in different for token in one.ids[_head(one) :]], device=self.device)
            found = found.masked_scatter(mask, self._logps(self._states(pieces), targets, temperature))
        return found[places], mask[places]

    def states(self, sequences: Sequence[Encoded]) -> tuple["torch.Tensor", "torch.Tensor"]:
        """The body's last hidden state before each of the answers' tokens, and where they are.

        Shapes (sequences, longest answer, width) and (sequences, longest answer), zero and False behind an answer's end.
        `logits` makes of them what the model says next. Raises ValueError as `logps` does.
        """
        import torch

        places, different = _different(sequences)
        pieces, mask = self._answers(different)
        flat = self._states(pieces) if pieces else torch.zeros(0, self.body.config.get_text_config().hidden_size)
        found = torch.zeros(*mask.shape, flat.shape[-1], dtype=flat.dtype, device=self.device)
        found = found.masked_scatter(mask.unsqueeze(-1), flat) if pieces else found
        return found[places], mask[places]

    def length(self, sequence: Encoded) -> Length:
        """What `tokens` wants to know of a sequence."""
        head = _head(sequence)
        return Length(tuple(sequence.ids[:head]), head, len(sequence.ids) - head)

    def tokens(self, lengths: Collection[Length]) -> int:
        """Padded tokens that a call with these different sequences holds at once: the cost by which to batch them."""
        found = shape(lengths)
        return self._costs.tokens(found) if self._shares(found) else found.whole[0] * found.whole[1]

    def shares(self, sequences: Sequence[Encoded]) -> bool:
        """Whether these would run from shared prompts. Raises ValueError where they must (`always`) and cannot."""
        return self._shares(shape([self.length(one) for one in _different(sequences)[1]]))

    @cached_property
    def unshareable(self) -> str | None:
        """Why this model's answers cannot share a prompt; None where they can, as one small comparison has shown."""
        if not (self._scores or self._writes or self._bare):
            return "its answer is not read off the last token, or it reads in both directions"
        return obstacle(self.inner) or self._difference()

    def logits(self, states: "torch.Tensor") -> "torch.Tensor":
        """What a *ForCausalLM makes of its body's states: shape (..., vocabulary). Raises ValueError for a head not known."""
        scale, cap = self._after_head
        logits = self.inner.get_output_embeddings()(states)
        logits = logits if scale == 1.0 else logits * scale
        return logits if cap is None else cap * (logits / cap).tanh()

    # --- the two ways ---

    def _answers(self, different: Sequence[Encoded]) -> tuple[list[Piece], "torch.Tensor"]:
        """What runs so that the states before the answers' tokens are read, and where those tokens are."""
        import torch

        if any(not _head(one) for one in different):
            raise ValueError("an answer's first token needs a token before it: give the prompt at least one")
        pieces = [
            Piece(tuple(one.ids[:-1]), _head(one) - 1, _head(one) - 1) for one in different if _head(one) < len(one.ids)
        ]
        lengths = torch.tensor([len(one.ids) - _head(one) for one in different], device=self.device)
        longest = int(lengths.max()) if different else 0
        return pieces, torch.arange(longest, device=self.device) < lengths.unsqueeze(-1)

    def _states(self, pieces: Sequence[Piece]) -> "torch.Tensor":
        return self._read(pieces, shared=self._shares(shape([piece.length for piece in pieces])))

    def _read(self, pieces: Sequence[Piece], *, shared: bool) -> "torch.Tensor":
        """Hidden states, flat: those of each piece from its `first` token on, one piece after the other."""
        states = self._from_shared(pieces) if shared else self._one_forward(pieces)
        skipped = [piece.cut if shared else 0 for piece in pieces]
        rows = [row for row, piece in enumerate(pieces) for _ in piece.ids[piece.first :]]
        columns = [
            at - less for piece, less in zip(pieces, skipped, strict=True) for at in range(piece.first, len(piece.ids))
        ]
        return states[rows, columns]

    def _one_forward(self, pieces: Sequence[Piece]) -> "torch.Tensor":
        """Shape (pieces, longest, width)."""
        ids, mask = self._padded([piece.ids for piece in pieces], left=False)
        return self.body(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state

    def _from_shared(self, pieces: Sequence[Piece]) -> "torch.Tensor":
        """Shape (pieces, longest answer, width): prompts padded on the left, so that answers follow them without a gap."""
        import torch
        from transformers import DynamicCache

        heads: dict[tuple[int, ...], int] = {}
        owner = torch.tensor(
            [heads.setdefault(piece.ids[: piece.cut], len(heads)) for piece in pieces], device=self.device
        )
        ids, mask = self._padded(list(heads), left=True)
        # A cache that knows no config keeps all keys; windows are left to the mask, which knows where padding is.
        cache: Loaded = DynamicCache()
        self._call(ids, mask, (mask.cumsum(-1) - 1).clamp(min=0), cache)
        for layer in cache.layers:  # one prompt is viewed K times; several are copied, as their K may differ
            layer.keys, layer.values = (
                kept.expand(len(pieces), *kept.shape[1:]) if len(heads) == 1 else kept.index_select(0, owner)
                for kept in (layer.keys, layer.values)
            )
        before = mask[owner]
        ids, mask = self._padded([piece.ids[piece.cut :] for piece in pieces], left=False)
        positions = before.sum(-1, keepdim=True) + torch.arange(ids.shape[1], device=self.device)
        return self._call(ids, torch.cat([before, mask], dim=1), positions, cache)

    def _call(
        self, ids: "torch.Tensor", mask: "torch.Tensor", positions: "torch.Tensor", cache: Loaded
    ) -> "torch.Tensor":
        known = {"position_ids": positions} if self._takes_positions else {}
        # Without padding there is no mask to look up, and attention may take its quick way.
        known |= {} if bool(mask.all()) else {"attention_mask": mask}
        return self.body(input_ids=ids, past_key_values=cache, use_cache=True, **known).last_hidden_state

    def _padded(self, rows: Sequence[tuple[int, ...]], *, left: bool) -> tuple["torch.Tensor", "torch.Tensor"]:
        import torch

        longest = max(map(len, rows))
        fill = [[self.pad] * (longest - len(row)) for row in rows]
        ids = [[*gap, *row] if left else [*row, *gap] for gap, row in zip(fill, rows, strict=True)]
        ones = [
            [0] * len(gap) + [1] * len(row) if left else [1] * len(row) + [0] * len(gap)
            for gap, row in zip(fill, rows, strict=True)
        ]
        return torch.tensor(ids, device=self.device), torch.tensor(ones, device=self.device)

    def _logps(self, states: "torch.Tensor", targets: "torch.Tensor", temperature: float) -> "torch.Tensor":
        """In chunks, so that beside the one set of logits that the backward needs no second is held."""
        import torch

        found = []
        for some, wanted in zip(states.split(HEAD_ROWS), targets.split(HEAD_ROWS), strict=True):
            logits = self.logits(some).float()
            logits = logits if temperature == 1.0 else logits / temperature
            found.append(logits.gather(-1, wanted[:, None])[:, 0] - logits.logsumexp(-1))
        return torch.cat(found)

    # --- what is asked of the model once ---

    @cached_property
    def _costs(self) -> Costs:
        return Costs.of(self.body, self.device.type)

    @cached_property
    def _scores(self) -> bool:
        """Whether `score` on the last token's state is what the model itself says, as of all causal classifiers."""
        import torch

        if self._bare or not hasattr(self.inner, "score"):
            return False
        ids = torch.tensor([self._some_tokens(8)], device=self.device)
        with quietly(self.inner):
            try:
                found = self.inner.score(self.body(input_ids=ids, use_cache=False).last_hidden_state[:, -1])
                return same(found, self.inner(input_ids=ids).logits)
            except Exception:  # a head of another kind, which the model's own forward knows how to use
                return False

    @cached_property
    def _takes_positions(self) -> bool:
        return "position_ids" in signature(self.body.forward).parameters

    def _shares(self, found: Shape) -> bool:
        if self.sharing == "never" or not found.heads[1] or not (self._scores or self._writes or self._bare):
            return False
        if self.sharing == "auto":
            return self._costs.pays(found) and not checkpoints(self.inner) and self.unshareable is None
        why = self.unshareable or ("gradient checkpointing is on" if checkpoints(self.inner) else None)
        if why:
            raise ValueError(f"answers cannot share their prompt: {why}")
        return True

    def _difference(self) -> str | None:
        """Compares both ways on a few tokens, ragged on either side."""
        tokens = self._some_tokens(14)
        lengths = ((7, 1), (7, 4), (3, 2), (3, 3))
        pieces = [Piece((*tokens[:head], *tokens[-tail:]), head, head) for head, tail in lengths]
        with quietly(self.inner):
            try:
                plain = self._read(pieces, shared=False)
                shared = self._read(pieces, shared=True)
            except Exception as error:  # a family that cannot share may say so in any manner
                return f"it does not run from kept keys and values ({type(error).__name__}: {error})"
        return None if same(shared, plain) else "from kept keys and values it gives other numbers"

    @cached_property
    def _after_head(self) -> tuple[float, float | None]:
        """What the model does to its head's numbers: times a constant, then softly capped. Found by looking."""
        import torch

        ids = torch.tensor([self._some_tokens(8)], device=self.device)
        with quietly(self.inner):
            wanted = self.inner(input_ids=ids, use_cache=False).logits
            states = self.body(input_ids=ids, use_cache=False).last_hidden_state
            raw = self.inner.get_output_embeddings()(states)
        if not wanted.isfinite().all():
            raise ValueError(
                f"{type(self.inner).__name__} gives logits that are not numbers: its weights are broken (NaN or infinite)"
            )
        config = self.inner.config.get_text_config()
        named = [getattr(config, name, None) for name in FACTORS]
        factors = [1.0, *(factor for number in named if number for factor in (float(number), 1 / float(number)))]
        caps = [getattr(config, name, None) for name in CAPS]
        for cap in dict.fromkeys((*filter(None, caps), None)):  # a cap cannot be seen where logits are still small
            for scale in factors:
                made = raw * scale if cap is None else cap * (raw * scale / cap).tanh()
                if same(made, wanted):
                    return scale, cap
        raise ValueError(
            f"{type(self.inner).__name__} makes its logits in a way that is not known here; nothing was computed"
        )

    def _some_tokens(self, count: int) -> list[int]:
        known = self.body.get_input_embeddings().num_embeddings
        pads = {self.pad, self.inner.config.get_text_config().pad_token_id}  # the latter hides a last token from a head
        return [token for token in range(1, known) if token not in pads][-count:]


def _head(sequence: Encoded) -> int:
    """How many tokens the prompt has: those of type 0, which come first."""
    return sequence.types.index(1) if 1 in sequence.types else len(sequence.types)


def _different(sequences: Sequence[Encoded]) -> tuple[list[int], list[Encoded]]:
    """Each sequence's place among the different ones, and those."""
    found: dict[tuple[tuple[int, ...], int], int] = {}
    places = [found.setdefault((tuple(one.ids), _head(one)), len(found)) for one in sequences]
    firsts = dict(zip(reversed(places), reversed(sequences), strict=True))
    return places, [firsts[place] for place in range(len(found))]
