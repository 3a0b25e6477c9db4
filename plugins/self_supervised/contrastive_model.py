"""The model of a contrastive run: the base, the mean of its last hidden states, and the loss over a batch.

A batch within `tokens_at_once` goes through the model once; a larger one twice, piece by piece, with the gradients of the
embeddings kept between (GradCache: L. Gao, Zhang, Han & Callan 2021, "Scaling Deep Contrastive Learning Batch Size under
Memory Limited Setup"). Both are sentence-transformers' own losses and give the same gradients, which is a test.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feinschliff import NeedsNotMet
from plugins.lib.adapters import add_lora, melted
from plugins.lib.devices import choose_device
from plugins.lib.policies import set_dropout
from plugins.lib.verbs import LONGEST, EncoderModel, readable
from plugins.lib.weights import check_folder, loading
from plugins.self_supervised.contrastive_config import ContrastiveConfig
from plugins.self_supervised.contrastive_examples import Example

if TYPE_CHECKING:
    import torch

Loaded = Any  # sentence-transformers' and transformers' models
#: a text is text, also where the tokenizer has a chat template: the same words as `embed` reads
MODALITY = {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}


def open_embedder(folder: Path) -> EncoderModel:
    """The finished model: `embed` without sentence-transformers, to the same vectors as its `encode`, which is a test."""
    return EncoderModel(check_folder(folder))


class Embedder:
    """A sentence-transformers model that is trained: the base, and the mean of its last hidden states.

    The mean for causal bases too: it is what `embed` of a base does, so that before and after compare like with like.
    """

    def __init__(self, body: Loaded, config: ContrastiveConfig, device: "torch.device", longest: int) -> None:
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer import losses
        from sentence_transformers.sentence_transformer.modules import Pooling

        self.body, self.config, self.device, self.longest = body, config, device, longest
        self.model = SentenceTransformer(
            modules=[body, Pooling(body.get_embedding_dimension(), "mean")], device=str(device)
        )
        self.whole = losses.MultipleNegativesRankingLoss(self.model, scale=1 / config.temperature)
        self.pieces = losses.CachedMultipleNegativesRankingLoss(self.model, scale=1 / config.temperature)
        self.tokens, self.seconds = 0, 0.0  # of training steps
        self._asked, self._last = 0.0, 0

    @classmethod
    def begin(cls, folder: Path, config: ContrastiveConfig, *, seed: int, device: str) -> "Embedder":
        """The base in a folder, float32, with its dropout set. Raises ModelNotOpened."""
        import torch
        from sentence_transformers.sentence_transformer.modules import Transformer

        check_folder(folder)
        torch.manual_seed(seed)
        body = Transformer(
            str(folder),
            model_kwargs={"dtype": torch.float32, **loading()},
            processor_kwargs={"local_files_only": True, "trust_remote_code": False},
            config_kwargs={"local_files_only": True, "trust_remote_code": False},
            modality_config=MODALITY,
            module_output_name="token_embeddings",
        )
        body.tokenizer.padding_side = "right"  # as `embed` pads: positions of a causal base count from the text's start
        if body.tokenizer.pad_token_id is None:
            body.tokenizer.pad_token = body.tokenizer.eos_token or body.tokenizer.unk_token
        longest = min(readable(body.model), LONGEST)
        body.max_seq_length = min(config.max_length, longest)
        set_dropout(body.model, config.dropout)
        body.model = add_lora(body.model, config, task="FEATURE_EXTRACTION")
        return cls(body, config, choose_device(device), longest)

    def loss(self, rows: Sequence[Example]) -> "torch.Tensor":
        """InfoNCE over the batch: each anchor against all positives and all hard negatives of the batch; a scalar, in nats.

        The hard negatives are one column of any length, since the loss only sets texts beside each other.
        """
        began = time.monotonic()
        ordered = sorted(
            rows, key=lambda one: len(one.anchor) + len(one.positive)
        )  # pieces of like length: less padding
        negatives = list(dict.fromkeys(text for one in ordered for text in one.negatives))
        columns = [[one.anchor for one in ordered], [one.positive for one in ordered], negatives]
        features = [self.features(column) for column in columns if column]
        sizes = [one["input_ids"].numel() for one in features]
        if sum(sizes) <= self.config.tokens_at_once:
            found = self.whole(features, None)
        else:
            widest = max(one["input_ids"].shape[1] for one in features)
            self.pieces.mini_batch_size = max(1, self.config.tokens_at_once // widest)
            found = self.pieces(features, None)
        self._count(began, features)
        return found

    def embed(self, texts: Sequence[str]) -> Any:  # noqa: ANN401 - a numpy array
        """(texts, width), as the finished model's `embed` gives them; cut at `max_length` until the model is saved."""
        self._asked = 0.0  # what lies between two steps now is no training
        return self.model.encode(list(texts), show_progress_bar=False)

    def save(self, folder: Path) -> None:
        """For AutoModel and for SentenceTransformer(folder), adapters melted in; it reads as far as its base does."""
        self.body.model = melted(self.body.model)
        self.body.max_seq_length = self.longest
        self.model.eval()
        folder.mkdir(parents=True, exist_ok=True)
        self.model.save(str(folder), create_model_card=False)

    def features(self, texts: list[str]) -> dict[str, Any]:
        """What the model takes of texts, cut at `max_length`: `input_ids` and `attention_mask` of (texts, longest)."""
        return {
            name: value.to(self.device) if hasattr(value, "to") else value
            for name, value in self.model.preprocess(texts).items()
        }

    def _count(self, began: float, features: Sequence[Mapping[str, Any]]) -> None:
        """Tokens of training steps, and the time from one step's start to the next one's."""
        import torch

        if not torch.is_grad_enabled():
            self._asked = 0.0
            return
        if self._asked:
            self.seconds += began - self._asked
            self.tokens += self._last
        self._asked = began
        self._last = sum(int(one["attention_mask"].sum()) for one in features)


def check_dropout(embedder: Embedder, text: str) -> None:
    """Two views of one text must differ, or there is nothing to learn. Raises NeedsNotMet."""
    import torch

    embedder.model.train()
    with torch.no_grad(), torch.random.fork_rng():
        first, second = (embedder.model(embedder.features([text]))["sentence_embedding"] for _ in range(2))
    embedder.model.eval()
    if torch.equal(first, second):
        raise NeedsNotMet(
            "this base has no dropout, which would make two views of one text: give rows that say what belongs together "
            "(labels, rankings, demonstrations), or take another base"
        )
