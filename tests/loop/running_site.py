"""The real thing for the tests of the loop: a home of its own, `manage.py run` in it, and the commands beside it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg

from tests.world import ROOT, new_home, remove_home
from webapp.postgres.place import DATABASE, PORT, ROLE, find_place


def wait_for(true: Callable[[], Any], seconds: float, explain: Callable[[], object] = str) -> Any:  # noqa: ANN401
    """The first true value; fails after `seconds` with what `explain` says."""
    until = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < until, explain()
        time.sleep(0.1)
    return found


class House:
    """A home folder, and the commands that work on it."""

    def __init__(self, **variables: str) -> None:
        self.home = new_home()
        self.environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
        self.environment |= {"FEINSCHLIFF_HOME": str(self.home), **variables}

    def command(self, *words: str) -> dict[str, Any]:
        """What `python3 manage.py ... --json` prints on its last line; it must end well."""
        status, out, err = self.try_command(*words, "--json")
        assert status == 0, err
        return json.loads(out.splitlines()[-1])

    def try_command(self, *words: str) -> tuple[int, str, str]:
        answer = subprocess.run(
            ["python3", "manage.py", *words],  # noqa: S607 - the system's own: it hands over to the environment's
            cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=180,
        )  # fmt: skip
        return answer.returncode, answer.stdout, answer.stderr

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows from the database behind the site."""
        place = find_place(self.home)
        with psycopg.connect(host=str(place.sockets), port=PORT, user=ROLE, dbname=DATABASE) as connection:
            return connection.execute(statement, values).fetchall()  # type: ignore[arg-type]


class Site:
    """One `manage.py run`."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.port = _free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.output = house.home.parent / f"output-{self.port}.txt"
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "run"],
                cwd=ROOT, env=house.environment | {"PORT": str(self.port)}, stdout=file, stderr=file,
                stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def said(self) -> str:
        return self.output.read_text("utf-8")

    def wait_until_ready(self) -> None:
        wait_for(lambda: "Feinschliff is ready" in self.said() or self.process.poll() is not None, 180, self.said)
        assert self.process.poll() is None, self.said()

    def healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.address}/healthz", timeout=5) as answer:  # noqa: S310
                return answer.status == 200
        except OSError:
            return False

    def link(self, username: str) -> str:
        found = re.search(rf"^  {username} \(.*\)\s+(http\S+)", self.said(), re.MULTILINE)
        assert found, self.said()
        return found[1]

    def pids(self, *words: str) -> list[int]:
        """The processes of this home whose command line holds all the words, oldest first."""
        found = []
        mark = f"FEINSCHLIFF_HOME={self.house.home}\0".encode()
        for folder in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if mark in (folder / "environ").read_bytes() and all(word in command for word in words):
                    found.append(int(folder.name))
        return sorted(found)

    def children(self, *words: str) -> list[int]:
        """Those that the supervisor itself started."""
        return [pid for pid in self.pids(*words) if parent_of(pid) == self.process.pid]

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(60)


def parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except OSError:
        return 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def house_for_a_test(**variables: str) -> Iterator[House]:
    house = House(**variables)
    try:
        yield house
    finally:
        remove_home(house.home)


@contextlib.contextmanager
def site_for_a_test(**variables: str) -> Iterator[Site]:
    with house_for_a_test(**variables) as house:
        site = Site(house)
        try:
            site.wait_until_ready()
            yield site
        finally:
            site.end()
