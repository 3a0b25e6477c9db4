"""What can be set about the four methods: forms, command line and documentation are made of this."""

from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic.config import JsonDict

from plugins.lib.settings import MEMORY, REWARD, SAMPLING, Lora, Optimizer, Samples

GOOD_AND_BAD: JsonDict = {"group": "Good and bad"}

SMOOTHED = ("robust", "exo_pair", "aot", "aot_unpaired")  # losses in which TRL reads label_smoothing


class Offline(Lora, Optimizer, Samples):
    """What methods that learn from given answers share."""

    epochs: int = Field(title="Epochs", default=1, ge=1, le=50, description="How often every row is learned from.")
    beta: float = Field(
        title="Price of moving away (beta)",
        default=0.1,
        gt=0,
        le=100,
        description="How dearly leaving the base is paid for: more stays closer to it.",
    )
    max_length: int = Field(
        title="Longest prompt and answer",
        default=1024,
        ge=32,
        le=131_072,
        description="Longest prompt and answer together, in tokens; what the base can read is a limit too. "
        "Longer prompts are cut; rows whose answers do not fit are left out.",
    )
    prompt_keeps: Literal["start", "end"] = Field(
        title="What is kept of a long prompt",
        default="start",
        description="Which part of a prompt is kept when it must be cut; 'end' suits conversations.",
    )
    batch_rows: int = Field(
        title="Rows at once",
        json_schema_extra=MEMORY,
        default=8,
        ge=2,
        le=1024,
        description="Rows that go through the model at once.",
    )
    accumulate: int = Field(
        title="Batches a step",
        json_schema_extra=MEMORY,
        default=1,
        ge=1,
        le=1024,
        description="So many of those batches make a step; more needs no more memory.",
    )
    evaluations: int = Field(
        title="Looks on the way",
        default=4,
        ge=0,
        le=200,
        description="How often the held-out loss is measured on the way.",
    )


class DPOConfig(Offline):
    """Defaults after Rafailov et al. 2023."""

    loss: Literal[
        "sigmoid",
        "sigmoid_norm",
        "hinge",
        "ipo",
        "robust",
        "exo_pair",
        "nca_pair",
        "bco_pair",
        "sppo_hard",
        "aot",
        "aot_unpaired",
        "apo_zero",
        "apo_down",
        "discopop",
    ] = Field(
        title="Loss",
        default="sigmoid",
        description="The loss, by TRL's names; 'sigmoid' is DPO's own, the page says where each is from.",
    )
    label_smoothing: float = Field(
        title="Doubt about judgements",
        default=0.0,
        ge=0,
        le=0.49,
        description="Share of comparisons taken to be wrong; for the losses robust, exo_pair, aot and aot_unpaired alone.",
    )

    batch_tokens: int = Field(
        title="Tokens at once",
        json_schema_extra=MEMORY,
        default=8192,
        ge=0,
        le=1_000_000,
        description="Tokens that go through the model at once, both answers and padding included; less needs less memory. A "
        "longer comparison goes alone. 0: no budget, only rows are counted.",
    )

    @model_validator(mode="after")
    def _smoothing_is_read(self) -> Self:
        if self.label_smoothing and self.loss not in SMOOTHED:
            raise ValueError(
                f"label_smoothing means nothing to the loss {self.loss!r}; it is for {', '.join(SMOOTHED)}"
            )
        if self.loss == "exo_pair" and not self.label_smoothing:
            raise ValueError("the loss exo_pair needs a label_smoothing above 0; Ji et al. 2024 take 0.001")
        return self


