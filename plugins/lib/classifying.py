"""A model that sorts texts into classes: a head on a base (encoder or causal), saved in the Hugging Face layout.

Any AutoModelForSequenceClassification reads the weights. Several tasks are one head each: a task's classes are neighbours among
the outputs of the last layer, whose rows share nothing, so one matrix holds all heads and the layout stays the usual one.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feinschliff import NeedsNotMet
from feinschliff.rows import prompt_text
from plugins.lib.adapters import add_lora, has_lora, melted
from plugins.lib.batching import packed
from plugins.lib.devices import choose_device
from plugins.lib.encoding import Encoded, Keep, has_own_pad, pad
from plugins.lib.policies import PAD, set_dropout
from plugins.lib.settings import Lora
from plugins.lib.verbs import EncoderModel, readable
from plugins.lib.weights import check_folder, loading

if TYPE_CHECKING:
    import numpy as np
    import torch

SETTINGS = "feinschliff-classifier.json"
TOKENS = 8192  # padded tokens that go through the model at once where nothing is learned
HEAD_SPREAD = 0.02  # of a fresh head's weights, where the base says nothing: BERT's (Devlin et al. 2019)
Loaded = Any  # transformers' models and tokenizers, which carry no usable types
Prompt = str | list[dict[str, str]]


class Classifier:
    """Gives every class of a text a probability.

    `labels` are the classes of each task, in the order of the outputs; a model of one task calls it "". `max_length` is in
    tokens, and `keep` says which end of a longer text is read.
    """

    def __init__(
        self,
        model: Loaded,
        tokenizer: Loaded,
        labels: Mapping[str, Sequence[str]],
        *,
        folder: Path,
        causal: bool,
        max_length: int,
        keep: Keep,
        device: "torch.device",
    ) -> None:
        self.model, self.tokenizer, self.folder = model.to(device), tokenizer, folder
        self.labels = {task: list(names) for task, names in labels.items()}
        self.causal, self.max_length, self.keep, self.device = causal, max_length, keep, device

    @classmethod
    def begin(
        cls,
        folder: Path,
        labels: Mapping[str, Sequence[str]],
        *,
        seed: int,
        device: str = "auto",
        max_length: int = 512,
        causal: bool | None = None,
        keep: Keep = "start",
        dropout: float = 0.0,
        lora: Lora | None = None,
    ) -> "Classifier":
        """A fresh head on the base in a folder, in float32. Raises NeedsNotMet, ModelNotOpened.

        `causal` is what `run.model(role).causal` says; left out, the base's settings are asked. A base that is a classifier
        itself keeps its trunk and loses its head. The same seed draws the same head.
        """
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        check_folder(folder)
        names = outputs(labels)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        torch.manual_seed(seed)
        try:
            model = AutoModelForSequenceClassification.from_pretrained(
                folder,
                dtype=torch.float32,
                id2label=dict(enumerate(names)),
                label2id={name: place for place, name in enumerate(names)},
                ignore_mismatched_sizes=True,  # another head than that of a base which sorts into other classes
                **loading(),
            )
        except ValueError as error:  # an architecture that transformers gives no such head
            raise NeedsNotMet(
                f"this base cannot sort texts into classes ({str(error).splitlines()[0][:300]})"
            ) from None
        if not has_own_pad(tokenizer):
            tokenizer.add_special_tokens({"pad_token": PAD})
            if len(tokenizer) > model.get_input_embeddings().num_embeddings:
                model.resize_token_embeddings(len(tokenizer))
        model.config.pad_token_id = tokenizer.pad_token_id
        heads = _fresh_head(model, len(names), seed)
        set_dropout(model, dropout)
        longest = readable(model)
        return cls(
            add_lora(model, lora or Lora(), task="SEQ_CLS", train_too=heads),
            tokenizer,
            labels,
            folder=folder,
            causal=_reads_its_end(folder) if causal is None else causal,
            max_length=min(max_length, longest),
            keep=keep,
            device=choose_device(device),
        )

    def encode(self, prompts: Sequence[Prompt]) -> list[Encoded]:
        """Each text as the model reads it, never empty: between the base's own marks; a causal model's ends with EOS, at
        which its classes are read. Longer ones are cut (`cut`). What is spelt like a special token is read as characters.
        """
        texts = [prompt_text(prompt) for prompt in prompts]
        end = [self.tokenizer.eos_token_id] if self.causal and self.tokenizer.eos_token_id is not None else []
        whole = self._tokens(texts)
        found = []
        for text, ids in zip(texts, whole, strict=True):
            ends = ids[-1:] == end  # some tokenizers set EOS themselves
            kept = ids[:-1] if ends else ids
            room = self.max_length - len(end)
            if cut := len(kept) > room:
                ids = self._tokens([text], truncation=True, max_length=room + ends)[0]
                kept = ids[:-1] if ends else ids
            kept = [*kept, *end] or [self.tokenizer.pad_token_id]
            found.append(Encoded(kept, [0] * len(kept), cut=cut))
        return found

    def _tokens(self, texts: Sequence[str], **cutting: Any) -> list[list[int]]:  # noqa: ANN401
        if not texts:
            return []
        theirs = (
            self.tokenizer.truncation_side
        )  # `embed` cuts with this tokenizer too, and is to give what the base would
        self.tokenizer.truncation_side = "right" if self.keep == "start" else "left"
        try:
            return self.tokenizer(list(texts), split_special_tokens=True, verbose=False, **cutting)["input_ids"]
        finally:
            self.tokenizer.truncation_side = theirs

    def inputs(self, sequences: Sequence[Encoded]) -> dict[str, "torch.Tensor"]:
        """What the model's forward takes: ids and mask, right-padded, shape (sequences, longest)."""
        return pad(sequences, pad_id=self.tokenizer.pad_token_id, device=self.device, types=False)

    def logits(self, sequences: Sequence[Encoded], task: str = "") -> "torch.Tensor":
        """Of the task's classes, before the softmax: shape (sequences, classes), float32, with gradients."""
        return self.of_task(self.model(**self.inputs(sequences)).logits, task)

    def of_task(self, numbers: "torch.Tensor", task: str = "") -> "torch.Tensor":
        """The task's columns of all outputs: (sequences, all outputs) to (sequences, classes), float32."""
        first, last = self._places[task]
        return numbers[:, first:last].float()

    @cached_property
    def _places(self) -> dict[str, tuple[int, int]]:
        found, start = {}, 0
        for task, names in self.labels.items():
            found[task] = (start, start + len(names))
            start += len(names)
        return found

    def probabilities(self, sequences: Sequence[Encoded], task: str = "") -> list[list[float]]:
        """Of the task's classes for each sequence, dropout off, in the order given, however many there are."""
        return [found[task] for found in self._probabilities(sequences, [task])]

    def _probabilities(self, sequences: Sequence[Encoded], tasks: Sequence[str]) -> list[dict[str, list[float]]]:
        import torch

        order = sorted(range(len(sequences)), key=lambda place: len(sequences[place].ids))
        found: list[dict[str, list[float]]] = [{} for _ in sequences]
        was_training = self.model.training
        self.model.eval()
        with torch.no_grad():
            for batch in packed(order, lambda place: {place: len(sequences[place].ids)}, budget=TOKENS):
                numbers = self.model(**self.inputs([sequences[place] for place in batch])).logits
                for task in tasks:
                    shares = self.of_task(numbers, task).double().softmax(-1).tolist()
                    for place, share in zip(batch, shares, strict=True):
                        found[place][task] = share
        self.model.train(was_training)
        return found

    def classify(self, texts: Sequence[Prompt]) -> list[dict[str, float]]:
        """Class -> probability for each text, adding up to 1.

        With several tasks the names are `task/class`, and every task's probabilities add up to one over the number of tasks.
        """
        names, share = outputs(self.labels), 1 / len(self.labels)
        return [
            dict(zip(names, (p * share for task in self.labels for p in found[task]), strict=True))
            for found in self._probabilities(self.encode(texts), list(self.labels))
        ]

    def embed(self, texts: Sequence[str]) -> "np.ndarray":
        """The mean over the trunk's last hidden states: float32, shape (len(texts), width)."""
        model = EncoderModel(self.folder)
        model.tokenizer, model.device, model.body = self.tokenizer, self.device, self.trunk
        was_training = self.model.training
        self.model.eval()
        found = model.embed(texts)
        self.model.train(was_training)
        return found

    @property
    def trunk(self) -> Loaded:
        """The base without the head: transformers' own module, inside adapters where there are some. Its last hidden states
        have the shape (sequences, longest, width).
        """
        return (self.model.get_base_model() if has_lora(self.model) else self.model).base_model

    def melt(self) -> None:
        """Adds adapters to the weights; from here on this is what is measured and saved."""
        self.model = melted(self.model)

    def save(self, folder: Path) -> None:
        """In the Hugging Face layout, adapters melted in; not to be trained on after this."""
        folder.mkdir(parents=True, exist_ok=True)
        self.melt()
        self.model.save_pretrained(folder, safe_serialization=True)
        self.tokenizer.save_pretrained(folder)
        settings = {"labels": self.labels, "causal": self.causal, "max_length": self.max_length, "keeps": self.keep}
        (folder / SETTINGS).write_text(json.dumps(settings, ensure_ascii=False) + "\n", encoding="utf-8")


