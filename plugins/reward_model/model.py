"""The reward model itself: a base with one output, saved in the Hugging Face layout, and opened to score answers.

Any AutoModelForSequenceClassification can read it. The head starts as N(0, 1/(width + 1)) (Stiennon et al. 2020).
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feinschliff import NeedsNotMet
from plugins.lib.batching import packed
from plugins.lib.devices import choose_device
from plugins.lib.encoding import Encoded, Keep, encode, has_own_pad, pad
from plugins.lib.policies import PAD, set_dropout
from plugins.lib.weights import check_folder, loading

if TYPE_CHECKING:
    import torch

SETTINGS = "feinschliff-reward.json"
SCORING_TOKENS = 8192
Loaded = Any  # transformers' models, which carry no usable types


class RewardModel:
    """Scores answers to a prompt; higher is better, and only differences mean something."""

    def __init__(
        self, model: Loaded, tokenizer: Loaded, *, causal: bool, max_length: int, keep: Keep, device: "torch.device"
    ) -> None:
        self.model, self.tokenizer = model.to(device), tokenizer
        self.causal, self.max_length, self.keep, self.device = causal, max_length, keep, device
        self._types = not causal and int(getattr(model.config, "type_vocab_size", 0) or 0) >= 2

    def encode(self, prompt: str | list[dict[str, str]], completion: str) -> Encoded | None:
        return encode(
            self.tokenizer, prompt, completion, causal=self.causal, max_length=self.max_length, keep=self.keep
        )

    def forward(self, sequences: Sequence[Encoded]) -> "torch.Tensor":
        """Scores of shape (sequences,), with gradients."""
        inputs = pad(sequences, pad_id=self.tokenizer.pad_token_id, device=self.device, types=self._types)
        return self.model(**inputs).logits.squeeze(-1).float()

    def scores(self, sequences: Sequence[Encoded]) -> list[float]:
        """Scores without gradients, in the order given, however many there are."""
        import torch

        order = sorted(range(len(sequences)), key=lambda place: len(sequences[place].ids))
        found = [0.0] * len(sequences)
        was_training = self.model.training
        self.model.eval()
        with torch.inference_mode():
            for batch in packed(order, lambda place: {place: len(sequences[place].ids)}, budget=SCORING_TOKENS):
                values = self.forward([sequences[place] for place in batch]).tolist()
                for place, value in zip(batch, values, strict=True):
                    found[place] = value
        self.model.train(was_training)
        return found

    def score(self, prompt: str | list[dict[str, str]], completions: Sequence[str]) -> list[float]:
        """One number an answer. An answer longer than the model's input is refused: half of it would not be judged."""
        encoded = [self.encode(prompt, completion) for completion in completions]
        long = [place for place, sequence in enumerate(encoded) if sequence is None]
        if long:
            raise ValueError(f"answer {long[0] + 1} is longer than the {self.max_length} tokens that this model reads")
        return self.scores([sequence for sequence in encoded if sequence is not None])

    def score_details(self, prompt: str | list[dict[str, str]], completions: Sequence[str]) -> list[dict[str, float]]:
        """The score, the tokens read, and whether the prompt was cut (1) for it."""
        scores = self.score(prompt, completions)
        encoded = [self.encode(prompt, completion) for completion in completions]
        return [
            {"score": score, "tokens": len(sequence.ids), "prompt_cut": float(sequence.cut)}
            for score, sequence in zip(scores, encoded, strict=True)
            if sequence is not None
        ]

    def save(self, folder: Path) -> None:
        self.model.save_pretrained(folder, safe_serialization=True)
        self.tokenizer.save_pretrained(folder)
        settings = {"causal": self.causal, "max_length": self.max_length, "prompt_keeps": self.keep}
        (folder / SETTINGS).write_text(json.dumps(settings) + "\n", encoding="utf-8")


def from_base(
    folder: Path, *, causal: bool, max_length: int, keep: Keep, dropout: float, seed: int, device: str
) -> RewardModel:
    """A fresh reward model on a base. Gives it a pad token of its own where it has none: EOS must stay visible."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    check_folder(folder)
    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1, dtype=torch.float32, **loading())
    if not has_own_pad(tokenizer):
        tokenizer.add_special_tokens({"pad_token": PAD})
        model.resize_token_embeddings(len(tokenizer))
    if causal and tokenizer.eos_token_id is None:
        raise NeedsNotMet("this base has no end-of-text token, at which a causal reward model reads its score")
    model.config.pad_token_id = tokenizer.pad_token_id
    _start_head(model, seed)
    set_dropout(model, dropout)
    longest = int(getattr(model.config, "max_position_embeddings", max_length) or max_length)
    return RewardModel(
        model, tokenizer, causal=causal, max_length=min(max_length, longest), keep=keep, device=choose_device(device)
    )


def _start_head(model: Loaded, seed: int) -> None:
    import torch

    heads = [module for module in model.modules() if isinstance(module, torch.nn.Linear) and module.out_features == 1]
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for head in heads[-1:]:
            head.weight.copy_(torch.randn(head.weight.shape, generator=generator) / (head.in_features + 1) ** 0.5)
            if head.bias is not None:
                head.bias.zero_()


def open_model(folder: Path) -> RewardModel:
    """The finished model in a folder."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    check_folder(folder)
    settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32, **loading())
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    return RewardModel(
        model.eval(),
        tokenizer,
        causal=settings["causal"],
        max_length=settings["max_length"],
        keep=settings["prompt_keeps"],
        device=choose_device(),
    )
