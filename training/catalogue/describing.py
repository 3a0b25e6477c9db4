"""Asks what a base model can and how large it is, of a child process, and remembers the answer for a while.

Stands before a launch. The child reads configs and headers of weights (`python -m feinschliff describe`) and takes a
quarter of a second; nothing is fetched and no weights are loaded.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from django.conf import settings

from training import preparing
from training.catalogue import environments
from training.catalogue.listing import child_environment
from training.models import Run

TIMEOUT = 20  # seconds
REMEMBERED = 60  # seconds; a model of the hub may have been fetched since


@dataclass(frozen=True)
class About:
    """What a model can and how large it is: no verbs, 0 parameters: not known. `error`: why it cannot be opened."""

    verbs: tuple[str, ...] = ()
    parameters: int = 0
    disk_bytes: int = 0
    error: str = ""


def about(ref: str, environment: str = "") -> About:
    """What is known of a model string (`run:3` included) whose form was checked, for trainers of this environment."""
    return _asked(ref, environment, int(time.monotonic() // REMEMBERED))


#: what base models that were looked at can; it does not change while they are there
_verbs: dict[tuple[str, str], tuple[str, ...]] = {}


def able(refs: Sequence[str], verb: str, *, environment: str = "") -> list[str]:
    """Those that have a verb; one that does not tell what it can is given the benefit of the doubt."""
    with ThreadPoolExecutor(max_workers=4) as asking:  # a child process each, the first time
        can = asking.map(lambda ref: verb in (_known(ref, environment) or (verb,)), refs)
    return [ref for ref, may in zip(refs, can, strict=True) if may]


def _known(ref: str, environment: str) -> tuple[str, ...]:
    if (ref, environment) not in _verbs and (verbs := about(ref, environment).verbs):
        _verbs[ref, environment] = verbs
    return _verbs.get((ref, environment), ())


@lru_cache(maxsize=200)
def _asked(ref: str, environment: str, _time: int) -> About:
    try:
        python = environments.interpreter(environment)
    except environments.EnvironmentUnusable as wrong:
        return About(error=str(wrong))
    what = str(preparing.folder(Run(pk=int(ref[4:]))) / "model") if ref.startswith("run:") else ref
    command = [python, "-m", "feinschliff", "describe", "--weights", str(Path(settings.HOME) / "weights")]
    for plugin in settings.BUILTIN_PLUGINS:
        command += ["--plugin", plugin]
    for folder in settings.LOCAL_MODELS:
        command += ["--local-models", folder]
    try:
        answer = subprocess.run(
            [*command, "--", what], capture_output=True, text=True, timeout=TIMEOUT, cwd=settings.ROOT,
            env=child_environment(), check=False,
        )  # fmt: skip
        if answer.returncode == 1:
            return About(error=(answer.stderr.strip().splitlines() or [""])[-1].removeprefix("feinschliff: ")[:500])
        told = json.loads(answer.stdout.strip().splitlines()[-1])
        return About(tuple(told["verbs"]), int(told["parameters"]), int(told["disk_bytes"]))
    except (subprocess.TimeoutExpired, OSError, ValueError, KeyError, IndexError, TypeError):
        return About()  # a source that crashes when asked is as good as one that does not know
