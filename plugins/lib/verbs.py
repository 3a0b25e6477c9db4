"""Opened models in the Hugging Face layout: a folder, and the verbs that load its weights when first used.

A trainer usually wants the folder alone; nothing is loaded for that.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plugins.lib.devices import choose_device
from plugins.lib.encoding import prompt_as_asked
from plugins.lib.rollout import sample
from plugins.lib.weights import loading

if TYPE_CHECKING:
    import numpy as np

Loaded = Any  # what transformers and torch return, neither of which is imported here
BATCH = 32
LONGEST = 2048


def readable(model: Loaded, *, otherwise: int = LONGEST) -> int:
    """How many tokens the model has positions for, special ones included; `otherwise` where it does not say.

    RoBERTa and its kin count positions from the pad token's number on, so two of theirs are never used.
    """
    positions = int(getattr(model.config, "max_position_embeddings", 0) or otherwise)
    table = getattr(getattr(model.base_model, "embeddings", None), "position_embeddings", None)
    unused = getattr(table, "padding_idx", None)
    return positions - (0 if unused is None else int(unused) + 1)


class EncoderModel:
    """An encoder; `embed` is the mean over its last hidden states where the mask is 1."""

    causal = False

    def __init__(self, folder: Path, device: str = "auto") -> None:
        self.folder = folder
        self._wanted = device

    @cached_property
    def tokenizer(self) -> Loaded:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self.folder, local_files_only=True, trust_remote_code=False)

    @cached_property
    def device(self) -> Loaded:
        return choose_device(self._wanted)

    @cached_property
    def body(self) -> Loaded:
        import torch
        from transformers import AutoModel

        return AutoModel.from_pretrained(self.folder, dtype=torch.float32, **loading()).to(self.device).eval()

    @property
    def _longest(self) -> int:
        return min(readable(self.body), LONGEST)

    def embed(self, texts: Sequence[str]) -> "np.ndarray":
        """Float32, shape (len(texts), width); texts beyond the model's length are cut."""
        import numpy as np
        import torch

        rows = []
        for start in range(0, len(texts), BATCH):
            inputs = self.tokenizer(
                list(texts[start : start + BATCH]),
                padding=True,
                padding_side="right",
                truncation=True,
                max_length=self._longest,
                return_tensors="pt",
            ).to(self.device)
            if not inputs["input_ids"].shape[1]:  # all texts empty, and no special tokens
                rows.append(np.zeros((len(inputs["input_ids"]), self.body.config.hidden_size), dtype=np.float32))
                continue
            with torch.inference_mode():
                hidden = self.body(**inputs).last_hidden_state
            mask = inputs["attention_mask"].unsqueeze(-1).to(hidden.dtype)
            mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
            rows.append(mean.cpu().numpy())
        return np.concatenate(rows) if rows else np.zeros((0, self.body.config.hidden_size), dtype=np.float32)


class CausalModel(EncoderModel):
    """A model that writes: `generate` with the chat template where it has one."""

    causal = True

    @cached_property
    def writer(self) -> Loaded:
        import torch
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained(self.folder, dtype=torch.float32, **loading())
        return model.to(self.device).eval()

    @cached_property
    def body(self) -> Loaded:
        return self.writer.base_model

    def generate(
        self,
        prompts: Sequence[str | list[dict[str, str]]],
        *,
        n: int = 1,
        max_new_tokens: int = 128,
        temperature: float = 1.0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> list[list[str]]:
        """`n` texts for each prompt. Seeded: the same call writes the same; the caller's random state is left alone."""
        ends, room = self.tokenizer.eos_token_id, max(self._longest - max_new_tokens, 8)
        asked = [
            self.tokenizer(prompt_as_asked(self.tokenizer, prompt), add_special_tokens=False)["input_ids"][:room]
            or [ends]
            for prompt in prompts
        ]
        written = sample(
            self.writer,
            [ids for ids in asked for _ in range(n)],
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            eos=ends,
            pad=ends if self.tokenizer.pad_token_id is None else self.tokenizer.pad_token_id,
            seed=seed,
            batch=BATCH,
            top_p=top_p,
        )
        texts = [self.tokenizer.decode(one.ids, skip_special_tokens=True).strip() for one in written]
        return [texts[start : start + n] for start in range(0, len(texts), n)]
