"""Installs a plugin into an environment of its own, and removes it: `manage.py plugin install` and `remove`.

A virtual environment in its final place, then pip, then a look at what the plugin offers, then the marker. Whatever goes
wrong before that leaves nothing. With `share` the environment falls back to the site's packages, its own coming first.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from django.conf import settings
from django.db import transaction

from feinschliff import __version__
from feinschliff.manager import ENVIRONMENT_MARK, GROUP
from training.catalogue import environments, listing
from training.catalogue.environments import MARKER, Environment
from training.machine import disk
from training.models import Model, Run
from webapp.people import auditing
from webapp.people.models import User

REQUIREMENT = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*?)(\[[A-Za-z0-9._,-]+\])?([=~<>!]=?=?[A-Za-z0-9.*+!_,<>=~-]+)?")
WHEEL = re.compile(r"(?P<name>[A-Za-z0-9._]+)-[^/]+\.whl")
LAST_LINES = 8
#: what pip may know of our environment, beside what every child may: where packages come from, and how to get there
FOR_PIP = ("PIP_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_", "REQUESTS_CA_BUNDLE", "XDG_CACHE_HOME")
Tell = Callable[[str], None]


class CannotInstall(Exception):
    """Nothing was installed or removed; the text says why."""


@dataclass(frozen=True)
class Wish:
    """What somebody asked for: a requirement or a path, as pip takes it, and the environment's name."""

    asked: str
    slug: str


def wish(text: str, name: str = "") -> Wish:
    """`my-plugin`, `my-plugin==1.2`, a wheel, or a folder (`./mine`) with a pyproject.toml. Raises CannotInstall."""
    looks_like_a_path = "/" in text or text in (".", "..") or text.endswith((".whl", ".tar.gz"))
    fits = REQUIREMENT.fullmatch(text)
    if looks_like_a_path and not text.startswith("-") and "\0" not in text:
        asked, called = _path(Path(text).expanduser())
    elif fits:
        asked, called = text, fits[1]
    else:
        right = "the name of a package (my-plugin, my-plugin==1.2) nor a path (./my-plugin)"
        raise CannotInstall(f"“{text[:80]}” is neither {right}.")
    slug = name or re.sub(r"[-_.]+", "-", called).lower()
    fault = environments.fault_of_name(slug)
    if fault:
        raise CannotInstall(f"{fault}." + ("" if name else " Give it one with --name."))
    return Wish(asked, slug)


def _path(path: Path) -> tuple[str, str]:
    """A wheel, a source archive or a package's folder as pip takes it, and what it is called."""
    if not path.exists():
        raise CannotInstall(f"There is no {path}.")
    if path.is_dir() and not (path / "pyproject.toml").exists() and not (path / "setup.py").exists():
        raise CannotInstall(f"{path} is no package: it has no pyproject.toml.")
    whole = path.resolve()
    wheel = WHEEL.fullmatch(whole.name)
    return str(whole), wheel["name"] if wheel else whole.name.removesuffix(".tar.gz")


def install(*, wish: Wish, share: bool, tell: Tell, actor: User | None = None) -> Environment:
    """The new environment, complete. `tell` gets pip's output, line by line. Raises CannotInstall; then nothing is left."""
    with _alone(wish.slug):
        there = environments.environment(wish.slug)
        if there is not None:
            has = ", ".join(there.plugins())
            raise CannotInstall(
                f"There is an environment “{wish.slug}” already ({has}). To replace it: manage.py plugin remove {wish.slug}; "
                f"to have both: --name."
            )
        _clear(wish.slug)  # what a killed installation left
        try:
            made = _make(wish, share, tell)
        except BaseException:
            _clear(wish.slug)
            raise
        auditing.record(
            actor=actor, action="install_plugin", subject=wish.slug, asked=wish.asked, plugins=made.plugins()
        )
    return made


