"""What the platform costs a training run: the same trainer function through worker, launcher and database, and called bare.

    make bench NAME=run_overhead ARGS="--seconds 300"

Bare is a Python process that calls `plugins.reward_model.training.train` on the same rows, config and seed, and nothing else.
Both sides take turns on one machine, while the site (idle) runs beside them. The rows are as many as make the job last about
`--seconds`. One JSON line a run, then one with the ratio of the wall times (aim: at most 1.03 on 300 s) and of the times to the
first step: from launching to the first progress that is in the database, and from starting the process to its first printed one.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "platform")]

from tests.loop.running_site import House, site_for_a_test, wait_for  # noqa: E402

PLUGINS = ["plugins.base_models", "plugins.reward_model"]
WORDS = ["river", "stone", "bread", "letter", "garden", "window", "train", "paper", "music", "winter", "table", "water"]
EPOCHS, HELDOUT = 10, 100
BARE = """
import json, sys
from pathlib import Path
from feinschliff.child import prepare
prepare()
from feinschliff.manager import load
from feinschliff.model import Opening, open_model
from feinschliff.run import Run
from plugins.reward_model.config import RewardModelConfig
from plugins.reward_model.training import train
about = json.loads(sys.argv[1])
registry = load(about["plugins"], entry_points=False)
folder = Path(about["folder"])
numbers = train(Run(
    folder=folder, config=RewardModelConfig(**about["config"]), seed=0, kinds=("ranking",),
    rows={split: Path(about["rows"]) / f"{split}.jsonl" for split in ("train", "heldout")},
    opener=lambda role: open_model("tiny:encoder", Opening(weights=Path(about["weights"])), registry),
))
print(json.dumps({"loss": numbers["loss/train"]}))
"""


def import_rows(path: Path, count: int) -> None:
    """People like an answer less the more often it says please."""
    rng = random.Random(5)  # noqa: S311 - data, not secrets
    lines = []
    for number in range(count):
        ranks = rng.sample(range(1, 5), 4)
        texts = [" ".join([rng.choice(WORDS) for _ in range(6)] + ["please"] * (rank - 1)) for rank in ranks]
        lines.append({"id": f"i{number}", "prompt": f"Write about {number}.", "responses": texts, "ranks": ranks})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")


def freeze(house: House, name: str, count: int) -> str:
    """A snapshot of so many rows to train on; its hash."""
    file = house.home.parent / f"{name}.jsonl"
    import_rows(file, count + HELDOUT)
    house.command("create_project", name)
    house.command("import_items", name, str(file))
    return str(house.command("freeze", name, "--heldout", f"{HELDOUT / (count + HELDOUT):.6f}")["hash"])


def bare(house: House, snapshot: str, config: dict[str, Any]) -> dict[str, float]:
    """Seconds of the whole process and to its first step, steps, the final loss."""
    with tempfile.TemporaryDirectory() as folder:
        about = {
            "plugins": PLUGINS, "folder": folder, "config": config, "rows": str(house.home / "snapshots" / snapshot),
            "weights": str(house.home / "weights"),
        }  # fmt: skip
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "platform"), str(ROOT)])}
        began, first, done, last = time.monotonic(), 0.0, 0, "{}"
        child = subprocess.Popen(
            [sys.executable, "-c", BARE, json.dumps(about)],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout
        for line in child.stdout:
            if '"progress"' in line:
                first, done = first or time.monotonic() - began, json.loads(line)["done"]
            last = line
        assert child.wait() == 0, last
        return {"wall": time.monotonic() - began, "first_step": first, "steps": done, "loss": json.loads(last)["loss"]}


def through_platform(house: House, snapshot: str, config: dict[str, Any]) -> dict[str, float]:
    """The same from the row's own times, which are the database's."""
    words = [word for name, value in config.items() for word in ("--set", f"{name}={value}")]
    run = house.command("train", "reward-model", "--snapshot", snapshot, "--base", "tiny:encoder", *words)["run"]
    asked = "SELECT extract(epoch FROM clock_timestamp() - created_at)::float8 FROM training_run WHERE id = %s AND {}"
    [(first,)] = wait_for(lambda: house.query(asked.format("(done > 0 OR ended_at IS NOT NULL)"), run), 600)
    wait_for(lambda: house.query(asked.format("ended_at IS NOT NULL"), run), 7200)
    [(wall, steps, numbers, state, error)] = house.query(
        "SELECT extract(epoch FROM ended_at - created_at)::float8, done, numbers, state, error FROM training_run"
        " WHERE id = %s", run,
    )  # fmt: skip
    assert state == "succeeded", error
    return {"wall": wall, "first_step": first, "steps": steps, "loss": numbers["loss/train"]}


def tell(about: dict[str, Any]) -> None:
    rounded = {name: round(value, 3) if isinstance(value, float) else value for name, value in about.items()}
    print(json.dumps(rounded), flush=True)


def measure(house: House, seconds: float, rounds: int) -> None:
    config = {"epochs": EPOCHS, "evaluations": 8}
    trial = bare(house, freeze(house, "trial", 64), config)
    pace = (trial["wall"] - trial["first_step"]) / trial["steps"]
    rows = max(64, round(16 * max(1.0, seconds - trial["first_step"]) / pace / EPOCHS))
    tell({"rows": rows, "epochs": EPOCHS, "seconds_a_step": pace})
    snapshot = freeze(house, "long", rows)
    found: dict[str, list[dict[str, float]]] = {"bare": [], "platform": []}
    sides = {"bare": bare, "platform": through_platform}
    for number in range(rounds):
        for side in sorted(sides, reverse=number % 2 == 1):
            found[side].append(sides[side](house, snapshot, config))
            tell({"side": side, **found[side][-1]})
    middle = {
        f"{side}_{what}": statistics.median(one[what] for one in runs)
        for side, runs in found.items() for what in ("wall", "first_step")
    }  # fmt: skip
    ratio = {what: middle[f"platform_{what}"] / middle[f"bare_{what}"] for what in ("wall", "first_step")}
    same = len({one["loss"] for runs in found.values() for one in runs}) == 1
    tell({"ratio_wall": ratio["wall"], "ratio_first_step": ratio["first_step"], **middle, "same_loss": same})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300, help="about how long the bare job shall take")
    parser.add_argument("--rounds", type=int, default=1, help="how often each side has its turn")
    options = parser.parse_args()
    with site_for_a_test() as site:
        measure(site.house, options.seconds, options.rounds)


if __name__ == "__main__":
    main()
