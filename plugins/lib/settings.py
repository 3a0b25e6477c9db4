"""Settings that several trainers share, so that a form asks for the same thing in the same words everywhere.

Light: listing a plugin loads this, and nothing but pydantic. A form folds settings of one group under its name.
"""

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

ADAPTERS: JsonDict = {"group": "Adapters (LoRA)"}
OPTIMISER: JsonDict = {"group": "Optimiser"}
SAMPLES: JsonDict = {"group": "Texts before and after"}
MEMORY: JsonDict = {"group": "Batches and memory"}
SAMPLING: JsonDict = {"group": "Sampling"}
REWARD: JsonDict = {"group": "Reward"}


class Adapters(BaseModel):
    """Whether all weights are trained or low-rank adapters beside frozen ones (Hu et al. 2021)."""

    model_config = ConfigDict(extra="forbid")

    lora_rank: int = Field(
        title="Rank of the adapters (LoRA)",
        default=0,
        ge=0,
        le=512,
        description="Rank of LoRA adapters on all linear layers: far less memory. 0 trains all weights.",
    )
    lora_alpha: int = Field(
        title="Strength of the adapters",
        json_schema_extra=ADAPTERS,
        default=0,
        ge=0,
        le=2048,
        description="Strength of the adapters, divided by the rank; 0 takes twice the rank.",
    )


class Lora(Adapters):
    """Adapters that may be thinned out by dropout while they learn."""

    lora_dropout: float = Field(
        title="Dropout before the adapters",
        json_schema_extra=ADAPTERS,
        default=0.0,
        ge=0,
        le=0.5,
        description="Dropout before the adapters.",
    )


class Optimizer(BaseModel):
    """AdamW with a linear warm-up and a linear way down to zero."""

    model_config = ConfigDict(extra="forbid")

    learning_rate: float = Field(
        title="Learning rate",
        default=0.0,
        ge=0,
        le=0.1,
        description="Highest step size; 0 chooses by the size of the base and the method.",
    )
    warmup: float = Field(
        title="Warm-up",
        json_schema_extra=OPTIMISER,
        default=0.1,
        ge=0,
        le=0.9,
        description="Share of all steps over which the step size rises.",
    )
    weight_decay: float = Field(
        title="Weight decay",
        json_schema_extra=OPTIMISER,
        default=0.01,
        ge=0,
        le=1,
        description="Pull of the weights towards zero (AdamW).",
    )
    max_grad_norm: float = Field(
        title="Longest gradient",
        json_schema_extra=OPTIMISER,
        default=1.0,
        gt=0,
        le=100,
        description="Longer gradients are shortened to this.",
    )


class Batches(BaseModel):
    """How many rows go through a model at once: as many as fit a budget of tokens, neighbours in length together."""

    model_config = ConfigDict(extra="forbid")

    batch_tokens: int = Field(
        title="Tokens at once",
        json_schema_extra=MEMORY,
        default=4096,
        ge=0,
        le=1_000_000,
        description="Tokens that go through the model at once, padding included; less needs less memory. A longer row goes "
        "alone. 0: no budget, only rows are counted.",
    )
    batch_rows: int = Field(
        title="Rows at once",
        json_schema_extra=MEMORY,
        default=8,
        ge=1,
        le=1024,
        description="At most so many rows go through the model at once.",
    )
    accumulate: int = Field(
        title="Batches a step",
        json_schema_extra=MEMORY,
        default=1,
        ge=1,
        le=1024,
        description="So many of those batches make a step; more needs no more memory.",
    )


class Samples(BaseModel):
    """What a trained model writes to held-out prompts, beside what its base wrote."""

    model_config = ConfigDict(extra="forbid")

    samples: int = Field(
        title="Prompts answered",
        json_schema_extra=SAMPLES,
        default=16,
        ge=0,
        le=512,
        description="Held-out prompts that are answered before and after training; 0: none.",
    )
    sample_tokens: int = Field(
        title="Longest answer shown",
        json_schema_extra=SAMPLES,
        default=64,
        ge=1,
        le=4096,
        description="Longest of those answers, in tokens.",
    )
    sample_temperature: float = Field(
        title="Temperature of these answers",
        json_schema_extra=SAMPLES,
        default=0.7,
        ge=0,
        le=2,
        description="Of those answers; 0 takes the likeliest token each time.",
    )
