"""Models at work for the site's pages: a child process stays warm behind a pipe and is let go when nobody asks.

Each web process keeps at most one child, which ends when the pipe from its web process does. The site itself never loads torch.
"""

from __future__ import annotations

import json
import math
import os
import select
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.translation import gettext

from training import preparing
from training.catalogue import environments
from training.catalogue.listing import child_environment
from training.models import Model

START_TIMEOUT = 180.0  # seconds until a model is loaded
ANSWER_TIMEOUT = 120.0
IDLE = 300.0  # seconds after which a warm child is let go


class NoAnswer(Exception):
    """The model did not answer; the text says why."""


class Refused(NoAnswer):
    """The model is at work and refuses what it was asked, for instance a text longer than it reads; `reason` is its own."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(gettext("The model could not answer: %(error)s") % {"error": reason})


@dataclass(frozen=True)
class Judge:
    """A model as best of n knows it: it scores, and refuses by a ValueError. NoAnswer where its process did not answer."""

    model: Model

    def score(self, prompt: Any, completions: Sequence[str]) -> list[float]:  # noqa: ANN401 - a text or messages
        try:
            found = score(model=self.model, prompt=prompt, completions=list(completions))
        except Refused as refusal:
            raise ValueError(refusal.reason) from None
        return [math.nan if value is None else value for value in found]  # what is no number travels as null


@dataclass(frozen=True)
class Servable:
    """What a child can be started for: its string, the folder or string that is opened, and whose Python does it."""

    ref: str
    target: str
    environment: str
    log: Path
    plugins: tuple[str, ...] = ()


def servable(model: Model) -> Servable:
    """What a run left behind. Raises NoAnswer."""
    folder = preparing.folder(model.run) / "model"
    if not (folder / "feinschliff-model.json").is_file():
        raise NoAnswer(gettext("The model's files are not there any more."))
    return Servable(model.ref, str(folder), model.run.environment, folder.parent / "serve.log")


@dataclass
class Warm:
    """One model's process."""

    model: str
    process: subprocess.Popen[bytes]
    used_at: float = field(default_factory=time.monotonic)
    rest: bytes = b""

    def ask(self, message: dict[str, Any] | None, timeout: float) -> dict[str, Any]:
        """Sends a request (None: waits for the greeting) and returns the next line. Raises NoAnswer."""
        try:
            if message is not None and self.process.stdin:
                self.process.stdin.write(json.dumps(message).encode() + b"\n")
                self.process.stdin.flush()
            return json.loads(self._line(timeout))
        except (BrokenPipeError, ValueError):
            raise NoAnswer(
                gettext("The model's process ended. Try again; if it happens again, look at the run's log.")
            ) from None

    def _line(self, timeout: float) -> bytes:
        if self.process.stdout is None:
            raise BrokenPipeError
        pipe = self.process.stdout.fileno()
        end = time.monotonic() + timeout
        while b"\n" not in self.rest:
            ready, _, _ = select.select([pipe], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise NoAnswer(
                    gettext("The model did not answer within %(seconds)s s.") % {"seconds": f"{timeout:.0f}"}
                )
            piece = os.read(pipe, 1 << 16)
            if not piece:
                raise BrokenPipeError
            self.rest += piece
        line, _, self.rest = self.rest.partition(b"\n")
        return line

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()


class WarmModels:
    """The one child of this web process, and the lock around it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._warm: Warm | None = None
        self._timer: threading.Timer | None = None

    def ask(self, model: Servable, verb: str, arguments: dict[str, Any]) -> Any:  # noqa: ANN401 - a verb's result
        """What `verb` returns. Raises NoAnswer."""
        if not self._lock.acquire(timeout=START_TIMEOUT):
            raise NoAnswer(gettext("Others are asking this model right now. Try again in a minute."))
        try:
            warm = self._warm_up(model)
            answer = warm.ask({"id": 1, "verb": verb, "args": arguments}, ANSWER_TIMEOUT)
            warm.used_at = time.monotonic()
            self._let_go_later()
        except NoAnswer:
            self._end()
            raise
        finally:
            self._lock.release()
        if "error" in answer:
            raise Refused(str(answer["error"]))
        return answer["result"]

    def _warm_up(self, model: Servable) -> Warm:
        if self._warm and self._warm.model == model.ref and self._warm.process.poll() is None:
            return self._warm
        self._end()
        self._warm = Warm(model.ref, _start(model))
        self._warm.ask(None, START_TIMEOUT)
        return self._warm

    def _let_go_later(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = threading.Timer(IDLE, self._let_go)
        self._timer.daemon = True
        self._timer.start()

    def _let_go(self) -> None:
        with self._lock:
            if self._warm and time.monotonic() - self._warm.used_at >= IDLE:
                self._end()

    def _end(self) -> None:
        if self._warm:
            self._warm.end()
        self._warm = None


def _start(model: Servable) -> subprocess.Popen[bytes]:
    try:
        python = environments.interpreter(model.environment)
    except environments.EnvironmentUnusable as wrong:
        raise NoAnswer(str(wrong)) from None
    command = [python, "-m", "feinschliff", "serve", model.target]
    command += ["--weights", str(Path(settings.HOME) / "weights")]
    for plugin in model.plugins:
        command += ["--plugin", plugin]
    for folder in settings.LOCAL_MODELS:
        command += ["--local-models", folder]
    model.log.parent.mkdir(parents=True, exist_ok=True)
    with model.log.open("ab") as log:
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, cwd=settings.ROOT,
            env=child_environment(), start_new_session=True,
        )  # fmt: skip


warm_models = WarmModels()


def score(*, model: Model, prompt: str, completions: list[str]) -> list[float]:
    """One score an answer; higher is better. Raises NoAnswer; Refused where one of the answers is not to be scored."""
    return warm_models.ask(servable(model), "score", {"prompt": prompt, "completions": completions})


def write(*, model: Model, prompt: str, n: int, longest: int, temperature: float, seed: int) -> list[str]:
    """`n` answers to a prompt, of at most `longest` tokens. Raises NoAnswer."""
    asked = {"n": n, "max_new_tokens": longest, "temperature": temperature, "seed": seed}
    [texts] = warm_models.ask(servable(model), "generate", {"prompts": [prompt], **asked})
    return list(texts)
