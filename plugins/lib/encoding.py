"""Prompt and answer as token ids, for encoders (a text pair) and causal models (one text that ends with EOS).

When both do not fit, the prompt is cut and the answer never: an answer that was cut would be judged for what people
did not see. The reward of a causal model is read at the last token, so EOS must not be the pad token (training.md,
trap 3).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from feinschliff.rows import prompt_messages, prompt_text

if TYPE_CHECKING:
    import torch

Keep = Literal["start", "end"]
Tokenizer = Any  # transformers' tokenizers carry no usable types


class Encoded(NamedTuple):
    """One sequence. `types` tells prompt (0) from answer (1) for models that know token types."""

    ids: list[int]
    types: list[int]
    cut: bool


def has_own_pad(tokenizer: Tokenizer) -> bool:
    return tokenizer.pad_token_id is not None and tokenizer.pad_token_id != tokenizer.eos_token_id


def encode(
    tokenizer: Tokenizer,
    prompt: str | list[dict[str, str]],
    completion: str,
    *,
    causal: bool,
    max_length: int,
    keep: Keep = "start",
) -> Encoded | None:
    """The sequence, its prompt cut to fit (its start or its end kept); None when the answer alone does not fit."""
    answer = answer_ids(tokenizer, completion)
    if causal:
        asked = prompt_as_asked(tokenizer, prompt)
        head, tail = tokenizer(asked, add_special_tokens=False)["input_ids"], [*answer, tokenizer.eos_token_id]
        frame: tuple[list[int], list[int], list[int]] = ([], [], [])
    else:
        head, tail = tokenizer(prompt_text(prompt), add_special_tokens=False)["input_ids"], answer
        frame = ([tokenizer.cls_token_id], [tokenizer.sep_token_id], [tokenizer.sep_token_id])
    room = max_length - len(tail) - sum(map(len, frame))
    if room < 0:
        return None
    kept = head if len(head) <= room else head[:room] if keep == "start" else head[len(head) - room :]
    first, second = [*frame[0], *kept, *frame[1]], [*tail, *frame[2]]
    types = [0] * len(first) + [1] * len(second)
    return Encoded(first + second, types, cut=len(kept) < len(head))


def prompt_as_asked(tokenizer: Tokenizer, prompt: str | list[dict[str, str]]) -> str:
    """The text that stands before an answer: the same when a model is trained, judges, and is asked to write."""
    if tokenizer.chat_template:
        return tokenizer.apply_chat_template(prompt_messages(prompt), tokenize=False, add_generation_prompt=True)
    return prompt_text(prompt) + "\n\n"


def answer_ids(tokenizer: Tokenizer, answer: str) -> list[int]:
    """The answer's tokens. What is spelt like a special token ("</s>") is read as characters: no text can forge an end."""
    return list(tokenizer(answer, add_special_tokens=False, split_special_tokens=True)["input_ids"])


def pad(sequences: Sequence[Encoded], *, pad_id: int, device: "torch.device", types: bool) -> dict[str, "torch.Tensor"]:
    """Right-padded model inputs of shape (sequences, longest)."""
    import torch

    longest = max(len(sequence.ids) for sequence in sequences)
    ids = torch.full((len(sequences), longest), pad_id, dtype=torch.long)
    mask = torch.zeros_like(ids)
    kinds = torch.zeros_like(ids)
    for place, sequence in enumerate(sequences):
        length = len(sequence.ids)
        ids[place, :length] = torch.tensor(sequence.ids)
        mask[place, :length] = 1
        kinds[place, :length] = torch.tensor(sequence.types)
    inputs = {"input_ids": ids, "attention_mask": mask} | ({"token_type_ids": kinds} if types else {})
    return {name: tensor.to(device) for name, tensor in inputs.items()}
