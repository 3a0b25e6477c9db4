"""Direct preference optimisation by TRL's DPOTrainer.

The reference's log-probabilities are taken once, before the first step, by our own engine, which runs an answer that stands
in several pairs once; so no second model is held, with or without adapters. Tokens are ours too (`plugins.lib.encoding`):
prompt and answer are never tokenised as one text, and no text can forge a special token.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from feinschliff import NeedsNotMet, Run
from plugins.lib.adapters import lora_config
from plugins.lib.feeding import bucketed, feed, table
from plugins.lib.hugging import GLANCE, Work, chosen_rate
from plugins.lib.policies import Policy, policy_from
from plugins.lib.probing import Probe, likelihoods
from plugins.preference.measuring import Numbers, agreement, implicit
from plugins.preference.rows import Pair, Pairs, pairs_from, parts

CURVES = {
    "rewards/accuracies": "accuracy/train",
    "rewards/margins": "margin/train",
    "rewards/chosen": "reward/chosen",
    "rewards/rejected": "reward/rejected",
    "logps/chosen": "logp/chosen",
    "logps/rejected": "logp/rejected",
    "eval_rewards/accuracies": "accuracy/heldout",
    "eval_rewards/margins": "margin/heldout",
}
Logps = list[tuple[float, float]]


def train(run: Run) -> dict[str, Any]:
    """The trainer's door: returns the final numbers, or nothing when it was asked to stop on the way."""
    config = run.config
    policy = policy_from(run.model("base").folder, seed=run.seed, device=run.device, max_length=config.max_length)
    learned = pairs_from(run.rows("train"), policy, config.prompt_keeps)
    heldout = pairs_from(run.rows("heldout"), policy, config.prompt_keeps)
    _check(learned, policy)
    work = Work(run, curves=CURVES, evaluations=config.evaluations if heldout.pairs else 0)
    probe = Probe(run.rows("heldout"), policy, config, run.seed)
    run.state("evaluating", "the reference, before training")
    texts = work.once("texts", lambda: probe.texts(policy))
    reference = work.once("reference", lambda: logps(policy, learned.pairs))
    baseline = work.once("heldout", lambda: logps(policy, heldout.pairs))
    rows, eval_rows = dataset(learned.pairs, reference), dataset(heldout.pairs, baseline)
    trainer = dpo_trainer(run, work, policy, learned.pairs, rows, eval_rows)
    untrained = work.once("untrained", lambda: work.measured(trainer, eval_rows))
    if not work.train(trainer):
        return {}
    run.state("evaluating", "held-out comparisons and texts, after training")
    numbers: dict[str, Any] = work.numbers() | beside(untrained, work.measured(trainer, eval_rows))
    policy.model = trainer.model
    policy.save(run.out / "model")
    numbers |= _heldout(heldout.pairs, logps(policy, heldout.pairs), baseline, config.beta)
    numbers |= probe.compared(run, texts, probe.texts(policy), run.model("judge"))
    return numbers | _counts(learned, heldout)


def dpo_trainer(run: Run, work: Work, policy: Policy, pairs: Sequence[Pair], rows: Any, heldout: Any) -> Any:  # noqa: ANN401
    """TRL's trainer over tokens and reference log-probabilities that are ready."""
    from trl import DPOConfig, DPOTrainer

    class Ready(DPOTrainer):
        """TRL 1.16 prepares text alone; what comes here is prepared. A test pins both methods."""

        def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:  # noqa: ANN401
            return dataset

        def _precompute_ref_logps(self, dataset: Any, *_: Any, **__: Any) -> Any:  # noqa: ANN401
            return dataset

    config = run.config
    rate = chosen_rate(config.learning_rate, policy, tiny=3e-4, small=2e-5, large=1e-6, lora=bool(config.lora_rank))
    batches = bucketed(
        [2 * pair.length for pair in pairs],  # both answers are padded to the longer one
        tokens=config.batch_tokens,
        rows=config.batch_rows,
        epochs=config.epochs,
        seed=run.seed,
    )
    trainer = Ready(
        model=policy.model,
        args=DPOConfig(
            **work.arguments(policy, config, rate=rate, rows=config.batch_rows, pieces=config.accumulate, fed=True),
            train_sampling_strategy="sequential",
            max_length=None,  # what does not fit was left out or cut already
            disable_dropout=False,  # the base's is off already, and that of adapters is a setting
            precompute_ref_log_probs=True,
            loss_type=[config.loss],
            label_smoothing=config.label_smoothing,
            beta=config.beta,
        ),
        train_dataset=table(batches),
        eval_dataset=heldout.select(range(0, len(heldout), max(1, len(heldout) // GLANCE))) if len(heldout) else None,
        processing_class=policy.tokenizer,
        peft_config=lora_config(config, task="CAUSAL_LM"),
    )
    return feed(trainer, rows)


def logps(policy: Policy, pairs: Sequence[Pair]) -> Logps:
    """(preferred, other) log-probabilities of each pair; an answer that stands in several pairs runs once."""
    different = {tuple(one.ids): one for pair in pairs for one in (pair.chosen, pair.rejected)}
    found = dict(zip(different, likelihoods(policy, list(different.values())), strict=True))
    return [(found[tuple(pair.chosen.ids)], found[tuple(pair.rejected.ids)]) for pair in pairs]


def dataset(pairs: Sequence[Pair], reference: Logps) -> Any:  # noqa: ANN401 - a datasets.Dataset
    """The columns that DPOTrainer's collator reads."""
    from datasets import Dataset

    rows = []
    for pair, (chosen, rejected) in zip(pairs, reference, strict=True):
        (prompt, first), (_, second) = parts(pair.chosen), parts(pair.rejected)
        known = {"ref_chosen_logps": chosen, "ref_rejected_logps": rejected}
        rows.append({"prompt_ids": prompt, "chosen_ids": first, "rejected_ids": second, **known})
    return Dataset.from_list(rows)


def beside(before: Mapping[str, float], after: Mapping[str, float]) -> Numbers:
    """The trainer's held-out loss, beside that of the untrained base."""
    return {"loss/untrained": before["loss/heldout"], "loss/heldout": after["loss/heldout"]} if after else {}


def _heldout(pairs: Sequence[Pair], after: Logps, before: Logps, beta: float) -> Numbers:
    rewards = [(good, bad) for new, old in zip(after, before, strict=True) for good, bad in [implicit(new, old, beta)]]
    return agreement(pairs, rewards, before)


def _check(learned: Pairs, policy: Policy) -> None:
    if not learned.pairs:
        lost = ", ".join(f"{name} {count}" for name, count in learned.lost.items() if count)
        raise NeedsNotMet(
            f"no row gives a comparison to learn from within {policy.longest} tokens ({lost}): give rows that tell two "
            "different answers apart, raise max_length, or take a base that reads more"
        )


def _counts(learned: Pairs, heldout: Pairs) -> Numbers:
    lost = learned.lost + heldout.lost
    return {
        "pairs/train": len(learned.pairs),
        "pairs/ties-lost": lost["ties"],
        "pairs/same-text": lost["same"],
        "pairs/left-out": lost["left-out"],
        "pairs/cut-prompts": learned.cut,
    }
