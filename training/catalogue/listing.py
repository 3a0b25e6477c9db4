"""Knows which trainers and model sources there are, without ever importing one.

A child process a place (the site's Python, and the environment of each plugin that has one) lists them and answers in JSON
(`python -m feinschliff list`); the answer is kept in a file until what is installed there changes. No plugin can hurt the site.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.translation import gettext

from feinschliff import launcher
from feinschliff.listing import join
from training.catalogue.environments import Environment, distributions, environments

TIMEOUT = 60  # seconds; a listing takes about one, and gives up plugins that hang much earlier


class ListingFailed(Exception):
    """The child that lists plugins did not answer; the text says why."""


@dataclass(frozen=True)
class Listing:
    """What is installed: plugins, trainers by name and model sources, and who was refused.

    Each says its `environment`; it is empty for what is installed beside the site.
    """

    plugins: list[dict[str, Any]] = field(default_factory=list)
    trainers: dict[str, dict[str, Any]] = field(default_factory=dict)
    sources: list[dict[str, Any]] = field(default_factory=list)
    refusals: list[dict[str, str]] = field(default_factory=list)

    def model_strings(self, environment: str = "") -> list[str]:
        """Base models that are at hand here and now, for trainers of this environment."""
        return [ref for source in self.sources_for(environment) for ref in source["suggests"]]

    def sources_for(self, environment: str) -> list[dict[str, Any]]:
        """The site's, which every run can import, and those of the environment."""
        return [source for source in self.sources if source["environment"] in ("", environment)]


def listing() -> Listing:
    """What is installed now. Raises ListingFailed."""
    found = join(_places(environments()))
    return Listing(
        plugins=found["plugins"],
        trainers={trainer["name"]: trainer for trainer in found["trainers"]},
        sources=found["models"],
        refusals=found["refusals"],
    )


def forget() -> None:
    """What was kept is asked again: for a plugin that was mended in its place, or could not be reached for a while."""
    with _lock:
        _answers.clear()
        for path in _cache("").parent.glob("plugins*.json"):
            path.unlink(missing_ok=True)


def of_environment(one: Environment) -> dict[str, list[dict[str, Any]]]:
    """What an environment, also one that is just being made, brings beside all others."""
    others = [other for other in environments() if other.slug != one.slug]
    found = join(_places([*others, one]))
    return {kind: [entry for entry in found[kind] if entry["environment"] == one.slug] for kind in _MARKED}


def _places(all_of_them: list[Environment]) -> list[dict[str, Any]]:
    """What the site's own Python lists, which takes its names first, and then each environment."""
    fingerprint = _fingerprint()
    own = _marked(_kept("", sys.executable, fingerprint), "")
    return [own, *(_of_environment(one, fingerprint) for one in all_of_them)]


def _of_environment(one: Environment, fingerprint: str) -> dict[str, Any]:
    """A fault of an environment costs its own plugins alone."""
    try:
        if one.fault:
            raise ListingFailed(one.fault)
        return _marked(_kept(one.slug, str(one.python), fingerprint + one.fingerprint()), one.slug)
    except ListingFailed as wrong:
        refusal = {"plugin": one.slug, "reason": str(wrong), "author": "whoever runs this site"}
        return _marked(join([]) | {"refusals": [refusal]}, one.slug)


_MARKED = ("plugins", "trainers", "models", "launchers", "refusals")


def _marked(found: dict[str, Any], environment: str) -> dict[str, Any]:
    return {kind: [{**entry, "environment": environment} for entry in found[kind]] for kind in _MARKED}


_answers: dict[Path, tuple[str, dict[str, Any]]] = {}
_lock = threading.Lock()


def _kept(environment: str, python: str, fingerprint: str) -> dict[str, Any]:
    """The answer kept in this process, or in a file by another one, or else the child's. One child a process at a time."""
    path = _cache(environment)
    with _lock:
        if _answers.get(path, ("",))[0] != fingerprint:
            _answers[path] = (fingerprint, _read(path, fingerprint) or _ask(python, environment, path, fingerprint))
        return _answers[path][1]


def _cache(environment: str) -> Path:
    return Path(settings.HOME) / "cache" / (f"plugins-{environment}.json" if environment else "plugins.json")


def _read(path: Path, fingerprint: str) -> dict[str, Any] | None:
    try:
        kept = json.loads(path.read_text("utf-8"))
        return dict(kept["listing"]) if kept["fingerprint"] == fingerprint else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _ask(python: str, environment: str, path: Path, fingerprint: str) -> dict[str, Any]:
    found = _ask_child(python, [] if environment else settings.BUILTIN_PLUGINS)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.stem}.{os.getpid()}.json")
    draft.write_text(json.dumps({"fingerprint": fingerprint, "listing": found}), "utf-8")
    draft.replace(path)
    return found


def _fingerprint() -> str:
    """Changes when a distribution comes, goes or is installed again, or a built-in's file is edited."""
    parts = [sys.executable, *settings.BUILTIN_PLUGINS]
    parts += distributions(*sys.path, *os.environ.get("PYTHONPATH", "").split(os.pathsep))
    for folder in ("plugins", "platform/feinschliff"):
        parts += sorted(f"{p} {p.stat().st_mtime_ns}" for p in (Path(settings.ROOT) / folder).rglob("*.py"))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _ask_child(python: str, builtins: list[str]) -> dict[str, Any]:
    command = [python, "-m", "feinschliff", "list", *(word for name in builtins for word in ("--plugin", name))]
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=settings.ROOT, env=child_environment(), start_new_session=True,
    )  # fmt: skip
    try:
        out, err = child.communicate(timeout=TIMEOUT)
        return dict(json.loads(out.strip().splitlines()[-1]))
    except subprocess.TimeoutExpired:
        raise ListingFailed(
            gettext("Listing the plugins took longer than %(seconds)s s.") % {"seconds": TIMEOUT}
        ) from None
    except (IndexError, ValueError):
        last = (err.strip().splitlines() or [gettext("it printed nothing")])[-1]
        raise ListingFailed(
            gettext("Listing the plugins failed (exit %(code)s): %(last)s")
            % {"code": child.returncode, "last": last[:300]}
        ) from None
    finally:
        with suppress(ProcessLookupError):  # whatever a plugin started at import ends with its listing
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        for pipe in (child.stdout, child.stderr):
            if pipe:
                pipe.close()


def child_environment() -> dict[str, str]:
    """What a child may know of us: no database, no keys."""
    return launcher.child_environment(os.environ)


def title_of(trainer: Mapping[str, Any]) -> str:
    """Its title in the reader's language, where our catalogues know it; a third party's stays as it is."""
    title = str(trainer["title"])
    return gettext(title)
