"""From what an author types to a plugin that can be loaded: a module, an installed distribution, a file or a folder.

Used by `try` and by the conformance checks. Nothing of the plugin is imported here; a child process does that.
"""

import importlib.metadata
import os
import sys
import sysconfig
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from feinschliff.launcher import child_environment
from feinschliff.manager import GROUP


class NotFound(ValueError):
    """No plugin by that name; the message says what was looked for."""


@dataclass(frozen=True)
class Found:
    """How a child process gets at a plugin: modules to name, folders to import from, and its name in the listing."""

    name: str
    modules: tuple[str, ...]
    paths: tuple[str, ...] = ()


def find(plugin: str) -> Found:
    """The plugin that a person means: an installed one, else a module, else a folder.

    What has a slash or ends in `.py` is always a path. What is installed needs no module named: its entry point is loaded
    anyway.
    """
    if is_path(plugin):
        return _at(Path(plugin).resolve())
    if name := _installed_as(plugin):
        return Found(name, ())
    if _importable(plugin):
        return Found(_slug(plugin), (plugin,))
    if Path(plugin).is_dir():
        return _at(Path(plugin).resolve())
    raise NotFound(
        f"{plugin!r} is neither an installed plugin, nor a module that can be imported here, nor a file or folder; "
        "nothing was done"
    )


def is_path(plugin: str) -> bool:
    return plugin.endswith(".py") or os.sep in plugin


def installed() -> bool:
    """Whether any plugin is."""
    return any(True for _ in importlib.metadata.entry_points(group=GROUP))


def _installed_as(plugin: str) -> str | None:
    """The distribution whose entry point is meant, by any of its names."""
    for point in importlib.metadata.entry_points(group=GROUP):
        name = point.dist.name if point.dist else point.name
        if plugin in (name, point.name, point.value, point.module):
            return name
    return None


def _lies_at(module: str, path: Path) -> Found:
    """A module in a folder. Where it is installed too, its entry point finds it there, since the folder comes first."""
    name = _installed_as(module)
    return Found(name, (), (str(path),)) if name else Found(_slug(module), (module,), (str(path),))


def _at(place: Path) -> Found:
    """A plugin that lies somewhere: a file, a package's folder, or a project's folder with pyproject.toml."""
    if place.is_file() and place.suffix == ".py":
        return _lies_at(place.stem, place.parent)
    if (place / "__init__.py").is_file():
        return _lies_at(place.name, place.parent)
    project = place / "pyproject.toml"
    if not project.is_file():
        raise NotFound(
            f"{place}: neither a Python file, nor a package, nor a folder with pyproject.toml; nothing was done"
        )
    try:
        points = tomllib.loads(project.read_text("utf-8"))["project"]["entry-points"][GROUP]
    except (ValueError, KeyError, TypeError):
        raise NotFound(f"{project}: no [project.entry-points.{GROUP}] in it, so it offers no plugin") from None
    module = str(next(iter(points.values()), "")).partition(":")[0]
    return _lies_at(module, place / "src" if (place / "src").is_dir() else place)


def _importable(module: str) -> bool:
    """Whether it is a module with code; a mere folder is a namespace to Python and no plugin to us."""
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin is not None


def _slug(module: str) -> str:
    """The name under which the plugin manager lists a module that was named to it."""
    return module.rpartition(".")[2].replace("_", "-")


def importing(outer: Mapping[str, str], paths: tuple[str, ...] = ()) -> dict[str, str]:
    """A scrubbed environment whose children can import all that this process can, and what lies in `paths`."""
    library = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    ours = [str(Path(path).resolve()) for path in sys.path if path and path not in library and ".zip" not in path]
    ours = [path for path in ours if not path.endswith("lib-dynload") and os.path.isdir(path)]
    inner = child_environment({**outer, "PYTHONPATH": os.pathsep.join(dict.fromkeys([*paths, *ours]))})
    return inner if inner.get("PYTHONPATH") else {name: inner[name] for name in inner if name != "PYTHONPATH"}
