"""Settings that several trainers share, so that a form asks for the same thing in the same words everywhere.

Light: listing a plugin loads this, and nothing but pydantic.
"""

from pydantic import BaseModel, ConfigDict, Field


class Lora(BaseModel):
    """Whether all weights are trained or low-rank adapters beside frozen ones (Hu et al. 2021)."""

    model_config = ConfigDict(extra="forbid")

    lora_rank: int = Field(
        default=0,
        ge=0,
        le=512,
        description="Rank of LoRA adapters on all linear layers: far less memory. 0 trains all weights.",
    )
    lora_alpha: int = Field(
        default=0, ge=0, le=2048, description="Strength of the adapters, divided by the rank; 0 takes twice the rank."
    )
    lora_dropout: float = Field(default=0.0, ge=0, le=0.5, description="Dropout before the adapters.")


class Optimizer(BaseModel):
    """AdamW with a linear warm-up and a linear way down to zero."""

    model_config = ConfigDict(extra="forbid")

    learning_rate: float = Field(
        default=0.0, ge=0, le=0.1, description="Highest step size; 0 chooses by the size of the base and the method."
    )
    warmup: float = Field(default=0.1, ge=0, le=0.9, description="Share of all steps over which the step size rises.")
    weight_decay: float = Field(default=0.01, ge=0, le=1, description="Pull of the weights towards zero (AdamW).")
    max_grad_norm: float = Field(default=1.0, gt=0, le=100, description="Longer gradients are shortened to this.")


class Samples(BaseModel):
    """What a trained model writes to held-out prompts, beside what its base wrote."""

    model_config = ConfigDict(extra="forbid")

    samples: int = Field(
        default=16, ge=0, le=512, description="Held-out prompts that are answered before and after training; 0: none."
    )
    sample_tokens: int = Field(default=64, ge=1, le=4096, description="Longest of those answers, in tokens.")
    sample_temperature: float = Field(
        default=0.7, ge=0, le=2, description="Of those answers; 0 takes the likeliest token each time."
    )
