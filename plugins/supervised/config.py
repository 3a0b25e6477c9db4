"""What can be set about training for one task: form, command line and documentation are made of this."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from plugins.lib.settings import MEMORY, Batches, Lora, Optimizer, Samples

DEMONSTRATIONS: JsonDict = {"group": "Demonstrations"}
LABELS: JsonDict = {"group": "Labels"}


class OneTask(BaseModel):
    """What learning one task takes, from labels or demonstrations, whether all of a model is trained or its upper part."""

    model_config = ConfigDict(extra="forbid")

    task: str = Field(
        title="Task",
        default="",
        max_length=200,
        description="Learns the rows of this task alone; empty takes all, which for labels must then be of one task.",
    )
    epochs: int = Field(
        title="Epochs",
        default=0,
        ge=0,
        le=100,
        description="How often every row is learned from. 0 chooses: 2 for demonstrations; for labels more the fewer they are, "
        "from 20 down to 4.",
    )
    max_length: int = Field(
        title="Longest input",
        default=1024,
        ge=32,
        le=131_072,
        description="Longest prompt and answer together, in tokens; what the base can read is a limit too. Longer prompts and "
        "labelled texts are cut; demonstrations whose answers do not fit are left out.",
    )
    prompt_keeps: Literal["start", "end"] = Field(
        title="Kept of long prompts",
        default="start",
        description="Which part of a prompt is kept when it must be cut; 'end' suits conversations.",
    )
    evaluations: int = Field(
        title="Looks at held-out rows",
        default=4,
        ge=0,
        le=200,
        description="How often held-out rows are measured on the way.",
    )
    batch_rows: int = Field(
        title="Rows at once",
        json_schema_extra=MEMORY,
        default=0,
        ge=0,
        le=1024,
        description="At most so many rows go through the model at once. 0 chooses: 8 demonstrations, or 32 labelled texts.",
    )
    class_weights: Literal["none", "root", "balanced"] = Field(
        title="Weights of classes",
        json_schema_extra=LABELS,
        default="none",
        description="Whether rare classes count more: not, by one over the root of how often they occur, or by one over that, so "
        "that all classes count the same.",
    )
    label_smoothing: float = Field(
        title="Label smoothing",
        json_schema_extra=LABELS,
        default=0.0,
        ge=0,
        le=0.5,
        description="Share of a label that is spread evenly over all classes; makes the model less sure of itself.",
    )
    rare_classes: Literal["refuse", "keep", "leave-out"] = Field(
        title="Classes of a single row",
        json_schema_extra=LABELS,
        default="refuse",
        description="What happens where a class has one row to learn from, or none: nothing is trained; it stays in training "
        "and is not measured; it is left out.",
    )
    counts: Literal["judgement", "item"] = Field(
        title="Texts labelled by several people",
        json_schema_extra=LABELS,
        default="item",
        description="A text that several people labelled counts once (item), or once for each of them (judgement). Their shares "
        "are what is learned in both cases.",
    )
    dropout: float = Field(
        title="Dropout",
        json_schema_extra=LABELS,
        default=0.1,
        ge=0,
        le=0.5,
        description="Dropout while a classifier is trained; more resists overfitting.",
    )


class TaskSpecificConfig(OneTask, Lora, Optimizer, Batches, Samples):
    """Defaults that work on `tiny:` models and on models of a few hundred million parameters."""

    loss: Literal["nll", "dft"] = Field(
        title="Loss of demonstrations",
        json_schema_extra=DEMONSTRATIONS,
        default="nll",
        description="'nll' is the usual log-likelihood; 'dft' weighs a token by how likely it was (Wu et al. 2025).",
    )
