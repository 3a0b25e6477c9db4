"""The reward model as real child processes: it finds a planted truth, repeats itself, stops, resumes, and refuses."""

import hashlib
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from feinschliff import Opening
from tests.plugins.small_world import ROOT, Make, environment, finish, result, start, write_rows


def digest(folder: Path) -> str:
    return hashlib.sha256((folder / "model" / "model.safetensors").read_bytes()).hexdigest()


def lines_until(child: subprocess.Popen[str], step: int) -> None:
    """Read the child's lines until it has logged this step."""
    assert child.stdout
    for line in child.stdout:
        if line.startswith('{"type": "metric"') and json.loads(line)["step"] >= step:
            return
    raise AssertionError(f"the run ended before step {step}")


@pytest.mark.parametrize(("base", "kind"), [("tiny:encoder", "ranking"), ("tiny:causal", "pair")])
def test_it_learns_a_planted_truth_better_than_every_baseline(run_folder: Make, base: str, kind: str) -> None:
    folder = run_folder("learns", base, kind=kind, batch_rows=8, rows=120)
    code, lines, log = finish(start(folder))
    assert code == 0, log
    numbers = result(folder)["numbers"]
    for other in ("random", "constant", "longer", "untrained"):
        assert numbers["accuracy/model/low"] > numbers[f"accuracy/{other}"] or numbers["accuracy/model"] == 1.0
    assert numbers["accuracy/model"] > 0.9
    steps = [line["step"] for line in lines if line["type"] == "metric" and "loss/train" in line["values"]]
    assert steps == sorted(steps)
    assert any("accuracy/heldout" in line["values"] for line in lines if line["type"] == "metric")
    assert [line for line in lines if line["type"] == "progress"][-1]["done"] == numbers["steps"]
    assert {line["type"] for line in lines} == {"metric", "progress", "report", "sample", "state"}
    reports = {line["title"]: line for line in lines if line["type"] == "report"}
    assert set(reports) == {"Accuracy by annotator", "Accuracy by length of people's choice", "Reliability"}
    assert sum(row[1] for row in reports["Accuracy by length of people's choice"]["rows"]) == numbers["pairs/heldout"]
    about = json.loads((folder / "model" / "feinschliff-model.json").read_text())
    assert about["trainer"] == "reward-model"
    assert about["base"] == base


def test_a_run_that_was_killed_or_stopped_ends_with_the_same_weights_and_numbers(
    run_folder: Make, undisturbed: Path
) -> None:
    folder = run_folder("disturbed", batch_rows=4)
    first = start(folder)
    lines_until(first, 20)
    first.kill()
    finish(first)
    assert not (folder / "result.json").exists()
    assert list((folder / "checkpoints").glob("0*")), "the first epoch left a checkpoint"

    second = start(folder)
    lines_until(second, 24)
    second.terminate()
    code, _, log = finish(second)
    assert code == 3, log
    assert result(folder)["state"] == "stopped"

    code, lines, log = finish(start(folder))
    assert code == 0, log
    assert any("resumed" in line.get("message", "") for line in lines)
    assert result(folder)["numbers"] == result(undisturbed)["numbers"]
    assert digest(folder) == digest(undisturbed)
    assert not (folder / "checkpoints").exists()