class KTOConfig(Offline):
    """Defaults after Ethayarajh et al. 2024."""

    loss: Literal["kto", "apo_zero_unpaired"] = Field(
        title="Loss",
        default="kto",
        description="'kto' measures against the drift from the base, 'apo_zero_unpaired' against zero.",
    )
    good_above: float = Field(
        title="Good from this rating on",
        json_schema_extra=GOOD_AND_BAD,
        default=0.0,
        ge=-1e6,
        le=1e6,
        description="For rows with scores: a higher mean score is good, a lower one bad. 0 takes the middle of those seen.",
    )
    desirable_weight: float = Field(
        title="Weight of good answers",
        json_schema_extra=GOOD_AND_BAD,
        default=0.0,
        ge=0,
        le=1000,
        description="Weight of good answers. 0 balances good and bad by their numbers.",
    )
    undesirable_weight: float = Field(
        title="Weight of bad answers",
        json_schema_extra=GOOD_AND_BAD,
        default=0.0,
        ge=0,
        le=1000,
        description="Weight of bad answers. 0 balances good and bad by their numbers.",
    )


class Online(Lora, Optimizer, Samples):
    """What methods that learn from answers of their own share."""

    steps: int = Field(title="Steps", default=50, ge=1, le=1_000_000, description="How many steps are taken.")
    prompts: int = Field(
        title="Prompts a step", default=4, ge=1, le=1024, description="Prompts that are answered before each step."
    )
    answers: int = Field(
        title="Answers to a prompt",
        default=4,
        ge=2,
        le=256,
        description="Answers to each of them; they are compared with each other.",
    )
    pieces: int = Field(
        title="Parts of a step",
        json_schema_extra=MEMORY,
        default=1,
        ge=1,
        le=1024,
        description="Parts in which a step's answers go through the model; more needs less memory.",
    )
    max_new_tokens: int = Field(
        title="Longest answer", default=64, ge=1, le=8192, description="Longest answer, in tokens."
    )
    max_prompt_tokens: int = Field(
        title="Longest prompt",
        json_schema_extra=SAMPLING,
        default=512,
        ge=8,
        le=32_768,
        description="Longer prompts are cut at the end of a paragraph, sentence or word.",
    )
    temperature: float = Field(
        title="Temperature",
        default=1.0,
        ge=0.05,
        le=5,
        description="Of sampling; log-probabilities are taken under it.",
    )
    missing_eos_penalty: float = Field(
        title="Penalty of answers that do not end",
        json_schema_extra=REWARD,
        default=1.0,
        ge=0,
        le=1000,
        description="Taken off the reward of an answer that did not come to its end.",
    )

    @model_validator(mode="after")
    def _pieces_are_equal(self) -> Self:
        if self.prompts * self.answers % self.pieces:
            raise ValueError(f"pieces must divide prompts times answers, which is {self.prompts * self.answers}")
        return self


class RLOOConfig(Online):
    """Defaults after Ahmadian et al. 2024 and TRL."""

    beta: float = Field(
        title="Price of moving away (beta)",
        default=0.05,
        ge=0,
        le=100,
        description="Taken off the reward for each nat that an answer leaves the base; 0: nothing.",
    )
    normalize: bool = Field(
        title="Normalise rewards",
        json_schema_extra=REWARD,
        default=False,
        description="Whether advantages are brought to mean 0 and spread 1 over the step.",
    )


class GRPOConfig(Online):
    """Defaults after Shao et al. 2024, with the unbiased length of Yu et al. 2025 (dapo)."""

    answers: int = Field(
        title="Answers to a prompt",
        default=8,
        ge=2,
        le=256,
        description="Answers to each of them; they are compared with each other.",
    )
    beta: float = Field(
        title="Price of moving away (beta)",
        default=0.04,
        ge=0,
        le=100,
        description="Weight of the KL divergence from the base in the loss; 0: it is left out.",
    )
    loss: Literal["dapo", "grpo", "dr_grpo", "bnpo"] = Field(
        title="Loss",
        default="dapo",
        description="How tokens are averaged: over the whole step (dapo), in each answer first (grpo), by the longest "
        "answer possible (dr_grpo), over each piece (bnpo).",
    )
    scale_rewards: Literal["group", "batch", "none"] = Field(
        title="What rewards are divided by",
        json_schema_extra=REWARD,
        default="group",
        description="By whose spread the advantages are divided; 'none' favours no easy prompt (dr_grpo).",
    )
