"""freeze, train, models, score and plugins from a shell: one JSON object at the end, exit statuses, one clear sentence."""

from __future__ import annotations

import io
import json
import signal
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.builders import child_environment
from tests.training.world_of_runs import add_item, frozen, launch, planted, project, wait_for
from tests.world import ROOT
from training.catalogue.listing import listing
from training.models import Model, Run, Snapshot
from training.working import Worker

pytestmark = pytest.mark.django_db


def said(*words: str, **options: Any) -> str:  # noqa: ANN401
    out = io.StringIO()
    call_command(*words, stdout=out, **options)
    return out.getvalue().strip()


def refusal(*words: str) -> str:
    with pytest.raises(CommandError) as wrong:
        said(*words)
    assert "Traceback" not in str(wrong.value)
    return str(wrong.value)


def test_freeze_prints_the_hash_and_with_json_the_counts(quick: Path) -> None:
    planted(12)
    first = said("freeze", "planted", "--heldout", "0.25")
    found = json.loads(said("freeze", "planted", "--rows", "pair", "--heldout", "0.25", "--json"))
    assert set(Snapshot.objects.values_list("hash", flat=True)) == {first, found["hash"]}
    assert (found["rows"], found["judgements"]) == ("pair", 12)
    assert found["train"] + found["heldout"] == 12 * 6


def test_plugins_lists_trainers_and_models(quick: Path) -> None:
    assert "reward-model: Learns" in said("plugins")
    found = json.loads(said("plugins", "--json"))
    assert set(found["trainers"]) == set(listing().trainers)
    assert found["refusals"] == []


def test_train_without_waiting_queues_the_run_and_says_its_number(quick: Path) -> None:
    snapshot = frozen(planted())
    text = said("train", "quick", "--snapshot", snapshot.hash[:8], "--set", "steps=5", "--seed", "4")
    run = Run.objects.get()
    assert text.splitlines() == [f"run {run.pk}", "queued"]
    assert (run.config["steps"], run.seed, run.state) == (5, 4, Run.QUEUED)


