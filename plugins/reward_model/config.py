"""What can be set about a reward model run: form, command line and documentation are made of this."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class RewardModelConfig(BaseModel):
    """Defaults that work on `tiny:` models and on encoders of 20 million parameters, on a CPU."""

    model_config = ConfigDict(extra="forbid")

    epochs: int = Field(default=2, ge=1, le=50, description="How often every ranking is learned from.")
    learning_rate: float = Field(
        default=0.0,
        ge=0,
        le=0.1,
        description="Highest step size; 0 chooses by the size of the base, from 1e-3 (tiny) to 2e-5 (beyond 50 million).",
    )
    warmup: float = Field(default=0.1, ge=0, le=0.9, description="Share of all steps over which the step size rises.")
    weight_decay: float = Field(default=0.01, ge=0, le=1, description="Pull of the weights towards zero (AdamW).")
    dropout: float = Field(default=0.0, ge=0, le=0.5, description="Dropout while training; more resists overfitting.")
    max_length: int = Field(
        default=512,
        ge=32,
        le=8192,
        description="Longest input in tokens. Longer prompts are cut; rows whose answers do not fit are left out.",
    )
    prompt_keeps: Literal["start", "end"] = Field(
        default="start", description="Which part of a prompt is kept when it must be cut; 'end' suits conversations."
    )
    batch_tokens: int = Field(
        default=4096, ge=64, le=1_000_000, description="Tokens in one step, padding included; less needs less memory."
    )
    batch_rows: int = Field(default=16, ge=1, le=512, description="At most so many rankings in one step.")
    freeze_layers: int = Field(
        default=0, ge=0, le=200, description="Lowest layers (and embeddings) that stay as they are."
    )
    max_grad_norm: float = Field(default=1.0, gt=0, le=100, description="Longer gradients are shortened to this.")
    evaluations: int = Field(
        default=8, ge=0, le=200, description="How often the held-out accuracy is measured on the way."
    )
