"""A language model's guesses at chosen places alone. A head has a row for every token there is, so that on a small model
guessing everywhere costs as much again as reading, in time and far more in memory.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from plugins.lib.adapters import has_lora

if TYPE_CHECKING:
    import torch

Loaded = Any  # transformers' and peft's models, which carry no usable types


def logits_at(
    model: Loaded, inputs: Mapping[str, "torch.Tensor"], places: "torch.Tensor"
) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Logits at `places` (guesses, 2: row and token), of shape (guesses, vocabulary), and each row's first hidden state,
    (rows, width). `inputs` are the model's: `input_ids`, `attention_mask` and the like, each (rows, longest).

    With gradients. A hook hands the model's own head the hidden states of those places as one sequence, so whatever it does to
    logits (scaling, caps) is done; heads of transformers work on each token by itself. `model` is a masked or a causal language
    model, with or without adapters.
    """
    firsts: list[Any] = []

    def choose(_module: Loaded, _inputs: Loaded, output: Loaded) -> Loaded:
        firsts.append(output[0][:, 0])
        return type(output)(last_hidden_state=output[0][places[:, 0], places[:, 1]][None])

    own = model.get_base_model() if has_lora(model) else model
    hook = own.base_model.register_forward_hook(choose)
    try:
        return model(**inputs).logits[0], firsts[0]
    finally:
        hook.remove()
