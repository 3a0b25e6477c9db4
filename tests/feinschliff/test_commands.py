"""The commands as a person types them: what is wrong is said in one sentence, and nothing is half written."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import feinschliff

ROOT = Path(__file__).resolve().parents[2]


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": str(Path(feinschliff.__file__).resolve().parents[1])}
    return subprocess.run(
        [sys.executable, "-m", "feinschliff", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_answers_are_written_beside_their_prompts_with_their_sources(tmp_path: Path) -> None:
    prompts = [
        {"id": "a", "prompt": "Hello"},
        {"id": "b", "prompt": [{"role": "user", "content": "Hi"}], "language": "en"},
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in prompts))
    asked = ["--prompts", str(tmp_path / "in.jsonl"), "--out", str(tmp_path / "out.jsonl"), "--max-new-tokens", "4"]
    known = ["--plugin", "plugins.base_models", "--weights", str(tmp_path / "weights")]
    done = command("answer", "tiny:causal", *asked, "--temperature", "0", "--temperature", "1.2", *known)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"type": "progress", "done": 4, "total": 4}
    written = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [{key: line[key] for key in prompt} for line, prompt in zip(written, prompts, strict=True)] == prompts
    assert all(line["sources"] == ["tiny:causal T=0", "tiny:causal T=1.2"] for line in written)
    assert all(len(line["responses"]) == 2 for line in written)


@pytest.mark.parametrize(
    ("line", "told"), [("{", "line 2"), ('{"id": 1}', "line 2: no usable prompt"), ('{"prompt": 3}', "line 2")]
)
def test_a_bad_prompt_is_named_by_its_line_and_nothing_is_written(line: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"prompt": "fine"}\n' + line + "\n")
    done = command(
        "answer", "tiny:causal", "--prompts", str(tmp_path / "in.jsonl"), "--out", str(tmp_path / "out.jsonl")
    )
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ("score", "nope:x", "--prompt", "p", "--completion", "c"),
            "neither a folder of a finished run nor a model string",
        ),
        (("train", "/no/such/folder"), "no such folder; nothing was done"),
        (("serve", "."), "no feinschliff-model.json in it"),
    ],
)
def test_a_wrong_word_is_answered_with_a_sentence(arguments: tuple[str, ...], told: str) -> None:
    done = command(*arguments)
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_without_a_job_ends_with_a_result_that_says_so(tmp_path: Path) -> None:
    assert command("train", str(tmp_path)).returncode == 1
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["state"] == "failed"
    assert "no job.json" in result["error"]


def test_a_model_made_by_an_unknown_trainer_names_what_is_missing(tmp_path: Path) -> None:
    about = {"api": 1, "trainer": "from-elsewhere", "opens": "os:system", "plugins": ["elsewhere"]}
    (tmp_path / "feinschliff-model.json").write_text(json.dumps(about))
    done = command("score", str(tmp_path), "--prompt", "p", "--completion", "c")
    assert done.returncode == 1
    assert "'from-elsewhere'" in done.stderr
    assert "elsewhere: it cannot be loaded" in done.stderr