def open_classifier(folder: Path) -> Classifier:
    """The finished classifier in a folder."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    check_folder(folder)
    settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32, **loading())
    return Classifier(
        model.eval(),
        AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False),
        settings["labels"],
        folder=folder,
        causal=settings["causal"],
        # 0.1.0 once saved two positions more than RoBERTa and its kin can read
        max_length=min(settings["max_length"], readable(model, otherwise=settings["max_length"])),
        keep=settings["keeps"],
        device=choose_device(),
    )


def outputs(labels: Mapping[str, Sequence[str]]) -> list[str]:
    """The names of all outputs in order: the classes of one task, or `task/class`.

    NeedsNotMet for fewer than two classes, and where two outputs would have the same name.
    """
    for task, names in labels.items():
        if len(set(names)) < 2 or len(set(names)) < len(names):
            where = f"the task {task!r}" if task else "the labels"
            raise NeedsNotMet(f"{where}: two different classes at least are needed, each named once; got {list(names)}")
    found = [name if len(labels) == 1 else f"{task}/{name}" for task, names in labels.items() for name in names]
    if twice := [name for name, count in Counter(found).items() if count > 1]:
        raise NeedsNotMet(
            f"task and class together make the same name more than once: {twice[:5]}. Rename a task or a class that has a / in it"
        )
    return found


def _fresh_head(model: Loaded, width: int, seed: int) -> list[str]:
    """Draws the last layer anew, and of a base that is a classifier itself all of its head (RoBERTa's has a layer before).

    Returns the names of the parts beside the trunk, which are fresh on most bases.
    """
    import torch

    parts = {name: part for name, part in model.named_children() if name != model.base_model_prefix}
    layers = [one for one in model.modules() if isinstance(one, torch.nn.Linear) and one.out_features == width][-1:]
    if any("ForSequenceClassification" in name for name in model.config.architectures or []):
        layers = [one for part in parts.values() for one in part.modules()]
    spread = float(getattr(model.config, "initializer_range", HEAD_SPREAD) or HEAD_SPREAD)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in layers:
            if isinstance(layer, torch.nn.Linear):
                layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator) * spread)
                if layer.bias is not None:
                    layer.bias.zero_()
            elif hasattr(layer, "reset_parameters"):  # norms
                layer.reset_parameters()
    return [name for name, part in parts.items() if any(True for _ in part.parameters())]


def _reads_its_end(folder: Path) -> bool:
    """Whether the base in a folder reads from left to right alone, so that only its last token has seen the whole text."""
    if (folder / SETTINGS).is_file():
        return bool(json.loads((folder / SETTINGS).read_text(encoding="utf-8"))["causal"])
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return any("CausalLM" in name or "LMHead" in name for name in config.get("architectures") or [])