def remove(*, slug: str, actor: User | None = None) -> int:
    """Bytes that are free now. Raises CannotInstall while its runs live."""
    fault = environments.fault_of_name(slug)
    if fault:
        raise CannotInstall(f"{fault}.")
    with _alone(slug):
        if not environments.folder(slug).is_dir():
            there = ", ".join(one.slug for one in environments.environments()) or "none"
            raise CannotInstall(f"There is no environment “{slug}”. There are: {there}.")
        with transaction.atomic():
            live = list(Run.objects.filter(environment=slug, state__in=Run.LIVE).values_list("pk", flat=True)[:5])
            if live:
                runs = ", ".join(f"run {number}" for number in live)
                raise CannotInstall(f"“{slug}” is at work or will be: {runs}. Cancel it or wait for its end.")
            auditing.record(actor=actor, action="remove_plugin", subject=slug)
        freed = disk.folder_size(environments.folder(slug))
        _clear(slug)
    return freed


def models_made_by(slug: str) -> int:
    """Models that cannot be opened without this environment."""
    return Model.objects.filter(run__environment=slug).count()


@contextmanager
def _alone(slug: str) -> Iterator[None]:
    """Nobody else installs or removes this one meanwhile; the kernel lets go of the lock when we die."""
    environments.top().mkdir(mode=0o700, parents=True, exist_ok=True)
    with (environments.top() / f".{slug}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotInstall(f"Another installation or removal of “{slug}” is going on. Wait for its end.") from None
        yield


def _clear(slug: str) -> None:
    """The marker goes first, so that half of an environment is never used."""
    folder = environments.folder(slug)
    (folder / MARKER).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _make(wish: Wish, share: bool, tell: Tell) -> Environment:
    folder = environments.folder(wish.slug)
    tell(f"Making the environment {folder} ...")
    venv.EnvBuilder(with_pip=False, symlinks=True).create(folder)
    inside = environments.site_packages(folder)
    beyond = _paths_of_the_site() if share else ["# nothing of the site"]
    (inside / ENVIRONMENT_MARK).write_text("\n".join(beyond) + "\n", "utf-8")
    _pip(folder, [wish.asked] if share else [str(settings.ROOT), wish.asked], tell)
    offering = _plugins_in(inside)
    if not offering:
        raise CannotInstall(f"{wish.asked} offers no plugin: it has no entry point of group “{GROUP}”.")
    made = Environment(
        wish.slug,
        {
            "asked": wish.asked, "share": share, "plugins": offering, "feinschliff": __version__,
            "python": ".".join(map(str, sys.version_info[:3])), "packages": _packages(inside),
            "installed_at": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    )  # fmt: skip
    found = listing.of_environment(made)
    if not found["plugins"]:
        refused = "; ".join(f"{r['plugin']}: {r['reason']} (tell {r['author']})" for r in found["refusals"])
        raise CannotInstall(f"{wish.asked} can be installed, but would be refused. {refused}")
    draft = folder / f".{MARKER}"
    draft.write_text(json.dumps(made.about, indent=1) + "\n", "utf-8")
    draft.replace(folder / MARKER)
    return made


def _paths_of_the_site() -> list[str]:
    return sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})


def _pip(folder: Path, wanted: list[str], tell: Tell) -> None:
    """The site's pip at work in the environment: none needs to be installed there."""
    command = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar=off", "--no-warn-script-location", *wanted]
    last: deque[str] = deque(maxlen=LAST_LINES)
    pip = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        env=_for_pip(),
    )  # fmt: skip
    try:
        for line in pip.stdout or ():
            tell(line.rstrip())
            last.append(line.rstrip())
    except BaseException:
        pip.terminate()
        raise
    finally:
        code = pip.wait()
    if code:
        said = "\n  ".join(line for line in last if line)
        raise CannotInstall(f"pip could not install {' and '.join(wanted)} (exit {code}):\n  {said}")


def _for_pip() -> dict[str, str]:
    more = {name: value for name, value in os.environ.items() if name.upper().startswith(FOR_PIP)}
    ours = listing.child_environment()
    ours.pop("PYTHONPATH", None)  # what lies there is not installed
    return ours | more


def _plugins_in(inside: Path) -> dict[str, str]:
    there = metadata.distributions(path=[str(inside)])
    return {one.name: one.version for one in there if any(point.group == GROUP for point in one.entry_points)}


def _packages(inside: Path) -> dict[str, str]:
    return {one.name: one.version for one in metadata.distributions(path=[str(inside)])}
