"""Experiment loggers beside real runs: what they get, what never reaches the trainer, and that none can hurt a run."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.training.event_reading import crc32c, curve, events
from tests.training.world_of_runs import frozen, launch, planted, wait_for
from tests.world import ROOT
from training import preparing
from training.loggers import SWITCHES, feeding, outside_id, switched_on
from training.models import Run, Snapshot
from training.reporting import results
from training.working import Worker

pytestmark = pytest.mark.django_db
VARIABLES = {one for variables in SWITCHES.values() for one in variables} | {"WANDB_MODE"}
HANG = "import time\ntime.sleep(600)\n"
FREEZE = "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\n"
RAISE = "raise RuntimeError('a logger of ours was odd, its key is ' + __import__('os').environ['WANDB_API_KEY'])\n"
DIE = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n"
FLOOD = "while True:\n    print('x' * 1000)\n"


@pytest.fixture(autouse=True)
def no_loggers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def snapshot(quick: Path) -> Snapshot:
    return frozen(planted(6))


def worked(run: Run, act: Callable[[Run], None] | None = None, *, at: int = 3) -> Run:
    """Works the run here to its end, and waits for the loggers; `act` happens once, at the step `at`."""
    acted: list[bool] = []

    def heard(current: Run) -> None:
        if act and not acted and current.done >= at:
            acted.append(True)
            act(current)

    worker = Worker()
    while worker.work_one(run.pk, heard):
        pass
    run.refresh_from_db()
    return run


def settle() -> None:
    """Until every logger of this process has ended or was killed."""
    for thread in threading.enumerate():
        if thread.name.endswith(("-last", "-read")):
            thread.join(20)


def wandb_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str) -> None:
    """Installs a package `wandb` that misbehaves as soon as it is imported, and switches its logger on."""
    (tmp_path / "odd" / "wandb").mkdir(parents=True)
    (tmp_path / "odd" / "wandb" / "__init__.py").write_text(does, "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "odd"))
    monkeypatch.setenv("WANDB_API_KEY", "open-sesame-42")


def processes(folder: Path) -> list[int]:
    """Logger processes of a run that live, the frozen ones too."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if str(folder).encode() in words and any(word.startswith(b"training.loggers.") for word in words):
            found.append(int(place.name))
    return found


def test_a_logger_is_on_where_its_variable_is_set_and_only_there() -> None:
    assert switched_on({"PATH": "/bin", "TENSORBOARD_LOGDIR": "", "WANDB_PROJECT": "p"}) == []
    assert switched_on(dict.fromkeys(VARIABLES, "x")) == ["mlflow", "tensorboard", "trackio", "wandb"]
    assert switched_on({"WANDB_MODE": "offline"}) == ["wandb"]
    assert switched_on({"WANDB_MODE": "disabled", "WANDB_API_KEY": "x"}) == []
    assert switched_on({"TENSORBOARD_LOGGING_DIR": "x"}) == ["tensorboard"]  # the name transformers reads


def test_a_run_stands_in_tensorboard_with_its_curve_settings_samples_and_end(
    snapshot: Snapshot,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: Any,  # noqa: ANN401 - pytest-django's fixture
) -> None:
    settings.SITE_URL = "https://polish.example"
    assert crc32c(b"123456789") == 0xE3069283  # the check value of CRC-32C: the reader itself is right
    monkeypatch.setenv("TENSORBOARD_LOGDIR", str(tmp_path / "logs"))
    run = worked(launch(snapshot, steps=4, ends="odd"))
    settle()
    folder = tmp_path / "logs" / outside_id(run)
    assert folder.name.startswith(f"{run.project.slug}-run-{run.pk}-")
    assert feeding.notes(preparing.folder(run))[0].endswith(f"tensorboard: writes to {folder}")
    found = events(folder)
    assert found[0].version == "brain.Event:2"
    shown = {step: pytest.approx(value) for step, value in results.curves(run)["loss/train"]}  # type: ignore[misc]
    assert curve(found, "loss/train") == shown
    texts = {tag: text for event in found for tag, text in event.texts.items()}
    assert f"| snapshot | {snapshot.hash} |" in texts["run"]
    assert "| config/steps | 4 |" in texts["run"]
    assert f"| page | https://polish.example/p/{run.project.slug}/runs/{run.pk}/ |" in texts["run"]
    assert any(tag.startswith("samples/") and "    ab ?" in text for tag, text in texts.items())
    assert "succeeded" in texts["end"]