def test_train_that_waits_works_the_run_itself_where_no_worker_is_up(
    quick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.management.commands.train.PATIENCE", 0.0)
    snapshot = frozen(planted())
    text = said("train", "quick", "--snapshot", snapshot.hash, "--wait")
    run = Run.objects.get()
    assert text.splitlines()[-6:] == [
        "succeeded", "accuracy/model 0.7500", "accuracy/random 0.5000", "resumed-from 0", "total 6", f"model run:{run.pk}",
    ]  # fmt: skip
    out = io.StringIO()
    with pytest.raises(CommandError, match="it needs more than this") as failed:
        call_command(
            "train", "quick", "--snapshot", snapshot.hash, "--set", "ends=needs", "--wait", "--json", stdout=out
        )
    assert failed.value.returncode == 1
    answer = json.loads(out.getvalue().splitlines()[-1])
    assert answer == {
        "run": run.pk + 1,
        "name": "",
        "state": "failed",
        "numbers": {},
        "error": "it needs more than this",
    }


def test_models_and_score(quick: Path) -> None:
    assert "No run has left a model yet." in said("models")
    run = launch(frozen(planted()))
    Worker().work_one(run.pk)
    assert f"run:{run.pk}  quick in planted, can score, 0.750 Orders it gets right" in said("models")
    [row] = json.loads(said("models", "--json"))["models"]
    assert (row["model"], row["snapshot"]) == (f"run:{run.pk}", run.snapshot.hash)
    completions = ["--completion", "a", "--completion", "abc"]
    assert said("score", f"run:{run.pk}", "--prompt", "?", *completions).splitlines() == ["+2.0000  a", "+6.0000  abc"]
    found = json.loads(said("score", str(run.pk), "--prompt", "?", *completions, "--json"))
    assert found == {"model": f"run:{run.pk}", "scores": [2.0, 6.0]}
    assert "made me stumble" in refusal("score", f"run:{run.pk}", "--prompt", "stumble", "--completion", "a")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("freeze", "nowhere"), "There is no project “nowhere”. There are: empty, planted."),
        (("freeze", "empty"), "There are no judgements yet."),
        (("freeze", "planted", "--heldout", "2"), "The share held out is between 0.01 and 0.9."),
        (("train", "magic", "--snapshot", "HASH"), "There is no trainer “magic”"),
        (("train", "quick", "--snapshot", "abc"), "is the beginning of no snapshot's hash"),
        (("train", "quick", "--snapshot", "0" * 64), "is the beginning of no snapshot's hash"),
        (("train", "quick", "--snapshot", "HASH", "--set", "steps"), "--set is written name=value"),
        (("train", "quick", "--snapshot", "HASH", "--set", "steps=0"), "steps: 0 is less than the minimum of 1"),
        (("train", "quick", "--snapshot", "HASH", "--set", "steps=many"), "steps: a whole number was expected"),
        (("train", "quick", "--snapshot", "HASH", "--set", "spoons=1"), "spoons: this trainer has no such setting"),
        (("train", "quick", "--snapshot", "HASH", "--base", "tiny:encoder"), "takes no model as base"),
        (("train", "reward-model", "--snapshot", "HASH"), "base: choose a model that can embed"),
        (("train", "reward-model", "--snapshot", "HASH", "--model", "base"), "--model is written name=value"),
        (("train", "quick", "--snapshot", "HASH", "--seed", "-1"), "seed: a seed is a whole number"),
        (("score", "run:99", "--prompt", "a", "--completion", "b"), "There is no model “run:99”"),
        (("score", "mine", "--prompt", "a", "--completion", "b"), "There is no model “mine”"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence_and_nothing_is_launched(
    quick: Path, words: tuple[str, ...], sentence: str
) -> None:
    snapshot = frozen(planted())
    add_item(project("empty"), "one", ["a", "b"])
    assert sentence in refusal(*(snapshot.hash if word == "HASH" else word for word in words))
    assert not Run.objects.exists()


class Shell:
    """Commands as a person types them: python3 of the system, which hands over to the environment's own."""

    def __init__(self, home: Path) -> None:
        self.environment = child_environment() | {"FEINSCHLIFF_HOME": str(home)}

    def start(self, *words: str) -> subprocess.Popen[str]:
        command = ["python3", "manage.py", *words]
        return subprocess.Popen(
            command, cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run(self, *words: str) -> tuple[int, str, str]:
        process = self.start(*words)
        out, err = process.communicate(timeout=180)
        assert "Traceback" not in err
        return process.returncode, out, err


@pytest.fixture
def shell(quick: Path) -> Shell:
    return Shell(quick)


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow  # the loop by commands (tests/loop) goes the same way
def test_a_real_run_from_the_shell_ends_with_numbers_a_model_and_status_zero(shell: Shell) -> None:
    planted(16)
    status, out, err = shell.run("freeze", "planted", "--json")
    assert status == 0, err
    name = json.loads(out.splitlines()[-1])["hash"]
    words = ["--snapshot", name, "--base", "tiny:encoder", "--set", "epochs=1", "--set", "evaluations=1"]
    status, out, err = shell.run("train", "reward-model", *words, "--wait", "--json")
    assert status == 0, err
    answer = json.loads(out.splitlines()[-1])
    assert answer["state"] == "succeeded"
    assert {"accuracy/model", "accuracy/random", "accuracy/longer", "accuracy/untrained"} <= set(answer["numbers"])
    assert Model.objects.get().run_id == answer["run"]
    status, out, err = shell.run(
        "score", f"run:{answer['run']}", "--prompt", "Hi", "--completion", "a", "--completion", "b", "--json"
    )
    assert status == 0, err
    assert len(json.loads(out.splitlines()[-1])["scores"]) == 2


@pytest.mark.django_db(transaction=True)
def test_a_run_that_fails_is_one_sentence_and_status_one(shell: Shell, tmp_path: Path) -> None:
    snapshot = frozen(planted(12))
    for name in ("empty", "odd"):
        (tmp_path / name).mkdir()
    (tmp_path / "odd" / "config.json").write_text("{}", "utf-8")  # looks like a model until it is opened
    (tmp_path / "odd" / "model.safetensors").write_bytes(struct.pack("<Q", 2) + b"{}")
    shell.environment["FEINSCHLIFF_LOCAL_MODELS"] = str(tmp_path)
    asked = ["train", "reward-model", "--snapshot", snapshot.hash, "--wait", "--json", "--base"]
    status, _, err = shell.run(*asked, f"local:{tmp_path}/empty")
    assert (status, "no config.json" in err, Run.objects.exists()) == (1, True, False)
    status, out, err = shell.run(*asked, f"local:{tmp_path}/odd")
    run = Run.objects.get()
    assert (status, run.state) == (1, Run.FAILED)
    assert json.loads(out.splitlines()[-1])["error"] == run.error
    assert run.error.splitlines()[0] in err


@pytest.mark.django_db(transaction=True)
def test_a_base_that_is_not_there_is_refused_before_anything_starts(shell: Shell) -> None:
    snapshot = frozen(planted(12))
    wanted = {"tiny:nope": "at hand are tiny:encoder", "package:nope": "at hand are", "local:/nope": "no such folder"}
    for base, words in wanted.items():
        status, _, err = shell.run("train", "reward-model", "--snapshot", snapshot.hash, "--base", base)
        assert status == 1
        assert words in err
        assert "Nothing was launched." in err
    assert not Run.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("number", "status", "state"), [(signal.SIGINT, 130, Run.CANCELLED), (signal.SIGTERM, 143, Run.QUEUED)]
)
def test_a_wait_that_is_broken_off_leaves_a_clear_state(
    shell: Shell, number: signal.Signals, status: int, state: str
) -> None:
    """Ctrl-C cancels the run; a shell that is closed gives it back to the queue."""
    snapshot = frozen(planted(12))
    words = ["--snapshot", snapshot.hash, "--base", "tiny:encoder", "--set", "epochs=50", "--wait"]
    process = shell.start("train", "reward-model", *words)
    wait_for(lambda: Run.objects.filter(state=Run.RUNNING).exists(), 60)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == status, err
    assert "Traceback" not in err
    assert Run.objects.get().state == state
