"""Learning from what people wrote or labelled: the trainer `task-specific`, whose models other methods start from."""

from collections.abc import Iterator

from feinschliff import Needs, Trainer, hookimpl
from plugins.supervised.config import TaskSpecificConfig
from plugins.supervised.explaining import ONE_TASK, TRANSFER
from plugins.supervised.multi_task_config import MultiTaskConfig
from plugins.supervised.multi_task_explaining import EXPLAINS as OF_TASKS
from plugins.supervised.transfer_config import TransferConfig


@hookimpl
def feinschliff_trainers() -> Iterator[Trainer]:
    yield Trainer(
        api=1,
        name="task-specific",
        title="Task-specific tuning",
        summary="Learns one task: to answer as people demonstrated (the start of later training), or to sort texts as they did.",
        family="supervised",
        needs=Needs(
            rows=("demonstration", "label"),
            at_least=8,
            models={"base": "generate"},
            models_from={"label": {"base": "embed"}},
            may_use={"judge": "score"},
        ),
        config=TaskSpecificConfig,
        train="plugins.supervised.training:train",
        opens="plugins.lib.opening:open_trained",
        yields=("generate", "embed"),
        yields_from={"label": ("classify", "embed")},
        explains=ONE_TASK,
        resumable=True,
    )
    yield Trainer(
        api=1,
        name="multi-task",
        title="Multi-task tuning",
        summary="Learns several related tasks at once, so that small ones gain from large ones: labels or demonstrations.",
        family="supervised",
        needs=Needs(
            rows=("demonstration", "label"),
            at_least=16,
            tasks=2,
            models={"base": "generate"},
            models_from={"label": {"base": "embed"}},
            may_use={"judge": "score"},
        ),
        config=MultiTaskConfig,
        train="plugins.supervised.multi_task:train",
        opens="plugins.lib.opening:open_trained",
        yields=("generate", "embed"),
        yields_from={"label": ("classify", "embed")},
        explains=OF_TASKS,
        resumable=True,
    )
    yield Trainer(
        api=1,
        name="transfer",
        title="Transfer learning",
        summary="Keeps a model's lower layers as they are and trains the rest: for few rows, or little time; from any model.",
        family="supervised",
        needs=Needs(
            rows=("label", "demonstration"),
            at_least=8,
            models={"base": "generate"},
            models_from={"label": {"base": "embed"}},
            may_use={"judge": "score"},
        ),
        config=TransferConfig,
        train="plugins.supervised.transfer:train",
        opens="plugins.lib.opening:open_trained",
        yields=("generate", "embed"),
        yields_from={"label": ("classify", "embed")},
        explains=TRANSFER,
        resumable=True,
    )
