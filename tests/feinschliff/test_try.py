"""`python -m feinschliff try`: a plugin trained on a file by its author, as a person types it, in real processes."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

import feinschliff
from feinschliff.__main__ import main
from feinschliff.checks import worlds
from feinschliff.choosing import Wish
from feinschliff.rows import group_of
from feinschliff.starting import start
from feinschliff.trying import read_and_split

PLATFORM = Path(feinschliff.__file__).resolve().parents[1]
ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PLATFORM), "PYTHONUNBUFFERED": "1"}
TRY = [sys.executable, "-m", "feinschliff", "try"]


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with a plugin of one's own, pairs and rankings."""
    start("tide-judge", tmp_path)
    for kind in ("pair", "ranking"):
        text = "".join(json.dumps(row) + "\n" for row in worlds.rows(kind, 50, 9))
        (tmp_path / f"{kind}s.jsonl").write_text(text)
    return tmp_path


def tried(desk: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*TRY, *arguments], cwd=desk, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=60
    )


def test_a_plugin_in_a_folder_is_trained_and_its_model_answers_the_command_that_is_shown(desk: Path) -> None:
    done = tried(desk, "tide-judge", "--rows", "pairs.jsonl", "--set", "epochs=5")
    assert done.returncode == 0, done.stderr
    assert "Tide judge: 40 rows to learn from, 10 held out. The run is in runs/tide-judge-1" in done.stdout
    assert "training 100 % (5 of 5)" in done.stdout
    assert "    accuracy/model   " in done.stdout
    assert "\x1b" not in done.stdout
    shown = done.stdout.splitlines()[-1].strip()
    assert shown.startswith("PYTHONPATH=tide-judge/src python -m feinschliff score runs/tide-judge-1/model --prompt")
    score = [sys.executable, "-m", "feinschliff", "score", "runs/tide-judge-1/model", "--prompt", "p"]
    asked = subprocess.run(
        [*score, "--completion", "please please", "--completion", "river"],
        cwd=desk, env=ENVIRONMENT | {"PYTHONPATH": f"{PLATFORM}:tide-judge/src"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    rude, good = json.loads(asked.stdout)["scores"]
    assert good > rude


def test_the_split_is_by_group_and_the_same_every_time(desk: Path) -> None:
    rows = worlds.rows("pair", 50, 9)
    (desk / "twice.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:25] * 2 + rows[25:]))
    wish = Wish("tide-judge", desk / "twice.jsonl", None, [], [], None, 0, [], desk, [])
    about = {"title": "Tide judge", "needs": {"rows": ["pair"]}}
    first, second = (read_and_split(wish, about) for _ in range(2))
    assert first == second
    train, heldout = ({group_of(row) for row in side} for side in first)
    assert (len(train), len(heldout), train & heldout) == (40, 10, set())
    assert sum(map(len, first)) == 75


def test_rows_held_out_may_be_a_file_of_their_own(desk: Path) -> None:
    done = tried(desk, "tide-judge", "--rows", "pairs.jsonl", "--heldout", "pairs.jsonl", "--seed", "3", "--out", "o")
    assert "50 rows to learn from, 50 held out" in done.stdout
    assert json.loads((desk / "o" / "job.json").read_text())["seed"] == 3


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["tide-judge", "--rows", "rankings.jsonl"],
            "rankings.jsonl, line 1: this is a row of kind ranking; wanted: pair",
        ),
        (
            ["tide-judge", "--rows", "rankings.jsonl"],
            "feinschliff.rows.ranking_to_pairs makes pair rows of ranking rows",
        ),
        (["tide-judge", "--rows", "broken.jsonl"], "broken.jsonl, line 2: pair row, field rejected: Field required"),
        (["tide-judge", "--rows", "odd.jsonl"], "odd.jsonl, line 1: this is a row of kind unknown; wanted: pair"),
        (["tide-judge", "--rows", "nowhere.jsonl"], "nowhere.jsonl: cannot be read"),
        (
            ["tide-judge", "--rows", "pairs.jsonl", "--set", "epoch=3"],
            "settings of tide-judge are epochs, learning_rate",
        ),
        (["tide-judge", "--rows", "pairs.jsonl", "--model", "base=x"], "--model base=x: the roles are none"),
        (
            ["nothing-here", "--rows", "pairs.jsonl"],
            "no plugin and no trainer 'nothing-here' here; trainers here: none",
        ),
        (["json", "--rows", "pairs.jsonl"], "the plugin 'json' offers no trainer"),
        (["broken.jsonl/x", "--rows", "pairs.jsonl"], "neither a Python file, nor a package"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence_and_nothing_is_made(
    desk: Path, arguments: list[str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(desk)
    (desk / "broken.jsonl").write_text(
        '{"prompt": "p", "chosen": "a", "rejected": "b"}\n{"prompt": "p", "chosen": "a"}\n'
    )
    (desk / "odd.jsonl").write_text('{"colour": "red"}\n')
    assert main(["try", *arguments]) == 1
    said = capsys.readouterr().err
    assert told in said
    assert "Traceback" not in said
    assert not (desk / "runs").exists()


def test_a_setting_out_of_its_limits_and_too_few_rows_are_said_by_the_run_itself(desk: Path) -> None:
    done = tried(desk, "tide-judge", "--rows", "pairs.jsonl", "--set", "epochs=0", "--out", "o")
    assert (done.returncode, done.stderr) == (
        1,
        "feinschliff: config, epochs: Input should be greater than or equal to 1\n",
    )
    (desk / "few.jsonl").write_text("".join((desk / "pairs.jsonl").read_text().splitlines(keepends=True)[:4]))
    done = tried(desk, "tide-judge", "--rows", "few.jsonl", "--out", "o")
    assert done.returncode == 2
    assert "Tide judge needs at least 8 rows" in done.stderr


def test_ctrl_c_stops_it_and_the_command_that_is_shown_goes_on(desk: Path) -> None:
    asked = ["tide-judge", "--rows", "pairs.jsonl", "--set", "epochs=400", "--out", "mine"]
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [*TRY, *asked], cwd=desk, env=ENVIRONMENT | {"TERM": "xterm"}, stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True, preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),
    )  # fmt: skip  # opening it makes the terminal theirs, so that Ctrl-C reaches them as it would a person's command
    os.close(theirs)
    shown = b""
    while b"training" not in shown:
        shown += os.read(ours, 10_000)
    os.write(ours, b"\x03")
    while True:
        try:
            shown += os.read(ours, 10_000)
        except OSError:  # the last one has closed it
            break
    assert child.wait() == 3
    text = shown.decode()
    assert "Stopped as asked. The same command with --out goes on from the last checkpoint:" in text
    command = "python -m feinschliff try tide-judge --rows pairs.jsonl --set epochs=400 --out mine"
    assert text.rstrip().endswith(command)
    assert "\u2591 training" in text
    stopped_at = max(int(path.name) for path in (desk / "mine" / "checkpoints").iterdir())

    other = tried(desk, *asked[:-3], "epochs=999", "--out", "mine")
    assert "holds checkpoints of another job" in other.stderr
    again = tried(desk, *asked)
    assert again.returncode == 0, again.stderr
    assert stopped_at >= 1
    assert "training 100 % (400 of 400)" in again.stdout
    assert "holds a finished run" in tried(desk, *asked).stderr
