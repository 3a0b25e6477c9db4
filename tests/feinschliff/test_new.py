"""`python -m feinschliff new`: a package that passes its own tests at once, or a sentence and nothing written."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from feinschliff.__main__ import main
from feinschliff.starting import NotStarted, start
from tests.feinschliff.environments import PYTEST, ROOT, Fresh, build

RUFF = ["check", "--isolated", "--line-length", "120", "--select", "E,F,I,UP,B,C4,SIM,RUF"]


def test_a_new_plugin_is_whole_formatted_and_named_throughout(tmp_path: Path) -> None:
    folder = start("tide-judge", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["tide-judge"]
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["entry-points"]["feinschliff"] == {"tide-judge": "tide_judge"}
    assert project["dependencies"] == ["feinschliff>=0.1,<1"]
    texts = [path.read_text("utf-8") for path in folder.rglob("*") if path.is_file()]
    assert len(texts) == 7
    assert not [text for text in texts if "$" in text]
    for command in (RUFF, ["format", "--isolated", "--line-length", "120", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, str(folder)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Tide Judge", "is no name for a plugin"),
        ("../up", "is no name for a plugin"),
        ("x" * 41, "at most 40"),
        ("", "is no name"),
        ("class", "means something else"),
        ("match", "means something else"),
        ("plugins", "means something else"),
        ("json", "a module here already"),
        ("feinschliff", "a module here already"),
        ("pydantic", "a module here already"),
    ],
)
def test_a_name_that_would_not_do_is_refused_and_nothing_is_written(name: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(NotStarted, match=told) as refused:
        start(name, tmp_path)
    assert str(refused.value).endswith("nothing was written")
    assert list(tmp_path.iterdir()) == []


def test_its_own_rows_are_enough_to_try_it_on_before_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", "tide-judge"]) == 0
    typed = capsys.readouterr().out.split("\n    ")
    assert typed[1:] == [
        "cd tide-judge", 'pip install -e ".[test]"', "python -m pytest",
        "python -m feinschliff try tide-judge --rows pairs.jsonl\n",
    ]  # fmt: skip
    monkeypatch.chdir(tmp_path / "tide-judge")
    assert main(["try", "tide-judge", "--rows", "pairs.jsonl"]) == 1
    assert "'tide-judge' is installed here; install it (pip install -e . in its folder)" in capsys.readouterr().err
    assert main(["try", ".", "--rows", "pairs.jsonl"]) == 0
    assert "accuracy/model   1\n" in capsys.readouterr().out, "the pattern in them is found"


def test_what_is_there_already_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "tide-judge").write_text("mine")
    with pytest.raises(NotStarted, match="is there already; nothing was written"):
        start("tide_judge", tmp_path)
    with pytest.raises(NotStarted, match="no such folder"):
        start("tide-judge", tmp_path / "nowhere")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("tide-judge", "mine")]


def test_its_own_tests_pass_where_only_the_contract_and_pytest_are(wheel: Path, tmp_path: Path) -> None:
    fresh = Fresh(tmp_path / "env", wheel, also=PYTEST)
    made = fresh.run("-m", "feinschliff", "new", "tide-judge", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    some = "lists or settings or learns or stops or verbs"  # the slow test below runs all
    tested = fresh.run("-m", "pytest", "-q", "-k", some, cwd=tmp_path / "tide-judge")
    assert "5 passed" in tested.stdout, tested.stdout


@pytest.mark.slow
def test_installed_with_pip_all_its_tests_pass_and_it_is_listed_and_tried(wheel: Path, tmp_path: Path) -> None:
    fresh = Fresh(tmp_path / "env", wheel, also=PYTEST)
    fresh.run("-m", "feinschliff", "new", "tide-judge", cwd=tmp_path)
    fresh.install(build(tmp_path / "tide-judge", tmp_path / "wheels"))
    tested = fresh.run("-m", "pytest", "-q", "-o", "pythonpath=", cwd=tmp_path / "tide-judge")
    assert "13 passed" in tested.stdout, tested.stdout
    listed = json.loads(fresh.run("-m", "feinschliff", "list", cwd=tmp_path).stdout)
    assert [(one["name"], one["plugin"], one["version"]) for one in listed["trainers"]] == [
        ("tide-judge", "tide-judge", "0.1.0")
    ]
    assert listed["refusals"] == []
    tried = fresh.run("-m", "feinschliff", "try", "tide-judge", "--rows", "pairs.jsonl", cwd=tmp_path / "tide-judge")
    assert "accuracy/model   1" in tried.stdout, tried.stdout + tried.stderr


def test_the_starter_keeps_out_of_the_projects_own_modules() -> None:
    starter = ROOT / "platform" / "feinschliff" / "starter"
    assert {path.suffix for path in starter.iterdir()} == {".txt"}
