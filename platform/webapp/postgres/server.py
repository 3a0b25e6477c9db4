"""Starts, asks and stops one Postgres server. Callers hold `start.lock`.

Connecting decides whether a server runs; process ids only explain why one does not. Crash recovery is waited for, never
killed: killing it makes the next one longer.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from webapp.home import CannotStart

from .binaries import Binaries, as_account, find_binaries, plain_environment, run
from .place import DATABASE, PORT, ROLE, SUPERUSER, Place, give

if TYPE_CHECKING:
    import psycopg

Say = Callable[[str], None]
RECOVERY_LIMIT = 300.0  # seconds
RETRY_LIMIT = 60.0  # for what a killed server leaves for a moment: its lock file, its shared memory
STOP_LIMIT = 60
BIGGEST_LOG = 20_000_000
PASSING = ("pre-existing shared memory block", "already exists", "is still in use", "Address already in use")
STARTING = ("starting up", "shutting down", "recovery mode", "not yet accepting", "not accepting", "timeout")
SAFE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}

_started: dict[Path, subprocess.Popen[bytes]] = {}  # servers that are children of this process, to be reaped by it


def ask(place: Place) -> Literal["up", "starting", "down"]:
    """Connects and says what answered."""
    import psycopg

    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(5)
            probe.connect(str(place.sockets / f".s.PGSQL.{PORT}"))
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        return "down"
    except (TimeoutError, BlockingIOError):
        return "starting"
    try:
        _connect(place, SUPERUSER, "postgres").close()
    except psycopg.OperationalError as error:
        text = str(error)
        if any(part in text for part in STARTING):
            return "starting"
        if "too many clients" in text or "remaining connection slots" in text:
            return "up"
        if "FATAL" in text:
            raise CannotStart(f"The database in {place.data} refuses us: {text.strip()}") from error
        return "down"  # it went away between the two questions
    return "up"


def bring_up(place: Place, binaries: Binaries, say: Say) -> None:
    """Returns when the server takes connections; starts it as often as a killed one's leftovers make necessary."""
    begun = time.monotonic()
    noted = False
    read_from = 0
    while (answer := ask(place)) != "up":
        waited = time.monotonic() - begun
        if waited > RECOVERY_LIMIT:
            raise CannotStart(f"The database did not answer for {RECOVERY_LIMIT:.0f} s; its log is {place.log}.")
        if waited > 3 and not noted:
            say("The database is not ready yet (after a crash it repairs itself first); waiting for it ...")
            noted = True
        if answer == "down" and not _alive(place):
            if read_from:
                _refuse_unless_passing(place, read_from, waited)
                time.sleep(0.5)
            read_from = _launch(place, binaries)
        time.sleep(0.05)


def prepare(place: Place) -> None:
    """Makes our role and database where they are missing."""
    from psycopg import sql

    with _connect(place, SUPERUSER, "postgres") as connection:
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE]).fetchone():
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEDB").format(sql.Identifier(ROLE)))
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(DATABASE), sql.Identifier(ROLE))
            )


def refuse_forgetful(current: Callable[[str], str]) -> None:
    """Refuses a server that may forget what it confirmed; `current` answers with one of its settings."""
    for name, right in SAFE.items():
        if current(name) == "off":
            raise CannotStart(
                f"The database has {name}=off and could lose judgements it confirmed. Set {name}={right} "
                "(ALTER DATABASE, ALTER ROLE or postgresql.conf) and start again."
            )


def stop(place: Place) -> None:
    """Fast shutdown: open work is rolled back, what was confirmed is on disk. Does nothing where no server runs."""
    if ask(place) != "down" or _alive(place):
        command = [find_binaries(place).program("pg_ctl"), "stop", "-D", str(place.data), "-t", str(STOP_LIMIT), "-w"]
        if run([*command, "-m", "fast"], place).returncode != 0:
            run([*command, "-m", "immediate"], place)
    child = _started.pop(place.folder, None)
    if child is not None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(5)


def patiently(say: Say, line: str) -> None:
    """Says something only if a person may be watching."""
    if sys.stderr.isatty():
        say(line)


def _connect(place: Place, role: str, database: str) -> psycopg.Connection[tuple[Any, ...]]:
    import psycopg

    return psycopg.connect(
        host=str(place.sockets), port=PORT, user=role, dbname=database, connect_timeout=5, autocommit=True
    )


def _launch(place: Place, binaries: Binaries) -> int:
    """Starts the server process; returns where in the log its own lines begin."""
    _forget_recycled_pids(place)
    _make_socket_folder(place)
    if place.log.exists() and place.log.stat().st_size > BIGGEST_LOG:
        os.replace(place.log, place.log.with_suffix(".log.1"))
    options = {"max_connections": "100", "unix_socket_permissions": "0700", "logging_collector": "off", **SAFE}
    command = [binaries.program("postgres"), "-D", str(place.data), "-k", str(place.sockets), "-h", ""]
    command += ["-p", str(PORT), *(part for item in options.items() for part in ("-c", "=".join(item)))]
    handle = os.open(place.log, os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "ab") as log:
        log.write(b"-- starting\n")
        log.flush()
        size = os.fstat(log.fileno()).st_size
        _started[place.folder] = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True,
            env=plain_environment(), **as_account(place),
        )  # fmt: skip
    return size


def _alive(place: Place) -> bool:
    """Whether the server process we started runs; asking also buries a dead one, so that no zombie stays."""
    child = _started.get(place.folder)
    return child is not None and child.poll() is None


def _refuse_unless_passing(place: Place, read_from: int, waited: float) -> None:
    with place.log.open("rb") as log:
        log.seek(read_from)
        said = log.read(100_000).decode("utf-8", "replace").strip()
    if waited < RETRY_LIMIT and any(part in said for part in PASSING):
        return
    last = "\n  ".join(said.splitlines()[-8:])
    raise CannotStart(f"The database server ended while starting. The end of its log, {place.log}:\n  {last}")


def _forget_recycled_pids(place: Place) -> None:
    """Postgres trusts the process id in its lock files; a stranger, or a zombie, with that id must not block us.

    Its second guard, the shared memory of the data folder, stays: a real server on this data is still found.
    """
    for path in (place.data / "postmaster.pid", place.sockets / f".s.PGSQL.{PORT}.lock"):
        if _names_a_stranger(path, place):
            path.unlink(missing_ok=True)


def _names_a_stranger(path: Path, place: Place) -> bool:
    try:
        pid = int(path.read_text().split()[0])
        os.kill(pid, 0)
    except (OSError, ValueError, IndexError):
        return False  # none, of a dead process, or of another user's: Postgres clears it away by itself
    return str(place.data) not in _command_line(pid)


def _command_line(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace").replace("\0", " ")
    if Path("/proc/self").exists():
        return ""
    return subprocess.run(["/bin/ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True).stdout


def _make_socket_folder(place: Place) -> None:
    folder = place.sockets
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        give(folder, place)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != place.account.uid or stat.S_IMODE(found.st_mode) & 0o077:
        raise CannotStart(
            f"{folder} is needed for the database's socket but is not a folder that only {place.account.name} can "
            "enter. Remove it, or set FEINSCHLIFF_HOME to a shorter path. Nothing was changed."
        )
