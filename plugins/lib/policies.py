"""A model that writes and is trained: opened from a base, told the log-probabilities of answers, saved, opened again.

Every method that ends in a writing model (supervised tuning, comparative ranking, PPO, DPO ...) starts and ends here, so
that one's model is the next one's base.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feinschliff import NeedsNotMet
from plugins.lib.adapters import add_lora, melted
from plugins.lib.devices import choose_device
from plugins.lib.encoding import answer_ids, has_own_pad, prompt_as_asked
from plugins.lib.settings import Lora
from plugins.lib.verbs import CausalModel
from plugins.lib.weights import check_folder, loading

if TYPE_CHECKING:
    import torch

PAD = "<|feinschliff-pad|>"
Loaded = Any  # transformers' models and tokenizers, which carry no usable types
Prompt = str | list[dict[str, str]]


@dataclass
class Policy:
    """A causal model with its tokenizer; the pad token is never the end of text. `longest` is in tokens."""

    model: Loaded
    tokenizer: Loaded
    device: "torch.device"
    longest: int

    @property
    def eos(self) -> int:
        return int(self.tokenizer.eos_token_id)

    @property
    def pad(self) -> int:
        return int(self.tokenizer.pad_token_id)

    def prompt_ids(self, prompt: Prompt) -> list[int]:
        """The prompt as the model is asked: through its chat template where it has one. Never empty."""
        text = prompt_as_asked(self.tokenizer, prompt)
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"]) or [self.eos]

    def answer_ids(self, answer: str) -> list[int]:
        """The answer and the end of text, without any token that the answer's own characters could forge."""
        return [*answer_ids(self.tokenizer, answer), self.eos]

    def save(self, folder: Path) -> None:
        """In the Hugging Face layout, adapters melted in; the policy is not to be trained on after this."""
        folder.mkdir(parents=True, exist_ok=True)
        self.model = melted(self.model)
        self.model.save_pretrained(folder, safe_serialization=True)
        self.tokenizer.save_pretrained(folder)


def policy_from(
    folder: Path, *, seed: int, device: str = "auto", lora: Lora | None = None, max_length: int = 8192
) -> Policy:
    """The causal model in a folder, float32, dropout off, ready to be trained. Raises NeedsNotMet, ModelNotOpened."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    check_folder(folder)
    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **loading())
    if tokenizer.eos_token_id is None:
        raise NeedsNotMet("this base has no end-of-text token, so it could never learn where an answer ends")
    if not has_own_pad(tokenizer):
        tokenizer.add_special_tokens({"pad_token": PAD})
        if len(tokenizer) > int(getattr(model.get_input_embeddings(), "num_embeddings", 0)):
            model.resize_token_embeddings(len(tokenizer))
    model.config.pad_token_id = model.generation_config.pad_token_id = tokenizer.pad_token_id
    set_dropout(model, 0.0)
    longest = min(int(getattr(model.config, "max_position_embeddings", max_length) or max_length), max_length)
    model = add_lora(model, lora or Lora(), task="CAUSAL_LM").to(choose_device(device))
    return Policy(model, tokenizer, choose_device(device), longest)


def open_policy(folder: Path) -> CausalModel:
    """The finished model in a folder; the `opens` of every trainer whose model writes."""
    check_folder(folder)
    return CausalModel(folder)


def set_dropout(model: Loaded, share: float) -> None:
    """One share everywhere, also in attention functions that keep their own number; 0 is off."""
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = share
        for name in ("dropout_prob", "attention_dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, share)
