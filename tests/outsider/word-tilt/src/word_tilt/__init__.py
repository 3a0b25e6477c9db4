"""The trainer `word-tilt`: Bradley and Terry's model over words, learned from pairs."""

from collections.abc import Iterator

from pydantic import BaseModel, Field

from feinschliff import Needs, Trainer, hookimpl


class Config(BaseModel, extra="forbid"):
    epochs: int = Field(default=200, ge=1, le=10_000, description="How often all pairs are learned from.")
    learning_rate: float = Field(default=1.0, gt=0, le=10, description="How far one epoch moves the weights.")
    l2: float = Field(default=0.01, ge=0, le=0.1, description="Pull of the weights towards zero.")


@hookimpl
def feinschliff_trainers() -> Iterator[Trainer]:
    yield Trainer(
        api=1, name="word-tilt", title="Word tilt", family="human-feedback", config=Config, resumable=True,
        summary="Which words tilt people towards an answer? Seconds on a CPU, and every weight can be read.",
        needs=Needs(rows=("pair",), at_least=8), yields=("score",),
        train="word_tilt.tilt:train", opens="word_tilt.tilt:Tilt",
    )  # fmt: skip
