"""Weights & Biases, with WANDB_API_KEY, or into files with WANDB_MODE=offline. Needs the package `wandb`.

The run's own step is the x axis of every chart, rather than W&B's: that one may only grow, and an attempt after the first
reports some steps again.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from typing import Any

from training.loggers.hearing import Message, Trouble, as_text, final_numbers, main, needed, say

STEP = "step"
SAMPLES = 1000
#: nothing about this machine, its packages or its code goes out; the run's own facts do
QUIET: dict[str, Any] = {
    "console": "off",
    "disable_git": True,
    "save_code": False,
    "x_disable_stats": True,
    "x_disable_meta": True,
    "x_disable_machine_info": True,
    "x_save_requirements": False,
}


class WeightsAndBiases:
    def __init__(self) -> None:
        self._wandb = needed("wandb")
        self._run: Any = None
        self._samples: deque[Message] = deque(maxlen=SAMPLES)

    def begin(self, about: Message) -> None:
        wandb = self._wandb
        self._attempt = about["attempt"]
        try:
            self._run = wandb.init(
                project=os.environ.get("WANDB_PROJECT") or about["project"],
                id=about["id"],
                name=about["name"],
                resume="allow",
                job_type="train",
                tags=[about["trainer"][:64]],
                config={name: value for name, value in about.items() if name not in ("type", "at", "id", "name")},
                dir=os.environ.get("WANDB_DIR") or sys.argv[1],
                settings=wandb.Settings(**{name: QUIET[name] for name in QUIET if name in wandb.Settings.model_fields}),
            )
        except (wandb.Error, ValueError) as wrong:
            raise Trouble(f"W&B refuses: {str(wrong).splitlines()[0]}") from None
        self._run.define_metric(STEP)
        self._run.define_metric("*", step_metric=STEP)
        say(self._run.url or f"writes to {self._run.dir}; `wandb sync --append` sends it")

    def hear(self, messages: list[Message]) -> None:
        for message in messages:
            if message["type"] == "sample":
                self._samples.append(message)
            else:
                self._run.log({STEP: message["step"], "attempt": self._attempt, **message["values"]})

    def end(self, message: Message) -> None:
        if self._samples:
            names = sorted({name for one in self._samples for name in one["values"]})
            rows = [
                [one["step"], as_text(one["prompt"]), one["text"], *(one["values"].get(name) for name in names)]
                for one in self._samples
            ]
            self._run.log({"samples": self._wandb.Table(columns=["step", "prompt", "text", *names], data=rows)})
        summary = {**final_numbers(message), "state": message["state"]}
        if message.get("error"):
            summary["error"] = message["error"]
        self._run.summary.update(summary)
        self._run.config.update({"versions": message.get("versions") or {}}, allow_val_change=True)
        if message["state"] in ("queued", "lost"):
            self._run.mark_preempting()  # it goes on, by the next attempt
        self._run.finish(exit_code=0 if message["state"] == "succeeded" else 1)


if __name__ == "__main__":
    main(WeightsAndBiases)
