"""What can be set about a comparative ranking run: form, command line and documentation are made of this."""

from typing import Literal

from pydantic import Field

from plugins.lib.settings import MEMORY, Lora, Optimizer, Samples


class ComparativeRankingConfig(Optimizer, Lora, Samples):
    """Defaults that work on `tiny:causal`, and on bases of 135 million parameters, on a CPU."""

    loss: Literal["plackett-luce", "lambda", "pairwise", "best-vs-worst"] = Field(
        title="What of a ranking is learned",
        default="plackett-luce",
        description="What of a ranking is learned: the whole order (plackett-luce), its pairs weighted by what a swap would cost "
        "(lambda), all pairs alike (pairwise), or only the best against the worst.",
    )
    beta: float = Field(
        title="Price of moving away (beta)",
        default=0.1,
        gt=0,
        le=10,
        description="How many units of reward a nat of change in log-probability is: higher keeps the model closer to its base.",
    )
    per_token: bool = Field(
        title="Reward per token",
        default=False,
        description="Divide an answer's reward by its tokens, so that long answers do not weigh more; wants a larger beta "
        "(about ten times).",
    )
    epochs: int = Field(title="Epochs", default=1, ge=1, le=50, description="How often every ranking is learned from.")
    max_length: int = Field(
        title="Longest prompt and answer",
        default=1024,
        ge=32,
        le=8192,
        description="Longest prompt and answer in tokens. Longer prompts are cut; answers that alone do not fit are left out.",
    )
    prompt_keeps: Literal["start", "end"] = Field(
        title="What is kept of a long prompt",
        default="start",
        description="Which part of a prompt is kept when it must be cut; 'end' suits conversations.",
    )
    batch_rows: int = Field(
        title="Rankings a step", json_schema_extra=MEMORY, default=16, ge=1, le=512, description="Rankings in one step."
    )
    batch_tokens: int = Field(
        title="Tokens at once",
        json_schema_extra=MEMORY,
        default=4096,
        ge=64,
        le=1_000_000,
        description="Tokens in memory at once: a step of more is taken in pieces, with the same result. Less needs less memory.",
    )
    evaluations: int = Field(
        title="Looks on the way",
        default=4,
        ge=0,
        le=200,
        description="How often the held-out accuracy is measured on the way.",
    )
