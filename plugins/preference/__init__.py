"""The trainers `dpo`, `kto`, `rloo` and `grpo`: methods that TRL implements, under our rows, tokens, checkpoints and measures."""

from collections.abc import Iterator

from feinschliff import Needs, Trainer, hookimpl
from plugins.preference import explaining
from plugins.preference.config import DPOConfig, GRPOConfig, KTOConfig, RLOOConfig

OPENS, YIELDS = "plugins.lib.policies:open_policy", ("generate", "embed")
PROMPTS = ("prompt", "ranking", "pair", "demonstration")


@hookimpl
def feinschliff_trainers() -> Iterator[Trainer]:
    yield Trainer(
        api=1,
        name="dpo",
        title="Direct preference optimisation (DPO)",
        summary="A model learns from comparisons which answers to prefer, without a reward model; DPO and its variants.",
        family="human-feedback",
        needs=Needs(rows=("pair", "ranking"), at_least=8, models={"base": "generate"}, may_use={"judge": "score"}),
        config=DPOConfig,
        train="plugins.preference.dpo:train",
        opens=OPENS,
        yields=YIELDS,
        explains=explaining.DPO,
        resumable=True,
    )
    yield Trainer(
        api=1,
        name="kto",
        title="Good and bad answers (KTO)",
        summary="A model learns from single answers that were called good or bad; no comparisons are needed.",
        family="human-feedback",
        needs=Needs(rows=("unpaired", "rating"), at_least=8, models={"base": "generate"}, may_use={"judge": "score"}),
        config=KTOConfig,
        train="plugins.preference.kto:train",
        opens=OPENS,
        yields=YIELDS,
        explains=explaining.KTO,
        resumable=True,
    )
    yield Trainer(
        api=1,
        name="rloo",
        title="Leave-one-out reinforcement (RLOO)",
        summary="A model learns from the rewards of its own answers, each compared with the others to its prompt.",
        family="human-feedback",
        needs=Needs(
            rows=PROMPTS, at_least=2, models={"base": "generate", "reward": "score"}, may_use={"judge": "score"}
        ),
        config=RLOOConfig,
        train="plugins.preference.online:train_rloo",
        opens=OPENS,
        yields=YIELDS,
        explains=explaining.ONLINE,
        resumable=True,
    )
    yield Trainer(
        api=1,
        name="grpo",
        title="Group-relative optimisation (GRPO)",
        summary="A model learns from the rewards of its own answers, each by where it stands in its prompt's group.",
        family="human-feedback",
        needs=Needs(
            rows=PROMPTS, at_least=2, models={"base": "generate", "reward": "score"}, may_use={"judge": "score"}
        ),
        config=GRPOConfig,
        train="plugins.preference.online:train_grpo",
        opens=OPENS,
        yields=YIELDS,
        explains=explaining.ONLINE,
        resumable=True,
    )
