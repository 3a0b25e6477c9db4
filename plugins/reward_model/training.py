"""Trains a reward model: the step from what people said to a model that can say it again.

Read from top to bottom: read the rows, batch, step (`plugins.lib.stepping`), measure, save. Departs from InstructGPT in taking
more than one epoch by default, since demonstrations of this size are small; the held-out curve shows overfitting.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from feinschliff import NeedsNotMet, Run
from plugins.lib import ranks
from plugins.lib.batching import batches
from plugins.lib.encoding import Encoded
from plugins.lib.rankings import as_rankings
from plugins.lib.stepping import Plan, Steps
from plugins.reward_model.aspects import outputs_of, standardised
from plugins.reward_model.config import RewardModelConfig, wanted_aspects
from plugins.reward_model.evaluating import accuracy, measured
from plugins.reward_model.learning import Loss, Objective
from plugins.reward_model.model import RewardModel
from plugins.reward_model.outputs import Outputs
from plugins.reward_model.reading import Judged, Read, Row, read
from plugins.reward_model.reporting import report, report_aspects, show
from plugins.reward_model.starting import from_base, step_size
from plugins.reward_model.weighing import resampled, weighed

GLANCE_ROWS = 128
REFERENCES = 512  # answers on which scores are centred


@dataclass
class Material:
    """What there is to learn from and to measure on; `rated` are held-out ratings, where scores themselves are learned."""

    train: Read
    heldout: Read
    rated: list[Judged]
    shown: list[Row]


def train(run: Run) -> dict[str, Any]:
    """The trainer's door: returns the final numbers, or nothing when it was asked to stop on the way."""
    ranks.start(run)
    config, base = run.config, run.model("base")
    rows, heldout = run.rows("train"), run.rows("heldout")
    loss = loss_for(config, rows)
    aspects = wanted_aspects(config.aspects)
    outputs = outputs_of(rows, aspects, config.heads) if loss == "regression" else Outputs(heads=config.heads)
    reward = from_base(base.folder, config, causal=base.causal, outputs=outputs, seed=run.seed, device=run.device)
    material = gathered(rows, heldout, reward, loss, list(aspects) or None)
    learned = weighed(material.train.rows, counts=config.counts, annotators=config.annotators)
    check(learned, material.train, loss)
    steps = _steps(run, reward, loss, learned, material.heldout.rows)
    if not steps.work():
        return {}
    run.state("evaluating", "held-out rows, after training")
    reward.melt()
    reward.outputs = outputs.referring_to(
        _numbers(run, reward, references(learned, config.reference)), config.normalise
    )
    numbers = _measured(run, reward, material, steps.untrained.get("accuracy"))
    run.state("saving")
    reward.save(run.out / "model")
    show(run, reward, material.shown)
    counts = {
        "pairs/train": sum(row.compares for row in learned),
        "rows/train": len(learned),
        "rows/left-out": material.train.left_out + material.heldout.left_out,
        "rows/cut-prompts": material.train.cut,
    }
    return numbers | counts | {"steps": steps.total, "learning-rate": steps.rate, "loss/train": steps.recent()}


def loss_for(config: RewardModelConfig, rows: Sequence[Row]) -> Loss:
    """The loss that was asked for, or the one that suits the rows. NeedsNotMet where there is no score to regress on.

    Pairwise rather than Plackett-Luce, which gains a little where people choose as it assumes and loses more where they do
    not (benchmarks/ranking_losses.py).
    """
    if config.loss == "auto":
        return "regression" if all("scores" in row for row in rows) else "pairwise"
    if config.loss == "regression" and not all("scores" in row for row in rows):
        raise NeedsNotMet(
            "regression learns from ratings alone; these rows rank or compare. Take another `loss`, or auto"
        )
    return config.loss


def gathered(
    rows: Sequence[Row], heldout: Sequence[Row], reward: RewardModel, loss: Loss, aspects: list[str] | None
) -> Material:
    """The rows encoded: as rankings, or for regression the single ratings; measured is on rankings in any case."""
    shown = as_rankings(heldout, aspects)
    if loss != "regression":
        return Material(read(as_rankings(rows, aspects), reward.encode), read(shown, reward.encode), [], shown)

    def targets(row: Row) -> tuple[float | None, ...]:
        return standardised(row, reward.outputs)

    rated = [row for row in heldout if "scores" in row]
    return Material(
        read(rows, reward.encode, targets), read(shown, reward.encode), read(rated, reward.encode, targets).rows, shown
    )


