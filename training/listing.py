"""Knows which trainers and model sources there are, without ever importing one.

A child process lists them (`python -m feinschliff list`) and answers in JSON; the answer is kept in a file until what is
installed changes. A plugin that crashes the child costs its listing, never the site.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from django.conf import settings

from feinschliff import launcher

TIMEOUT = 60  # seconds; a listing takes about one


class ListingFailed(Exception):
    """The child that lists plugins did not answer; the text says why."""


@dataclass(frozen=True)
class Listing:
    """What is installed: trainers and model sources by name, and who was refused."""

    trainers: dict[str, dict[str, Any]]
    sources: list[dict[str, Any]]
    refusals: list[dict[str, str]]

    def model_strings(self) -> list[str]:
        """Base models that are at hand here and now."""
        return [ref for source in self.sources for ref in source["suggests"]]


def listing() -> Listing:
    """What is installed now. Raises ListingFailed."""
    found = _cached(_fingerprint())
    return Listing(
        trainers={trainer["name"]: trainer for trainer in found["trainers"]},
        sources=found["models"],
        refusals=found["refusals"],
    )


@lru_cache(maxsize=1)
def _cached(fingerprint: str) -> dict[str, Any]:
    path = Path(settings.HOME) / "cache" / "plugins.json"
    try:
        kept = json.loads(path.read_text("utf-8"))
        if kept["fingerprint"] == fingerprint:
            return kept["listing"]
    except (OSError, ValueError, KeyError):
        pass
    found = _ask_child()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".plugins.{os.getpid()}.json")
    draft.write_text(json.dumps({"fingerprint": fingerprint, "listing": found}), "utf-8")
    draft.replace(path)
    return found


def _fingerprint() -> str:
    """Changes when a distribution comes, goes or changes its version, or a built-in's file is edited."""
    parts = [sys.executable, *settings.BUILTIN_PLUGINS]
    parts += sorted(f"{d.metadata['Name']} {d.version} {d.locate_file('')}" for d in metadata.distributions())
    for folder in ("plugins", "platform/feinschliff"):
        parts += sorted(f"{p} {p.stat().st_mtime_ns}" for p in (Path(settings.ROOT) / folder).rglob("*.py"))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _ask_child() -> dict[str, Any]:
    command = [sys.executable, "-m", "feinschliff", "list"]
    for plugin in settings.BUILTIN_PLUGINS:
        command += ["--plugin", plugin]
    try:
        answer = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            cwd=settings.ROOT,
            env=child_environment(),
            check=False,
        )
        return json.loads(answer.stdout.strip().splitlines()[-1])
    except subprocess.TimeoutExpired:
        raise ListingFailed(f"Listing the plugins took longer than {TIMEOUT} s. One of them hangs at import.") from None
    except (IndexError, json.JSONDecodeError):
        last = (answer.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise ListingFailed(f"Listing the plugins failed (exit {answer.returncode}): {last[:300]}") from None


def child_environment() -> dict[str, str]:
    """What a child may know of us: no database, no keys."""
    return launcher.child_environment(os.environ)
