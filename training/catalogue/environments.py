"""Knows the environments that plugins have of their own: a virtual environment each, below the home.

A run is a process, so each plugin may have its own interpreter and libraries, and plugins that contradict each other work
side by side. The marker `environment.json` is written last: a folder without it is half made, and never used.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.translation import gettext

from feinschliff import __version__

MARKER = "environment.json"
SLUG = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST = 60


class EnvironmentUnusable(Exception):
    """A plugin's environment is gone or does not fit; the text says why and what to do."""


@dataclass(frozen=True)
class Environment:
    """One that is there, with what its marker says."""

    slug: str
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return folder(self.slug)

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def fault(self) -> str:
        """Why it cannot be used; empty when it can."""
        again = f"Remove it and install it again: manage.py plugin remove {self.slug}"
        made_with = self.about.get("feinschliff", "")
        if made_with != __version__:
            return gettext("it was made with Feinschliff %(then)s, this is %(now)s. %(again)s") % {
                "then": made_with, "now": __version__, "again": again,
            }  # fmt: skip
        if not self.python.exists():
            return gettext("the Python it was made with (%(python)s) is gone. %(again)s") % {
                "python": self.about.get("python", ""), "again": again,
            }  # fmt: skip
        return ""

    def fingerprint(self) -> str:
        """Changes with what is installed in it."""
        parts = [str(self.folder), json.dumps(self.about, sort_keys=True), *distributions(site_packages(self.folder))]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def plugins(self) -> list[str]:
        """What was asked for, with its version."""
        return [f"{name} {version}" for name, version in sorted(self.about.get("plugins", {}).items())]


def top() -> Path:
    return Path(settings.HOME) / "environments"


def folder(slug: str) -> Path:
    return top() / slug


def fault_of_name(slug: str) -> str:
    """Why an environment cannot be called so; empty when it can. It names a folder, so nothing else gets through."""
    if SLUG.fullmatch(slug) and len(slug) <= LONGEST:
        return ""
    return gettext(
        "“%(slug)s” is no name for an environment: a letter, then lower-case letters, digits and single "
        "hyphens, at most %(longest)s characters"
    ) % {"slug": slug[:LONGEST], "longest": LONGEST}


def environments() -> list[Environment]:
    """All that are complete, by name."""
    places = sorted(top().iterdir()) if top().is_dir() else []
    found = (environment(place.name) for place in places if not fault_of_name(place.name))
    return [one for one in found if one is not None]


def environment(slug: str) -> Environment | None:
    """The complete one of this name."""
    try:
        about = json.loads((folder(slug) / MARKER).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return Environment(slug, about) if isinstance(about, dict) else None


def half_made() -> list[str]:
    """Names of folders that an installation left behind when it was killed."""
    places = sorted(top().iterdir()) if top().is_dir() else []
    return [p.name for p in places if p.is_dir() and not fault_of_name(p.name) and environment(p.name) is None]


def interpreter(slug: str) -> str:
    """The Python that works a plugin's runs and models; of the site where `slug` is empty. Raises EnvironmentUnusable."""
    if not slug:
        return sys.executable
    found = None if fault_of_name(slug) else environment(slug)
    if found is None:
        raise EnvironmentUnusable(
            gettext(
                "The plugin's environment “%(slug)s” is not there any more. Install it again: manage.py plugin install"
            )
            % {"slug": slug}
        )
    if found.fault:
        raise EnvironmentUnusable(
            gettext("The plugin's environment “%(slug)s” cannot be used: %(fault)s")
            % {"slug": slug, "fault": found.fault}
        )
    return str(found.python)


def site_packages(environment_folder: Path) -> Path:
    """Where a virtual environment keeps what is installed in it."""
    found = sorted(environment_folder.glob("lib/python3*/site-packages"))
    return found[0] if found else environment_folder / "lib" / "python3" / "site-packages"


def distributions(*folders: Path | str) -> list[str]:
    """What is installed in the folders of a path, told by names and times of the dist-info: quick enough for every page."""
    found = []
    for place in folders:
        try:
            with os.scandir(place or ".") as entries:
                inside = [entry for entry in entries if entry.name.endswith((".dist-info", ".egg-info", ".egg-link"))]
                found += sorted(f"{entry.path} {entry.stat().st_mtime_ns}" for entry in inside)
        except OSError:
            continue
    return found
