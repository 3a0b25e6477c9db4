"""The trainer `reward-model`: learns from people's rankings, pairs and ratings to score answers."""

from collections.abc import Iterator

from feinschliff import Needs, Trainer, hookimpl
from plugins.lib.explained import LEARNING, shared
from plugins.reward_model.config import RewardModelConfig


@hookimpl
def feinschliff_trainers() -> Iterator[Trainer]:
    yield Trainer(
        api=1,
        name="reward-model",
        title="Reward model",
        summary="Learns from rankings, pairs or ratings to say which answer people would prefer; the judge of later training.",
        family="human-feedback",
        needs=Needs(rows=("ranking", "pair", "rating"), at_least=8, models={"base": "embed"}),
        config=RewardModelConfig,
        train="plugins.reward_model.training:train",
        opens="plugins.reward_model.model:open_model",
        yields=("score",),
        explains=shared("accuracy", "tau", "gain", "error", "ece", "brier", *LEARNING),
        resumable=True,
        ranks=8,
    )
