"""The seldom-used settings of a PPO run, by the headings under which the form folds them (plugins.ppo.config has the others).

Defaults after Huang et al. 2024 ("The N+ implementation details of RLHF with PPO") unless a field says otherwise.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from plugins.lib.settings import REWARD, SAMPLING

RUN: JsonDict = {"group": "Length of the run"}
KL: JsonDict = {"group": "Staying near the reference (KL)"}
ADVANTAGES: JsonDict = {"group": "Advantages and critic"}
UPDATE: JsonDict = {"group": "Update"}
ALARMS: JsonDict = {"group": "Alarms and measuring"}


class Rounds(BaseModel):
    """How a run is cut into batches, passes and updates, and how answers are sampled."""

    model_config = ConfigDict(extra="forbid")

    minibatches: int = Field(
        title="Updates in a pass over a batch",
        json_schema_extra=RUN,
        default=1,
        ge=1,
        le=256,
        description="Equal parts of a batch, one update each.",
    )
    ppo_epochs: int = Field(
        title="Passes over a batch",
        json_schema_extra=RUN,
        default=4,
        ge=1,
        le=32,
        description="How often a batch is learned from.",
    )
    micro_batch: int = Field(
        title="Answers at once",
        json_schema_extra=RUN,
        default=8,
        ge=1,
        le=1024,
        description="Answers that go through the model at once; less needs less memory.",
    )
    max_prompt_tokens: int = Field(
        title="Longest prompt",
        json_schema_extra=SAMPLING,
        default=512,
        ge=8,
        le=32768,
        description="Longer prompts are cut at the end of a paragraph, sentence or word.",
    )
    writer: Literal["auto", "own", "vllm"] = Field(
        title="What writes the answers",
        json_schema_extra=SAMPLING,
        default="auto",
        description="vLLM where it is installed and a GPU is there (auto), our own engine, or vLLM always.",
    )
    old_logps: Literal["sampled", "recomputed"] = Field(
        title="Log-probabilities before the update",
        json_schema_extra=SAMPLING,
        default="sampled",
        description="Where the log-probabilities before the update come from: the sampling itself, or a forward of its own "
        "(always so where vLLM writes).",
    )


class Rewarded(BaseModel):
    """What an answer's score becomes before it is learned from."""

    model_config = ConfigDict(extra="forbid")

    missing_eos: Literal["score", "penalty", "ignore"] = Field(
        title="Answers that do not end",
        json_schema_extra=REWARD,
        default="score",
        description="An answer that did not end in time gets a fixed score, loses a penalty, or is scored as it is.",
    )
    missing_eos_value: float = Field(
        title="Score or penalty of answers that do not end",
        json_schema_extra=REWARD,
        default=-1.0,
        ge=-100,
        le=100,
        description="The fixed score, or what is added as a penalty; in standard deviations of the reference's rewards.",
    )
    normalise: bool = Field(
        title="Normalise rewards",
        json_schema_extra=REWARD,
        default=True,
        description="Shift and scale rewards so that the reference's answers have mean 0 and variance 1.",
    )
    reference_samples: int = Field(
        title="Answers to normalise by",
        json_schema_extra=REWARD,
        default=128,
        ge=8,
        le=4096,
        description="Answers of the reference from which its rewards and lengths are known.",
    )
    uncertainty_weight: float = Field(
        title="Price of the reward model's doubt",
        json_schema_extra=REWARD,
        default=0.0,
        ge=0,
        le=1000,
        description="Taken off an answer's reward for each unit of variance between the reward model's heads (UWO, Coste et al. "
        "2024: Reward Model Ensembles Help Mitigate Overoptimization). Needs a reward model with several heads. 0: their mean.",
    )
    whiten_rewards: bool = Field(
        title="Whiten rewards",
        json_schema_extra=REWARD,
        default=False,
        description="Scale per-token rewards to variance 1 (not shifted).",
    )


