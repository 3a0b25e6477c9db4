"""Knows what is on the disk: how large each part of the data folder is, how much is free, and when that is too little.

Below the reserve (`RUN_DISK_RESERVE_BYTES`) no run starts, so that the database can always write; below twice the reserve
people are warned. Sizes are what the disk gives back, blocks and not lengths; links are never followed.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from annotation.models import Project
from training.models import Run
from webapp.saying import number

#: folder of the home -> what it is, as the page says it
FOLDERS = {
    "runs": _("Runs: models, checkpoints, logs"), "weights": _("Weights of base models"), "snapshots": _("Snapshots"),
    "environments": _("Environments of plugins"), "store": _("Store for runs elsewhere"), "uploads": _("Uploaded files"),
    "cache": _("Caches"), "static": _("Static files"),
}  # fmt: skip


@dataclass(frozen=True)
class Part:
    """Something that takes room."""

    name: str
    bytes: int
    project: Project | None = None


def free() -> int:
    """Bytes free where the data folder lies."""
    place = Path(settings.HOME)
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def refusal() -> str:
    """Why no run may start now, as a sentence; empty when there is room."""
    left = free()
    if left >= settings.RUN_DISK_RESERVE_BYTES:
        return ""
    return gettext(
        "Only %(left)s are free on the disk of the data folder, and %(reserve)s stay "
        "free for the database. No run starts until there is room: delete runs, or drop their "
        "checkpoints, under “Clear up” on the page of the runs."
    ) % {"left": in_words(left), "reserve": in_words(settings.RUN_DISK_RESERVE_BYTES)}


def warning() -> str:
    """The refusal, or that it is near; empty when there is room."""
    left = free()
    if left >= 2 * settings.RUN_DISK_RESERVE_BYTES:
        return ""
    return refusal() or (
        gettext("Only %(left)s are free on the disk of the data folder. Below %(reserve)s no run starts any more.")
        % {"left": in_words(left), "reserve": in_words(settings.RUN_DISK_RESERVE_BYTES)}
    )


def folder_size(folder: Path) -> int:
    """Bytes on the disk of a folder and all that is in it; 0 where there is none."""
    total = 0
    waiting = [folder]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    total += _blocks(entry)
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
        except OSError:  # gone, or closed to us
            continue
    return total


def _blocks(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_blocks * 512
    except OSError:
        return 0


def size(path: Path) -> int:
    """Bytes on the disk of one file or folder."""
    try:
        return folder_size(path) if path.is_dir() and not path.is_symlink() else path.lstat().st_blocks * 512
    except OSError:
        return 0


def parts() -> list[Part]:
    """What uses the disk, the largest first. The database counts where the server keeps it."""
    home = Path(settings.HOME)
    found = [Part(gettext("Database"), _database())]
    found += [Part(str(title), size(home / name)) for name, title in FOLDERS.items()]
    return sorted((part for part in found if part.bytes), key=lambda part: -part.bytes)


def runs_by_project() -> list[Part]:
    """How much the runs of each project hold, the largest first; folders that belong to no run are named apart."""
    owners = dict(Run.objects.values_list("pk", "project_id"))
    projects = Project.objects.in_bulk()
    held: dict[int | None, int] = {}
    top = Path(settings.HOME) / "runs"
    for folder in top.iterdir() if top.is_dir() else ():
        owner = owners.get(int(folder.name)) if folder.name.isdigit() else None
        held[owner] = held.get(owner, 0) + size(folder)
    found = [Part(projects[key].name, held[key], projects[key]) for key in held if key is not None]
    if None in held:
        found.append(Part(gettext("of no run (left by a deletion, or by another database)"), held[None]))
    return sorted(found, key=lambda part: -part.bytes)


def _database() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        return int(cursor.fetchone()[0])


def in_words(count: float) -> str:
    """`1.2 GB`: powers of ten, as disks are sold."""
    for unit in (gettext("bytes"), "kB", "MB", "GB"):
        if count < 1000:
            return f"{number(count, 1 if unit in ('MB', 'GB') and count < 100 else 0)} {unit}"
        count /= 1000
    return f"{number(count, 1)} TB"
