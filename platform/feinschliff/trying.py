"""Trains a plugin on a file, on its author's machine, without the platform: `python -m feinschliff try`.

Makes a run's folder as the platform would (rows split by group, job.json), starts the same child, and shows how it goes.
The folder is an ordinary one: `python -m feinschliff train FOLDER` works it again.
"""

import hashlib
import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from feinschliff.child import EXIT
from feinschliff.choosing import Chosen, NotTried, Wish, choose, models, settings
from feinschliff.finding import importing
from feinschliff.model import describe
from feinschliff.rows import PROJECTIONS, RowError, WrongKind, group_of, kind_of, read_rows
from feinschliff.run import COMPLETE
from feinschliff.showing import shown
from feinschliff.terminal import STOPPING, Screen, table
from feinschliff.trainer import API_VERSION, NeedsNotMet

HELD_OUT = 0.2
Row = dict[str, Any]


def try_out(wish: Wish) -> int:
    """Train, show, and say what came of it; the exit status of the run."""
    chosen = choose(wish)
    train, heldout = read_and_split(wish, chosen.about)
    _enough(wish, chosen.about, len(train), len(heldout))
    job = _job(wish, chosen, kind_of(train[0]) or "")
    folder = _folder(wish, job, train, heldout)
    told = f"{chosen.about['title']}: {len(train)} rows to learn from, {len(heldout)} held out. The run is in {_short(folder)}"
    sys.stdout.write(told + "\n")
    screen = Screen(sys.stdout)
    status = _train(folder, chosen, screen)
    _tell(folder, chosen, status, wish, screen)
    return status if status >= 0 else 128 - status  # as a shell says it of a process that a signal ended


def _enough(wish: Wish, about: dict[str, Any], train: int, heldout: int) -> None:
    least = about["needs"]["at_least"]
    if train < least:
        kept = "" if wish.heldout or not heldout else f" after {heldout} of {train + heldout} were held out"
        kept = kept.replace("were", "was") if heldout == 1 else kept
        verb = "is" if train == 1 else "are"
        raise NeedsNotMet(
            f"{about['title']} needs at least {least} rows to train on; there {verb} {train}{kept}; nothing was done"
        )


def read_and_split(wish: Wish, about: dict[str, Any]) -> tuple[list[Row], list[Row]]:
    """Rows to learn from, and rows held out: their own file, or a fifth of the groups, the same ones every time."""
    rows = _rows(wish.rows, about)
    if wish.heldout:
        return rows, _rows(wish.heldout, about)
    groups = sorted({group_of(row) for row in rows}, key=lambda group: hashlib.sha256(group.encode()).digest())
    kept = set(groups[: round(len(groups) * HELD_OUT)])
    return [row for row in rows if group_of(row) not in kept], [row for row in rows if group_of(row) in kept]


def _rows(path: Path, about: dict[str, Any]) -> list[Row]:
    wanted = tuple(about["needs"]["rows"])
    try:
        return list(read_rows(path, wanted))
    except WrongKind as error:
        try:
            kinds = {kind_of(row) or "" for row in read_rows(path)}
        except RowError:
            raise error from None  # a row of no kind at all: its line says enough
        ways = [
            f"feinschliff.rows.{function.__name__} makes {there} rows of {here} rows"
            for (here, there), function in PROJECTIONS.items()
            if here in kinds and there in wanted and here not in wanted
        ]
        raise NotTried("; ".join([f"{error}", *ways, "nothing was done"])) from None


def _job(wish: Wish, chosen: Chosen, kind: str) -> dict[str, Any]:
    return {
        "api": API_VERSION,
        "run": "try",
        "trainer": chosen.about["name"],
        "config": settings(wish.settings, chosen),
        "seed": wish.seed,
        "models": {role: {"ref": ref} for role, ref in models(wish, chosen, kind).items()},
        "rows": {"train": "train.jsonl", "heldout": "heldout.jsonl"},
        "plugins": chosen.modules,
        "weights": str(wish.weights.resolve()),
        "local_models": [str(path.resolve()) for path in wish.local_models],
    }


