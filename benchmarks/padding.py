"""What batches of neighbours in length gain over TRL's random ones on skewed lengths: tokens a second, side by side.

    make bench NAME=padding                        a llama of 11 M parameters, some ten minutes on two cores
    make bench NAME=padding ARGS='--data lognormal --rows 64 --repeats 1'
    make bench NAME=padding ARGS=--quick           a tiny model and few rows, to see that all runs (too small to tell anything)

Supervised fine-tuning by the same SFTTrainer from the same base on the same tokens, ready beforehand for all sides:

- `trl`: TRL's default, random batches of 8 rows, each padded to its longest;
- `trl-grouped`: TRL with `train_sampling_strategy="group_by_length"`, for a user who knows the flag;
- `ours`: the trainer that `task-specific` makes, at most 8 rows a batch, so as many steps as the others take;
- `ours-budget`: the same without a limit of rows, its budget what a batch of `trl` comes to on average, padding included.

Lengths: log-normal, as those of real answers (median 90 tokens, sigma 0.9, at most 1,024), and real demonstrations where
FEINSCHLIFF_DATA names the folder of gsm8k and self-instruct-seeds. Counted are tokens that are no padding; timed is `train`
alone, one epoch, in process CPU time, the sides taking turns there and back. `ratio` is that of the medians to `trl`'s.

The proof that the same is learned from: `loss_difference`, how far the sum over the epoch of every row's loss is from
`trl`'s, relative, at a learning rate of 0, so that the order of the rows cannot matter.
"""

import argparse
import contextlib
import io
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "platform")]

from benchmarks.adapters import LLAMA, RATE, SEED, base_folder  # noqa: E402 - sets the environment, too
from feinschliff import Run  # noqa: E402
from plugins.lib.encoding import Encoded  # noqa: E402
from plugins.lib.policies import Policy, policy_from  # noqa: E402
from plugins.supervised.config import TaskSpecificConfig  # noqa: E402

BATCH, LONGEST, MEDIAN, SIGMA = 8, 1024, 90, 0.9
PROMPT = 1 / 3  # of a made-up row
REAL = {"gsm8k": "train.jsonl", "self-instruct-seeds": "demonstrations.jsonl"}
Loaded = Any  # objects of libraries that are imported late


class Timed(NamedTuple):
    """One epoch: CPU seconds and the sum of all answer tokens' losses, in nats."""

    seconds: float
    loss: float


class Around(NamedTuple):
    """A trainer, and how it is started."""

    trainer: Loaded
    train: Callable[[], Any]


def made_up(count: int, vocabulary: int, end: int) -> list[Encoded]:
    rng = random.Random(SEED)  # noqa: S311
    rows = []
    for _ in range(count):
        size = max(12, min(LONGEST, round(MEDIAN * rng.lognormvariate(0, SIGMA))))
        prompt = round(size * PROMPT)
        ids = [rng.randrange(10, vocabulary) for _ in range(size - 1)]
        rows.append(Encoded([*ids, end], [0] * prompt + [1] * (size - prompt), cut=False))
    return rows


def real(name: str, count: int, policy: Policy) -> list[Encoded]:
    """Demonstrations of a real data set by this policy's tokens."""
    from plugins.supervised.demonstrating import read

    file = Path(os.environ["FEINSCHLIFF_DATA"]) / name / REAL[name]
    found = [json.loads(line) for line in file.read_text(encoding="utf-8").strip().split("\n")]
    drawn = random.Random(SEED).sample(found, min(count, len(found)))  # noqa: S311
    rows = [demonstration(row) for row in drawn]
    return read(rows, policy, TaskSpecificConfig(max_length=LONGEST)).rows


def demonstration(row: dict[str, Any]) -> dict[str, str]:
    if "instruction" in row:
        asked = [row["instruction"], row["input"]]
        return {"prompt": "\n\n".join(part for part in asked if part), "completion": row["output"]}
    return {"prompt": row["prompt"], "completion": row["response"]}


def ours(base: Path, rows: list[Encoded], scratch: Path, rate: float, *, tokens: int, at_once: int) -> Around:
    from plugins.lib.hugging import Work
    from plugins.supervised.demonstrating import CURVES, sft_trainer

    config = TaskSpecificConfig(
        learning_rate=RATE, samples=0, epochs=1, evaluations=0, batch_tokens=tokens, batch_rows=at_once
    )
    run = Run(folder=scratch, config=config, seed=SEED, rows={}, kinds=(), opener=lambda _: None, device="cpu")
    work = Work(run, curves=CURVES, evaluations=0)
    trainer = sft_trainer(run, work, policy_from(base, seed=SEED, device="cpu"), rows, [])
    trainer.args.learning_rate = rate
    return Around(trainer, lambda: work.train(trainer))