def test_the_finished_model_scores_every_script_through_a_pipe(undisturbed: Path) -> None:
    requests = [
        {
            "id": 1,
            "verb": "score",
            "args": {"prompt": "Write.", "completions": ["river stone", "please river please stone"]},
        },
        {
            "id": 2,
            "verb": "score",
            "args": {"prompt": "", "completions": ["", "\u0645\u0631\u062d\u0628\u0627 \U0001f600", "\u4f60\u597d"]},
        },
        {"id": 3, "verb": "generate", "args": {"prompts": ["x"]}},
        {"id": 4, "verb": "score", "args": {"prompt": "p " * 3000, "completions": ["short"]}},
        {"id": 5, "verb": "score", "args": {"prompt": "p", "completions": ["word " * 3000]}},
    ]
    text = "\n".join([*map(json.dumps, requests), "no json", ""])
    served = subprocess.run(
        [sys.executable, "-m", "feinschliff", "serve", str(undisturbed / "model")],
        cwd=ROOT, env=environment(), input=text, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    ready, *answers = map(json.loads, served.stdout.splitlines())
    assert ready == {"ready": True, "verbs": ["score", "score_details"]}
    better, worse = answers[0]["result"]
    assert better > worse
    assert len(answers[1]["result"]) == 3
    assert "cannot generate" in answers[2]["error"]
    assert len(answers[3]["result"]) == 1
    assert "longer than" in answers[4]["error"]
    assert "error" in answers[5]


def run_refused(folder: Path) -> tuple[int, str]:
    code, _, _ = finish(start(folder))
    return code, result(folder)["error"]


def test_a_loss_that_is_not_a_number_ends_the_run_and_says_what_to_change(run_folder: Make, weights: Path) -> None:
    from safetensors.torch import load_file, save_file

    from plugins.base_models.opening import open_tiny

    source = open_tiny("tiny:encoder", Opening(weights=weights)).folder
    folder = run_folder("poisoned")
    poisoned = shutil.copytree(source, folder / "base")
    tensors = {name: tensor * float("nan") for name, tensor in load_file(source / "model.safetensors").items()}
    save_file(tensors, poisoned / "model.safetensors", metadata={"format": "pt"})
    change(folder, models={"base": {"ref": f"local:{poisoned}"}}, local_models=[str(folder)])
    code, error = run_refused(folder)
    assert code == 1
    assert "the loss became nan at step 1" in error
    assert "learning_rate" in error


def change(folder: Path, **changes: Any) -> Path:  # noqa: ANN401
    job = json.loads((folder / "job.json").read_text())
    (folder / "job.json").write_text(json.dumps(job | changes))
    return folder


def test_too_few_rows_are_refused_before_anything_heavy_is_loaded(run_folder: Make) -> None:
    folder = run_folder("few", rows=3)
    code, error = run_refused(folder)
    assert code == 2
    assert "torch" not in result(folder)["versions"]
    assert error == "Reward model needs at least 8 rows to train on (ranking or pair or rating); this snapshot has 3"


def test_rows_that_compare_nothing_are_refused(run_folder: Make) -> None:
    folder = run_folder("nothing")
    write_rows(folder / "train.jsonl", [{"prompt": "p", "completions": ["a", "b"], "ranks": [1, None]}] * 9)
    assert run_refused(folder) == (
        2,
        "no row tells two different answers apart that fit the model (all tied, not ranked, or the same text): "
        "nothing can be learned from these rows",
    )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"config": {"epochs": 0}}, "config, epochs: "),
        ({"trainer": "ppo"}, "no trainer 'ppo' here, there are: reward-model"),
        ({"api": 2}, "speaks API 2"),
        ({"models": {"base": {"ref": "tiny:huge"}}}, "tiny:encoder and tiny:causal"),
        ({"models": {"base": {"ref": "local:/etc"}}}, "FEINSCHLIFF_LOCAL_MODELS"),
        ({"models": {"base": {"ref": "package:nothing-here"}}}, "not installed"),
        ({"rows": {"train": "absent.jsonl"}}, "absent.jsonl: cannot be read"),
    ],
)
def test_a_bad_job_ends_with_one_sentence(run_folder: Make, changes: dict[str, Any], told: str) -> None:
    code, error = run_refused(change(run_folder("bad"), **changes))
    assert code == 1
    assert told in error


def test_the_child_does_not_outlive_the_process_it_names_as_its_parent(run_folder: Make) -> None:
    folder = run_folder("orphan", epochs=50, rows=8)
    script = (
        "import os, subprocess, sys, time\n"
        "env = {**os.environ, 'FEINSCHLIFF_PARENT': str(os.getpid())}\n"
        f"child = subprocess.Popen([sys.executable, '-m', 'feinschliff', 'train', {str(folder)!r}], env=env,\n"
        "    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout
    pid = int(parent.stdout.readline())
    while not (folder / "checkpoints").exists():  # by then it has long said whose child it is
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists():
            return
        time.sleep(0.05)
    raise AssertionError("the child lives on without its parent")
