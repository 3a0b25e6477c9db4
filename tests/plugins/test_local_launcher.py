"""The local launcher with real processes: logs by offset, cancel, handles that another worker can read."""

import time
from pathlib import Path

import pytest

from feinschliff import Job, JobStatus, Launches
from feinschliff.manager import load
from feinschliff.model import resolve
from plugins.local_launcher.launching import LocalLauncher, child_environment
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
    assert other.reattach(handle), "another worker on this machine finds the run by its handle"
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
