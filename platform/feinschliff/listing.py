"""Lists what plugins offer as plain JSON, each plugin looked at in a process of its own.

Stands behind `python -m feinschliff list`. Every plugin is loaded in a fork: one that ends the process, crashes or hangs
at import is refused by name like any other, and cannot hide what the others load. Names are given out here, in order.
"""

import faulthandler
import json
import os
import re
import signal
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feinschliff.manager import Refusal, Registry, Source, found, listing, take

SECONDS = 20.0  # a plugin that is not listed by then hangs; all are looked at side by side
LOOK_EVERY = 0.005


def listed(modules: Sequence[str] = ()) -> dict[str, Any]:
    """What the built-ins `modules` and all installed plugins offer, and who was refused."""
    plugins = found(modules)
    with tempfile.TemporaryDirectory(prefix="feinschliff-list-") as folder:
        looks = [_begin(plugin, Path(folder, str(number))) for number, plugin in enumerate(plugins)]
        until = time.monotonic() + SECONDS
        try:
            return join([look.answer(until) for look in looks])
        finally:
            for look in looks:
                look.end()


def join(listings: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Several listings as one. A plugin that takes a name that an earlier one has is refused as a whole, naming both."""
    whole = listing(Registry())
    taken: dict[tuple[str, str], str] = {}
    for one in listings:
        whole["refusals"] += one["refusals"]
        for plugin in one["plugins"]:
            offers = {kind: [o for o in one[kind] if o["plugin"] == plugin["name"]] for kind in KINDS}
            names = [(KINDS[kind], name) for kind in KINDS for offer in offers[kind] for name in _names(offer)]
            clash = next((name for name in names if name in taken), None)
            if clash:
                told = f"the {clash[0]} name {clash[1]!r} is already taken by {taken[clash]}"
                where = {key: plugin[key] for key in ("environment",) if key in plugin}
                whole["refusals"].append(vars(Refusal(plugin["name"], told, plugin["author"])) | where)
                continue
            taken |= dict.fromkeys(names, plugin["name"])
            for kind in KINDS:
                whole[kind] += offers[kind]
            if plugin not in whole["plugins"]:  # a distribution may have several entry points
                whole["plugins"].append(plugin)
    return whole


#: what a listing holds of each kind, and what its names are called
KINDS = {"trainers": "trainer", "models": "model scheme", "launchers": "launcher"}


def _names(offer: dict[str, Any]) -> list[str]:
    return list(offer.get("schemes") or [offer["name"]])


@dataclass
class Look:
    """One plugin's process, and the file it answers in."""

    plugin: Source
    pid: int
    file: Path
    code: int | None = None

    def answer(self, until: float) -> dict[str, Any]:
        """What the plugin offers, or its refusal."""
        while not self._ended() and time.monotonic() < until:
            time.sleep(LOOK_EVERY)
        with suppress(OSError, ValueError):
            if self._ended() and self.code == 0:
                found: dict[str, Any] = json.loads(self.file.read_text("utf-8"))
                return found
        registry = Registry(refusals=[Refusal(self.plugin.name, self._why(), self.plugin.author)])
        return listing(registry)

    def _why(self) -> str:
        if self.code is None:
            return f"it hangs while being loaded: after {SECONDS:.0f} s it was not done{self._where()}"
        if self.code < 0:
            return f"it crashes the process that loads it ({signal.Signals(-self.code).name})"
        return f"it ends the process while being loaded (exit {self.code})"

    def _where(self) -> str:
        with suppress(OSError):
            at = re.search(r'File "(.*)", line (\d+)', self._trace().read_text("utf-8", "replace"))
            return f", but at line {at[2]} of {Path(at[1]).name}" if at else ""
        return ""

    def _trace(self) -> Path:
        return self.file.with_suffix(".trace")

    def _ended(self) -> bool:
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is not None

    def end(self) -> None:
        if not self._ended():
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)

    def load(self) -> None:
        """In the fork: answers into the file. What a plugin prints goes nowhere, and its threads are not waited for."""
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        with self._trace().open("wb") as trace:
            faulthandler.dump_traceback_later(SECONDS * 0.9, file=trace)
            registry = Registry()
            take(registry, self.plugin)
            text = _as_json(registry, self.plugin)
        draft = self.file.with_suffix(".draft")
        draft.write_text(text, "utf-8")
        draft.replace(self.file)


def _begin(plugin: Source, file: Path) -> Look:
    look = Look(plugin, os.fork(), file)
    if look.pid:
        return look
    try:
        look.load()
    finally:
        os._exit(0 if file.exists() else 1)


def _as_json(registry: Registry, plugin: Source) -> str:
    try:
        return json.dumps(listing(registry), allow_nan=False)
    except Exception as error:  # a default that is no JSON, a schema that cannot be made
        told = f"it does not describe itself in JSON: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
        return json.dumps(listing(Registry(refusals=[Refusal(plugin.name, told, plugin.author)])))
