"""What can be set about a reward model run: form, command line and documentation are made of this."""

import re
from typing import Literal

from pydantic import Field, field_validator
from pydantic.config import JsonDict

from plugins.lib.settings import MEMORY, OPTIMISER, Lora, Optimizer

JUDGEMENTS: JsonDict = {"group": "What judgements count"}
SCORES: JsonDict = {"group": "Scores"}

_ASPECT = re.compile(r"\s*([^=,]+?)\s*(?:=\s*([0-9]*\.?[0-9]+)\s*)?")


class RewardModelConfig(Optimizer, Lora):
    """Defaults that work on `tiny:` models and on encoders of 20 million parameters, on a CPU."""

    loss: Literal["auto", "plackett-luce", "pairwise", "regression"] = Field(
        title="What of a row is learned",
        default="auto",
        description="What is learned: whole rankings (plackett-luce), all pairs of a ranking (pairwise; for rankings of two the "
        "same), or the rated scores themselves (regression). auto: regression for ratings, pairwise for the rest.",
    )
    epochs: int = Field(title="Epochs", default=2, ge=1, le=50, description="How often every row is learned from.")
    dropout: float = Field(
        title="Dropout",
        json_schema_extra=OPTIMISER,
        default=0.0,
        ge=0,
        le=0.5,
        description="Dropout while training; more resists overfitting.",
    )
    max_length: int = Field(
        title="Longest prompt and answer",
        default=512,
        ge=32,
        le=8192,
        description="Longest input in tokens, prompt and answer together, in training and whenever it judges later. Longer "
        "prompts are cut; rows whose answers do not fit are left out.",
    )
    prompt_keeps: Literal["start", "end"] = Field(
        title="What is kept of a long prompt",
        default="start",
        description="Which part of a prompt is kept when it must be cut; 'end' suits conversations.",
    )
    batch_tokens: int = Field(
        title="Tokens a step",
        json_schema_extra=MEMORY,
        default=4096,
        ge=64,
        le=1_000_000,
        description="Tokens in one step, padding included; less needs less memory.",
    )
    batch_rows: int = Field(
        title="Rows a step",
        json_schema_extra=MEMORY,
        default=16,
        ge=1,
        le=512,
        description="At most so many rows in one step.",
    )
    freeze_layers: int = Field(
        title="Frozen layers",
        json_schema_extra=MEMORY,
        default=0,
        ge=0,
        le=200,
        description="Lowest layers (and embeddings) that stay as they are.",
    )
    heads: int = Field(
        title="Heads",
        json_schema_extra=SCORES,
        default=1,
        ge=1,
        le=32,
        description="Heads on one trunk, each learning from its own resample of the prompts: the score is their mean, and "
        "how far they are apart says how sure it is.",
    )
    aspects: str = Field(
        title="Aspects",
        json_schema_extra=JUDGEMENTS,
        default="",
        max_length=500,
        description="For ratings: the aspects that count and how much, such as 'helpful=2, polite=1'. Empty: all, equally.",
    )
    counts: Literal["judgement", "item"] = Field(
        title="How rows count",
        json_schema_extra=JUDGEMENTS,
        default="judgement",
        description="What counts once: every judgement, or every set of answers, whoever judged it how often: then the shares of "
        "the annotators are soft labels.",
    )
    annotators: Literal["equal", "agreement"] = Field(
        title="Weighing of annotators",
        json_schema_extra=JUDGEMENTS,
        default="equal",
        description="Whether annotators who agree less with the others about the same answers count less (one-coin Dawid-Skene).",
    )
    label_smoothing: float = Field(
        title="Doubt about judgements",
        json_schema_extra=JUDGEMENTS,
        default=0.0,
        ge=0,
        le=0.45,
        description="Share of judgements taken to be upside down; keeps a model from being too sure. Rankings and pairs.",
    )
    normalise: Literal["none", "centre", "standardise"] = Field(
        title="Centre and scale scores",
        json_schema_extra=SCORES,
        default="centre",
        description="Shift scores to mean 0, or also scale them to variance 1, over the reference answers. Order stays as it is.",
    )
    reference: Literal["all", "best"] = Field(
        title="Answers to centre by",
        json_schema_extra=SCORES,
        default="all",
        description="The reference answers: all training answers, or those that people liked best of each prompt.",
    )
    evaluations: int = Field(
        title="Looks on the way",
        default=8,
        ge=0,
        le=200,
        description="How often the held-out accuracy is measured on the way.",
    )

    @field_validator("aspects")
    @classmethod
    def _aspects_are_names_and_weights(cls, text: str) -> str:
        wanted_aspects(text)
        return text


def wanted_aspects(text: str) -> dict[str, float]:
    """Aspect -> weight, of 'helpful=2, polite=1'; a name alone counts 1. ValueError says what is wrong."""
    found: dict[str, float] = {}
    for part in text.split(",") if text.strip() else []:
        match = _ASPECT.fullmatch(part)
        if match is None:
            raise ValueError(f"{part.strip()!r} is no aspect with a weight; write name=weight, such as 'helpful=2'")
        name, weight = match[1], float(match[2] or 1)
        if name in found or weight <= 0:
            raise ValueError(f"aspect {name!r} needs one weight above 0")
        found[name] = weight
    return found
