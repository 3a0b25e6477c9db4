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

from feinschliff.filling import meant, unknown
from feinschliff.finding import Found, NotFound, find, importing, installed, is_path
from feinschliff.trainer import roles_from

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
    """The one trainer that `what` names: a trainer or plugin that is installed, else a module, else a file or folder."""
    more = [find(plugin) for plugin in wish.plugins]
    if not is_path(wish.what) and (more or installed()):
        look = _looked_up(more)
        named = [one for one in look.listing["trainers"] if one["name"] == wish.what]
        if named:
            return look.chosen(named[0])
    try:
        there: Found | None = find(wish.what)
    except NotFound:
        if is_path(wish.what):
            raise
        there = None
    look = _looked_up([*more, there] if there and there not in more else more)
    ours = [one for one in look.listing["trainers"] if there and one["plugin"] == there.name]
    if not ours:
        raise _none(wish.what, there, look.listing)
    if len(ours) > 1:
        names = ", ".join(one["name"] for one in ours)
        raise NotTried(
            f"{wish.what} offers several trainers: {names}; name one, as in `try {ours[0]['name']} --plugin {wish.what}`; "
            "nothing was done"
        )
    return look.chosen(ours[0])


@dataclass(frozen=True)
class _Look:
    """What is listed with some plugins loaded."""

    modules: list[str]
    paths: tuple[str, ...]
    listing: dict[str, Any]

    def chosen(self, about: dict[str, Any]) -> Chosen:
        schemes = [name for source in self.listing["models"] for name in source["schemes"]]
        return Chosen(about, self.modules, self.paths, schemes)


def _looked_up(found: list[Found]) -> _Look:
    modules = list(dict.fromkeys(module for one in found for module in one.modules))
    paths = tuple(path for one in found for path in one.paths)
    return _Look(modules, paths, _listing(modules, paths))


def _none(what: str, there: Found | None, listing: dict[str, Any]) -> NotTried:
    """Why there is no trainer of that name."""
    refused = [one for one in listing["refusals"] if not there or one["plugin"] == there.name]
    names = [one["name"] for one in listing["trainers"]]
    if refused:
        told = "; ".join(f"{one['plugin']} is refused: {one['reason']}" for one in refused)
    elif there:
        told = f"the plugin {what!r} offers no trainer"
    else:
        told = (
            f"no plugin and no trainer {what!r} is installed here{meant(what, names)}; install it (pip install -e . in its "
            "folder), or name a module or folder (try . in it)"
        )
    return NotTried(f"{told}; trainers here: {', '.join(names) or 'none'}; nothing was done")


def _listing(modules: list[str], paths: tuple[str, ...]) -> dict[str, Any]:
    arguments = [f"--plugin={module}" for module in modules]
    return _ask(["feinschliff", "list", *arguments], paths, "", "the plugins cannot be listed")


def _ask(module: list[str], paths: tuple[str, ...], question: str, cannot: str) -> dict[str, Any]:
    """The JSON in the last line that a child process of ours prints."""
    done = subprocess.run(
        [sys.executable, "-m", *module],
        env=importing(os.environ, paths),
        input=question,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        said = " | ".join(done.stderr.splitlines()[-3:]) or f"exit status {done.returncode}"
        raise NotTried(f"{cannot}: {said}") from None
    return found


def settings(given: list[str], chosen: Chosen) -> dict[str, Any]:
    """All settings, those that were given and the defaults of the rest; a child process of the plugin checks them."""
    known = list(chosen.about["schema"].get("properties", {}))
    found: dict[str, Any] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if name not in known:
            raise NotTried(f"--set {one}: {unknown(name, known)}; nothing was done")
        if not equals:
            raise NotTried(f"--set {one}: =VALUE is missing, as in --set {one}=...; nothing was done")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return _filled(found, chosen) if known else found


def _filled(given: dict[str, Any], chosen: Chosen) -> dict[str, Any]:
    asked = {"plugins": chosen.modules, "trainer": chosen.about["name"], "config": given}
    answer = _ask(["feinschliff.filling"], chosen.paths, json.dumps(asked), "its settings cannot be read")
    if "error" in answer:
        raise NotTried(f"{answer['error']}; nothing was done")
    whole: dict[str, Any] = answer["config"]
    return whole


def models(wish: Wish, chosen: Chosen, kind: str) -> dict[str, str]:
    """Role -> model of those that were named, with tiny ones in roles that must be filled and were not.

    `kind` is that of the rows: a role may ask another verb for it.
    """
    needed, roles = (roles_from(chosen.about["needs"], kind, optional=optional) for optional in (False, True))
    found: dict[str, str] = {}
    for one in wish.models:
        role, equals, ref = one.partition("=")
        if not equals or role not in roles:
            raise NotTried(
                f"--model {one}: the roles are {', '.join(roles) or 'none'}{meant(role, roles)}, as in role=MODEL; "
                "nothing was done"
            )
        found[role] = str(Path(ref).resolve()) if Path(ref).is_dir() else ref
    for role, verb in needed.items():
        if role not in found and verb in TINY and "tiny" in chosen.schemes:
            found[role] = TINY[verb]
        if role not in found:
            raise NotTried(
                f"the role {role!r} needs a model that can {verb}: say --model {role}=MODEL, a finished run's model folder or "
                "a model string; nothing was done"
            )
    return found
