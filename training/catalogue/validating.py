"""Asks a plugin's own Python whether its trainer takes settings: rules over several of them stand in no JSON Schema.

Stands before a launch. The child fills the settings in as the run's own would (`python -m feinschliff.filling`), in the
environment that the run would have, and takes half a second; the site never imports a trainer.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from django.conf import settings

from training.catalogue import environments
from training.catalogue.listing import child_environment

Told = tuple[tuple[str, str], ...]
TIMEOUT = 20  # seconds
REMEMBERED = 60  # seconds; the plugin may be mended since


def refused(trainer: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, str]:
    """Setting -> what is wrong with it, by the trainer's own rules; "" for what is wrong with all of them together.

    `trainer` is its listing. Nothing where it has no rules, or where it does not answer: the run will say it then.
    """
    return dict(_answer(trainer, config).faults)


def warned(trainer: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, str]:
    """Setting -> what the trainer's own rules find odd about it, though a run would take it; "" for all of them together."""
    return dict(_answer(trainer, config).warnings)


class Answer(NamedTuple):
    faults: Told = ()
    warnings: Told = ()


def _answer(trainer: Mapping[str, Any], config: Mapping[str, Any]) -> Answer:
    if not trainer.get("validates"):
        return Answer()
    question = {"trainer": trainer["name"], "config": config, "entry_points": [trainer["plugin"]]}
    environment = trainer.get("environment", "")
    question["plugins"] = [] if environment else settings.BUILTIN_PLUGINS
    return _asked(environment, json.dumps(question, sort_keys=True), int(time.monotonic() // REMEMBERED))


@lru_cache(maxsize=200)
def _asked(environment: str, question: str, _time: int) -> Answer:
    try:
        answer = subprocess.run(
            [environments.interpreter(environment), "-m", "feinschliff.filling"], input=question, capture_output=True,
            text=True, timeout=TIMEOUT, cwd=settings.ROOT, env=child_environment(), check=False,
        )  # fmt: skip
        told = json.loads(answer.stdout.strip().splitlines()[-1])
        faults = told.get("faults") or ({"": told["error"]} if "error" in told else {})
        return Answer(_pairs(faults), _pairs(told.get("warnings") or {}))
    except (
        environments.EnvironmentUnusable,
        subprocess.TimeoutExpired,
        OSError,
        ValueError,
        IndexError,
        AttributeError,
    ):
        return Answer()


def _pairs(told: Mapping[str, Any]) -> Told:
    return tuple((str(name), str(said)) for name, said in told.items())
