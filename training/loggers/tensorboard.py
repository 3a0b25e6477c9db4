"""TensorBoard: event files in `<TENSORBOARD_LOGDIR>/<project>-run-<id>-<mark>/`. Needs no package; `tensorboard` shows them."""

from __future__ import annotations

import os
import re
import zlib
from pathlib import Path

from training.loggers.event_file import EventFile
from training.loggers.hearing import Message, Trouble, as_text, facts, final_numbers, main, say


class TensorBoard:
    def __init__(self) -> None:
        place = os.environ.get("TENSORBOARD_LOGDIR") or os.environ["TENSORBOARD_LOGGING_DIR"]
        if "://" in place:
            raise Trouble("TENSORBOARD_LOGDIR must name a folder; addresses are not written to")
        self._top = Path(place).expanduser().absolute()
        self._file: EventFile | None = None
        self._step = 0

    def begin(self, about: Message) -> None:
        folder = self._top / about["id"]
        try:
            self._file = EventFile(folder)
        except OSError as wrong:
            raise Trouble(f"the folder {folder} cannot be written ({wrong.strerror})") from None
        self._restarts = self._file.continues
        rows = "".join(f"| {name} | {_cell(value)} |\n" for name, value in facts(about).items())
        self._file.text(0, "run", f"| | |\n|---|---|\n{rows}", about["at"])
        self._file.flush()
        say(f"writes to {folder}")

    def hear(self, messages: list[Message]) -> None:
        file = self._open()
        for message in messages:
            if self._restarts:
                file.restart(message["step"], message["at"])
                self._restarts = False
            self._step = max(self._step, message["step"])
            if message["type"] == "metric":
                file.scalars(message["step"], message["values"], message["at"])
            else:
                prompt = as_text(message["prompt"])
                text = f"{_verbatim(prompt)}\n\n**→**\n\n{_verbatim(message['text'])}"
                file.text(message["step"], f"samples/{_tag(prompt)}", text, message["at"])
        file.flush()

    def end(self, message: Message) -> None:
        file = self._open()
        numbers = final_numbers(message)
        if numbers:
            file.scalars(self._step, numbers, message["at"])
        said = [message["state"], message.get("error", "")]
        said += [f"{name} {version}" for name, version in (message.get("versions") or {}).items()]
        file.text(self._step, "end", "\n\n".join(_verbatim(line) for line in said if line), message["at"])
        file.close()

    def _open(self) -> EventFile:
        assert self._file is not None, "begin comes first"  # noqa: S101
        return self._file


def _verbatim(text: str) -> str:
    """As a code block: TensorBoard reads Markdown, and what a model wrote is to be seen as it is."""
    return "\n".join(f"    {line}" for line in text.splitlines())


def _cell(value: object) -> str:
    return re.sub(r"([\\|`<>\[\]*_])", r"\\\1", " ".join(str(value).split()))


def _tag(prompt: str) -> str:
    """The same for the same prompt, so that its samples stand over the steps."""
    words = re.sub(r"\W+", "-", prompt[:40]).strip("-").lower()
    return f"{words or 'prompt'}-{zlib.crc32(prompt.encode('utf-8', 'replace')):08x}"


if __name__ == "__main__":
    main(TensorBoard)
