"""The one folder that holds everything made at run time: secret key, database, uploads, snapshots, runs, weights.

It stands before the loop: settings, `manage.py` and the embedded Postgres all ask here where things live. Departure
from the usual Django layout: there is no default secret key; one is made at first use. The folder is 0700. Where root
makes it, it is 0710 with the group of the account the database server runs as, which must pass (and can list nothing).
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parents[2]
SERVER_ACCOUNTS = ("postgres", "nobody")
SHORTEST_KEY = 32
PLACEHOLDERS = ("django-insecure", "change", "secret", "your-", "insecure", "default", "example", "test-key")


class CannotStart(RuntimeError):
    """What was wrong, where, and what would be right, in sentences a person can act on; printed without a traceback."""


@dataclass(frozen=True)
class Account:
    """The operating-system user a database server runs as."""

    name: str
    uid: int
    gid: int

    @property
    def is_me(self) -> bool:
        return self.uid == os.geteuid()


def home() -> Path:
    """FEINSCHLIFF_HOME, or `var` in the project; absolute, links resolved, perhaps not there yet."""
    given = os.environ.get("FEINSCHLIFF_HOME", "").strip()
    return (Path(given).expanduser() if given else PROJECT_ROOT / "var").resolve()


def ensure_home(folder: Path | None = None) -> Path:
    """Makes the home where it is missing; never changes the mode of a folder that was there before."""
    folder = folder or home()
    try:
        make_folder(folder)
        owner = folder.stat().st_uid
    except OSError as error:
        raise CannotStart(
            f"The data folder {folder} cannot be made or entered: {error.strerror}. "
            "Set FEINSCHLIFF_HOME to a folder of yours. Nothing was changed."
        ) from error
    if os.geteuid() not in (0, owner):
        raise CannotStart(
            f"The data folder {folder} belongs to another user (id {owner}). Run as that user, or set FEINSCHLIFF_HOME "
            "to a folder of yours. Nothing was changed."
        )
    return folder


def make_folder(folder: Path) -> None:
    """Makes a folder for us alone and, before it, its missing parents so that the server's account can pass."""
    if folder.is_dir():
        return
    missing = [parent for parent in folder.parents if not parent.exists()]
    for parent in reversed(missing):
        with contextlib.suppress(FileExistsError):
            parent.mkdir()
            parent.chmod(0o755)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        account = server_account()
        if not account.is_me:
            os.chown(folder, -1, account.gid)
            folder.chmod(0o710)
    if not folder.is_dir():
        raise NotADirectoryError(20, "it is a file, not a folder", str(folder))


def server_account(uid: int | None = None) -> Account:
    """Who the database server runs as: user `uid`; else this user or, for root, whom Postgres refuses, a service."""
    if uid is None and os.geteuid() == 0:
        for name in SERVER_ACCOUNTS:
            with contextlib.suppress(KeyError):
                entry = pwd.getpwnam(name)
                return Account(name, entry.pw_uid, entry.pw_gid)
        raise CannotStart("Postgres does not run as root, and there is no user postgres or nobody. Set DATABASE_URL.")
    wanted = os.geteuid() if uid is None else uid
    try:
        entry = pwd.getpwuid(wanted)
    except KeyError as error:
        raise CannotStart(
            f"User id {wanted} has no name in the password file, and Postgres needs one. "
            "Add the user (useradd), or set DATABASE_URL. Nothing was changed."
        ) from error
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def secret_key() -> str:
    """SECRET_KEY, else the key in the home, made at first use (mode 0600); weak and well-known keys are refused."""
    given = os.environ.get("SECRET_KEY", "")
    if given:
        return _strong(given, "the environment variable SECRET_KEY")
    path = ensure_home() / "secret_key"
    if not path.exists():
        _write_once(path, secrets.token_urlsafe(48))
    found = path.stat()
    if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise CannotStart(f"{path} can be read by others. Run: chmod 600 '{path}'. Nothing was changed.")
    return _strong(path.read_text(encoding="ascii", errors="replace").strip(), str(path))


def _write_once(path: Path, text: str) -> None:
    """The first of several writers wins, and nobody ever reads a half-written file."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()


def _strong(key: str, where: str) -> str:
    known = key.lower().startswith(PLACEHOLDERS)
    if len(key) < SHORTEST_KEY or len(set(key)) < 8 or known:
        raise CannotStart(
            f"The secret key in {where} is {'a placeholder' if known else 'too easy to guess'}. It needs "
            f"{SHORTEST_KEY} or more random characters; leave it out and one is made at first start. "
            "Nothing was changed."
        )
    return key
