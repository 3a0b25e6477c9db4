"""Trackio: the project named by TRACKIO_PROJECT, on this machine or where TRACKIO_SPACE_ID or TRACKIO_SERVER_URL says.

Needs the package `trackio`. A Space that it has to make is made private.
"""

from __future__ import annotations

import os
from typing import Any

from training.loggers.hearing import Message, as_text, facts, final_numbers, main, needed, say


class Trackio:
    def __init__(self) -> None:
        self._trackio = needed("trackio")
        self._run: Any = None
        self._step = 0

    def begin(self, about: Message) -> None:
        project = os.environ.get("TRACKIO_PROJECT") or about["project"]
        self._run = self._trackio.init(
            project=project, name=about["id"], resume="allow", config=facts(about), private=True, embed=False,
            auto_log_gpu=False, auto_log_cpu=False,
        )  # fmt: skip
        where = os.environ.get("TRACKIO_SPACE_ID") or "this machine (`trackio show`)"
        say(f"project {project} on {where}")

    def hear(self, messages: list[Message]) -> None:
        for message in messages:
            step = message["step"]
            self._step = max(self._step, step)
            if message["type"] == "metric":
                self._run.log(message["values"], step=step)
            else:
                row = {"prompt": as_text(message["prompt"]), "text": message["text"], **message["values"]}
                self._run.log({"samples": self._trackio.Table(columns=list(row), data=[list(row.values())])}, step=step)

    def end(self, message: Message) -> None:
        numbers = final_numbers(message)
        if numbers:
            self._run.log(numbers, step=self._step)
        self._run.finish()


if __name__ == "__main__":
    main(Trackio)
