"""The local launcher with real processes: logs by offset, cancel, handles that another worker can read."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from feinschliff import Job, JobStatus, Launches
from feinschliff.manager import load
from feinschliff.model import resolve
from plugins.local_launcher.launching import LocalLauncher, child_environment
from plugins.local_launcher.processes import Family, Mark, end_leftovers, mark, started
from plugins.local_launcher.recording import TAIL, Recorder
from tests.plugins.small_world import ROOT, Make, result


@pytest.fixture
def launcher() -> LocalLauncher:
    return resolve(load(["plugins.local_launcher"], entry_points=False).launchers["local"].makes)()


def wait(launcher: LocalLauncher, handle: str) -> JobStatus:
    for _ in range(1200):
        status = launcher.status(handle)
        if status.state == "ended":
            return status
        time.sleep(0.1)
    raise AssertionError("the run does not end")


def test_a_run_is_submitted_watched_and_its_log_read_by_offset(run_folder: Make, launcher: LocalLauncher) -> None:
    assert isinstance(launcher, Launches)
    folder = run_folder("launched", rows=4)
    handle = launcher.submit(Job(folder=folder, root=ROOT))
    assert wait(launcher, handle) == JobStatus("ended", 2)
    whole, end = launcher.logs(handle, 0)
    assert b"needs at least 8 rows" in whole
    assert launcher.logs(handle, end) == (b"", end)
    assert launcher.logs(handle, end - 3) == (whole[-3:], end)


def test_a_run_is_cancelled_by_term_and_then_by_kill(run_folder: Make, launcher: LocalLauncher) -> None:
    folder = run_folder("cancelled", epochs=50)
    handle = launcher.submit(Job(folder=folder, root=ROOT))
    while b'"type": "progress"' not in launcher.logs(handle, 0)[0]:
        time.sleep(0.05)
    other = LocalLauncher()
    assert other.status(handle) == JobStatus("running"), "another worker on this machine finds the run by its handle"
    launcher.cancel(handle)
    assert wait(launcher, handle) == JobStatus("ended", 3)
    assert result(folder)["state"] == "stopped"
    assert not other.reattach(handle)

    handle = launcher.submit(Job(folder=folder, root=ROOT))
    launcher.kill(handle)
    assert wait(launcher, handle) == JobStatus("ended", -9)
    launcher.cancel(handle)  # too late, and harmless


def test_a_handle_whose_pid_now_belongs_to_somebody_else_is_ended(tmp_path: Path, launcher: LocalLauncher) -> None:
    assert launcher.status(f'{{"pid": 1, "started": "12345", "folder": "{tmp_path}"}}') == JobStatus("ended")


def test_secrets_of_the_worker_do_not_reach_the_child() -> None:
    outer = {"PATH": "/bin", "DATABASE_URL": "x", "SECRET_KEY": "y", "WANDB_API_KEY": "z", "HF_HOME": "h"}
    inner = child_environment(outer)
    assert not {"DATABASE_URL", "SECRET_KEY", "WANDB_API_KEY"} & set(inner)
    assert inner["HF_HOME"] == "h"


SLEEP = [sys.executable, "-c", "import time; time.sleep(100)"]


@pytest.fixture
def stray(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process of a run in this folder, in a session of its own; its worker is this test's process."""
    bears = Mark("run-7-1-abc", os.getpid(), started(os.getpid()) or "", str(tmp_path))
    child = subprocess.Popen(SLEEP, env={**os.environ, **bears.variables()}, start_new_session=True)
    wait_until(lambda: mark(child.pid) == bears)
    yield child
    child.kill()
    child.wait()


def wait_until(true: object) -> None:
    until = time.monotonic() + 10
    while not true():  # type: ignore[operator]
        assert time.monotonic() < until
        time.sleep(0.02)


def test_the_next_worker_ends_what_a_run_left_wherever_it_went(stray: subprocess.Popen[bytes], tmp_path: Path) -> None:
    gone = 2**22 + 1  # no pid is as high
    handle = f'{{"pid": {gone}, "started": "1", "folder": "{tmp_path}", "name": "run-7-1-abc"}}'
    assert not LocalLauncher().reattach(handle)
    assert stray.wait(10) == -signal.SIGKILL


def test_a_run_of_a_living_worker_is_nobodys_leftover(stray: subprocess.Popen[bytes]) -> None:
    LocalLauncher()
    end_leftovers("/another/folder")
    assert stray.poll() is None


def test_what_still_works_in_a_folder_ends_before_another_is_started_there(
    stray: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    end_leftovers(str(tmp_path))
    assert stray.wait(10) == -signal.SIGKILL


def test_a_run_whose_worker_is_gone_ends_when_the_next_worker_starts(tmp_path: Path) -> None:
    worker = subprocess.Popen(SLEEP)
    bears = Mark("run-8-1-abc", worker.pid, started(worker.pid) or "", str(tmp_path))
    child = subprocess.Popen(SLEEP, env={**os.environ, **bears.variables()}, start_new_session=True)
    wait_until(lambda: mark(child.pid) == bears)
    worker.kill()
    worker.wait()
    LocalLauncher()
    assert child.wait(10) == -signal.SIGKILL


def test_a_process_that_was_seen_once_is_known_when_it_has_wiped_its_environment(tmp_path: Path) -> None:
    wipe = "import os, sys, time; time.sleep(1); os.execve(sys.executable, [sys.executable, '-c', 'input()'], {})"
    bears = Mark("run-9-1-abc", os.getpid(), started(os.getpid()) or "", str(tmp_path))
    child = subprocess.Popen(
        [sys.executable, "-c", wipe], env={**os.environ, **bears.variables()}, stdin=subprocess.PIPE
    )
    family = Family(bears.name)
    wait_until(family.members)
    wait_until(lambda: mark(child.pid) is None)
    family.end()
    assert child.wait(10) == -signal.SIGKILL


def recorded(tmp_path: Path, pieces: list[bytes], limit: int) -> bytes:
    ours, theirs = os.pipe()
    recorder = Recorder(ours, tmp_path / "output.log", limit)
    recorder.start()
    for piece in pieces:
        while piece:
            piece = piece[os.write(theirs, piece) :]
    os.close(theirs)
    recorder.join(10)
    return (tmp_path / "output.log").read_bytes()


def test_output_below_the_limit_is_kept_as_it_came(tmp_path: Path) -> None:
    pieces = [b"one\ntw", b"o\n\xff\x00", b"no end of line"]
    assert recorded(tmp_path, pieces, 100) == b"".join(pieces)


def test_beyond_the_limit_events_pass_and_the_end_is_kept(tmp_path: Path) -> None:
    event = b'{"type": "metric", "step": 1, "values": {"a": 1}}\n'
    flood = b"noise\n" * 200_000
    found = recorded(tmp_path, [b"first\n", flood, b"50 %\r" + event, flood, b"Traceback\nlast"], 1000)
    assert found.startswith(b"first\nnoise\n")
    assert found.count(event) == 1
    assert found.endswith(b"noise\nTraceback\nlast")
    assert "… 2.3 MB were printed here and not kept …".encode() in found
    assert len(found) < 1000 + len(event) + TAIL + 100


def test_the_end_of_a_line_without_end_is_no_event(tmp_path: Path) -> None:
    forged = b'{"type": "state", "state": "done"}\n'
    found = recorded(tmp_path, [b"x" * 2_000_000 + forged, b"after\n"], 1000)
    assert found.count(forged) == 1, "as text among the last lines"
    assert found.index(forged) > found.index(b"not kept")