def check(rows: Sequence[Judged], found: Read, loss: Loss) -> None:
    """NeedsNotMet where nothing can be learned, with the reason."""
    if not rows and found.left_out:
        raise NeedsNotMet(f"all {found.left_out} rows have an answer that does not fit the model: raise `max_length`")
    if loss == "regression":
        if not any(row.weight > 0 for row in rows):
            raise NeedsNotMet("all rows have weight 0: nothing can be learned from them")
        return
    if not any(row.compares and row.weight > 0 for row in rows):
        raise NeedsNotMet(
            "no row tells two different answers apart that fit the model (all tied, not ranked, or the same text): "
            "nothing can be learned from these rows"
        )


def _steps(
    run: Run, reward: RewardModel, loss: Loss, rows: Sequence[Judged], heldout: Sequence[Judged]
) -> Steps[Judged]:
    config = run.config
    objective = Objective(
        reward, loss, smoothing=config.label_smoothing, resamples=resampled(rows, config.heads, run.seed)
    )
    glance = heldout[:: max(1, len(heldout) // GLANCE_ROWS)]

    def look() -> dict[str, float | None]:
        return {"accuracy/heldout": accuracy(glance, scored(run, reward, glance))}

    def untrained() -> dict[str, float | None]:
        return {"accuracy": accuracy(heldout, scored(run, reward, heldout))}

    plan = Plan(
        epochs=[_batches(run, reward, rows, epoch) for epoch in range(config.epochs)],
        loss=objective,
        weight=objective.weight,
        look=look if glance else None,
        looks=config.evaluations,
        before=untrained,
    )
    return Steps(run, reward.model, plan, config, rate=config.learning_rate or step_size(reward.model))


def _batches(run: Run, reward: RewardModel, rows: Sequence[Judged], epoch: int) -> list[list[Judged]]:
    """One epoch's, under the budget of tokens as the engine counts them: a shared prompt once, where it runs once."""

    def lengths(row: Judged) -> dict[Hashable, Any]:
        return {key: reward.engine.length(one) for key, one in zip(row.keys, row.sequences, strict=True)}

    config = run.config
    return batches(
        rows,
        lengths,
        lambda row: row.prompt,
        budget=config.batch_tokens,
        most=config.batch_rows,
        seed=run.seed,
        epoch=epoch,
        cost=reward.engine.tokens,
    )


def references(rows: Sequence[Judged], which: str) -> list[Encoded]:
    """At most 512 different answers, evenly from all rows: all of them, or those that people ranked (or rated) best."""
    found: dict[tuple[int, ...], Encoded] = {}
    best: dict[str, float] = {}
    for row in rows:  # of single rated answers the best of its prompt is the best
        best[row.prompt] = max(best.get(row.prompt, float("-inf")), _mean(row.targets))
    for row in rows:
        top = min((rank for rank in row.ranks if rank is not None), default=None)
        for key, sequence, rank in zip(row.keys, row.sequences, row.ranks, strict=True):
            liked = _mean(row.targets) == best[row.prompt] if row.targets else rank is not None and rank == top
            if which == "all" or liked:
                found.setdefault(key, sequence)
    return list(found.values())[:: max(1, -(-len(found) // REFERENCES))]


def _mean(targets: Sequence[float | None]) -> float:
    known = [target for target in targets if target is not None]
    return sum(known) / len(known) if known else float("-inf")


def scored(run: Run, reward: RewardModel, rows: Sequence[Judged]) -> list[list[float]]:
    """Every row's scores; a sequence that stands in many rows is scored once, by one of the ranks."""
    unique = {key: one for row in rows for key, one in zip(row.keys, row.sequences, strict=True)}
    values = map(reward.outputs.score, _numbers(run, reward, list(unique.values())))
    found = dict(zip(unique, values, strict=True))
    return [[found[key] for key in row.keys] for row in rows]


def _numbers(run: Run, reward: RewardModel, sequences: Sequence[Encoded]) -> list[list[float]]:
    return ranks.gathered(run, reward.numbers(ranks.share(run, sequences)))


def _measured(run: Run, reward: RewardModel, material: Material, untrained: float | None) -> dict[str, Any]:
    rows = material.heldout.rows
    scores = scored(run, reward, rows)
    numbers = measured(rows, scores, untrained)
    report(run, rows, scores)
    if material.rated:
        values = _numbers(run, reward, [row.sequences[0] for row in material.rated])
        numbers |= report_aspects(run, material.rated, values, reward.outputs)
    return numbers
