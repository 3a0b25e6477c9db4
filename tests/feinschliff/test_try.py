"""`python -m feinschliff try`: a plugin trained on a file by its author, as a person types it, in real processes."""

import json
import os
import pty
import re
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
            "--set epoch=3: there is no setting 'epoch' (did you mean epochs?); there are: epochs, learning_rate, decay",
        ),
        (["tide-judge", "--rows", "pairs.jsonl", "--set", "epochs"], "--set epochs: =VALUE is missing"),
        (
            ["tide-judge", "--rows", "pairs.jsonl", "--set", "epochs=0"],
            "config, epochs: Input should be greater than or equal to 1; nothing was done",
        ),
        (["tide-judge", "--rows", "pairs.jsonl", "--model", "base=x"], "--model base=x: the roles are none"),
        (
            ["nothing-here", "--rows", "pairs.jsonl"],
            "no plugin and no trainer 'nothing-here' is installed here; install it (pip install -e . in its folder)",
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


def test_too_few_rows_are_said_with_what_was_held_out_and_nothing_is_made(desk: Path) -> None:
    (desk / "few.jsonl").write_text("".join((desk / "pairs.jsonl").read_text().splitlines(keepends=True)[:5]))
    done = tried(desk, "tide-judge", "--rows", "few.jsonl", "--out", "o")
    assert (done.returncode, done.stderr) == (
        2,
        "feinschliff: Tide judge needs at least 8 rows to train on; there are 4 after 1 of 5 was held out; "
        "nothing was done\n",
    )
    assert not (desk / "o").exists()


def test_a_job_holds_all_settings_and_is_the_same_whoever_says_a_default(desk: Path) -> None:
    tried(desk, "tide-judge", "--rows", "pairs.jsonl", "--set", "epochs=3", "--out", "o")
    whole = {"epochs": 3, "learning_rate": 0.1, "decay": 0.001}
    assert json.loads((desk / "o" / "job.json").read_text())["config"] == whole
    assert json.loads((desk / "o" / "model" / "feinschliff-model.json").read_text())["config"] == whole
    tried(desk, "tide-judge", "--rows", "pairs.jsonl", "--set", "epochs=3", "--set", "decay=1e-3", "--out", "p")
    assert (desk / "o" / "job.json").read_text() == (desk / "p" / "job.json").read_text()


MUTE = """
import os, signal
from feinschliff import Needs, Trainer, hookimpl

@hookimpl
def feinschliff_trainers():
    return [Trainer(api=1, name="tide-judge", title="Mute", summary="Says nothing.", family="human-feedback",
                    needs=Needs(rows=("pair",)), train="mute:train", opens="mute:train", yields=("score",),
                    yields_from={"pair": ("classify", "embed")})]

def train(run):
    print("a word of its own")
    (run.out / "model").mkdir()
    if run.seed == 9:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_trainer_without_numbers_leaves_no_gap_and_what_it_printed_is_kept(desk: Path) -> None:
    (desk / "mute.py").write_text(MUTE)
    done = tried(desk, "mute", "--rows", "pairs.jsonl", "--out", "o")
    assert done.returncode == 0, done.stderr
    assert "\n\n\n" not in done.stdout
    assert [line.partition("python -m feinschliff ")[2] for line in done.stdout.splitlines()[-2:]] == [
        'classify o/model --text "..."', 'embed o/model --text "..."',
    ], "what these rows made of it can be asked"  # fmt: skip
    assert "a word of its own\n" in (desk / "o" / "output.log").read_text()
    killed = tried(desk, "mute", "--rows", "pairs.jsonl", "--seed", "9", "--out", "p")
    assert (killed.returncode, "It was ended by signal 9." in killed.stdout) == (137, True)


def test_a_name_means_a_trainer_that_is_known_before_a_folder_and_a_slash_means_the_folder(desk: Path) -> None:
    (desk / "mute.py").write_text(MUTE)  # offers a trainer of the same name as the folder
    known = tried(desk, "tide-judge", "--plugin", "mute", "--rows", "pairs.jsonl", "--out", "o")
    assert known.stdout.startswith("Mute: 40 rows"), known.stderr
    folder = tried(desk, "./tide-judge", "--rows", "pairs.jsonl", "--set", "epochs=2", "--out", "p")
    assert folder.stdout.startswith("Tide judge: 40 rows"), folder.stderr


def test_ctrl_c_stops_it_and_the_command_that_is_shown_goes_on(desk: Path) -> None:
    asked = ["tide-judge", "--rows", "pairs.jsonl", "--set", "epochs=1000", "--out", "mine"]
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
    [at] = re.findall(
        r"Stopped as asked at (\d+) of 1000. The same command with --out goes on from the last checkpoint:", text
    )
    assert f"stopping {int(at) * 100 // 1000} % ({at} of 1000)" in text, "the bar says the same number"
    command = "python -m feinschliff try tide-judge --rows pairs.jsonl --set epochs=1000 --out mine"
    assert text.rstrip().endswith(command)
    assert "\u2591 training" in text
    last = max((desk / "mine" / "checkpoints").iterdir(), key=lambda path: path.name)
    stopped_at = json.loads((last / "state.json").read_text())["epoch"]

    other = tried(desk, *asked[:-3], "epochs=999", "--out", "mine")
    assert "holds checkpoints of another job" in other.stderr
    again = tried(desk, *asked)
    assert again.returncode == 0, again.stderr
    assert stopped_at == int(at)
    steps = [
        json.loads(line)["step"]
        for line in (desk / "mine" / "output.log").read_text().splitlines()
        if '"metric"' in line
    ]
    assert sorted(set(steps)) == list(range(1, 1001)), "both attempts stand in its log"
    assert "training 100 % (1000 of 1000)" in again.stdout
    assert "holds a finished run" in tried(desk, *asked).stderr
