"""What can be set about a PPO run: form, command line and documentation are made of this."""

import warnings

from pydantic import Field, model_validator

from plugins.lib.settings import Adapters
from plugins.ppo.settings import Criticised, Held, Rewarded, Rounds, Updated, Watched

FAST = 0.01  # a step size that even the smallest models do not need


class PPOConfig(Rounds, Rewarded, Held, Criticised, Updated, Watched, Adapters):
    """The dials that matter most; adapters are beside the reference, which is the model without them."""

    episodes: int = Field(
        title="Answers in all",
        default=2048,
        ge=1,
        le=10_000_000,
        description="Answers sampled in all, over the whole run.",
    )
    batch: int = Field(
        title="Answers in a batch",
        default=64,
        ge=1,
        le=8192,
        description="Answers sampled before each round of updates.",
    )
    answers: int = Field(
        title="Answers to a prompt",
        default=1,
        ge=1,
        le=256,
        description="So many of a batch's answers are to the same prompt, which is then read once for all of them where that "
        "is cheaper. Fewer different prompts a batch, and less work for each answer.",
    )
    max_new_tokens: int = Field(
        title="Longest answer", default=64, ge=1, le=4096, description="Longest answer, in tokens."
    )
    temperature: float = Field(
        title="Temperature",
        default=0.7,
        ge=0.05,
        le=5,
        description="Of sampling; every log-probability is taken under it.",
    )
    beta: float = Field(
        title="Price of KL (beta)",
        default=0.05,
        ge=0,
        le=10,
        description="Price of a nat of KL to the reference; 0 is free.",
    )
    kl_target: float = Field(
        title="KL aimed at",
        default=0.0,
        ge=0,
        le=1000,
        description="Nats an answer that beta is steered towards; 0 leaves beta fixed.",
    )
    learning_rate: float = Field(
        title="Learning rate",
        default=0.0,
        ge=0,
        le=0.1,
        description="Step size at the start; 0 chooses by the base's size. Falls to 0.",
    )

    @model_validator(mode="after")
    def _nested_rightly(self) -> "PPOConfig":
        if self.batch % (self.minibatches * self.answers):
            parts = (
                f"minibatches ({self.minibatches})"
                if self.answers == 1
                else (f"minibatches ({self.minibatches}) of whole prompts (answers: {self.answers})")
            )
            raise ValueError(f"batch ({self.batch}) must divide into {parts} without rest")
        if self.episodes < self.batch:
            raise ValueError(f"episodes ({self.episodes}) must be at least one batch ({self.batch})")
        if not self.beta and not self.kl_target and self.learning_rate > FAST:
            warnings.warn(
                f"beta is 0 and learning_rate is {self.learning_rate:g}: nothing holds the model to its reference, and steps "
                f"beyond {FAST:g} are large; within a few batches it may write nothing but what the reward model likes",
                stacklevel=2,
            )
        return self

    @property
    def iterations(self) -> int:
        """Batches in the run; what does not fill a batch is not sampled."""
        return self.episodes // self.batch

    @property
    def updates(self) -> int:
        """Steps of the optimiser in the whole run, unless some end early."""
        return self.iterations * self.ppo_epochs * self.minibatches
