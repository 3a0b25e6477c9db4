"""The tutorial is run as it stands: its files are written, its commands typed, from the first line to the last."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = ROOT / "docs" / "plugins" / "tutorial.md"
STEP = re.compile(
    r"```(?P<kind>python|json)\n(?P<file>.*?)```|^ {4}(?P<command>python -m feinschliff [^\n]*)$", re.S | re.M
)


def steps() -> Iterator[tuple[str, str]]:
    """(file name, content) or ("", command), in the order of the page. A `.py` file says its name in its first line."""
    for found in STEP.finditer(TUTORIAL.read_text("utf-8")):
        if command := found["command"]:
            yield "", command.partition("  #")[0]
        elif found["kind"] == "json":
            yield "pairs.jsonl", found["file"]
        else:
            yield found["file"].splitlines()[0].removeprefix("# "), found["file"]


@pytest.mark.slow
def test_every_step_of_the_tutorial_works(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "platform"), str(tmp_path)])}
    typed = []
    for name, content in steps():
        if name:
            (tmp_path / name).write_text(content, "utf-8")
            continue
        typed.append(content)
        command = [sys.executable, *shlex.split(content)[1:]]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"{content}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        assert "Traceback" not in done.stderr
    assert {shlex.split(line)[3] for line in typed} == {"list", "try", "score", "new"}
    proven = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:django",
        str(tmp_path / "test_style_judge.py"),
    ]
    done = subprocess.run(proven, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-4000:]


def test_the_first_plugin_is_as_short_as_it_says() -> None:
    first = next(content for name, content in steps() if name == "style_judge.py")
    code = [line for line in first.splitlines() if line.strip() and not line.startswith("#")]
    assert len(code) <= 12
