"""Where the server of a home lives, and as whom it runs.

Normally `HOME/postgres`, run by ourselves. Root cannot run Postgres: its server runs as `postgres` or `nobody`, and
where that user cannot pass to the home (below a 0700 folder of root's), the database goes to
`/var/lib/feinschliff/<id>`. The choice is written into the home at first start and kept for ever: a database must not
change its place because a mode did.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webapp.home import Account, CannotStart, make_folder, server_account

DATABASE = "feinschliff"
ROLE = "feinschliff"
SUPERUSER = "postgres"
PORT = 5432  # names the socket file only: the server listens on no network address
FALLBACK = Path("/var/lib/feinschliff")
SOCKET_TEMP = Path("/tmp")  # noqa: S108 - must be the same for every process; owner and mode are checked
LONGEST_SOCKET_FOLDER = 85  # a socket's whole path may have 103 bytes (macOS)


@dataclass(frozen=True)
class Place:
    """The folder of one server: locks, log, data, socket; and the account it runs as."""

    home: Path
    folder: Path
    account: Account
    initialised: bool

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "postgres.log"

    @property
    def start_lock(self) -> Path:
        return self.folder / "start.lock"

    @property
    def users_lock(self) -> Path:
        return self.folder / "users.lock"

    @property
    def sockets(self) -> Path:
        near = self.folder / "run"
        if len(os.fsencode(near)) <= LONGEST_SOCKET_FOLDER and "," not in str(near):  # libpq splits hosts at commas
            return near
        return SOCKET_TEMP / f"feinschliff-{self.account.uid}-{_short_hash(self.folder)}"


def find_place(home: Path) -> Place:
    """What the home recorded, or what would be chosen now. Reads only."""
    record = _read_record(home)
    if record is not None:
        folder = Path(record["folder"]) if record["folder"] else home / "postgres"
        return Place(home, folder, _account_of(folder, record["uid"]), bool(record["initialised"]))
    folder = home / "postgres"
    account = _account_of(folder, None)
    if not account.is_me and not can_pass(folder, account):
        folder = FALLBACK / _short_hash(home)
    return Place(home, folder, account, False)


def record_place(home: Path, place: Place, *, initialised: bool | None = None) -> None:
    """Makes the folders and writes the choice down, whole or not at all."""
    make_folder(home / "postgres")
    make_folder(place.folder)
    inside = place.folder == home / "postgres"
    record = {
        "folder": None if inside else str(place.folder),
        "uid": None if place.account.is_me else place.account.uid,
        "initialised": place.initialised if initialised is None else initialised,
    }
    if _read_record(home) == record:
        return
    path = _record_path(home)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(record) + "\n")
    if os.geteuid() == 0:  # root on a user's home: the file stays that user's
        os.chown(draft, home.stat().st_uid, home.stat().st_gid)
    os.replace(draft, path)


def give(target: Path | int, place: Place) -> None:
    """Hands something we made to the server's account."""
    if not place.account.is_me:
        os.chown(target, place.account.uid, place.account.gid)


def can_pass(folder: Path, account: Account) -> bool:
    """Whether the account may enter the folder, as far as it exists; what is missing we shall make passable."""
    return all(may(parent, account, stat.S_IXOTH) for parent in (folder, *folder.parents) if parent.exists())


def may(path: Path, account: Account, wanted: int) -> bool:
    """The classic permission check for another user, by mode bits (given as those of `others`)."""
    found = path.stat()
    shift = 6 if found.st_uid == account.uid else 3 if found.st_gid == account.gid else 0
    return (found.st_mode >> shift) & wanted == wanted


def _account_of(folder: Path, recorded_uid: int | None) -> Account:
    """The owner of the data where there is any, else the recorded one, else the usual one."""
    if os.geteuid() != 0:
        return server_account()
    try:
        owner = (folder / "data").stat().st_uid
    except OSError:
        return server_account(recorded_uid)
    return server_account(owner or recorded_uid)


def _record_path(home: Path) -> Path:
    return home / "postgres" / "place.json"


def _read_record(home: Path) -> dict[str, Any] | None:
    path = _record_path(home)
    try:
        record = json.loads(path.read_text())
        return {key: record[key] for key in ("folder", "uid", "initialised")}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CannotStart(
            f"{path}, which says where the database lives, cannot be read ({error.__class__.__name__}). Run as the "
            "user that started Feinschliff first, or restore the file from a backup. Nothing was changed."
        ) from error


def _short_hash(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
