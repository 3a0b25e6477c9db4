"""Loads plugins, each alone, and refuses those that would spoil things, by name, with the reason and whom to tell.

Departs from plain pluggy, where one raising implementation loses the whole hook call and a misspelt hook passes
silently: every plugin gets a plugin manager of its own, is checked, and is called by itself. What it yields counts as
a whole or not.
"""

import importlib
import importlib.metadata
import sys
import sysconfig
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pluggy
from pydantic import BaseModel, ValidationError

from feinschliff import hookspecs
from feinschliff.launcher import Launcher
from feinschliff.model import ModelSource
from feinschliff.trainer import API_VERSION, Record, Trainer, validates

GROUP = "feinschliff"
PREFIX = "feinschliff_"
SHOWN = ("name", "title", "summary", "family", "needs", "yields", "yields_from", "explains", "resumable", "ranks")
HEAVY = ("torch", "transformers", "tensorflow", "jax", "django")
#: stands in the site-packages of an environment of a plugin's own: only what is installed beside it counts there
ENVIRONMENT_MARK = "feinschliff_environment.pth"
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
    wants: str = ""  # what it asks for of Feinschliff, as pip reads it

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


def load(modules: Sequence[str] = (), *, entry_points: bool | Collection[str] = True) -> Registry:
    """Built-ins by module name first, in order; then the entry points of group `feinschliff`, by distribution name.

    `entry_points`: all of them, none, or those of the distributions named here. A run loads the latter, so that a plugin
    that ends the process at import costs the runs of others nothing.
    """
    registry = Registry()
    for plugin in found(modules, entry_points=entry_points):
        take(registry, plugin)
    return registry


def found(modules: Sequence[str] = (), *, entry_points: bool | Collection[str] = True) -> list[Source]:
    """The plugins there are, in the order in which they take their names. Imports none."""
    installed = list(_installed()) if entry_points else []
    if not isinstance(entry_points, bool):
        installed = [plugin for plugin in installed if plugin.name in entry_points]
    named = [_named(module) for module in modules]
    rest = [plugin for plugin in installed if plugin not in named]  # an installed plugin may be named by its module too
    return named + sorted(rest, key=lambda plugin: (plugin.name, plugin.module))


def take(registry: Registry, plugin: Source) -> None:
    """Load one plugin into the registry, whole, or enter its refusal."""
    try:
        _enter(registry, plugin, _records(plugin))
    except Refused as refused:
        registry.refusals.append(Refusal(plugin.name, str(refused), plugin.author))


def _named(module: str) -> Source:
    """A plugin named by its module: a built-in, an installed one, or an author's that is not installed yet."""
    from feinschliff import __version__

    ours = module.startswith("plugins.")
    if not ours and (
        there := next((plugin for plugin in _installed() if plugin.module.partition(":")[0] == module), None)
    ):
        return there
    return Source(
        name=module.rpartition(".")[2].replace("_", "-"),
        module=module,
        version=__version__ if ours else "",
        author="the Feinschliff project" if ours else f"whoever wrote {module}",
    )


def _installed() -> Iterator[Source]:
    """Of two distributions of one name the first on the path counts, as for Python; an unreadable one counts for none."""
    seen = set()
    for about in importlib.metadata.distributions():
        points: list[importlib.metadata.EntryPoint] = []
        with suppress(Exception):  # a damaged dist-info, of whomever it is, must not cost the others
            points = [point for point in about.entry_points if point.group == GROUP]
        if points and about.name not in seen and _counts_here(about):
            seen.add(about.name)
            yield from (_source(point, about) for point in points)


def _counts_here(about: importlib.metadata.Distribution) -> bool:
    beside = Path(sysconfig.get_path("purelib"))
    if not (beside / ENVIRONMENT_MARK).exists():
        return True
    return Path(str(about.locate_file(""))).resolve() == beside.resolve()


