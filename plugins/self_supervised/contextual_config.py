"""What can be set about a run that learns to fill gaps: form, command line and documentation are made of this."""

from pydantic import Field
from pydantic.config import JsonDict

from plugins.lib.settings import SAMPLES, Batches, Lora, Optimizer

GAPS: JsonDict = {"group": "Gaps"}


class ContextualConfig(Batches, Lora, Optimizer):
    """Defaults that work on `tiny:causal` and on models of a few hundred million parameters."""

    epochs: int = Field(
        title="Epochs", default=2, ge=1, le=100, description="How often every text is read, with new gaps."
    )
    gap_rate: float = Field(
        title="Share of texts with a gap",
        default=0.5,
        ge=0.05,
        le=1,
        description="Share of the texts that are learned with a gap; the others are learned from left to right, as ever, so "
        "that the model does not forget how to write.",
    )
    gaps: int = Field(
        title="Gaps in a text",
        default=1,
        ge=1,
        le=8,
        description="At most so many gaps in a text. 1: fill-in-the-middle; more: span infilling, from one to this number.",
    )
    suffix_first: float = Field(
        title="Share with the end first",
        json_schema_extra=GAPS,
        default=0.5,
        ge=0,
        le=1,
        description="Of texts with one gap: the share in which what stands after the gap comes first (SPM) and not second (PSM).",
    )
    whole_words: float = Field(
        title="Share cut between words",
        json_schema_extra=GAPS,
        default=0.5,
        ge=0,
        le=1,
        description="Of texts with gaps: the share that is cut between words; the others are cut at any character.",
    )
    longest_gap: float = Field(
        title="Longest gap",
        json_schema_extra=GAPS,
        default=1.0,
        ge=0.02,
        le=1,
        description="All gaps of a text together are at most this share of it.",
    )
    max_length: int = Field(
        title="Longest part of a text",
        default=512,
        ge=32,
        le=131_072,
        description="In tokens; what the base can read is a limit too. Longer texts are read in parts.",
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
        description="Held-out texts whose gap is shown as filled before and after training, with both sides given.",
    )
