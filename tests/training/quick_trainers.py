"""A trainer that comes in by the public door and needs no torch: it counts, and ends in the way its config asks for.

With it a real child process takes a second, so that the tests can try every way in which a run ends.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from feinschliff import Explained, Needs, NeedsNotMet, Run, Trainer, hookimpl


class QuickConfig(BaseModel):
    model_config = ConfigDict(extra="forbid")

    steps: int = Field(default=3, ge=1, le=10_000, description="How many steps it counts.")
    pause: float = Field(default=0.0, ge=0, le=10, description="Seconds between steps.")
    careful: bool = Field(default=True, description="Whether it ends when it is asked to.")
    ends: Literal["well", "error", "needs", "crash", "no-model", "odd"] = Field(
        default="well", description="How it ends after its steps."
    )


EXPLAINS = {
    "accuracy": Explained(title="Orders it gets right", description="Of two answers each.", better="higher"),
    "loss": Explained(title="What it counts down", better="lower"),
}


def _trainer(name: str, *, place: str = "train", writes: bool = False, **more: Any) -> Trainer:  # noqa: ANN401 - fields
    opens, verb = ("Writer", "generate") if writes else ("Scorer", "score")
    return Trainer(
        api=1, name=name, title=f"A {name} one", summary="Counts.", family="human-feedback", config=QuickConfig,
        train=f"tests.training.quick_trainers:{place}", opens=f"tests.training.quick_trainers:{opens}", yields=(verb,),
        **more,
    )  # fmt: skip


@hookimpl
def feinschliff_trainers() -> Iterator[Trainer]:
    yield _trainer("quick", needs=Needs(rows=("ranking", "pair")), resumable=True, explains=EXPLAINS)
    yield _trainer("once", needs=Needs(rows=("ranking",)))
    yield _trainer(
        "judged", needs=Needs(rows=("ranking", "prompt"), may_use={"judge": "score"}), place="train_judged", writes=True
    )
    yield _trainer("scored", needs=Needs(rows=("ranking",), models={"reward": "score"}))
    yield _trainer("pairs-only", needs=Needs(rows=("pair",), at_least=3))
    yield _trainer(
        "by-kind", needs=Needs(rows=("ranking", "label"), models={"base": "generate"}, models_from={"label": {"base": "embed"}}),
        yields_from={"label": ("classify",)},
    )  # fmt: skip
    yield Trainer(
        api=1, name="reads", title="A reading one", summary="Reads.", family="supervised", needs=Needs(rows=("ranking",)),
        config=QuickConfig, train=f"{__name__}:train", opens=f"{__name__}:Reader", yields=("classify", "embed", "fill"),
    )  # fmt: skip


def train(run: Run) -> dict[str, Any]:
    """Adds the steps up; a resumed one goes on from where it was and says from which step."""
    start, total = 0, 0
    if run.last_checkpoint:
        start, total = json.loads((run.last_checkpoint / "state.json").read_text("utf-8"))
    first = start
    run.state("training", f"from step {start}")
    for step in range(start + 1, run.config.steps + 1):
        if run.stopping and run.config.careful:
            return {}
        total += step
        # told before it is kept: one killed in between repeats the step and loses none
        run.log(step, **{"loss/train": 1 / step})
        with run.checkpoint() as folder:
            (folder / "state.json").write_text(json.dumps([step, total]), "utf-8")
        run.progress(step, run.config.steps)
        time.sleep(run.config.pause)
    _end(run)
    if run.config.ends != "no-model":
        (run.out / "model").mkdir()
        (run.out / "model" / "scale.json").write_text("2", "utf-8")
    if run.config.ends == "odd":
        return {"accuracy/model": float("nan"), "a\x00b": 1.0, "\ud800": 2.0}
    return {"accuracy/model": 0.75, "accuracy/random": 0.5, "total": total, "resumed-from": first}


def train_judged(run: Run) -> dict[str, Any]:
    """Has a judge, where there is one, score two texts, and shows them side by side."""
    judge = run.model("judge")
    numbers = {}
    if judge:
        before, after = judge.score("p", ["short", "rather longer"])
        numbers = {"score/before": before, "score/after": after}
    run.sample("p", "rather longer", before="short", **numbers)
    (run.out / "model").mkdir()
    (run.out / "model" / "scale.json").write_text("2", "utf-8")
    return {"judged": judge is not None, **numbers}


def _end(run: Run) -> None:
    match run.config.ends:
        case "error":
            raise ValueError("the rows are \x00 too odd \ud800 for me")
        case "needs":
            raise NeedsNotMet("it needs more than this")
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "odd":
            noise = [b"no newline at the end", b"\xff\xfe\n", b'{"type": "metric", "step": 1, "values": {"a": NaN}}\n']
            noise += [b'{"type": "sample", "text": "a\\u0000b \\ud800", "prompt": ["\\\\u0000", Infinity], "values": ']
            noise += [b'{"\\u0000": 1, "\\ud800": 2}}\n', b"x" * 2_000_000, b"\n", b"half a line "]
            sys.stdout.buffer.write(b"".join(noise))
            sys.stdout.flush()
            run.log(7, **{"loss/train": 7.0})


class Scorer:
    """Longer answers score higher, but for a few words that make it stumble."""

    def __init__(self, folder: Path) -> None:
        self.scale = int((folder / "scale.json").read_text("utf-8"))

    def score(self, prompt: str, completions: list[str]) -> list[float]:
        print("a model may print what it likes")  # must not stand between the answers
        if "stumble" in prompt:
            raise ValueError("this prompt made me stumble")
        if "die" in prompt:
            os.kill(os.getpid(), signal.SIGKILL)
        if any("endless" in text and len(text) > 30 for text in completions):
            raise ValueError("answer 3 is longer than the 30 letters that this model reads")
        return [float(self.scale * len(text)) for text in completions]


class Writer:
    """Repeats the prompt, once more with each answer."""

    def __init__(self, folder: Path) -> None:
        pass

    def generate(self, prompts: list[str], *, n: int = 1, **_how: Any) -> list[list[str]]:  # noqa: ANN401
        return [[" ".join([prompt] * (place + 1)) for place in range(n)] for prompt in prompts]


class Reader:
    """Knows twelve labels, of which the length of a text chooses one, and fills gaps with numbers."""

    def __init__(self, folder: Path) -> None:
        pass

    def classify(self, texts: list[str]) -> list[dict[str, float]]:
        return [{f"label-{place}": 0.45 if place == len(text) % 12 else 0.05 for place in range(12)} for text in texts]

    def embed(self, texts: list[str]) -> list[list[float]]:
        return [[float(text.count(letter)) for letter in "abc"] for text in texts]

    def fill(self, texts: list[str], n: int = 1) -> list[list[str]]:
        return [[text.replace("___", str(place + 1)) for place in range(n)] for text in texts]