def _source(point: importlib.metadata.EntryPoint, about: importlib.metadata.Distribution) -> Source:
    metadata = about.metadata
    authors = [metadata[key] for key in ("Author", "Author-email", "Maintainer", "Maintainer-email") if key in metadata]
    wanted = [
        line for line in about.requires or [] if line.lower().startswith("feinschliff") and "extra ==" not in line
    ]
    return Source(
        name=about.name or point.name,
        module=point.value,
        version=about.version or "",
        author=authors[0] if authors else "no author given",
        entry_point=point,
        wants=wanted[0] if wanted else "",
    )


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
        records = [record for hook in HOOKS for record in _yielded(pm, hook, plugin)]
    except (Refused, KeyboardInterrupt):
        raise
    except pluggy.PluginValidationError as error:
        raise Refused(f"a hook does not fit: {_one_line(error)}; hooks ({', '.join(HOOKS)}) take no argument") from None
    except SystemExit as error:
        raise Refused(f"it ends the process while being loaded (SystemExit {error.code})") from None
    except ImportError as error:
        raise Refused(
            f"it cannot be loaded: {type(error).__name__}: {_one_line(error)}{_advice(plugin, error)}"
        ) from None
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


def _yielded(pm: pluggy.PluginManager, hook: str, plugin: Source) -> list[Record]:
    records: list[Record] = []
    try:
        for answer in getattr(pm.hook, hook)():
            records += list(answer)
    except ValidationError as error:
        told = f"{hook} yields a bad {error.title} record: {_faults(error)}"
        raise Refused(told + _advice(plugin, error)) from None
    except Exception as error:
        raise Refused(f"{hook} raised {type(error).__name__}: {_one_line(error)}") from None
    for record in records:
        if not isinstance(record, HOOKS[hook]):
            raise Refused(f"{hook} yields {type(record).__name__}, not {HOOKS[hook].__name__} records")
    return records


def _enter(registry: Registry, plugin: Source, records: Iterable[Record]) -> None:
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
    told = [": ".join([".".join(map(str, fault["loc"])), fault["msg"]]).removeprefix(": ") for fault in error.errors()]
    return "; ".join(told).replace("Value error, ", "")


def _advice(plugin: Source, error: ImportError | ValidationError) -> str:
    """What to do about a plugin that was written for another Feinschliff; nothing for other faults."""
    from feinschliff import __version__

    api = _api_of(error) if isinstance(error, ValidationError) else None
    foreign = isinstance(error, ImportError) and (error.name or "").split(".")[0] == "feinschliff"
    if not foreign and (api is None or api == API_VERSION):
        return ""
    asks = f" (it asks for {plugin.wants})" if plugin.wants else ""
    if isinstance(api, int) and api < API_VERSION:
        return f"; it is older than this Feinschliff {__version__}{asks}: install a newer version, or ask its author for one"
    return (
        f"; it was written for another Feinschliff than this {__version__}{asks}: update Feinschliff, or install a version "
        f"of the plugin that speaks API {API_VERSION}"
    )


def _api_of(error: ValidationError) -> object:
    given = next((fault["input"] for fault in error.errors() if not fault["loc"]), None)
    return given.get("api") if isinstance(given, dict) else None


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or "no message"


def schema_of(config: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema that a form is made of: what a class says itself comes before what it inherits."""
    schema = config.model_json_schema()
    known: dict[str, Any] = schema.get("properties", {})
    order = [
        name for one in config.__mro__ for name in vars(one).get("__annotations__", {}) if name in config.model_fields
    ]
    names = [config.model_fields[name].alias or name for name in order]
    return schema | {"properties": {name: known[name] for name in dict.fromkeys([*names, *known]) if name in known}}


def listing(registry: Registry) -> dict[str, Any]:
    """The registry as a JSON object: every plugin, and what each offers with the plugin's name in it."""
    owners = {id(source): source for source in registry.owners.values()}.values()
    sources = {id(source): source for source in registry.sources.values()}.values()
    return {
        "api": API_VERSION,
        "plugins": [
            {"name": o.name, "version": o.version, "author": o.author, "builtin": o.entry_point is None} for o in owners
        ],
        "trainers": [
            {
                **trainer.model_dump(mode="json", include=set(SHOWN)),
                "schema": schema_of(trainer.config),
                "validates": validates(trainer.config),
                "plugin": registry.owner(name).name,
                "version": registry.owner(name).version,
            }
            for name, trainer in registry.trainers.items()
        ],
        "models": [
            source.model_dump(mode="json", include={"name", "title", "schemes", "suggests"})
            | {"plugin": registry.owners["model scheme", source.schemes[0]].name}
            for source in sources
        ],
        "launchers": [
            launcher.model_dump(mode="json", include={"name", "title", "summary"})
            | {"plugin": registry.owners["launcher", name].name}
            for name, launcher in registry.launchers.items()
        ],
        "refusals": [vars(refusal) for refusal in registry.refusals],
    }
