"""What the loggers do with what they hear, each as a real process fed through its pipe; MLflow beside a server of its kind."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.training.event_reading import curve, events
from tests.training.mlflow_server import Tracking, tracking
from tests.training.world_of_runs import wait_for
from tests.world import ROOT
from training.loggers import feeding
from training.loggers.feeding import Feed, notes

ABOUT = {
    "type": "begin", "at": 1e9, "id": "answers-run-7-abcdef12", "name": "answers-run-7", "project": "answers", "run": 7,
    "attempt": 1, "trainer": "quick", "trainer_version": "1.0", "plugin": "quick-trainers", "seed": 3, "ranks": 1,
    "config": {"steps": 4, "words": ["a", "ü"], "empty": None}, "snapshot": "f" * 64, "rows": "ranking",
    "models": {"base": "tiny:encoder", "extra": ""}, "launched_from": None,
}  # fmt: skip
END = {
    "type": "end", "at": 1e9 + 60, "state": "succeeded", "error": "", "versions": {"python": "3.11"},
    "numbers": {"accuracy/model": 0.75, "none": None, "flag": True},
}  # fmt: skip
SAMPLE = {
    "type": "sample",
    "at": 1e9,
    "step": 2,
    "prompt": [{"role": "user", "content": "Hé?"}],
    "text": "<b>",
    "values": {},
}


def line(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"


def metric(step: int, **values: float) -> dict[str, Any]:
    return {"type": "metric", "at": 1e9 + step, "step": step, "values": values}


def feed(name: str, folder: Path, **changed: Any) -> Feed:  # noqa: ANN401
    return Feed(name, run=7, folder=folder, root=ROOT, first=line(ABOUT | changed))


def told(logger: Feed, *messages: dict[str, Any], **end: Any) -> None:  # noqa: ANN401
    """Tells it all, and waits for its end."""
    for message in messages:
        logger.put(line(message))
    logger.end(line(END | end))
    for thread in threading.enumerate():
        if thread.name.endswith(("-last", "-read")):
            thread.join(30)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tracking]:
    with tracking() as known:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", known.address)
        yield known


def test_mlflow_hears_settings_numbers_samples_and_the_end(server: Tracking, tmp_path: Path) -> None:
    told(
        feed("mlflow", tmp_path),
        metric(1, **{"loss/train": 2.0}),
        SAMPLE,
        metric(2, **{"loss/train": 1.0, "odd(name)": 3}),
    )
    (run,) = server.runs.values()
    assert server.experiments == {"answers": "1"}
    assert run["info"]["status"] == "FINISHED"
    assert run["info"]["end_time"] == (10**9 + 60) * 1000
    assert run["params"]["config/words"] == '["a", "ü"]'
    assert (run["params"]["seed"], run["params"]["model/base"], run["params"]["snapshot"]) == (
        "3",
        "tiny:encoder",
        "f" * 64,
    )
    assert run["metrics"] == [
        ("loss/train", 1, 2.0), ("loss/train", 2, 1.0), ("odd_name_", 2, 3), ("accuracy/model", 2, 0.75)
    ]  # fmt: skip
    assert run["tags"]["version.python"] == "3.11"
    ((path, content),) = server.files.items()
    assert path == "1/r1/artifacts/samples-of-attempt-1.jsonl"
    assert json.loads(content) == {"step": 2, "prompt": "user: Hé?", "text": "<b>"}
    assert notes(tmp_path)[0].endswith(f"mlflow: {server.address}/#/experiments/1/runs/r1")


def test_the_next_attempt_goes_on_in_the_same_mlflow_run(server: Tracking, tmp_path: Path) -> None:
    told(feed("mlflow", tmp_path), metric(1, loss=2.0), state="queued", numbers={}, versions={})
    (run,) = server.runs.values()
    assert run["info"]["status"] == "SCHEDULED"
    told(feed("mlflow", tmp_path, attempt=2), metric(2, loss=1.0), state="failed", error="It broke.")
    assert len(server.runs) == 1
    assert run["info"]["status"] == "FAILED"
    assert (run["tags"]["feinschliff.attempt"], run["tags"]["feinschliff.error"]) == ("2", "It broke.")
    assert [(name, step) for name, step, _ in run["metrics"]][:2] == [("loss", 1), ("loss", 2)]


def test_credentials_go_to_the_server_and_into_no_note(
    server: Tracking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address.replace("http://", "http://ada:open-sesame@"))
    told(feed("mlflow", tmp_path), metric(1, loss=2.0))
    assert {one["Authorization"] for one in server.headers} == {"Basic YWRhOm9wZW4tc2VzYW1l"}
    assert "sesame" not in (tmp_path / feeding.NOTES).read_text("utf-8")


def test_a_server_that_refuses_is_left_alone_and_its_words_are_said(server: Tracking, tmp_path: Path) -> None:
    server.answers_with = 403
    told(feed("mlflow", tmp_path), metric(1, loss=2.0))
    assert notes(tmp_path)[-1].endswith(f"mlflow trouble: {server.address} refuses: 403 Not now.")
    assert len(server.headers) == 1


def test_a_redirect_is_not_followed_with_our_credentials(server: Tracking, tmp_path: Path) -> None:
    server.answers_with = 302
    told(feed("mlflow", tmp_path), metric(1, loss=2.0))
    assert "refuses: 302" in notes(tmp_path)[-1]
    assert len(server.headers) == 1


def test_what_was_told_while_the_server_was_away_arrives_when_it_is_back(server: Tracking, tmp_path: Path) -> None:
    server.answers_with = 503
    logger = feed("mlflow", tmp_path)
    wait_for(lambda: server.headers, 20)
    for step in range(1, 2501):
        logger.put(line(metric(step, loss=float(step))))
    wait_for(lambda: notes(tmp_path), 20)
    assert notes(tmp_path)[0].endswith(f"trouble: {server.address} answers 503 Not now.; it is tried again")
    server.answers_with = None
    told(logger)
    (run,) = server.runs.values()
    assert [value for name, _, value in run["metrics"] if name == "loss"] == [float(step) for step in range(1, 2501)]


@pytest.mark.parametrize("uri", ["sqlite:///x.db", "databricks", "file:///tmp/x"])
def test_another_kind_of_mlflow_store_is_said_to_be_unfit(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    told(feed("mlflow", tmp_path))
    assert "MLFLOW_TRACKING_URI must be the http(s) address of a tracking server" in notes(tmp_path)[0]


def test_a_folder_that_tensorboard_cannot_have_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TENSORBOARD_LOGDIR", str(tmp_path / "file"))
    told(feed("tensorboard", tmp_path), metric(1, loss=2.0))
    assert "cannot be written (Not a directory)" in notes(tmp_path)[0]


def test_a_package_that_is_not_installed_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_PROJECT", "demo")
    told(feed("trackio", tmp_path), metric(1, loss=2.0))
    (note,) = notes(tmp_path)
    assert note.endswith("the package trackio is not installed where the worker runs (pip install trackio)")


def test_numbers_of_every_size_survive_in_an_event_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENSORBOARD_LOGDIR", str(tmp_path / "logs"))
    values = [0.0, -1.5, 1e-30, 3e38, 1e300]
    told(
        feed("tensorboard", tmp_path), *(metric(step, x=value) for step, value in enumerate(values)), metric(2**62, x=1)
    )
    found = curve(events(tmp_path / "logs" / "answers-run-7-abcdef12"), "x")
    assert [found[step] for step in range(5)] == [pytest.approx(v) for v in values[:4]] + [float("inf")]
    assert found[2**62] == 1


def test_a_logger_that_cannot_follow_loses_reports_and_says_how_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "odd" / "wandb").mkdir(parents=True)
    (tmp_path / "odd" / "wandb" / "__init__.py").write_text("import time\ntime.sleep(600)\n", "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "odd"))
    monkeypatch.setattr(feeding, "LAST", 0.5)
    monkeypatch.setattr(feeding, "WAITING", 100_000)
    logger = feed("wandb", tmp_path)
    report, began = line(metric(1, loss=1.0)), time.monotonic()
    for _ in range(20_000):
        logger.put(report)
    assert time.monotonic() - began < 2  # no put waits, however full it is
    told(logger)
    assert "reports were dropped, since it could not follow" in notes(tmp_path)[-1]
    assert logger.dropped > 10_000