class Held(BaseModel):
    """How the policy is held to its reference."""

    model_config = ConfigDict(extra="forbid")

    kl_estimator: Literal["k1", "k3"] = Field(
        title="How KL is estimated",
        json_schema_extra=KL,
        default="k1",
        description="How a token's KL is estimated: log ratio (k1), or never negative (k3).",
    )
    kl_horizon: float = Field(
        title="Horizon of the steering",
        json_schema_extra=KL,
        default=10_000,
        ge=1,
        le=10_000_000,
        description="Answers over which a steered beta adapts; less is quicker.",
    )


class Criticised(BaseModel):
    """How advantages are estimated, and the critic that they need."""

    model_config = ConfigDict(extra="forbid")

    critic: Literal["separate", "shared"] = Field(
        title="Critic",
        json_schema_extra=ADVANTAGES,
        default="separate",
        description="A network of its own, from the reward model where it fits; or a value head on the policy's trunk.",
    )
    critic_learning_rate: float = Field(
        title="Learning rate of the critic",
        json_schema_extra=ADVANTAGES,
        default=0.0,
        ge=0,
        le=0.1,
        description="The critic's step size at the start; 0 takes the policy's.",
    )
    gamma: float = Field(
        title="Discount (gamma)",
        json_schema_extra=ADVANTAGES,
        default=1.0,
        ge=0,
        le=1,
        description="Discount from one token to the next.",
    )
    lam: float = Field(
        title="GAE lambda",
        json_schema_extra=ADVANTAGES,
        default=0.95,
        ge=0,
        le=1,
        description="GAE's trade of bias (0) for variance (1).",
    )
    value_clip: float = Field(
        title="Clip range of the critic",
        json_schema_extra=ADVANTAGES,
        default=0.2,
        gt=0,
        le=100,
        description="How far an update may move a value.",
    )
    vf_coef: float = Field(
        title="Weight of the critic's loss",
        json_schema_extra=ADVANTAGES,
        default=0.1,
        ge=0,
        le=10,
        description="Weight of the critic's loss.",
    )


class Updated(BaseModel):
    """How far an update may go."""

    model_config = ConfigDict(extra="forbid")

    clip: float = Field(
        title="Clip range of the policy",
        json_schema_extra=UPDATE,
        default=0.2,
        gt=0,
        le=1,
        description="How far an update may move a token's probability ratio.",
    )
    update_kl: float = Field(
        title="KL that ends a batch early",
        json_schema_extra=UPDATE,
        default=0.1,
        ge=0,
        le=10,
        description="A batch's updates end early where the policy has moved this far in it (approximate KL a token); 0: never.",
    )
    ptx: float = Field(
        title="Weight of demonstrations (ptx)",
        json_schema_extra=UPDATE,
        default=0.0,
        ge=0,
        le=100,
        description="Weight of imitating the demonstrations among the rows while learning from the reward; 0: not at all.",
    )
    max_grad_norm: float = Field(
        title="Longest gradient",
        json_schema_extra=UPDATE,
        default=1.0,
        gt=0,
        le=100,
        description="Longer gradients are shortened to this.",
    )


class Watched(BaseModel):
    """When a run stops itself, and what is measured on the way and at the end."""

    model_config = ConfigDict(extra="forbid")

    kl_budget: float = Field(
        title="KL that stops the run",
        json_schema_extra=ALARMS,
        default=50.0,
        ge=0,
        le=10_000,
        description="Nats an answer beyond which the run stops itself; 0: no limit.",
    )
    length_factor: float = Field(
        title="Change of length that stops the run",
        json_schema_extra=ALARMS,
        default=3.0,
        ge=0,
        le=100,
        description="The run stops itself when answers become so many times longer or shorter than the reference's; 0: never.",
    )
    preference_drop: float = Field(
        title="Lost agreement that stops the run",
        json_schema_extra=ALARMS,
        default=0.2,
        ge=0,
        le=1,
        description="The run stops itself when, with rising reward, its agreement with people falls this far; 0: never.",
    )
    evaluations: int = Field(
        title="Looks on the way",
        json_schema_extra=ALARMS,
        default=8,
        ge=0,
        le=200,
        description="How often samples are shown and agreement with people is measured.",
    )
    compared: int = Field(
        title="Prompts compared at the end",
        json_schema_extra=ALARMS,
        default=32,
        ge=0,
        le=1000,
        description="Held-out prompts answered before and after training, side by side.",
    )
