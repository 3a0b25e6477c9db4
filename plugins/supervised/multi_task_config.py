"""What can be set about learning several tasks at once: form, command line and documentation are made of this."""

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic.config import JsonDict

from plugins.lib.mixing import Mix, read_weights
from plugins.lib.settings import MEMORY, Lora, Optimizer, Samples

MIXING: JsonDict = {"group": "The mix of tasks"}
LABELS: JsonDict = {"group": "Labels"}


class MultiTaskConfig(Lora, Optimizer, Samples):
    """Defaults that work on the tiny bases, on MiniLM and on models of a few hundred million parameters."""

    epochs: int = Field(
        title="Epochs",
        default=0,
        ge=0,
        le=100,
        description="How much is learned in all: so many times as many rows as there are, shared out among the tasks by the mix. "
        "0 chooses: 3 for demonstrations; for labels more the fewer there are, from 20 down to 4.",
    )
    mix: Mix = Field(
        title="Mix",
        default="temperature",
        description="A task's share: by its 'size', by 'temperature' (between size and equal), 'equal', or by 'weights'.",
    )
    temperature: float = Field(
        title="Temperature of the mix",
        json_schema_extra=MIXING,
        default=2.0,
        ge=1,
        le=100,
        description="For the mix by temperature T: shares go by rows to the power 1/T. 1 is by size, 100 nearly equal.",
    )
    weights: str = Field(
        title="Weights of the tasks",
        json_schema_extra=MIXING,
        default="",
        max_length=2000,
        description="For the mix by weights, such as 'summaries=2, titles=0.5'; a task that is not named counts 1.",
    )
    floor: float = Field(
        title="Least share",
        json_schema_extra=MIXING,
        default=0.25,
        ge=0,
        le=1,
        description="No task has less than this part of an equal share (weights apart), so that none starves. 0: no floor.",
    )
    most_repeats: int = Field(
        title="Most repeats of a small task",
        json_schema_extra=MIXING,
        default=8,
        ge=1,
        le=1000,
        description="A row of a small task is learned from at most so many times as often as rows are on average; what is left "
        "of the task's share goes to the others.",
    )
    name_task: bool = Field(
        title="Tell the task",
        json_schema_extra=MIXING,
        default=False,
        description="For demonstrations: the task's name stands before each prompt ('titles: ...'), in training and ever after.",
    )
    compare_single: bool = Field(
        title="Compare with each task alone",
        default=False,
        description="Trains each task alone as well, from the same base with the same rows in the same steps, and shows who "
        "gains from the others and who suffers. About doubles the time.",
    )
    max_length: int = Field(
        title="Longest text",
        default=512,
        ge=16,
        le=131_072,
        description="Longest text to label, or prompt and answer together, in tokens; what the base can read is a limit too.",
    )
    batch_rows: int = Field(
        title="Rows a step",
        json_schema_extra=MEMORY,
        default=32,
        ge=1,
        le=4096,
        description="Rows of all tasks together that make a step.",
    )
    batch_tokens: int = Field(
        title="Tokens at once",
        json_schema_extra=MEMORY,
        default=4096,
        ge=16,
        le=10_000_000,
        description="Padded tokens that go through the model at once; a step of more is taken in pieces, with the same result.",
    )
    scale_losses: bool = Field(
        title="Losses on one scale",
        json_schema_extra=LABELS,
        default=True,
        description="A task's loss is divided by what guessing would cost, so that tasks of many classes do not weigh more.",
    )
    rare_classes: Literal["refuse", "keep", "leave-out"] = Field(
        title="Classes of a single row",
        json_schema_extra=LABELS,
        default="refuse",
        description="What happens where a class has one row to learn from, or none: nothing is trained; it stays in training "
        "and is not measured; it is left out.",
    )
    dropout: float = Field(
        title="Dropout",
        json_schema_extra=LABELS,
        default=0.1,
        ge=0,
        le=0.5,
        description="Dropout while classifiers are trained; more resists overfitting.",
    )
    evaluations: int = Field(
        title="Looks at held-out rows",
        default=4,
        ge=0,
        le=200,
        description="How often the tasks are measured on the way.",
    )

    @field_validator("weights")
    @classmethod
    def _weights_are_tasks_with_weights(cls, text: str, info: ValidationInfo) -> str:
        if read_weights(text) and info.data.get("mix", "weights") != "weights":
            raise ValueError(
                f"weights are for the mix 'weights', and it is {info.data['mix']!r}: set mix, or leave them out"
            )
        return text
