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
    return encode_answers(tokenizer, prompt, [completion], causal=causal, max_length=max_length, keep=keep)[0]


def encode_answers(
    tokenizer: Tokenizer,
    prompt: str | list[dict[str, str]],
    completions: Sequence[str],
    *,
    causal: bool,
    max_length: int,
    keep: Keep = "start",
) -> list[Encoded | None]:
    """A sequence an answer, None for one that alone does not fit. All have the prompt as the longest of the rest leaves it.

    So answers are compared on equal terms, and share their prompt in the K-way engine.
    """
    tails = [answer_ids(tokenizer, completion) for completion in completions]
    if causal:
        asked = prompt_as_asked(tokenizer, prompt)
        head = tokenizer(asked, add_special_tokens=False)["input_ids"]
        tails = [[*tail, tokenizer.eos_token_id] for tail in tails]
        frame: tuple[list[int], list[int], list[int]] = ([], [], [])
    else:
        head = tokenizer(prompt_text(prompt), add_special_tokens=False)["input_ids"]
        frame = ([tokenizer.cls_token_id], [tokenizer.sep_token_id], [tokenizer.sep_token_id])
    most = max_length - sum(map(len, frame))
    room = most - max((len(tail) for tail in tails if len(tail) <= most), default=0)
    kept = head if len(head) <= room else head[:room] if keep == "start" else head[len(head) - room :]
    first = [*frame[0], *kept, *frame[1]]
    return [
        Encoded([*first, *tail, *frame[2]], [0] * len(first) + [1] * len([*tail, *frame[2]]), cut=len(kept) < len(head))
        if len(tail) <= most
        else None
        for tail in tails
    ]


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
