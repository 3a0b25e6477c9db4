"""The bench on which a plugin is checked: a folder of its own, run folders of the small world, children that are watched.

Every child gets an empty home, an empty temporary folder and an empty working directory; what it leaves there is seen.
Runs that several checks look at (the undisturbed one) are made once.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest import SkipTest

from feinschliff.checks import worlds
from feinschliff.choosing import TINY
from feinschliff.finding import find, importing
from feinschliff.launcher import PASSED
from feinschliff.model import MODEL_FILE
from feinschliff.trainer import API_VERSION, roles_from

TRAIN_ROWS, HELDOUT_ROWS = 160, 60
TIMES = ("seconds", "speed")  # numbers so named may differ between equal runs
Job = dict[str, Any]


class Failed(AssertionError):
    """A check that a plugin does not pass."""


def must(true: bool, sentence: str) -> None:
    if not true:
        raise Failed(sentence)


@dataclass(frozen=True)
class Child:
    """How a watched process ended, and what its witness noted."""

    status: int
    stdout: str
    stderr: str
    seconds: float
    notes: tuple[dict[str, Any], ...]

    @property
    def last_words(self) -> str:
        lines = [line for line in self.stderr.splitlines() if line.strip()]
        return " | ".join(lines[-3:])[-600:] or f"it said nothing and ended with {self.status}"

    def calls(self, name: str) -> list[int]:
        """The steps it logged, or how far it said it was."""
        return [note["value"] for note in self.notes if note.get("call") == name]


@dataclass(frozen=True)
class Ended:
    """A run of the small world that has ended: its folder, its result, its process."""

    folder: Path
    result: dict[str, Any]
    child: Child

    @property
    def numbers(self) -> dict[str, Any]:
        """The final numbers that two equal runs share."""
        return {name: value for name, value in self.result["numbers"].items() if name.split("/")[0] not in TIMES}

    @property
    def model(self) -> dict[str, str]:
        """File -> digest of all that the trainer saved; MODEL_FILE is the platform's."""
        files = sorted(
            path for path in (self.folder / "model").rglob("*") if path.is_file() and path.name != MODEL_FILE
        )
        return {str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


class Bench:
    """One plugin under test. `config` is per trainer, `models` per role, `also` more plugins to load (for models)."""

    def __init__(
        self,
        plugin: str,
        *,
        config: Mapping[str, Mapping[str, Any]] | None = None,
        models: Mapping[str, str] | None = None,
        also: Sequence[str] = (),
        kills: int = 3,
        timeout: float = 300,
    ) -> None:
        self.plugin, self.found = plugin, find(plugin)
        self.config, self.models = dict(config or {}), dict(models or {})
        self.modules = [*also, *self.found.modules]
        self.kills, self.timeout = kills, timeout
        self.ended: dict[tuple[str, str], Ended] = {}

    @cached_property
    def folder(self) -> Path:
        """Made when first asked for, gone with the bench."""
        folder = Path(tempfile.mkdtemp(prefix="feinschliff-checks-")).resolve()
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        for name in ("home", "tmp", "cwd", "weights", "runs", "cache"):
            (folder / name).mkdir()
        return folder

    def environment(self) -> dict[str, str]:
        """As a launcher scrubs it, but at home in the bench's folder. Caches of libraries have a place of their own."""
        ours = {"HOME": str(self.folder / "home"), "TMPDIR": str(self.folder / "tmp")}
        ours |= dict.fromkeys(("HF_HOME", "XDG_CACHE_HOME", "TORCHINDUCTOR_CACHE_DIR"), str(self.folder / "cache"))
        threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
        inner = {name: value for name, value in os.environ.items() if name in PASSED}
        return importing(inner, self.found.paths) | ours | threads | {"PYTHONDONTWRITEBYTECODE": "1"}

    def python(
        self,
        *command: str,
        run: Path | None = None,
        signal: int = 0,
        at: int = 0,
        after: str = "calls",
        stdin: str = "",
    ) -> Child:
        """A watched child in the bench's folder; it sends itself `signal` after the `at`-th of its calls or checkpoints."""
        report = self.folder / f"report-{time.monotonic_ns()}.jsonl"
        writable = [str(self.folder / name) for name in ("tmp", "weights", "cache")] + ["/dev", "/proc"]
        orders: dict[str, Any] = {"report": str(report), "writable": writable + ([str(run)] if run else [])}
        orders |= {"signal": signal, "at": at, "after": after}
        began = time.monotonic()
        try:
            done = subprocess.run(
                [sys.executable, "-m", "feinschliff.checks.watching", json.dumps(orders), *command],
                cwd=self.folder / "cwd",
                env=self.environment(),
                input=stdin,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=self.timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Failed(f"`{command[0]}` did not end within {self.timeout:g} s") from None
        notes = [json.loads(line) for line in report.read_text("utf-8").splitlines()] if report.exists() else []
        return Child(done.returncode, done.stdout, done.stderr, time.monotonic() - began, tuple(notes))

    @cached_property
    def listing(self) -> dict[str, Any]:
        child = self.python("list", *(f"--plugin={module}" for module in self.modules))
        try:
            return json.loads(child.stdout.splitlines()[-1])
        except (ValueError, IndexError):
            raise Failed(f"the plugins cannot be listed: {child.last_words}") from None

    @property
    def trainers(self) -> list[dict[str, Any]]:
        return [entry for entry in self.listing["trainers"] if entry["plugin"] == self.found.name]

    def about(self, trainer: str) -> dict[str, Any]:
        """The trainer as it is listed."""
        return next(entry for entry in self.trainers if entry["name"] == trainer)

    def job(self, trainer: str, name: str, *, kind: str = "", rows: int | None = None, seed: int = 0) -> Path:
        """A run folder of the small world, ready to be worked. All jobs bear one run name: equal jobs, equal models."""
        about = self.about(trainer)
        kind = kind or about["needs"]["rows"][0]
        folder = self.folder / "runs" / trainer / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        count = max(TRAIN_ROWS, about["needs"]["at_least"]) if rows is None else rows
        tasks = about["needs"].get("tasks", 1)
        write_rows(folder / "train.jsonl", worlds.rows(kind, count, 1, tasks))
        write_rows(folder / "heldout.jsonl", worlds.rows(kind, HELDOUT_ROWS, 2, tasks))
        job: Job = {
            "api": API_VERSION,
            "run": "checks",
            "trainer": trainer,
            "config": dict(self.config.get(trainer, {})),
            "seed": seed,
            "rows": {"train": "train.jsonl", "heldout": "heldout.jsonl"},
            "models": {role: {"ref": ref} for role, ref in self.cast(about["needs"], kind).items()},
            "plugins": self.modules,
            "weights": str(self.folder / "weights"),
            "resources": {"device": "cpu"},
        }
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        return folder

    def cast(self, needs: Mapping[str, Any], kind: str) -> dict[str, str]:
        """Who plays which role: those that must be filled, and of those that may be only what was named.

        A model that was named by role and row kind (`base:label`) comes before one that was named by role alone.
        """
        given = self.models | {
            role: ref for name, ref in self.models.items() for role, _, of in [name.partition(":")] if of == kind
        }
        named = {role: given[role] for role in needs.get("may_use", {}) if role in given}
        needed = roles_from(needs, kind, optional=False)
        return {role: given.get(role) or self.model_for(role, verb) for role, verb in needed.items()} | named

    def model_for(self, role: str, verb: str) -> str:
        ref, schemes = TINY.get(verb, ""), [name for source in self.listing["models"] for name in source["schemes"]]
        if ref and "tiny" in schemes:
            return ref
        raise SkipTest(
            f"the role {role!r} needs a model that can {verb}: pass models={{{role!r}: ...}}"
            + (f", or also=['plugins.base_models'] for {ref}" if ref else ", the folder of a finished run's model say")
        )

    def work(self, folder: Path, *, signal: int = 0, at: int = 0, after: str = "calls") -> Ended:
        """Work a run folder in a child; its result is empty where the child was killed."""
        child = self.python("train", str(folder), run=folder, signal=signal, at=at, after=after)
        result = folder / "result.json"
        return Ended(folder, json.loads(result.read_text("utf-8")) if result.exists() else {}, child)

    def trained(self, trainer: str, name: str, *, kind: str = "", seed: int = 0) -> Ended:
        """An undisturbed run that has succeeded, made once by this name."""
        key = trainer, name
        if key not in self.ended:
            before = self.left()
            ended = self.work(self.job(trainer, name, kind=kind, seed=seed))
            self.ended[key] = ended
            left = {"left": sorted(self.left() - before)}
            self.ended[key] = Ended(ended.folder, {**ended.result, **left}, ended.child)
        ended = self.ended[key]
        must(ended.result.get("state") == "succeeded", f"training it on the small world failed: {why(ended)}")
        return ended

    def left(self) -> set[str]:
        """All that lies where no trainer may leave anything."""
        return {str(path) for name in ("home", "tmp", "cwd") for path in (self.folder / name).rglob("*")}

    def serve(self, ended: Ended, requests: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The answers of a finished run's model: first what it can, then one for each request."""
        lines = "".join(json.dumps({"id": number, **request}) + "\n" for number, request in enumerate(requests))
        plugins = [f"--plugin={module}" for module in self.modules]
        weights = f"--weights={self.folder / 'weights'}"
        child = self.python("serve", str(ended.folder / "model"), weights, *plugins, run=ended.folder, stdin=lines)
        answers = [json.loads(line) for line in child.stdout.splitlines() if line.startswith("{")]
        must(
            child.status == 0 and len(answers) == len(requests) + 1,
            f"its model could not be served: {len(answers)} answers to {len(requests)} requests; {child.last_words}",
        )
        return iter(answers)


def why(ended: Ended) -> str:
    return str(ended.result.get("error") or ended.child.last_words)


def write_rows(path: Path, rows: worlds.Rows) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
