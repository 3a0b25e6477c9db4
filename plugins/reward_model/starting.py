"""A fresh reward model on a base: its head, its pad token, what of it is trained.

The head starts as N(0, 1/(width + 1)) (Stiennon et al. 2020), each output drawn on its own, which is what tells the heads of
an ensemble apart before they have seen anything.
"""

from pathlib import Path
from typing import Any

from feinschliff import NeedsNotMet
from plugins.lib.adapters import add_lora, has_lora
from plugins.lib.devices import choose_device
from plugins.lib.encoding import has_own_pad
from plugins.lib.policies import PAD, set_dropout
from plugins.lib.verbs import readable
from plugins.lib.weights import check_folder, loading
from plugins.reward_model.config import RewardModelConfig
from plugins.reward_model.model import RewardModel
from plugins.reward_model.outputs import Outputs

Loaded = Any  # transformers' models, which carry no usable types
TINY, SMALL = 2_000_000, 50_000_000
LORA_FASTER, FASTEST = 10, 2e-3


def from_base(
    folder: Path, config: RewardModelConfig, *, causal: bool, outputs: Outputs, seed: int, device: str
) -> RewardModel:
    """Gives the base a pad token of its own where it has none: EOS, at which the score is read, must stay visible."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    check_folder(folder)
    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if causal and tokenizer.eos_token_id is None:
        raise NeedsNotMet("this base has no end-of-text token, at which a causal reward model reads its score")
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=outputs.width, dtype=torch.float32, **loading()
    )
    if not has_own_pad(tokenizer):
        tokenizer.add_special_tokens({"pad_token": PAD})
        if len(tokenizer) > model.get_input_embeddings().num_embeddings:
            model.resize_token_embeddings(len(tokenizer))
    model.config.pad_token_id = tokenizer.pad_token_id
    head = _start_head(model, outputs.width, seed)
    set_dropout(model, config.dropout)
    longest = readable(model, otherwise=config.max_length)
    model = add_lora(model, config, task="SEQ_CLS", train_too=[head])
    _freeze(model, config.freeze_layers)
    return RewardModel(
        model,
        tokenizer,
        folder=folder,
        causal=causal,
        max_length=min(config.max_length, longest),
        keep=config.prompt_keeps,
        device=choose_device(device),
        outputs=outputs,
    )


def _start_head(model: Loaded, width: int, seed: int) -> str:
    """Draws the weights of the last layer; returns the name of the part of the model that it belongs to."""
    import torch

    linear = [(name, module) for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    name, head = [(name, module) for name, module in linear if module.out_features == width][-1]
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        head.weight.copy_(torch.randn(head.weight.shape, generator=generator) / (head.in_features + 1) ** 0.5)
        if head.bias is not None:
            head.bias.zero_()
    return name.partition(".")[0]


def _freeze(model: Loaded, layers: int) -> None:
    if not layers:
        return
    body = (model.get_base_model() if has_lora(model) else model).base_model
    stack = body.encoder.layer if hasattr(body, "encoder") else body.layers
    embeddings = body.embeddings if hasattr(body, "embeddings") else body.embed_tokens
    for module in [embeddings, *stack[:layers]]:
        module.requires_grad_(False)


def step_size(model: Loaded) -> float:
    """A peak that suits bases of this size; larger ones are easily spoilt. Adapters bear ten times that of all weights
    (Schulman et al. 2025, "LoRA Without Regret")."""
    size = sum(weight.numel() for weight in model.parameters())
    whole = 1e-3 if size < TINY else 1e-4 if size < SMALL else 2e-5
    return min(whole * LORA_FASTER, FASTEST) if has_lora(model) else whole
