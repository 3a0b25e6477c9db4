"""Loads plugins, each alone, and refuses those that would spoil things, by name, with the reason and whom to tell.

Departs from plain pluggy, where one raising implementation loses the whole hook call and a misspelt hook passes
silently: every plugin gets a plugin manager of its own, is checked, and is called by itself. What it yields counts as
a whole or not.
"""

import importlib
import importlib.metadata
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pluggy
from pydantic import ValidationError

from feinschliff import hookspecs
from feinschliff.launcher import Launcher
from feinschliff.model import ModelSource
from feinschliff.trainer import Record, Trainer

GROUP = "feinschliff"
PREFIX = "feinschliff_"
SHOWN = ("name", "title", "summary", "family", "needs", "yields", "resumable", "ranks")
HEAVY = ("torch", "transformers", "tensorflow", "jax", "django")
HOOKS: dict[str, type[Record]] = {
    "feinschliff_trainers": Trainer,
    "feinschliff_launchers": Launcher,
    "feinschliff_models": ModelSource,
}


class Refused(Exception):
    """Why a plugin is not taken."""


@dataclass(frozen=True)
class Source:
    """Where a plugin comes from: a built-in module, or a distribution's entry point."""

    name: str
    module: str
    version: str
    author: str
    entry_point: importlib.metadata.EntryPoint | None = None

    def load(self) -> object:
        return self.entry_point.load() if self.entry_point else importlib.import_module(self.module)


@dataclass(frozen=True)
class Refusal:
    plugin: str
    reason: str
    author: str


@dataclass
class Registry:
    """What all accepted plugins offer, who offers it (by kind and name), and who was refused."""

    trainers: dict[str, Trainer] = field(default_factory=dict)
    launchers: dict[str, Launcher] = field(default_factory=dict)
    sources: dict[str, ModelSource] = field(default_factory=dict)
    owners: dict[tuple[str, str], Source] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)

    def owner(self, trainer: str) -> Source:
        return self.owners["trainer", trainer]


def load(modules: Sequence[str] = (), *, entry_points: bool = True) -> Registry:
    """Built-ins by module name first, in order; then the entry points of group `feinschliff`, by distribution name."""
    registry = Registry()
    plugins = [_builtin(module) for module in modules]
    plugins += _installed() if entry_points else []
    for plugin in plugins:
        try:
            _take(registry, plugin, _records(plugin))
        except Refused as refused:
            registry.refusals.append(Refusal(plugin.name, str(refused), plugin.author))
    return registry


def _builtin(module: str) -> Source:
    from feinschliff import __version__

    ours = module.startswith("plugins.")
    return Source(
        name=module.rpartition(".")[2].replace("_", "-"),
        module=module,
        version=__version__ if ours else "",
        author="the Feinschliff project" if ours else f"whoever wrote {module}",
    )


def _installed() -> list[Source]:
    found = []
    for point in importlib.metadata.entry_points(group=GROUP):
        about = point.dist.metadata if point.dist else None
        keys = ("Author", "Author-email", "Maintainer-email")
        names = [about[key] for key in keys if about is not None and key in about]
        found.append(
            Source(
                name=point.dist.name if point.dist else point.name,
                module=point.value,
                version=point.dist.version if point.dist else "",
                author=names[0] if names else "no author given",
                entry_point=point,
            )
        )
    return sorted(found, key=lambda plugin: (plugin.name, plugin.module))


