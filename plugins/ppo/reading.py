"""Answers as tensors, and what the policy says about them: log-probabilities, entropy, hidden states.

Prompts are left-padded and answers right-padded, so that the answers of a batch stand in the same columns and only those
go through the language-model head. Positions count real tokens (3), so padding changes nothing.
"""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch

Loaded = Any  # transformers' and peft's models, which carry no usable types


class Answer(NamedTuple):
    """A prompt and an answer to it as token ids; the answer ends with EOS where it ended by itself."""

    prompt: Sequence[int]
    ids: Sequence[int]


class Inputs(NamedTuple):
    """Shape (answers, longest prompt + longest answer), but `mask` (answers, longest answer): 1 at an answer's own tokens."""

    ids: "torch.Tensor"
    attention: "torch.Tensor"
    positions: "torch.Tensor"
    mask: "torch.Tensor"

    @property
    def first(self) -> int:
        """The column whose output tells of the first answer token: the prompt's last."""
        return self.ids.shape[1] - self.mask.shape[1] - 1

    @property
    def answers(self) -> "torch.Tensor":
        """The answers' tokens, (answers, longest answer)."""
        return self.ids[:, self.first + 1 :]


class Said(NamedTuple):
    """(answers, longest answer) each, 0 beyond an answer's end; `hidden` (answers, longest answer, width) is the state
    before each token."""

    logps: "torch.Tensor"
    entropy: "torch.Tensor"
    hidden: "torch.Tensor"


def inputs(answers: Sequence[Answer], *, pad: int, device: "torch.device", longest: int = 0) -> Inputs:
    """The batch. `longest` answers as many columns at least, so that several batches have the same."""
    import torch

    left = max(len(one.prompt) for one in answers)
    right = max(1, longest, *(len(one.ids) for one in answers))
    ids = torch.full((len(answers), left + right), pad, dtype=torch.long)
    attention = torch.zeros_like(ids)
    for place, (prompt, answer) in enumerate(answers):
        span = slice(left - len(prompt), left + len(answer))
        ids[place, span] = torch.tensor([*prompt, *answer])
        attention[place, span] = 1
    positions = (attention.cumsum(1) - attention) * attention
    found = (ids, attention, positions, attention[:, left:].float())
    return Inputs(*(tensor.to(device) for tensor in found))


def by_length(answers: Sequence[Answer], places: Sequence[int], size: int) -> list[list[int]]:
    """Neighbours in length together: less padding, and the same sums."""
    order = sorted(places, key=lambda place: len(answers[place].prompt) + len(answers[place].ids))
    return [order[start : start + size] for start in range(0, len(order), size)]


def said(model: Loaded, batch: Inputs, *, temperature: float) -> Said:
    """What a causal model says about the answers, with gradients where they are on; `temperature` divides the logits (11)."""
    import torch

    plain = unwrapped(model)
    columns = torch.arange(batch.first, batch.ids.shape[1] - 1, device=batch.ids.device)
    keep = {"logits_to_keep": columns} if "logits_to_keep" in _parameters(plain) else {}
    with _before_head(plain) as caught:
        out = model(**arguments(model, batch), **keep)
    logits, hidden = out.logits, caught[-1]
    if not keep:
        logits, hidden = logits[:, columns], hidden[:, columns]
    logits = logits.float() / temperature
    whole = logits.logsumexp(-1)
    logps = (logits.gather(-1, batch.answers.unsqueeze(-1)).squeeze(-1) - whole).masked_fill(batch.mask == 0, 0.0)
    with torch.no_grad():
        # E[-log p] = log Z - E[logit]; softmax anew, so that the graph above keeps no copy of it
        entropy = (whole - (logits.softmax(-1) * logits).sum(-1)) * batch.mask
    return Said(logps, entropy, hidden)


def arguments(model: Loaded, batch: Inputs) -> dict[str, Any]:
    """What a forward of the whole sequences takes; positions where the model asks for them (not with ALiBi)."""
    places = {"position_ids": batch.positions} if "position_ids" in _parameters(unwrapped(model)) else {}
    return {"input_ids": batch.ids, "attention_mask": batch.attention, "use_cache": False, **places}


def unwrapped(model: Loaded) -> Loaded:
    """transformers' model inside peft's."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _parameters(model: Loaded) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(model.forward).parameters


@contextmanager
def _before_head(model: Loaded) -> Iterator[list["torch.Tensor"]]:
    """The hidden states that go into the language-model head, whatever the architecture calls its parts."""
    caught: list[torch.Tensor] = []
    hook = model.get_output_embeddings().register_forward_pre_hook(lambda _, given: caught.append(given[0]))
    try:
        yield caught
    finally:
        hook.remove()
