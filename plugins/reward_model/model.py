"""The reward model itself: a base with one number an answer or several, saved in the Hugging Face layout, opened to score.

Any AutoModelForSequenceClassification can read the weights; `outputs` says how its numbers become the score.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plugins.lib.adapters import melted
from plugins.lib.batching import packed
from plugins.lib.devices import choose_device
from plugins.lib.encoding import Encoded, Keep, encode, encode_answers
from plugins.lib.kway import KWay
from plugins.lib.verbs import readable
from plugins.lib.weights import check_folder, loading
from plugins.reward_model.outputs import Outputs

if TYPE_CHECKING:
    import torch

SETTINGS = "feinschliff-reward.json"
SCORING_TOKENS = 8192
Loaded = Any  # transformers' models, which carry no usable types
Prompt = str | list[dict[str, str]]


class RewardModel:
    """Scores answers to a prompt; higher is better, and only differences mean something.

    `folder` is where the model was opened from or the base it began with; `max_length` is in tokens.
    """

    def __init__(
        self,
        model: Loaded,
        tokenizer: Loaded,
        *,
        folder: Path,
        causal: bool,
        max_length: int,
        keep: Keep,
        device: "torch.device",
        outputs: Outputs = Outputs(),  # noqa: B008 - frozen
    ) -> None:
        self.model, self.tokenizer, self.folder = model.to(device), tokenizer, folder
        self.causal, self.max_length, self.keep, self.device = causal, max_length, keep, device
        self.outputs = outputs
        self.engine = self._engine()

    def _engine(self) -> KWay:
        types = not self.causal and int(getattr(self.model.config, "type_vocab_size", 0) or 0) >= 2
        return KWay(self.model, pad=self.tokenizer.pad_token_id, device=self.device, types=types)

    def encode(self, prompt: Prompt, completions: Sequence[str]) -> list[Encoded | None]:
        """One sequence an answer, with the same part of the prompt before all; None for an answer that is too long."""
        return encode_answers(
            self.tokenizer, prompt, completions, causal=self.causal, max_length=self.max_length, keep=self.keep
        )

    def forward(self, sequences: Sequence[Encoded]) -> "torch.Tensor":
        """The model's numbers, shape (sequences, outputs.width), float32, with gradients."""
        return self.engine.scores(sequences).float()

    def numbers(self, sequences: Sequence[Encoded]) -> list[list[float]]:
        """The same without gradients, in the order given, however many sequences there are."""
        import torch

        order = sorted(range(len(sequences)), key=lambda place: len(sequences[place].ids))
        found: list[list[float]] = [[] for _ in sequences]
        was_training = self.model.training
        self.model.eval()
        with torch.inference_mode():
            for batch in packed(order, lambda place: {place: len(sequences[place].ids)}, budget=SCORING_TOKENS):
                values = self.forward([sequences[place] for place in batch]).tolist()
                for place, value in zip(batch, values, strict=True):
                    found[place] = value
        self.model.train(was_training)
        return found

    def score(self, prompt: Prompt, completions: Sequence[str]) -> list[float]:
        """One number an answer. An answer longer than the model's input is refused: half of it would not be judged."""
        return [self.outputs.score(values) for values in self.numbers(self._fitting(prompt, completions))]

    def score_each(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> list[float]:
        """The score of one answer to each prompt, many prompts a forward; refuses as `score` does."""
        return [self.outputs.score(values) for values in self.numbers(self._fitting_each(prompts, completions))]

    def score_details(self, prompt: Prompt, completions: Sequence[str]) -> list[dict[str, float]]:
        """The score; how far the heads are apart (`spread`) and each aspect (`aspect/<name>`) where the model has them.

        `tokens` are the tokens read, `prompt_cut` is 1 where the prompt was cut to fit.
        """
        return self._details(self._fitting(prompt, completions))

    def score_details_each(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> list[dict[str, float]]:
        """What `score_details` says of one answer to each prompt, many prompts a forward."""
        return self._details(self._fitting_each(prompts, completions))

    def _details(self, sequences: Sequence[Encoded]) -> list[dict[str, float]]:
        return [
            {**self.outputs.details(values), "tokens": len(one.ids), "prompt_cut": float(one.cut)}
            for one, values in zip(sequences, self.numbers(sequences), strict=True)
        ]

    def _fitting(self, prompt: Prompt, completions: Sequence[str], place: int = 0) -> list[Encoded]:
        """Each answer with as much of the prompt as fits beside it: a score does not depend on what else is asked about."""
        encoded = [
            encode(self.tokenizer, prompt, text, causal=self.causal, max_length=self.max_length, keep=self.keep)
            for text in completions
        ]
        for number, sequence in enumerate(encoded, start=place + 1):
            if sequence is None:
                raise ValueError(f"answer {number} is longer than the {self.max_length} tokens that this model reads")
        return [sequence for sequence in encoded if sequence is not None]

    def _fitting_each(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> list[Encoded]:
        pairs = zip(prompts, completions, strict=True)
        return [self._fitting(prompt, [text], place)[0] for place, (prompt, text) in enumerate(pairs)]

    def melt(self) -> None:
        """Adds adapters to the weights; from here on this is what is measured and saved."""
        self.model = melted(self.model)
        self.engine = self._engine()

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.model.save_pretrained(folder, safe_serialization=True)
        self.tokenizer.save_pretrained(folder)
        settings = {
            "causal": self.causal,
            "max_length": self.max_length,
            "prompt_keeps": self.keep,
            "outputs": self.outputs.saved(),
        }
        (folder / SETTINGS).write_text(json.dumps(settings) + "\n", encoding="utf-8")


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
        folder=folder,
        causal=settings["causal"],
        # 0.1.0 once saved two positions more than RoBERTa and its kin can read
        max_length=min(settings["max_length"], readable(model, otherwise=settings["max_length"])),
        keep=settings["prompt_keeps"],
        device=choose_device(),
        outputs=Outputs.read(settings.get("outputs", {})),
    )
