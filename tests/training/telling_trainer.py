"""A trainer that tells of itself all that a run's page can show: curves, samples, log lines, and a failure where asked for."""

import json
import time
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from feinschliff import Needs, Run, Trainer, hookimpl


class TellingConfig(BaseModel):
    model_config = ConfigDict(extra="forbid")

    steps: int = Field(default=20, ge=1, le=10_000, description="How many steps it counts.")
    pause: float = Field(default=0.0, ge=0, le=10, description="Seconds between steps.")
    rate: float = Field(default=0.5, gt=0, le=1, description="How fast its loss falls.")
    fails: bool = Field(default=False, description="Whether it fails after its steps.")


@hookimpl
def feinschliff_trainers() -> Iterator[Trainer]:
    yield Trainer(
        api=1, name="telling", title="A telling one", summary="Tells.", family="human-feedback", config=TellingConfig,
        needs=Needs(rows=("ranking",)), train="tests.training.telling_trainer:train",
        opens="tests.training.quick_trainers:Scorer", yields=("score",), resumable=True,
    )  # fmt: skip


def train(run: Run) -> dict[str, Any]:
    print("\x1b[32mloading\x1b[0m <script>document.title = 'taken'</script>", flush=True)
    run.state("training")
    start = int((run.last_checkpoint / "step").read_text("utf-8")) if run.last_checkpoint else 0
    for step in range(start + 1, run.config.steps + 1):
        if run.stopping:
            return {}
        with run.checkpoint() as folder:
            (folder / "step").write_text(str(step), "utf-8")
        loss = (1 - run.config.rate / 10) ** step
        run.log(step, **{"loss/train": loss, "loss/heldout": loss * 1.2, "accuracy/heldout": 1 - loss / 2})
        run.progress(step, run.config.steps)
        if step % 5 == 0:
            print(f"step {step} done", flush=True)
            run.table("By length", ["Length", "Accuracy"], [["short", step / 100], ["long", None]], note="A note.")
            run.plot("Reliability", {"model": [(0.1, 0.2), (0.9, step / 100)]}, x="said", y="was", kind="points")
            run.matrix("Animals", ["cat", "dog"], [[step, 1], [0, 3]])
            for prompt in ("Why is the sky blue?", "Wie kocht man Reis?"):
                run.sample(prompt, f"After {step} steps I know <b>{step}</b> words.", score=step / 10)
            after = f"It is blue {step} times."
            run.sample("What colour?", after, before="It is green.", **{"score/before": 0.0, "score/after": step / 10})
        time.sleep(run.config.pause)
    if run.config.fails:
        raise ValueError("the rows are too odd for me")
    (run.out / "model").mkdir()
    (run.out / "model" / "scale.json").write_text(json.dumps(2), "utf-8")
    return {"accuracy/model": 1 - loss / 2, "loss/heldout": loss * 1.2}
