"""The trainer `task-specific`: learns from demonstrations to write as they do; what other methods start from."""

from collections.abc import Iterator

from feinschliff import Needs, Trainer, hookimpl
from plugins.supervised.config import TaskSpecificConfig


@hookimpl
def feinschliff_trainers() -> Iterator[Trainer]:
    yield Trainer(
        api=1,
        name="task-specific",
        title="Supervised fine-tuning",
        summary="Learns to answer as people demonstrated: for a task of your own, and as the start of later training.",
        family="supervised",
        needs=Needs(rows=("demonstration",), at_least=8, models={"base": "generate"}, may_use={"judge": "score"}),
        config=TaskSpecificConfig,
        train="plugins.supervised.training:train",
        opens="plugins.lib.policies:open_policy",
        yields=("generate", "embed"),
        resumable=True,
    )
