"""Which trainer does an author mean, with which settings and models? The first half of `python -m feinschliff try`.

Asks a child process what the plugins offer, as the platform does; nothing of a plugin is imported here.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feinschliff.finding import Found, NotFound, find, importing

TINY = {"generate": "tiny:causal", "embed": "tiny:encoder"}  # what fills a role where a plugin brings `tiny:`


class NotTried(ValueError):
    """Why nothing was trained; the message says what would be right."""


@dataclass(frozen=True)
class Wish:
    """What a person typed."""

    what: str
    rows: Path
    heldout: Path | None
    settings: list[str]
    models: list[str]
    out: Path | None
    seed: int
    plugins: list[str]
    weights: Path
    local_models: list[Path]


@dataclass(frozen=True)
class Chosen:
    """The trainer that is meant, as it is listed, and how its child gets at it."""

    about: dict[str, Any]
    modules: list[str]
    paths: tuple[str, ...]
    schemes: list[str]


def choose(wish: Wish) -> Chosen:
    """The one trainer that `what` names, by its own name or by its plugin's."""
    more = [find(plugin) for plugin in wish.plugins]
    try:
        meant: Found | None = find(wish.what)
    except NotFound:
        if os.sep in wish.what or wish.what.endswith(".py"):
            raise
        meant = None  # the name of a trainer, perhaps
    found = [*more, meant] if meant and meant not in more else more
    modules = list(dict.fromkeys(module for one in found for module in one.modules))
    paths = tuple(path for one in found for path in one.paths)
    listing = _listing(modules, paths)
    ours = [one for one in listing["trainers"] if one["name"] == wish.what or (meant and one["plugin"] == meant.name)]
    if not ours:
        refused = [one for one in listing["refusals"] if not meant or one["plugin"] == meant.name]
        told = "; ".join(f"{one['plugin']} is refused: {one['reason']}" for one in refused)
        names = ", ".join(one["name"] for one in listing["trainers"]) or "none"
        none = (
            f"the plugin {wish.what!r} offers no trainer" if meant else f"no plugin and no trainer {wish.what!r} here"
        )
        raise NotTried(f"{told or none}; trainers here: {names}; nothing was done")
    if len(ours) > 1:
        names = ", ".join(one["name"] for one in ours)
        raise NotTried(
            f"{wish.what} offers several trainers: {names}; name one, as in `try {ours[0]['name']} --plugin {wish.what}`; "
            "nothing was done"
        )
    return Chosen(ours[0], modules, paths, [name for source in listing["models"] for name in source["schemes"]])


def _listing(modules: list[str], paths: tuple[str, ...]) -> dict[str, Any]:
    arguments = [f"--plugin={module}" for module in modules]
    listed = subprocess.run(
        [sys.executable, "-m", "feinschliff", "list", *arguments],
        env=importing(os.environ, paths),
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        found: dict[str, Any] = json.loads(listed.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        said = " | ".join(listed.stderr.splitlines()[-3:]) or f"exit status {listed.returncode}"
        raise NotTried(f"the plugins cannot be listed: {said}") from None
    return found


def settings(given: list[str], about: dict[str, Any]) -> dict[str, Any]:
    known = about["schema"].get("properties", {})
    found: dict[str, Any] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or name not in known:
            raise NotTried(
                f"--set {one}: settings of {about['name']} are {', '.join(known) or 'none'}; nothing was done"
            )
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def models(wish: Wish, chosen: Chosen) -> dict[str, str]:
    roles = chosen.about["needs"]["models"]
    found: dict[str, str] = {}
    for one in wish.models:
        role, equals, ref = one.partition("=")
        if not equals or role not in roles:
            raise NotTried(
                f"--model {one}: the roles are {', '.join(roles) or 'none'}, as in role=MODEL; nothing was done"
            )
        found[role] = str(Path(ref).resolve()) if Path(ref).is_dir() else ref
    for role, verb in roles.items():
        if role not in found and verb in TINY and "tiny" in chosen.schemes:
            found[role] = TINY[verb]
        if role not in found:
            raise NotTried(
                f"the role {role!r} needs a model that can {verb}: --model {role}=MODEL (a finished run's model folder, or a "
                "string of a plugin named by --plugin, such as plugins.base_models of Feinschliff itself); nothing was done"
            )
    return found
