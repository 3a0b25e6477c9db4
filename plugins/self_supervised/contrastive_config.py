"""What can be set about a contrastive run: form, command line and documentation are made of this."""

from typing import Literal

from pydantic import Field

from plugins.lib.settings import MEMORY, OPTIMISER, Lora, Optimizer


class ContrastiveConfig(Lora, Optimizer):
    """Defaults that work on `tiny:` models and on encoders of 20 million parameters, on a CPU."""

    epochs: int = Field(
        title="Epochs",
        default=2,
        ge=1,
        le=50,
        description="How often every text, question or text of a class is an anchor.",
    )
    temperature: float = Field(
        title="Temperature",
        default=0.05,
        ge=0.005,
        le=1,
        description="What cosines are divided by before the softmax; lower looks harder at the nearest wrong texts.",
    )
    hard_negatives: int = Field(
        title="Hard negatives",
        default=3,
        ge=0,
        le=16,
        description="Of rankings, ratings and pairs: so many of the answers that people liked least are told apart from the "
        "best one, by every prompt of the batch. 0: only other prompts' answers are.",
    )
    apart: Literal["group", "text"] = Field(
        title="Never in one batch",
        default="group",
        description="'group': what stands in one batch is pushed apart, so no two rows of one group or prompt do. 'text': rows "
        "of one group may, where a group is as large as a book; equal prompts and texts never. Of labels, in both cases: no two "
        "of one class.",
    )
    dropout: float = Field(
        title="Dropout",
        json_schema_extra=OPTIMISER,
        default=0.1,
        ge=0,
        le=0.5,
        description="Share of the network that is hidden at random while training. Of texts without a partner it makes the two "
        "views that must agree, so there it cannot be 0.",
    )
    max_length: int = Field(
        title="Longest text",
        default=256,
        ge=8,
        le=8192,
        description="Longest text in training, in tokens; longer ones are cut. The finished model reads as far as its base.",
    )
    batch_rows: int = Field(
        title="Rows in one step",
        json_schema_extra=MEMORY,
        default=64,
        ge=2,
        le=8192,
        description="At most so many rows in one step, each told apart from all others; more is better, and slower.",
    )
    tokens_at_once: int = Field(
        title="Tokens at once",
        json_schema_extra=MEMORY,
        default=16_384,
        ge=64,
        le=4_000_000,
        description="Tokens that go through the model at once, padding included. A larger batch goes through twice, piece by "
        "piece (GradCache): the same gradients in bounded memory.",
    )
    evaluations: int = Field(
        title="Looks at held-out rows",
        default=4,
        ge=0,
        le=200,
        description="How often held-out retrieval is measured on the way.",
    )
