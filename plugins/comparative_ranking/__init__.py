"""The trainer `comparative-ranking`: a model that writes learns from people's rankings of K answers to write better ones."""

from collections.abc import Iterator

from feinschliff import Needs, Trainer, hookimpl
from plugins.comparative_ranking.config import ComparativeRankingConfig
from plugins.comparative_ranking.explaining import EXPLAINS


@hookimpl
def feinschliff_trainers() -> Iterator[Trainer]:
    yield Trainer(
        api=1,
        name="comparative-ranking",
        title="Comparative ranking",
        summary="Learns from whole rankings to write what people rank higher; needs no reward model on the way.",
        family="human-feedback",
        needs=Needs(
            rows=("ranking", "pair", "rating"), at_least=8, models={"base": "generate"}, may_use={"judge": "score"}
        ),
        config=ComparativeRankingConfig,
        train="plugins.comparative_ranking.training:train",
        opens="plugins.lib.policies:open_policy",
        yields=("generate", "embed"),
        explains=EXPLAINS,
        resumable=True,
        ranks=8,
    )