def bare(base: Path, rows: list[Encoded], scratch: Path, rate: float, *, strategy: str) -> Around:
    import trl
    from datasets import Dataset

    from plugins.supervised.demonstrating import labelled

    policy = policy_from(base, seed=SEED, device="cpu")
    args = trl.SFTConfig(
        output_dir=str(scratch),
        use_cpu=True,
        bf16=False,
        seed=SEED,
        num_train_epochs=1,
        per_device_train_batch_size=BATCH,
        learning_rate=rate,
        gradient_checkpointing=False,
        dataloader_pin_memory=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        max_length=None,
        train_sampling_strategy=strategy,
    )
    table = Dataset.from_list([labelled(row) for row in rows])
    trainer = trl.SFTTrainer(model=policy.model, args=args, train_dataset=table, processing_class=policy.tokenizer)
    return Around(trainer, trainer.train)


def timed(around: Around) -> Timed:
    import torch

    losses: list[float] = []
    compute = around.trainer.compute_loss

    def watched(*given: Loaded, num_items_in_batch: Loaded = None, **more: Loaded) -> Loaded:
        loss = compute(*given, num_items_in_batch=num_items_in_batch, **more)
        losses.append(float(loss.detach()) * float(num_items_in_batch))
        return loss

    around.trainer.compute_loss = watched
    torch.manual_seed(SEED)
    began = time.process_time()
    around.train()
    return Timed(time.process_time() - began, sum(losses))


def padded(rows: list[Encoded]) -> int:
    """What a random batch comes to on average, padding included: the budget of the last side."""
    rng = random.Random(SEED)  # noqa: S311
    draws = [rng.sample([len(row.ids) for row in rows], min(BATCH, len(rows))) for _ in range(500)]
    return round(statistics.fmean(len(draw) * max(draw) for draw in draws))


def measured(name: str, size: str, count: int, repeats: int, wanted: list[str], scratch: Path) -> list[dict[str, Any]]:
    base = base_folder(size, scratch)
    policy = policy_from(base, seed=SEED, device="cpu")
    rows = made_up(count, len(policy.tokenizer), policy.eos) if name == "lognormal" else real(name, count, policy)
    (scratch / "ours").mkdir()
    sides: dict[str, Callable[[float], Around]] = {
        "trl": lambda rate: bare(base, rows, scratch / "bare", rate, strategy="random"),
        "trl-grouped": lambda rate: bare(base, rows, scratch / "bare", rate, strategy="group_by_length"),
        "ours": lambda rate: ours(base, rows, scratch / "ours", rate, tokens=0, at_once=BATCH),
        "ours-budget": lambda rate: ours(base, rows, scratch / "ours", rate, tokens=padded(rows), at_once=len(rows)),
    }
    sides = {side: make for side, make in sides.items() if side in ("trl", *wanted)}
    with contextlib.redirect_stdout(io.StringIO()):
        proofs = {side: timed(make(0.0)).loss for side, make in sides.items()}  # warms up, too
        seconds: dict[str, list[float]] = {side: [] for side in sides}
        for turn in range(repeats):
            for side in list(sides) if turn % 2 else reversed(sides):
                seconds[side].append(timed(sides[side](RATE)).seconds)
    tokens = sum(len(row.ids) for row in rows)
    medians = {side: statistics.median(found) for side, found in seconds.items()}
    lengths = sorted(len(row.ids) for row in rows)
    return [
        {
            "data": name,
            "variant": side,
            "baseline": "trl",
            "ratio": round(medians["trl"] / medians[side], 3),
            "ratios": [
                round(end, 3)
                for ratios in [[a / b for a, b in zip(seconds["trl"], seconds[side], strict=True)]]
                for end in (min(ratios), max(ratios))
            ],
            "tokens_a_second": round(tokens / medians[side]),
            "loss_difference": abs(proofs[side] - proofs["trl"]) / abs(proofs["trl"]),
            "rows": len(rows),
            "tokens": tokens,
            "lengths": {"median": lengths[len(lengths) // 2], "longest": lengths[-1]},
            "model": size,
            "repeats": repeats,
        }
        for side in sides
        if side != "trl"
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="length-bucketed batches against TRL's random ones")
    parser.add_argument("--data", default="", help="lognormal, gsm8k, self-instruct-seeds; empty: all that are there")
    parser.add_argument("--size", choices=[*LLAMA, "135m"], default="11m")
    parser.add_argument("--rows", type=int, default=0)
    parser.add_argument("--sides", default="trl-grouped,ours,ours-budget", help="beside trl")
    parser.add_argument("--repeats", type=int, default=0)
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    size = "tiny" if asked.quick else asked.size
    count, repeats = asked.rows or (32 if asked.quick else 128), asked.repeats or (1 if asked.quick else 4)
    data = Path(os.environ.get("FEINSCHLIFF_DATA") or "/nowhere")
    names = asked.data.split(",") if asked.data else ["lognormal", *(name for name in REAL if (data / name).is_dir())]
    for name in names:
        with tempfile.TemporaryDirectory() as scratch:
            for line in measured(name, size, count, repeats, asked.sides.split(","), Path(scratch)):
                print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
