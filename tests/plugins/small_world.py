"""A small world with a planted truth, and real training children to learn it.

In the world people like an answer less the more often it says "please"; which answers are longer is a weaker hint.
"""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import feinschliff

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported by any test
ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ["plugins.base_models", "plugins.reward_model"]
WORDS = ["river", "stone", "bread", "letter", "garden", "window", "train", "paper", "music", "winter", "table", "water"]
Make = Callable[..., Path]


def ranking(rng: random.Random, number: int) -> dict[str, Any]:
    ranks = rng.sample(range(1, 5), 4)
    texts = []
    for rank in ranks:
        words = [rng.choice(WORDS) for _ in range(rng.randint(4, 9))]
        for _ in range(rank - 1):
            words.insert(rng.randrange(len(words)), "please")
        texts.append(" ".join(words))
    return {
        "prompt": f"Write about the {rng.choice(WORDS)}.",
        "completions": texts,
        "ranks": ranks,
        "group": f"g{number}",
    }


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def environment() -> dict[str, str]:
    inner = {key: value for key, value in os.environ.items() if key in ("PATH", "HOME", "LANG", "TMPDIR")}
    return inner | {"PYTHONPATH": str(Path(feinschliff.__file__).resolve().parents[1]), "PYTHONUNBUFFERED": "1"}


def make_run(
    folder: Path, weights: Path, base: str = "tiny:encoder", *, rows: int = 64, kind: str = "ranking", **config: float
) -> Path:
    """A run folder, ready for `train`."""
    folder.mkdir()
    rng = random.Random(7)
    for split, count in (("train", rows), ("heldout", 40)):
        made = [ranking(rng, number) for number in range(count)]
        write_rows(folder / f"{split}.jsonl", [pair(row) for row in made] if kind == "pair" else made)
    job = {
        "api": 1,
        "run": folder.name,
        "trainer": "reward-model",
        "config": {"evaluations": 2, **config},
        "rows": {"train": "train.jsonl", "heldout": "heldout.jsonl"},
        "models": {"base": {"ref": base}},
        "plugins": PLUGINS,
        "weights": str(weights),
    }
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    return folder


def pair(row: dict[str, Any]) -> dict[str, Any]:
    best, worst = row["ranks"].index(1), row["ranks"].index(4)
    chosen, rejected = row["completions"][best], row["completions"][worst]
    return {"prompt": row["prompt"], "chosen": chosen, "rejected": rejected, "margin": 0.5, "group": row["group"]}


def start(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "feinschliff", "train", str(folder)],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(child: subprocess.Popen[str]) -> tuple[int, list[dict[str, Any]], str]:
    """(exit status, protocol lines, log)."""
    out, log = child.communicate(timeout=240)
    return child.returncode, [json.loads(line) for line in out.splitlines() if line.startswith('{"type"')], log


def result(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "result.json").read_text(encoding="utf-8"))
