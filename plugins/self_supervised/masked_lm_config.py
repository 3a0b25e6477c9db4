"""What can be set about a run of masked language modelling: form, command line and documentation are made of this."""

from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic.config import JsonDict

from plugins.lib.settings import OPTIMISER, SAMPLES, Batches, Optimizer

MASKING: JsonDict = {"group": "What is hidden"}


class MaskedLMConfig(Batches, Optimizer):
    """Defaults that work on `tiny:encoder` and on encoders of a few hundred million parameters."""

    epochs: int = Field(
        title="Epochs", default=3, ge=1, le=200, description="How often every text is read, with new words hidden."
    )
    masking: Literal["tokens", "words", "spans"] = Field(
        title="What is hidden at once",
        default="words",
        description="Single tokens (BERT), whole words (a word's tokens together, so that none gives the others away), or spans "
        "of several words (SpanBERT).",
    )
    masked_share: float = Field(
        title="Share that is hidden",
        default=0.15,
        ge=0.01,
        le=0.8,
        description="Share of a text's tokens that are hidden and guessed; at least one a text. Large models learn from more.",
    )
    mean_span: float = Field(
        title="Mean length of a span",
        json_schema_extra=MASKING,
        default=3.8,
        ge=1,
        le=5,
        description="Words in a span, on average, where spans are hidden; lengths are geometric, and at most 10.",
    )
    shown_as_mask: float = Field(
        title="Hidden behind the mask token",
        json_schema_extra=MASKING,
        default=0.8,
        ge=0.1,
        le=1,
        description="Share of the hidden tokens in whose place the mask token stands.",
    )
    shown_as_another: float = Field(
        title="Replaced by another token",
        json_schema_extra=MASKING,
        default=0.1,
        ge=0,
        le=0.9,
        description="Share in whose place a token drawn by chance stands. The rest are shown as they are.",
    )
    sentence_order: float = Field(
        title="Weight of the order of sentences",
        default=0.0,
        ge=0,
        le=10,
        description="Also learn which of two neighbouring parts of a text came first (ALBERT), with this weight; 0: not.",
    )
    dropout: float = Field(
        title="Dropout",
        json_schema_extra=OPTIMISER,
        default=0.1,
        ge=0,
        le=0.5,
        description="Dropout while training; more resists overfitting.",
    )
    max_length: int = Field(
        title="Longest part of a text",
        default=256,
        ge=16,
        le=8192,
        description="In tokens; what the base can read is a limit too. Longer texts are read in parts.",
    )
    overlap: int = Field(
        title="Overlap of the parts",
        default=0,
        ge=0,
        le=4096,
        description="So many tokens of the part before are seen again, as context alone; at most half of a part.",
    )
    evaluations: int = Field(
        title="Looks on the way",
        default=4,
        ge=0,
        le=200,
        description="How often the held-out loss is measured on the way.",
    )
    samples: int = Field(
        title="Texts filled in",
        json_schema_extra=SAMPLES,
        default=8,
        ge=0,
        le=64,
        description="Held-out texts whose hidden words are shown as guessed before and after training.",
    )

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        if self.shown_as_mask + self.shown_as_another > 1:
            raise ValueError("shown_as_mask and shown_as_another are shares of the same tokens: together at most 1")
        return self