def test_a_resumed_run_goes_on_in_the_same_curve_and_repeated_steps_count_once(
    snapshot: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENSORBOARD_LOGDIR", str(tmp_path / "logs"))
    run = launch(snapshot, steps=12, pause=0.05)
    worked(run, kill_the_trainer)
    settle()
    assert (run.state, run.attempts) == (Run.SUCCEEDED, 2)
    (folder,) = (tmp_path / "logs").iterdir()
    assert len(list(folder.iterdir())) == 2
    shown = {step: pytest.approx(value) for step, value in results.curves(run)["loss/train"]}  # type: ignore[misc]
    assert curve(events(folder), "loss/train") == shown
    assert len(shown) == 12


def kill_the_trainer(run: Run) -> None:
    os.kill(int(json.loads(run.handle)["pid"]), signal.SIGKILL)


def test_credentials_of_loggers_never_reach_the_trainer_nor_ours_a_logger(
    snapshot: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("WANDB_API_KEY", "MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_PASSWORD", "TRACKIO_WRITE_TOKEN")
    wandb_that(tmp_path, monkeypatch, HANG)
    monkeypatch.setattr(feeding, "LAST", 0.2)
    for name in names:
        monkeypatch.setenv(name, "open-sesame-42")
    monkeypatch.setenv("DATABASE_URL", "postgres://who:secret-of-ours@nowhere/db")
    monkeypatch.setenv("SECRET_KEY", "secret-of-ours")
    trainers: list[str] = []
    loggers: list[str] = []

    def look(run: Run) -> None:
        trainers.append(environment(int(json.loads(run.handle)["pid"])))
        loggers.extend(environment(one) for one in processes(preparing.folder(run)))

    worked(launch(snapshot, steps=12, pause=0.05), look)
    settle()
    assert "FEINSCHLIFF_PARENT" in trainers[0]
    assert "sesame" not in trainers[0]
    assert not any(name in trainers[0] for name in names)
    assert "sesame" in loggers[0]
    assert "secret-of-ours" not in loggers[0]


def environment(pid: int) -> str:
    return Path(f"/proc/{pid}/environ").read_text("utf-8", "replace")


@pytest.mark.parametrize(
    ("does", "said"),
    [
        pytest.param(
            HANG, "it did not end in time and was killed; it may miss the last", id="hangs", marks=pytest.mark.slow
        ),
        pytest.param(FREEZE, "it did not end in time and was killed; it may miss the last", id="is-frozen"),
        pytest.param(
            RAISE, "RuntimeError: a logger of ours was odd, its key is …", id="raises", marks=pytest.mark.slow
        ),
        pytest.param(DIE, "it was ended by SIGKILL", id="is-killed", marks=pytest.mark.slow),
        pytest.param(
            FLOOD, "it did not end in time and was killed; it may miss the last", id="floods", marks=pytest.mark.slow
        ),
    ],
)
def test_a_logger_that_misbehaves_costs_a_run_nothing_and_says_so(
    snapshot: Snapshot,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    does: str,
    said: str,
) -> None:
    wandb_that(tmp_path, monkeypatch, does)
    monkeypatch.setattr(feeding, "LAST", 1.0)
    run = worked(launch(snapshot, steps=4))
    folder = preparing.folder(run)
    if does in (HANG, FREEZE):
        assert processes(folder)  # the run's end did not wait for it
    assert (run.state, run.error, run.attempts) == (Run.SUCCEEDED, "", 1)
    settle()
    assert processes(folder) == []
    log = (folder / feeding.NOTES).read_text("utf-8")
    assert len(log) <= feeding.KEPT + feeding.SENTENCES + feeding.LONGEST
    assert "sesame" not in log
    assert [line for line in feeding.notes(folder) if said in line], log[-1000:]
    assert said in caplog.text


def test_every_variable_that_a_logger_reads_is_documented() -> None:
    read = set(VARIABLES)
    for path in (ROOT / "training" / "loggers").glob("*.py"):
        read |= set(re.findall(r'"((?:TENSORBOARD|MLFLOW|WANDB|TRACKIO)_[A-Z_]+)"', path.read_text("utf-8")))
    assert "MLFLOW_EXPERIMENT_NAME" in read
    page = (ROOT / "docs" / "loggers.md").read_text("utf-8")
    for name in read:
        assert f"`{name}`" in page or f"`{name}=" in page, name


BESIDE = (
    "import sys, time; sys.path[:0] = [sys.argv[1], sys.argv[1] + '/platform']\n"
    "from pathlib import Path; from training.loggers import feeding; feeding.HURRY = 0.5\n"
    'first = b\'{"type": "begin", "attempt": 1}\\n\'\n'
    "feed = feeding.Feed('wandb', run=1, folder=Path(sys.argv[2]), root=Path(sys.argv[1]), first=first)\n"
    "while not Path(sys.argv[2], '.loggers.wandb.lock').exists(): time.sleep(0.05)\n"
)


@pytest.fixture
def hanging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Starts a process that has a hanging logger, and does what it is told."""
    wandb_that(tmp_path, monkeypatch, HANG)
    started: list[subprocess.Popen[bytes]] = []

    def start(does: str) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, "-c", BESIDE + does, str(ROOT), str(tmp_path)]))
        wait_for((tmp_path / ".loggers.wandb.lock").exists, 20)
        return started[0]

    yield start
    for one in started:
        one.kill()
        one.wait()


def test_a_worker_that_is_killed_takes_its_loggers_with_it(
    hanging: Callable[[str], subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    worker = hanging("time.sleep(60)")
    assert processes(tmp_path)
    worker.kill()
    wait_for(lambda: not processes(tmp_path), 5)


def test_a_worker_that_ends_gives_its_loggers_a_moment_and_leaves_none(
    hanging: Callable[[str], subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    worker = hanging("feed.end(b'{}\\n')")
    assert worker.wait(30) == 0
    assert processes(tmp_path) == []
    assert feeding.notes(tmp_path)[-1].endswith("it did not end in time and was killed; it may miss the last")
