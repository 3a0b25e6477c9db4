"""What can be set about a supervised fine-tuning run: form, command line and documentation are made of this."""

from typing import Literal

from pydantic import Field

from plugins.lib.settings import MEMORY, Lora, Optimizer, Samples


class TaskSpecificConfig(Lora, Optimizer, Samples):
    """Defaults that work on `tiny:causal` and on models of a few hundred million parameters."""

    epochs: int = Field(default=2, ge=1, le=50, description="How often every demonstration is learned from.")
    loss: Literal["nll", "dft"] = Field(
        default="nll",
        description="'nll' is the usual log-likelihood; 'dft' weighs a token by how likely it was (Wu et al. 2025).",
    )
    max_length: int = Field(
        default=1024,
        ge=32,
        le=131_072,
        description="Longest prompt and answer together, in tokens; what the base can read is a limit too. "
        "Longer prompts are cut; rows whose answers do not fit are left out.",
    )
    prompt_keeps: Literal["start", "end"] = Field(
        default="start", description="Which part of a prompt is kept when it must be cut; 'end' suits conversations."
    )
    batch_rows: int = Field(
        json_schema_extra=MEMORY, default=8, ge=1, le=1024, description="Rows that go through the model at once."
    )
    accumulate: int = Field(
        json_schema_extra=MEMORY,
        default=1,
        ge=1,
        le=1024,
        description="So many of those batches make a step; more needs no more memory.",
    )
    evaluations: int = Field(default=4, ge=0, le=200, description="How often the held-out loss is measured on the way.")
