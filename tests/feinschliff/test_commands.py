"""The commands as a person types them: what is wrong is said in one sentence, and nothing is half written."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

import feinschliff
from feinschliff.__main__ import parser
from feinschliff.checks import worlds

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


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A run of `keeps-all` that has succeeded."""
    folder = tmp_path / "run"
    folder.mkdir()
    text = "".join(json.dumps(row) + "\n" for row in worlds.rows("pair", 20, 1))
    (folder / "train.jsonl").write_text(text)
    job = {"api": 1, "run": "1", "trainer": "keeps-all", "rows": {"train": "train.jsonl"}, "config": {"epochs": 2}}
    (folder / "job.json").write_text(json.dumps(job | {"plugins": ["tests.feinschliff.bad_trainers"]}))
    assert command("train", str(folder)).returncode == 0
    return folder


def held(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_finished_run_is_not_worked_over_unless_that_is_said(finished: Path) -> None:
    before = held(finished)
    done = command("train", str(finished))
    assert done.returncode == 1
    assert "holds a finished run; work a copy of it, or say --again" in done.stderr
    assert held(finished) == before
    assert command("train", str(finished), "--again").returncode == 0
    assert held(finished).keys() == before.keys()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"trainer": "gone"}, "no trainer 'gone' here"),
        ({"rows": {"train": "nowhere.jsonl"}}, "cannot be read"),
        ({"config": {"epoch": 2}}, "there is no setting 'epoch' (did you mean epochs?); there are: epochs"),
    ],
)
def test_what_an_attempt_left_stays_until_the_next_can_begin(
    finished: Path, change: dict[str, object], told: str
) -> None:
    job = json.loads((finished / "job.json").read_text())
    (finished / "job.json").write_text(json.dumps(job | change))
    (finished / "result.json").write_text('{"state": "failed"}')
    done = command("train", str(finished))
    assert (done.returncode, told in done.stderr) == (1, True), done.stderr
    assert (finished / "model" / "weights.json").exists()
    assert told in json.loads((finished / "result.json").read_text())["error"]


def test_a_job_is_known_by_all_its_settings(finished: Path) -> None:
    about = json.loads((finished / "model" / "feinschliff-model.json").read_text())
    assert about["config"] == {"epochs": 2}
    job = json.loads((finished / "job.json").read_text())
    (finished / "job.json").write_text(json.dumps(job | {"config": {}}))
    assert command("train", str(finished), "--again").returncode == 0
    assert json.loads((finished / "model" / "feinschliff-model.json").read_text())["config"] == {"epochs": 8}


def test_a_request_without_a_verb_is_told_what_one_looks_like(finished: Path) -> None:
    environment = {"PYTHONPATH": str(Path(feinschliff.__file__).resolve().parents[1])}
    asked = '{"id": 3, "prompt": "p"}\n{"verb": "score", "args": {"prompt": "p", "completions": ["a"]}}\n'
    done = subprocess.run(
        [sys.executable, "-m", "feinschliff", "serve", str(finished / "model")],
        cwd=ROOT, env=environment, input=asked, capture_output=True, text=True, check=True,
    )  # fmt: skip
    ready, refused, answered = map(json.loads, done.stdout.splitlines())
    assert ready == {"ready": True, "verbs": ["score"]}
    assert refused["id"] == 3
    assert refused["error"].startswith('a request says its verb, as in {"verb": "score", "args": {...}}')
    assert answered["result"] == [0.0]
    assert '"args": {"prompt": "...", "completions": ["...", "..."]}' in command("serve", "--help").stdout


def test_without_a_command_it_explains_itself() -> None:
    bare = command()
    assert (bare.returncode, bare.stderr) == (0, "")
    assert "COMMAND" in bare.stdout
    assert command("--version").stdout == f"feinschliff {feinschliff.__version__} (API 1)\n"


def test_every_argument_of_every_command_has_a_word_of_help() -> None:
    [commands] = [action.choices for action in parser()._actions if isinstance(action.choices, dict)]
    silent = [(name, a.dest) for name, one in commands.items() for a in one._actions if not a.help]
    assert silent == []


def test_in_a_terminal_a_listing_is_words_and_json_where_it_is_asked_for() -> None:
    listed = in_a_terminal("list", "--plugin", "tests.feinschliff.bad_trainers")
    assert "bad-trainers, by whoever wrote tests.feinschliff.bad_trainers" in listed
    assert "    keeps-all: Learns from pairs." in listed
    assert "        from pair rows; makes a model that can score" in listed
    assert "        epochs: How often every pair is learned from. (8)" in listed
    assert json.loads(in_a_terminal("list", "--json"))["api"] == 1


def in_a_terminal(*arguments: str) -> str:
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "feinschliff", *arguments], cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs,
        env={"PYTHONPATH": str(Path(feinschliff.__file__).resolve().parents[1])},
    )  # fmt: skip
    os.close(theirs)
    said = b""
    while True:
        try:
            said += os.read(ours, 65_536)
        except OSError:  # it has ended
            break
    assert child.wait() == 0
    return said.decode().replace("\r\n", "\n")


def test_a_model_made_by_an_unknown_trainer_names_what_is_missing(tmp_path: Path) -> None:
    about = {"api": 1, "trainer": "from-elsewhere", "opens": "os:system", "plugins": ["elsewhere"]}
    (tmp_path / "feinschliff-model.json").write_text(json.dumps(about))
    done = command("score", str(tmp_path), "--prompt", "p", "--completion", "c")
    assert done.returncode == 1
    assert "'from-elsewhere'" in done.stderr
    assert "elsewhere: it cannot be loaded" in done.stderr
