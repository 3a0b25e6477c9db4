"""Trainers that each break one promise of the contract, beside one that keeps them all: what the checks must tell apart.

All learn a weight a word from pairs (Bradley and Terry's model on word counts), in a fraction of a second.
"""

import json
import math
import random
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from feinschliff import Needs, Run, Trainer, hookimpl

FAULTS = {  # trainer -> the check that must name it
    "writes-outside": "writes",
    "leaves-in-tmp": "writes",
    "connects-out": "connects",
    "ignores-stopping": "stops",
    "differs": "repeats",
    "loses-resume": "resumes",
    "starts-over": "resumes",
    "loses-the-end": "resumes",
    "fails-on-empty": "verbs",
    "lacks-a-verb": "verbs",
    "scores-constant": "learns_from_pair",
    "forgets": "reopens",
}


class Config(BaseModel):
    model_config = ConfigDict(extra="forbid")

    epochs: int = Field(default=8, ge=1, le=100, description="How often every pair is learned from.")


def _trainer(name: str) -> Trainer:
    place = name.replace("-", "_")
    return Trainer(
        api=1, name=name, title=name, summary="Learns from pairs.", family="human-feedback", config=Config,
        needs=Needs(rows=("pair",), at_least=8), train=f"{__name__}:{place}",
        opens=f"{__name__}:{place}_opens" if f"{place}_opens" in globals() else f"{__name__}:Scorer",
        yields=("score", "embed") if name == "lacks-a-verb" else ("score",),
        resumable=name in ("keeps-all", "loses-resume", "starts-over", "loses-the-end"),
    )  # fmt: skip


@hookimpl
def feinschliff_trainers() -> Iterator[Trainer]:
    yield _trainer("keeps-all")
    for name in FAULTS:
        yield _trainer(name)


def _learn(run: Run, *, seed: float | None = None, careful: bool = True, resumes: bool = True) -> dict[str, Any]:
    rng = random.Random(run.seed if seed is None else seed)
    weights: dict[str, float] = {}
    first = 0
    if run.last_checkpoint:
        first, weights = json.loads((run.last_checkpoint / "state.json").read_text("utf-8"))
        first = first if resumes else 0
    pairs = run.rows("train")
    for epoch in range(first, run.config.epochs):
        if run.stopping and careful:
            return {}
        for row in pairs:
            better, worse = Counter(row["chosen"].split()), Counter(row["rejected"].split())
            gap = sum(weights.get(word, 0) * (better[word] - worse[word]) for word in better | worse)
            for word in better | worse:
                step = 0.1 / (1 + math.exp(gap)) * (better[word] - worse[word])
                weights[word] = weights.get(word, rng.gauss(0, 0.01) if seed is not None else 0) + step
        run.log(epoch, **{"loss/train": 1.0})
        run.progress(epoch + 1, run.config.epochs)
        with run.checkpoint() as folder:
            (folder / "state.json").write_text(json.dumps([epoch + 1, weights]), "utf-8")
    return _save(run, weights)


def _save(run: Run, weights: dict[str, float]) -> dict[str, Any]:
    (run.out / "model").mkdir(exist_ok=True)
    (run.out / "model" / "weights.json").write_text(json.dumps(weights, sort_keys=True), "utf-8")
    return {"words": len(weights), "seconds/training": time.monotonic()}


def keeps_all(run: Run) -> dict[str, Any]:
    return _learn(run)


fails_on_empty = lacks_a_verb = forgets = keeps_all


def writes_outside(run: Run) -> dict[str, Any]:
    (run.out.parent / "beside.txt").write_text("here I am", "utf-8")
    return _learn(run)


def leaves_in_tmp(run: Run) -> dict[str, Any]:
    import tempfile

    Path(tempfile.mkdtemp(), "left.txt").write_text("here I am", "utf-8")
    return _learn(run)


def connects_out(run: Run) -> dict[str, Any]:
    with suppress(OSError):  # as telemetry does
        socket.create_connection(("192.0.2.1", 80), timeout=0.1)
    return _learn(run)


def ignores_stopping(run: Run) -> dict[str, Any]:
    return _learn(run, careful=False)


def differs(run: Run) -> dict[str, Any]:
    return _learn(run, seed=time.monotonic())


def loses_resume(run: Run) -> dict[str, Any]:
    """Takes up its weights, and forgets that it has gone half of the way."""
    return _learn(run, resumes=False)


def starts_over(run: Run) -> dict[str, Any]:
    """Gets to the same end, having thrown away what was done."""
    folder = run.last_checkpoint
    if folder:
        (folder / "state.json").write_text(json.dumps([0, {}]), "utf-8")
    return _learn(run)


def loses_the_end(run: Run) -> dict[str, Any]:
    """Its last loss is known only where there was a step left to take."""
    saved = run.last_checkpoint
    for epoch in range(json.loads((saved / "state.json").read_text("utf-8"))[0] if saved else 0, run.config.epochs):
        loss = 1 / (epoch + 1)
    return _learn(run) | {"loss/train": loss}


def scores_constant(run: Run) -> dict[str, Any]:
    numbers = _learn(run)
    return _save(run, {}) if numbers else {}


class Scorer:
    def __init__(self, folder: Path) -> None:
        self.weights = json.loads((folder / "weights.json").read_text("utf-8"))

    def score(self, prompt: str, completions: list[str]) -> list[float]:
        return [sum(self.weights.get(word, 0) for word in text.split()) for text in completions]


class _Empty(Scorer):
    def score(self, prompt: str, completions: list[str]) -> list[float]:
        return [
            total / len(text.split())
            for total, text in zip(super().score(prompt, completions), completions, strict=True)
        ]


class _Forgetful(Scorer):
    def score(self, prompt: str, completions: list[str]) -> list[float]:
        shift = time.monotonic()
        return [total + shift for total in super().score(prompt, completions)]


fails_on_empty_opens: Callable[[Path], Scorer] = _Empty
forgets_opens: Callable[[Path], Scorer] = _Forgetful
