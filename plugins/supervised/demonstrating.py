"""Supervised fine-tuning by TRL's SFTTrainer: demonstrations in, a model that answers like them out.

The tokens are ours, so that a model is trained on what it will be asked: the prompt through the chat template, the answer,
EOS, and a loss on the answer and its EOS alone. Departs from TRL's own preparation, which tokenises prompt and answer as
one text, where tokens may merge across the border and an answer may spell a special token.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from feinschliff import NeedsNotMet, Run
from feinschliff.rows import group_of
from plugins.lib.adapters import lora_config
from plugins.lib.encoding import Encoded, encode
from plugins.lib.feeding import bucketed, feed, table
from plugins.lib.hugging import GLANCE, Work, chosen_rate
from plugins.lib.policies import Policy, policy_from
from plugins.lib.probing import Numbers, Probe, answer_tokens, likelihoods

EPOCHS, BATCH_ROWS = 2, 8  # where they are not set
IGNORED = -100  # transformers' label for a token without a loss
CURVES = {"mean_token_accuracy": "accuracy/tokens", "entropy": "entropy"}


class Read(NamedTuple):
    """The usable rows of a split and the (prompt, group) of each, and what happened to the others."""

    rows: list[Encoded]
    asked: list[tuple[str, str]]
    left_out: int
    cut: int


class Material(NamedTuple):
    """What a run learns from: its base, the held-out rows as they came, and both splits as tokens."""

    policy: Policy
    rows: list[dict[str, Any]]
    learned: Read
    heldout: Read


def train(run: Run) -> dict[str, Any]:
    """The door for demonstrations: returns the final numbers, or nothing when it was asked to stop on the way."""
    config = run.config
    policy, rows, learned, heldout = material_of(run)
    work = Work(run, curves=CURVES, evaluations=config.evaluations if heldout.rows else 0)
    probe = Probe(rows, policy, config, run.seed)
    run.state("evaluating", "before training")
    before = work.once("texts", lambda: probe.texts(policy))
    untrained = work.once("loss", lambda: per_token(policy, heldout.rows))
    trainer = sft_trainer(run, work, policy, learned.rows, heldout.rows[:: max(1, len(heldout.rows) // GLANCE)])
    if not work.train(trainer):
        return {}
    run.state("saving")
    policy.model = trainer.model
    policy.save(run.out / "model")
    run.state("evaluating", "held-out answers and texts, after training")
    numbers = work.numbers() | measured(untrained, per_token(policy, heldout.rows))
    numbers |= probe.compared(run, before, probe.texts(policy), run.model("judge"))
    return numbers | counted(learned, heldout)


def material_of(run: Run) -> Material:
    """The rows of the task as tokens of the base. Raises NeedsNotMet where there are none, or none that fits."""
    config = run.config
    rows = {split: of_task(run.rows(split), config.task) for split in ("train", "heldout")}
    if not rows["train"]:
        raise NeedsNotMet(f"no demonstration has the task {config.task!r}")
    policy = policy_from(run.model("base").folder, seed=run.seed, device=run.device, max_length=config.max_length)
    learned, heldout = read(rows["train"], policy, config), read(rows["heldout"], policy, config)
    if not learned.rows:
        raise NeedsNotMet(
            f"none of the {learned.left_out} demonstrations fits into {policy.longest} tokens: raise max_length, or take "
            "a base that reads more"
        )
    return Material(policy, rows["heldout"], learned, heldout)


def sft_trainer(run: Run, work: Work, policy: Policy, rows: Sequence[Encoded], glance: Sequence[Encoded]) -> Any:  # noqa: ANN401
    """TRL's trainer over tokens that are ready."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    config = run.config
    rate = chosen_rate(config.learning_rate, policy, tiny=1e-3, small=1e-4, large=2e-5, lora=bool(config.lora_rank))
    at_once = config.batch_rows or BATCH_ROWS
    batches = bucketed(
        [len(row.ids) for row in rows],
        tokens=config.batch_tokens,
        rows=at_once,
        epochs=config.epochs or EPOCHS,
        seed=run.seed,
    )
    trainer = SFTTrainer(
        model=policy.model,
        args=SFTConfig(
            **work.arguments(policy, config, rate=rate, rows=at_once, pieces=config.accumulate, fed=True),
            train_sampling_strategy="sequential",
            dataset_kwargs={"skip_prepare_dataset": True},  # tokens are ready; what does not fit was left out or cut
            max_length=None,
            loss_type=config.loss,
        ),
        train_dataset=table(batches),
        eval_dataset=Dataset.from_list([labelled(row) for row in glance]) if glance else None,
        processing_class=policy.tokenizer,
        peft_config=lora_config(config, task="CAUSAL_LM"),
    )
    return feed(trainer, [labelled(row) for row in rows])


def read(rows: Sequence[dict[str, Any]], policy: Policy, config: Any) -> Read:  # noqa: ANN401 - its own config
    """Demonstrations as tokens. A row of weight 0 is left out, as is one of which the answer alone does not fit."""
    kept, asked = [], []
    for row in rows:
        if row.get("weight", 1.0) <= 0:
            continue
        one = encode(
            policy.tokenizer,
            row["prompt"],
            row["completion"],
            causal=True,
            max_length=policy.longest,
            keep=config.prompt_keeps,
        )
        if one is not None and 0 in one.types:  # the answer leaves room for a word of the prompt
            kept.append(one)
            asked.append((str(row["prompt"]), group_of(row)))
    return Read(kept, asked, len(rows) - len(kept), sum(one.cut for one in kept))


def of_task(rows: Sequence[dict[str, Any]], task: str) -> list[dict[str, Any]]:
    """The rows of the task, or all where none is named."""
    return [row for row in rows if not task or row.get("task") == task]


def counted(learned: Read, heldout: Read) -> Numbers:
    """What became of the rows, and how many different prompts and groups were measured on."""
    return {
        "rows/train": len(learned.rows),
        "rows/heldout": len(heldout.rows),
        "prompts/heldout": len({prompt for prompt, _ in heldout.asked}),
        "groups/heldout": len({group for _, group in heldout.asked}),
        "rows/left-out": learned.left_out + heldout.left_out,
        "rows/cut-prompts": learned.cut,
    }


def labelled(row: Encoded) -> dict[str, list[int]]:
    """A row as SFTTrainer wants it: no loss where the prompt is."""
    labels = [token if answer else IGNORED for token, answer in zip(row.ids, row.types, strict=True)]
    return {"input_ids": row.ids, "labels": labels}


def per_token(policy: Policy, rows: Sequence[Encoded]) -> float | None:
    """Mean loss of an answer's token (EOS too) over all rows, in nats; None without rows."""
    if not rows:
        return None
    return -sum(likelihoods(policy, rows)) / sum(map(answer_tokens, rows))


def measured(before: float | None, after: float | None) -> Numbers:
    """Loss and perplexity on held-out demonstrations, beside those of the untrained base."""
    if before is None or after is None:
        return {}
    return {
        "loss/untrained": before,
        "loss/heldout": after,
        "perplexity/untrained": math.exp(min(before, 700.0)),
        "perplexity/heldout": math.exp(min(after, 700.0)),
    }
