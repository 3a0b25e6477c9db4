"""`manage.py run` from the outside: started, killed in parts and as a whole, and started again."""

from __future__ import annotations

import contextlib
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

import pytest

from tests.world import ROOT, new_home, remove_home
from webapp import postgres
from webapp.postgres.place import find_place

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")


class Site:
    """One `manage.py run` as a terminal would start it."""

    def __init__(self, home: Path, port: int, database_url: str = "") -> None:
        self.home = home
        self.port = port
        self.output = home.parent / "output.txt"
        environment = {**os.environ, "FEINSCHLIFF_HOME": str(home), "PORT": str(port), "DATABASE_URL": database_url}
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "run"],
                cwd=ROOT, env=environment, stdout=file, stderr=file, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def said(self) -> str:
        return self.output.read_text()

    def wait_until_ready(self) -> None:
        wait_for(lambda: "Feinschliff is ready" in self.said() or self.process.poll() is not None, 120, self.said)
        assert self.process.poll() is None, self.said()

    def healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)

    def pids(self, *words: str) -> set[int]:
        """The processes of this home (told by their environment) whose command line holds all the words."""
        found = set()
        for folder in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                pid = int(folder.name)
                environment = (folder / "environ").read_bytes()
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if f"FEINSCHLIFF_HOME={self.home}\0".encode() in environment and all(word in command for word in words):
                    found.add(pid)
        return found

    def main_pid(self, *words: str) -> int:
        return min(pid for pid in self.pids(*words) if parent_of(pid) == self.process.pid)


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def wait_for(true: Callable[[], bool], seconds: float, explain: Callable[[], str] = str) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, explain()
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    folder = new_home()
    yield folder
    remove_home(folder)


class Keeper:
    """Hands the tests one running site as long as it lives: starting it is what takes the time."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.site: Site | None = None

    def running(self) -> Site:
        if self.site is None or self.site.process.poll() is not None:
            self.site = Site(self.home, free_port())
            self.site.wait_until_ready()
        return self.site

    def end(self) -> None:
        if self.site is not None and self.site.process.poll() is None:
            self.site.interrupt()


@pytest.fixture(scope="module")
def keeper(home: Path) -> Iterator[Keeper]:
    kept = Keeper(home)
    yield kept
    kept.end()


@pytest.fixture
def site(keeper: Keeper) -> Site:
    return keeper.running()


def test_it_starts_from_nothing_and_greets_with_links_that_work(site: Site) -> None:
    assert site.healthy()
    said = site.said()
    assert f"Feinschliff is ready at http://127.0.0.1:{site.port}" in said
    link = re.search(rf"\(admin\)\s+http://127.0.0.1:{site.port}(/\S+)", said)
    assert link, said
    with urllib.request.urlopen(f"http://127.0.0.1:{site.port}{link[1]}", timeout=10) as page:
        assert page.status == 200


def test_a_command_beside_it_uses_the_same_server_and_leaves_it_up(site: Site) -> None:
    environment = {**os.environ, "FEINSCHLIFF_HOME": str(site.home)}
    command = [sys.executable, "manage.py", "migrate", "--check"]
    answer = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stderr
    assert site.healthy()


def test_each_part_that_is_killed_comes_back(site: Site) -> None:
    for words in (("gunicorn",), ("manage.py", "work")):
        killed = site.main_pid(*words)
        os.kill(killed, signal.SIGKILL)
        wait_for(lambda words=words, killed=killed: site.pids(*words) - {killed} != set(), 20, site.said)
        wait_for(site.healthy, 20, site.said)
    server = postmaster(site)
    os.killpg(server, signal.SIGKILL)
    # the supervisor starts it again, or a worker that just came up and found none, whoever looks first
    wait_for(lambda: postmaster(site) != server and postgres.answers(site.home), 60, site.said)
    wait_for(site.healthy, 20, site.said)


def postmaster(site: Site) -> int:
    """The pid that the database's server wrote; 0 while none has."""
    try:
        return int((find_place(site.home).data / "postmaster.pid").read_text().split()[0])
    except (OSError, IndexError):
        return 0


def test_ctrl_c_ends_all_of_it(site: Site) -> None:
    assert site.interrupt() == 0, site.said()
    assert site.said().endswith("Stopped.\n")
    assert "Traceback" not in site.said()
    assert site.pids() == set()
    assert not postgres.answers(site.home)


def test_a_second_start_is_quick_and_keeps_key_and_people(keeper: Keeper) -> None:
    first = keeper.running()
    key = (first.home / "secret_key").read_text()
    people = re.findall(r"^  (\S+) \(", first.said(), re.MULTILINE)
    assert first.interrupt() == 0
    begun = time.monotonic()
    again = keeper.running()
    assert time.monotonic() - begun < 30
    assert (again.home / "secret_key").read_text() == key
    assert re.findall(r"^  (\S+) \(", again.said(), re.MULTILINE) == people
    assert "Applying" not in again.said()


def test_a_killed_supervisor_takes_its_processes_with_it_and_the_next_start_works(keeper: Keeper) -> None:
    site = keeper.running()
    site.process.kill()
    site.process.wait()
    wait_for(lambda: site.pids() == set(), 20, lambda: str(site.pids()))
    again = keeper.running()
    assert again.healthy()


def test_it_ends_in_order_when_it_is_terminated(site: Site) -> None:
    site.process.terminate()
    assert site.process.wait(60) == 0, site.said()
    assert site.pids() == set()
    assert not postgres.answers(site.home)


def test_with_database_url_that_server_is_used_and_none_is_started(home: Path) -> None:
    folder = new_home()
    with postgres.running(home, lambda line: None):
        settings = postgres.database_settings(home)
        url = f"postgres://{settings['USER']}@/{settings['NAME']}?host={settings['HOST']}"
        site = Site(folder, free_port(), url)
        site.wait_until_ready()
        assert site.healthy()
        assert site.interrupt() == 0
        assert postgres.answers(home)
    assert not (folder / "postgres").exists()
    remove_home(folder)


def test_a_database_url_that_cannot_be_used_is_refused_in_a_sentence(home: Path) -> None:
    with postgres.running(home, lambda line: None):
        host = postgres.database_settings(home)["HOST"]
        environment = {**os.environ, "DATABASE_URL": f"postgres://feinschliff@/nowhere?host={host}"}
        command = [sys.executable, "manage.py", "migrate", "--check"]
        answer = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 1
    assert answer.stderr.startswith("The database of DATABASE_URL cannot be used")
    assert "Traceback" not in answer.stderr


def test_a_taken_port_is_said_before_anything_starts() -> None:
    folder = new_home()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        site = Site(folder, int(taken.getsockname()[1]))
        assert site.process.wait(60) == 1
    assert f"port {site.port}" in site.said()
    assert "Nothing was started" in site.said()
    assert "Traceback" not in site.said()
    assert not (folder / "postgres").exists()
    remove_home(folder)


@pytest.mark.parametrize("port", ["eighty", "0", "65536", "-1"])
def test_a_port_that_is_no_port_is_refused_in_a_sentence(port: str, home: Path) -> None:
    environment = {**os.environ, "FEINSCHLIFF_HOME": str(home), "PORT": port}
    command = [sys.executable, "manage.py", "run"]
    answer = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 1
    assert answer.stderr.strip() == f"PORT is '{port}'; it must be a number from 1 to 65535. Nothing was started."
