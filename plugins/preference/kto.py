"""Kahneman-Tversky optimisation by TRL's KTOTrainer: single answers, each called good or bad.

Good and bad are balanced by their numbers where no weights are given: equation 8 of Ethayarajh et al. 2024 wants the two
sides to weigh about the same. The drift from the base (the paper's z0) is estimated from mismatched pairs, every prompt of
a batch with its neighbour's answer, as TRL does; since batches are drawn anew each epoch here, so are those pairs.
"""

from collections.abc import Sequence
from typing import Any

from feinschliff import NeedsNotMet, Run
from plugins.lib.adapters import lora_config
from plugins.lib.hugging import GLANCE, Work, chosen_rate, order
from plugins.lib.policies import Policy, policy_from
from plugins.lib.probing import Numbers, Probe, likelihoods
from plugins.preference.measuring import implicit, separation
from plugins.preference.rows import Verdict, Verdicts, border_of, parts, verdicts_from

CURVES = {
    "rewards/chosen": "reward/good",
    "rewards/rejected": "reward/bad",
    "rewards/margins": "margin/train",
    "kl": "kl/batch",
    "eval_rewards/margins": "margin/heldout",
}


def train(run: Run) -> dict[str, Any]:
    """The trainer's door: returns the final numbers, or nothing when it was asked to stop on the way."""
    config, rows = run.config, run.rows("train")
    policy = policy_from(run.model("base").folder, seed=run.seed, device=run.device, max_length=config.max_length)
    border = border_of(rows, config.good_above)
    learned = verdicts_from(rows, policy, config.prompt_keeps, border)
    heldout = verdicts_from(run.rows("heldout"), policy, config.prompt_keeps, border)
    _check(learned, policy)
    work = Work(run, curves=CURVES, evaluations=config.evaluations if heldout.verdicts else 0)
    probe = Probe(run.rows("heldout"), policy, config, run.seed)
    run.state("evaluating", "before training")
    texts = work.once("texts", lambda: probe.texts(policy))
    baseline = work.once("heldout", lambda: likelihoods(policy, [one.answer for one in heldout.verdicts]))
    eval_rows = dataset(heldout.verdicts, range(len(heldout.verdicts)), config.batch_rows)
    trainer = kto_trainer(run, work, policy, learned.verdicts, heldout.verdicts[:GLANCE])
    untrained = work.once("untrained", lambda: work.measured(trainer, eval_rows))
    if not work.train(trainer):
        return {}
    run.state("evaluating", "held-out answers and texts, after training")
    found = work.measured(trainer, eval_rows)
    numbers: dict[str, Any] = {**work.numbers()}
    numbers |= {"loss/untrained": untrained["loss/heldout"], "loss/heldout": found["loss/heldout"]} if found else {}
    policy.model, trainer.ref_model = trainer.model, None
    policy.save(run.out / "model")
    after = likelihoods(policy, [one.answer for one in heldout.verdicts])
    numbers |= separation(heldout.verdicts, implicit(after, baseline, config.beta), baseline)
    numbers |= probe.compared(run, texts, probe.texts(policy), run.model("judge"))
    return numbers | _counts(learned, heldout) | ({"good-above": border} if "scores" in rows[0] else {})


def kto_trainer(run: Run, work: Work, policy: Policy, verdicts: Sequence[Verdict], glance: Sequence[Verdict]) -> Any:  # noqa: ANN401
    """TRL's trainer over tokens that are ready."""
    from trl import KTOConfig, KTOTrainer

    class Ready(KTOTrainer):
        """TRL 1.16 prepares text alone; what comes here is prepared. A test pins the method."""

        def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:  # noqa: ANN401
            return dataset

    config = run.config
    good, bad = weights(verdicts, config.desirable_weight, config.undesirable_weight)
    rate = chosen_rate(config.learning_rate, policy, tiny=3e-4, small=2e-5, large=1e-6, lora=bool(config.lora_rank))
    lengths = [len(one.answer.ids) for one in verdicts]
    places = order(lengths, batch=config.batch_rows, epochs=config.epochs, seed=run.seed)
    # Without adapters to switch off, the reference is a second model: the same base, opened the same way.
    reference = None
    if not config.lora_rank:
        folder = run.model("base").folder
        reference = policy_from(folder, seed=run.seed, device=run.device, max_length=config.max_length).model
    return Ready(
        model=policy.model,
        ref_model=reference,
        args=KTOConfig(
            **work.arguments(policy, config, rate=rate, rows=config.batch_rows, pieces=config.accumulate),
            train_sampling_strategy="sequential",
            max_length=None,  # what does not fit was left out or cut already
            disable_dropout=False,  # the base's is off already, and that of adapters is a setting
            loss_type=config.loss,
            beta=config.beta,
            desirable_weight=good,
            undesirable_weight=bad,
        ),
        train_dataset=dataset(verdicts, places, config.batch_rows),
        eval_dataset=dataset(glance, range(len(glance)), config.batch_rows) if glance else None,
        processing_class=policy.tokenizer,
        peft_config=lora_config(config, task="CAUSAL_LM"),
    )


def weights(verdicts: Sequence[Verdict], good: float, bad: float) -> tuple[float, float]:
    """The weights of good and bad answers; of those not set (0) the rarer side's makes both weigh the same, at least 1."""
    many = sum(verdict.good for verdict in verdicts)
    few = len(verdicts) - many
    if not many or not few:
        return good or 1.0, bad or 1.0
    if good and not bad:
        return good, good * many / few
    if bad and not good:
        return bad * few / many, bad
    return good or max(1.0, few / many), bad or max(1.0, many / few)


def dataset(verdicts: Sequence[Verdict], places: Sequence[int], batch: int) -> Any:  # noqa: ANN401 - a datasets.Dataset
    """The columns that KTOTrainer's collator reads: in each batch, a prompt's mismatched answer is that of the row before.

    The first row's is the last one's of its batch.
    """
    from datasets import Dataset

    known = [parts(verdict.answer) for verdict in verdicts]
    rows = []
    for start in range(0, len(places), batch):
        some = list(places[start : start + batch])
        for place, other in zip(some, [some[-1], *some[:-1]], strict=True):
            prompt, answer = known[place]
            row = {"prompt_ids": prompt, "completion_ids": answer, "KL_completion_ids": known[other][1]}
            rows.append({**row, "label": verdicts[place].good})
    return Dataset.from_list(rows)


def _check(learned: Verdicts, policy: Policy) -> None:
    good = sum(verdict.good for verdict in learned.verdicts)
    if not learned.verdicts:
        raise NeedsNotMet(
            f"no answer fits into {policy.longest} tokens and stands on one side: raise max_length, or set good_above "
            "apart from the scores that were given"
        )
    if good in (0, len(learned.verdicts)):
        raise NeedsNotMet(
            f"all {len(learned.verdicts)} answers are {'good' if good else 'bad'}: give some of the other side too, or set "
            "good_above between the scores that were given"
        )


def _counts(learned: Verdicts, heldout: Verdicts) -> Numbers:
    lost = learned.lost + heldout.lost
    return {
        "rows/train": len(learned.verdicts),
        "rows/good": sum(verdict.good for verdict in learned.verdicts),
        "rows/heldout": len(heldout.verdicts),
        "rows/on-the-border": lost["ties"],
        "rows/left-out": lost["left-out"],
        "rows/cut-prompts": learned.cut,
    }
