"""The logger's end of the pipe: a process that hears one attempt at a run, line by line, and passes it on.

It knows neither Django nor the database. It ends when the pipe closes, and with the worker, however that one ends.
"""

from __future__ import annotations

import fcntl
import importlib
import importlib.util
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from training.loggers.feeding import LAST, SAID_ITSELF, SAYS, TROUBLE

Message = dict[str, Any]
#: what of a run is told by its own name
FACTS = (
    "page", "project", "run", "trainer", "trainer_version", "plugin", "seed", "ranks", "snapshot", "rows", "launched_from",
)  # fmt: skip
PATIENCE = LAST + 10  # seconds for the logger of the attempt before to end


class Trouble(Exception):
    """This logger cannot go on; the text is for people."""


class Logger(Protocol):
    """What a logger does with what it hears. Whatever it raises ends this logger and nothing else."""

    def begin(self, about: Message) -> None: ...

    def hear(self, messages: list[Message]) -> None:
        """What came in together: metrics (`step`, `values`) and samples (`step`, `prompt`, `text`, `values`)."""

    def end(self, message: Message) -> None:
        """How the attempt ended: `state`, and where they are known `numbers`, `error`, `versions`."""


def say(sentence: str) -> None:
    """A note for the run's page: where its numbers go, say."""
    sys.stdout.write(f"{SAYS}{' '.join(sentence.split())}\n")


def trouble(sentence: str) -> None:
    """One sentence about what went wrong, while this logger goes on."""
    sys.stdout.write(f"{TROUBLE}{' '.join(sentence.split())[:2000]}\n")


def needed(package: str) -> Any:  # noqa: ANN401 - a module of others, which we do not depend on
    """The imported package. Raises Trouble when it is not installed."""
    if importlib.util.find_spec(package) is None:
        raise Trouble(f"the package {package} is not installed where the worker runs (pip install {package})")
    return importlib.import_module(package)


def main(make: Callable[[], Logger]) -> None:
    """Called by `python -m training.loggers.NAME FOLDER`."""
    from feinschliff.child import die_with_parent

    die_with_parent()
    os.nice(10)  # whatever it does, the run comes first
    stream = os.dup(0)  # not inherited by what this process starts
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    try:
        with Path(sys.argv[1], f".loggers.{_name()}.lock").open("w") as lock:
            _wait_for(lock.fileno())
            _pass_on(stream, make)
    except Trouble as wrong:
        trouble(str(wrong))
        sys.exit(SAID_ITSELF)
    except Exception as wrong:
        traceback.print_exc()
        trouble(f"{type(wrong).__name__}: {wrong}".splitlines()[0])
        sys.exit(SAID_ITSELF)


def _name() -> str:
    spec = sys.modules["__main__"].__spec__
    return spec.name.rpartition(".")[2] if spec else "logger"


def _pass_on(stream: int, make: Callable[[], Logger]) -> None:
    logger = make()
    for messages in _batches(stream):
        told: list[Message] = []
        for message in messages:
            if message["type"] == "begin":
                logger.begin(message)
            elif message["type"] == "end":
                logger.hear(told)
                return logger.end(message)
            else:
                told.append(message)
        if told:
            logger.hear(told)
    return logger.end(
        {"type": "end", "at": time.time(), "state": "lost"}
    )  # the worker is gone, or has given the run away


def _batches(stream: int) -> Iterator[list[Message]]:
    """The messages that are there together."""
    rest = b""
    while piece := os.read(stream, 1 << 16):
        *lines, rest = (rest + piece).split(b"\n")
        yield [json.loads(line) for line in lines]


def _wait_for(lock: int) -> None:
    """One logger of a kind for one run: the one of the attempt before may still be sending its last."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise Trouble("the logger of the attempt before did not end; nothing is sent") from None
            time.sleep(0.05)


def as_text(prompt: object) -> str:
    """A prompt, a string or messages, as one text."""
    if isinstance(prompt, str):
        return prompt
    if isinstance(prompt, list) and all(isinstance(one, dict) and "content" in one for one in prompt):
        return "\n".join(f"{one.get('role', '')}: {one['content']}" for one in prompt)
    return json.dumps(prompt, ensure_ascii=False)


def facts(about: Message) -> dict[str, str | int | float | bool]:
    """Everything known of a run beforehand, flat: its config under `config/`, its models under `model/`."""
    flat: dict[str, Any] = {name: about[name] for name in FACTS if about.get(name) not in (None, "")}
    flat |= {f"config/{name}": value for name, value in about["config"].items()}
    flat |= {f"model/{role}": ref for role, ref in about["models"].items() if ref}
    return {
        name: value if isinstance(value, str | int | float | bool) else json.dumps(value, ensure_ascii=False)
        for name, value in flat.items()
    }


def final_numbers(message: Message) -> dict[str, float]:
    """What a run ended with, as far as it is numbers."""
    found = (message.get("numbers") or {}).items()
    return {name: value for name, value in found if isinstance(value, int | float) and not isinstance(value, bool)}