def _folder(wish: Wish, job: dict[str, Any], train: list[Row], heldout: list[Row]) -> Path:
    """The run's folder with all that goes in; one that holds checkpoints of this very job is gone on with."""
    folder = (wish.out or _unused(job["trainer"])).resolve()
    texts = {"train.jsonl": _lines(train), "heldout.jsonl": _lines(heldout)}
    job["snapshot"] = hashlib.sha256("".join(texts.values()).encode("utf-8", "surrogatepass")).hexdigest()
    texts["job.json"] = json.dumps(job, indent=1) + "\n"
    if _result(folder).get("state") == "succeeded":
        raise NotTried(f"{folder} holds a finished run; name another folder with --out; nothing was changed")
    if folder.exists() and any(folder.iterdir()) and not (folder / "job.json").exists():
        raise NotTried(f"{folder} is in use and holds no run; name another folder with --out; nothing was changed")
    if _kept(folder) and (folder / "job.json").read_text("utf-8") != texts["job.json"]:
        raise NotTried(
            f"{folder} holds checkpoints of another job (other rows, settings, seed or models); name another folder with "
            "--out; nothing was changed"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise NotTried(f"{folder}: cannot be written ({error.strerror}); nothing was trained") from None
    return folder


def _unused(trainer: str) -> Path:
    return next(path for number in range(1, 10_000) if not (path := Path("runs", f"{trainer}-{number}")).exists())


def _lines(rows: list[Row]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def _train(folder: Path, chosen: Chosen, screen: Screen) -> int:
    """The child, shown while it works; what it prints is kept in output.log. Ctrl-C asks it to stop; again, it ends it."""
    log = folder / "output.log"
    if not _kept(folder):
        log.unlink(missing_ok=True)  # it starts from the beginning
    elif log.exists():
        for line in log.read_text("utf-8", "replace").splitlines():
            screen.recall(line)
    child = subprocess.Popen(
        [sys.executable, "-m", "feinschliff", "train", str(folder)],
        env=importing(os.environ, chosen.paths) | {"FEINSCHLIFF_PARENT": str(os.getpid())},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,  # Ctrl-C reaches us alone
    )
    asked = False

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal asked
        child.send_signal(signal.SIGKILL if asked else signal.SIGTERM)
        asked = True

    before = signal.signal(signal.SIGINT, stop)
    try:
        with log.open("a", encoding="utf-8") as kept:
            for line in child.stdout or ():
                kept.write(line)
                screen.hear(line)
                if asked:
                    screen.state = STOPPING
        status = child.wait()
    finally:
        signal.signal(signal.SIGINT, before)
        if child.poll() is None:
            child.kill()
            child.wait()
    screen.draw(now=True)
    return status


def _kept(folder: Path) -> bool:
    """Whether there is a checkpoint to go on from."""
    return any(folder.glob(f"checkpoints/*/{COMPLETE}"))


def _result(folder: Path) -> dict[str, Any]:
    result = folder / "result.json"
    found: dict[str, Any] = json.loads(result.read_text("utf-8")) if result.exists() else {}
    return found


def _tell(folder: Path, chosen: Chosen, status: int, wish: Wish, screen: Screen) -> None:
    found = _result(folder)
    again = shlex.join(["python", "-m", "feinschliff", *_again(folder, wish)])
    if status == EXIT["succeeded"]:
        numbers = table(found["numbers"])
        told = shown(screen.reports, list(screen.pairs.values()))
        lines = [f"Done in {found['seconds']:.1f} s.", *told, "", *numbers, *[""] * bool(numbers)]
        lines.append(f"The model: {_short(folder / 'model')}")
        lines += [f"    {_path(chosen)}{command}" for command in _commands(folder)]
        sys.stdout.write("\n".join(lines) + "\n")
    elif status == EXIT["stopped"] or not found:
        at = f" at {screen.done} of {screen.total}" if screen.total else ""
        how = (
            f"Stopped as asked{at}."
            if found
            else f"It was ended by signal {-status}{at}."
            if status < 0
            else f"It left no result{at}."
        )
        on = (
            "goes on from the last checkpoint"
            if _kept(folder)
            else "starts again from the beginning (there is no checkpoint)"
        )
        sys.stdout.write(f"{how} The same command with --out {on}:\n    {again}\n")
    else:
        sys.stderr.write(f"feinschliff: {found['error']}\n")


def _again(folder: Path, wish: Wish) -> list[str]:
    """The arguments that this was started with, and the folder."""
    given = [word for word in sys.argv[1:] if wish.out is None or word != str(wish.out)]
    given = [word for word in given if word != "--out" and not word.startswith("--out=")]
    return [*given, "--out", _short(folder)]


def _commands(folder: Path) -> list[str]:
    """What to ask the finished model by, for each of its verbs."""
    model = shlex.quote(_short(folder / "model"))
    asks = {
        "score": f'score {model} --prompt "..." --completion "..." --completion "..."',
        "generate": f"answer {model} --prompts PROMPTS.jsonl --out ANSWERS.jsonl",
        "classify": f'classify {model} --text "..."',
        "fill": f'fill {model} --text "... ___ ..."',
        "embed": f'embed {model} --text "..."',
    }
    wanted = [asks[verb] for verb in describe(folder / "model").get("yields") or () if verb in asks]
    return [f"python -m feinschliff {words}" for words in wanted]


def _path(chosen: Chosen) -> str:
    return f"PYTHONPATH={shlex.quote(os.pathsep.join(map(_short, map(Path, chosen.paths))))} " if chosen.paths else ""


def _short(path: Path) -> str:
    """A path as seen from here, where it lies below."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
