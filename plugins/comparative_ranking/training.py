"""Trains a model that writes directly on people's rankings: from what was ranked to a model that writes what ranks higher.

Read from top to bottom: the base reads all answers once, then each step compares the K answers of some prompts by how far the
policy has moved towards each of them. Departs from direct preference optimisation as it is usually built (pairs) in taking
a ranking whole: one forward an answer, the prompt shared by all of them.
"""

from collections.abc import Sequence
from typing import Any

from feinschliff import NeedsNotMet, Run
from plugins.comparative_ranking.evaluating import glance, measured, rewarded
from plugins.comparative_ranking.reading import Ranked, Read, read
from plugins.comparative_ranking.reference import with_reference
from plugins.comparative_ranking.rewards import Answers
from plugins.comparative_ranking.writing import compared
from plugins.lib import ranks
from plugins.lib.batching import batches
from plugins.lib.hugging import chosen_rate
from plugins.lib.policies import policy_from
from plugins.lib.probing import Probe
from plugins.lib.stepping import Plan, Steps

GLANCE_ROWS = 128
UNBOUNDED = 2**62  # a step is so many rankings; what fits memory is decided by `pieces`


def train(run: Run) -> dict[str, Any]:
    """The trainer's door: returns the final numbers, or nothing when it was asked to stop on the way."""
    ranks.start(run)
    config, base = run.config, run.model("base").folder
    policy = policy_from(base, seed=run.seed, device=run.device, lora=config, max_length=config.max_length)
    answers = Answers(policy, config)
    learned = read(run.rows("train"), policy, config.prompt_keeps)
    heldout = read(run.rows("heldout"), policy, config.prompt_keeps)
    teaching = [row for row in learned.rows if row.teaches(config.loss)]
    if not any(row.tells_apart for row in teaching):
        raise NeedsNotMet(_nothing_to_learn(learned, policy.longest))
    known = with_reference(run, [*teaching, *heldout.rows], policy, answers, base)
    if known is None:
        return {}
    rows, asked = known[: len(teaching)], known[len(teaching) :]
    probe = Probe(run.rows("heldout"), policy, config, run.seed)
    steps = Steps(run, policy.model, _plan(run, answers, rows, asked, probe), config, rate=_rate(run, answers))
    if not steps.work():
        return {}
    run.state("evaluating", "held-out rankings and texts, after training")
    numbers = measured(config.loss, asked, rewarded(run, answers, asked))
    numbers |= compared(run, answers, probe, steps.untrained["texts"], base)
    run.state("saving")
    policy.save(run.out / "model")
    counts = {
        "rankings/train": len(rows),
        "rankings/left-out": len(learned.rows) - len(rows),
        "answers/left-out": learned.left_out + heldout.left_out,
        "rankings/cut-prompts": learned.cut,
    }
    return numbers | counts | {"steps": steps.total, "learning-rate": steps.rate, "loss/train": steps.recent()}


def _plan(run: Run, answers: Answers, rows: list[Ranked], heldout: list[Ranked], probe: Probe) -> Plan[Ranked]:
    config, few = run.config, heldout[:: max(1, len(heldout) // GLANCE_ROWS)]
    return Plan(
        epochs=[_batches(run, rows, epoch) for epoch in range(config.epochs)],
        loss=answers.loss,
        weight=answers.weight,
        pieces=answers.pieces,
        look=(lambda: glance(config.loss, few, rewarded(run, answers, few))) if few else None,
        looks=config.evaluations,
        before=lambda: {"texts": [one.ids for one in probe.written(answers.policy)]},
    )


def _batches(run: Run, rows: Sequence[Ranked], epoch: int) -> list[list[Ranked]]:
    """An epoch's steps: so many rankings each, alike in length, those of one prompt together."""
    return batches(
        rows,
        lambda row: {key: len(key) for key in row.keys},
        lambda row: row.prompt,
        budget=UNBOUNDED,
        most=run.config.batch_rows,
        seed=run.seed,
        epoch=epoch,
    )


def _rate(run: Run, answers: Answers) -> float:
    config = run.config
    return chosen_rate(
        config.learning_rate, answers.policy, tiny=1e-3, small=1e-4, large=1e-5, lora=bool(config.lora_rank)
    )


def _nothing_to_learn(learned: Read, longest: int) -> str:
    """Why, in the order in which it is likely."""
    if learned.left_out and not any(len(row.sequences) > 1 for row in learned.rows):
        return (
            f"no ranking has two answers that fit into {longest} tokens ({learned.left_out} answers are too long): raise "
            "max_length, or take a base that reads more"
        )
    return (
        "no ranking tells two different answers apart: each has ties throughout, one answer, equal texts or no weight; "
        "nothing can be learned from these rows"
    )