def _records(plugin: Source) -> list[Record]:
    """All that one plugin yields; Refused if anything about it is wrong. SystemExit is caught like any error."""
    light = set(sys.modules)
    try:
        implementation = plugin.load()
        pm = pluggy.PluginManager(hookspecs.PROJECT)
        pm.add_hookspecs(hookspecs)
        pm.register(implementation, name=plugin.name)
        pm.check_pending()
        _check_marks(implementation)
        records = [record for hook in HOOKS for record in _yielded(pm, hook)]
    except (Refused, KeyboardInterrupt):
        raise
    except pluggy.PluginValidationError as error:
        raise Refused(f"a hook does not fit: {_one_line(error)}; hooks ({', '.join(HOOKS)}) take no argument") from None
    except SystemExit as error:
        raise Refused(f"it ends the process while being loaded (SystemExit {error.code})") from None
    except BaseException as error:  # a plugin may raise anything; the others must work on
        raise Refused(f"it cannot be loaded: {type(error).__name__}: {_one_line(error)}") from None
    loaded = [name for name in HEAVY if name in sys.modules and name not in light]
    if loaded:
        raise Refused(f"being listed loads {', '.join(loaded)}; import that inside the function that trains")
    return records


def _check_marks(implementation: object) -> None:
    """A function named like a hook that is none: pluggy would pass it over without a word."""
    for name in dir(implementation):
        if not name.startswith(PREFIX):
            continue
        if name not in HOOKS:
            raise Refused(f"{name} is no hook; the hooks are {', '.join(HOOKS)}")
        if not hasattr(getattr(implementation, name), f"{hookspecs.PROJECT}_impl"):
            raise Refused(f"{name} lacks the @hookimpl mark, so it would never be called")


def _yielded(pm: pluggy.PluginManager, hook: str) -> list[Record]:
    records: list[Record] = []
    try:
        for answer in getattr(pm.hook, hook)():
            records += list(answer)
    except ValidationError as error:
        raise Refused(f"{hook} yields a bad {error.title} record: {_faults(error)}") from None
    except Exception as error:
        raise Refused(f"{hook} raised {type(error).__name__}: {_one_line(error)}") from None
    for record in records:
        if not isinstance(record, HOOKS[hook]):
            raise Refused(f"{hook} yields {type(record).__name__}, not {HOOKS[hook].__name__} records")
    return records


def _take(registry: Registry, plugin: Source, records: Iterable[Record]) -> None:
    """Enter a plugin's records; a name that is taken refuses the whole plugin and names the one that has it."""
    entries: dict[tuple[str, str], Record] = {}
    for record in records:
        for key in _names(record):
            holder = registry.owners.get(key)
            if holder or key in entries:
                raise Refused(f"the {key[0]} name {key[1]!r} is already taken by {holder.name if holder else 'itself'}")
            entries[key] = record
    for (kind, name), record in entries.items():
        registry.owners[kind, name] = plugin
        if isinstance(record, Trainer):
            registry.trainers[name] = record
        elif isinstance(record, Launcher):
            registry.launchers[name] = record
        elif isinstance(record, ModelSource):
            registry.sources[name] = record


def _names(record: Record) -> list[tuple[str, str]]:
    if isinstance(record, ModelSource):
        return [("model scheme", scheme) for scheme in record.schemes]
    return [("trainer" if isinstance(record, Trainer) else "launcher", record.name)]


def _faults(error: ValidationError) -> str:
    told = [f"{'.'.join(map(str, fault['loc'])) or 'record'}: {fault['msg']}" for fault in error.errors()]
    return "; ".join(told).replace("Value error, ", "")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or "no message"


def listing(registry: Registry) -> dict[str, Any]:
    """The registry as the JSON object that `python -m feinschliff list` prints."""
    from feinschliff.trainer import API_VERSION

    sources = {id(source): source for source in registry.sources.values()}.values()
    return {
        "api": API_VERSION,
        "trainers": [
            {
                **trainer.model_dump(mode="json", include=set(SHOWN)),
                "schema": trainer.config.model_json_schema(),
                "plugin": registry.owner(name).name,
                "version": registry.owner(name).version,
            }
            for name, trainer in registry.trainers.items()
        ],
        "models": [
            source.model_dump(mode="json", include={"name", "title", "schemes", "suggests"}) for source in sources
        ],
        "launchers": list(registry.launchers),
        "refusals": [vars(refusal) for refusal in registry.refusals],
    }
