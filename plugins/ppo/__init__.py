"""The trainer `ppo`: a policy writes, a reward model judges, and the policy learns to be judged better."""

from collections.abc import Iterator

from feinschliff import Needs, Trainer, hookimpl
from plugins.ppo.config import PPOConfig
from plugins.ppo.explaining import EXPLAINS


@hookimpl
def feinschliff_trainers() -> Iterator[Trainer]:
    yield Trainer(
        api=1,
        name="ppo",
        title="PPO",
        summary="Improves a model's answers by trial against a reward model, held to where it started; prompts are enough.",
        family="human-feedback",
        needs=Needs(
            rows=("prompt", "ranking", "pair", "demonstration"),
            models={"base": "generate", "reward": "score"},
            may_use={"judge": "score"},
            bytes_per_parameter=36,
        ),
        config=PPOConfig,
        train="plugins.ppo.training:train",
        opens="plugins.lib.policies:open_policy",
        yields=("generate",),
        explains=EXPLAINS,
        resumable=True,
    )
