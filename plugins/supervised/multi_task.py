"""Learns several tasks at once on one base: a head a task from labels, or one model that writes from demonstrations.

Read from top to bottom: gather the tasks, put the draws of the whole run in order (`plugins.lib.mixing`), step
(`plugins.lib.stepping`), measure every task, and where asked train each alone for comparison. A step holds rows of several tasks
(heterogeneous batches: Aghajanyan et al. 2021, section 3); its loss is the mean of their losses, a task counting by its rows.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from feinschliff import NeedsNotMet, Run
from feinschliff.rows import kind_of
from plugins.lib.batching import packed
from plugins.lib.hugging import chosen_rate
from plugins.lib.labels import lessons, read
from plugins.lib.mixing import asked_shares, drawn, draws_of, read_weights, steps
from plugins.lib.policies import Prompt
from plugins.lib.probing import Probe
from plugins.lib.stepping import Plan, Steps
from plugins.supervised.labelling import epochs_for, step_size
from plugins.supervised.multi_task_learners import Example, Gathered, Learner, Row, Sorter, Writer, by_task
from plugins.supervised.multi_task_reporting import look, measured, report, report_alone, report_mix
from plugins.supervised.stages import Stage

if TYPE_CHECKING:
    import torch

EPOCHS = 3  # of demonstrations, where nothing else is asked for
HOW_TO_NAME = (
    "name a task for each row, by the word `task` in an imported file or by asking several questions in the project, after "
    "which tasks are named"
)
Batches = Sequence[Sequence[Example]]


class Part(NamedTuple):
    """An example in a step, and what its loss counts there."""

    example: Example
    factor: float


def train(run: Run) -> dict[str, Any]:
    """The trainer's door: returns the final numbers, or nothing when it was asked to stop on the way."""
    learner = begun(run)
    found = learner.gathered()
    sizes = {task: len(rows) for task, rows in found.train.items()}
    epochs = run.config.epochs or (EPOCHS if isinstance(learner, Writer) else epochs_for(sum(sizes.values()), 0))
    asked, batches = mixed(run, found, epochs)
    alone = {task: own_steps(batches, task) for task in sizes} if run.config.compare_single else {}
    total = len(batches) + sum(map(len, alone.values()))
    probe = Probe(_rows(run, "heldout"), learner.policy, run.config, run.seed) if isinstance(learner, Writer) else None

    def untrained() -> dict[str, Any]:
        values = {task: one.value for task, one in measured(learner, found.heldout).items()}
        return {"values": values, "texts": probe.texts(learner.policy) if probe else []}  # type: ignore[attr-defined]

    plan = planned(run, learner, batches, found.heldout, parts=epochs)
    plan.before = untrained
    taken = Steps(Stage(run, before=0, of=total), learner.model, plan, run.config, rate=rate(run, learner))
    if not taken.work():
        return {}
    run.state("saving")
    learner.save(run.out / "model")  # before anything is measured, which must not cost the model
    run.state("evaluating", "held-out rows of every task")
    together = measured(learner, found.heldout)
    common = {task: _commonest(rows) for task, rows in found.train.items()}
    numbers: dict[str, Any] = report(run, learner, found.heldout, together, taken.untrained["values"], common)
    strange = _held_out_alone(_rows(run, "heldout"), sizes)
    numbers |= report_mix(run, sizes, asked, batches, found.heldout, strange)
    if probe and isinstance(learner, Writer):
        numbers |= probe.compared(run, taken.untrained["texts"], probe.texts(learner.policy), run.model("judge"))
    numbers |= {"steps": taken.total, "learning-rate": taken.rate, "loss/train": taken.recent()}
    del taken  # with the model, its gradients and moments, which would stand beside those of the single tasks
    if alone:
        learner.let_go()
        singles = trained_alone(run, learner, alone, found, total)
        if singles is None:
            return {}
        numbers |= report_alone(run, learner, together, singles)
    found.counts["rows/not-measured"] += sum(strange.values())
    counts = {"tasks": len(sizes), "rows/train": sum(sizes.values())} | dict(found.counts)
    return numbers | counts | {"rows/heldout": sum(map(len, found.heldout.values()))}


def begun(run: Run) -> Learner:
    """The learner for the rows there are, untrained. NeedsNotMet where there are not two tasks that can be learned."""
    rows, others = _rows(run, "train"), _rows(run, "heldout")
    names = checked(rows)
    check_named(others)
    train, heldout = _by_task(rows, names), _by_task(others, names)
    if kind_of(rows[0]) == "demonstration":
        return Writer(run, train, heldout)
    rare = run.config.rare_classes
    return Sorter(run, {task: lessons(read(train[task]), read(heldout[task]), rare=rare, task=task) for task in names})


def checked(rows: Sequence[Row]) -> list[str]:
    """The names of the tasks, sorted. NeedsNotMet says what is wrong with the rows, and what to do."""
    kinds = sorted({kind_of(row) or "" for row in rows})
    if len(kinds) > 1:
        raise NeedsNotMet(
            f"one model learns either labels or answers, and these rows are both ({', '.join(kinds)}): freeze one"
        )
    check_named(rows)
    names = sorted({str(row["task"]) for row in rows})
    if len(names) < 2:
        raise NeedsNotMet(f"all rows are of the task {names[0]!r}: take task-specific for one task, or {HOW_TO_NAME}")
    return names


def check_named(rows: Sequence[Row]) -> None:
    """NeedsNotMet where a row names no task: it could neither be learned from nor measured on."""
    if unnamed := sum(not row.get("task") for row in rows):
        raise NeedsNotMet(f"{unnamed} of {len(rows)} rows say of no task that it is theirs: {HOW_TO_NAME}")


def mixed(run: Run, found: Gathered, epochs: int) -> tuple[dict[str, float], Batches]:
    """The shares asked for, and the steps of the whole run. NeedsNotMet where the weights do not fit the tasks."""
    config, sizes = run.config, {task: len(rows) for task, rows in found.train.items()}
    try:
        asked = asked_shares(
            sizes,
            config.mix,
            temperature=config.temperature,
            weights=read_weights(config.weights),
            floor=config.floor,
        )
    except ValueError as error:
        raise NeedsNotMet(str(error)) from None
    counts = draws_of(asked, sizes, total=epochs * sum(sizes.values()), most=epochs * config.most_repeats)
    draws = drawn(sizes, counts, seed=run.seed)
    return asked, [[found.train[task][place] for task, place in step] for step in steps(draws, config.batch_rows)]


def planned(
    run: Run, learner: Learner, batches: Batches, heldout: Mapping[str, Sequence[Example]], *, parts: int = 1
) -> Plan[Part]:
    """The steps as the loop takes them: rows of like length go through the model together, whatever their tasks.

    The loss is a scalar: in nats, or in units of guessing where `scale_losses` is on. A checkpoint is kept after each of
    `parts` parts; where single tasks are to follow, after the last one too.
    """
    import torch

    config = run.config

    def loss(piece: Sequence[Part], whole: float) -> "torch.Tensor":
        values = learner.losses([part.example for part in piece])
        return (values * torch.tensor([part.factor for part in piece], device=values.device)).sum() / whole

    def pieces(step: Sequence[Part]) -> list[list[Part]]:
        ordered = sorted(step, key=lambda part: len(part.example.sequence.ids))
        return packed(
            ordered,
            lambda part: {id(part): len(part.example.sequence.ids)},
            budget=config.batch_tokens,
            most=len(ordered),
        )

    chance = {task: learner.chance(task) if config.scale_losses else 1.0 for task in heldout}
    factored = [weighed(step, chance) for step in batches]
    each = max(1, -(-len(factored) // parts))
    epochs = [factored[start : start + each] for start in range(0, len(factored), each)]
    return Plan(
        epochs=[*epochs, []] if config.compare_single else epochs,  # the end of an epoch that is not the last is kept
        loss=loss,
        weight=lambda _: 1.0,  # the factors have it
        pieces=pieces,
        look=(lambda: look(learner, heldout)) if any(heldout.values()) else None,
        looks=config.evaluations,
    )


def weighed(step: Sequence[Example], chance: Mapping[str, float]) -> list[Part]:
    """What each loss of a step counts: a task by its rows in the step, in it a unit of size by its row's weight.

    So the mix is what was asked for, whatever the lengths of the answers, and a task's own loss is the mean that it would
    have alone. Divided by `chance`, a task of 150 classes counts no more than one of two (Aghajanyan et al. 2021, section 3).
    """
    parts: list[Part] = []
    for task, places in by_task(step).items():
        some = [step[place] for place in places]
        size = sum(one.weight * one.size for one in some)
        parts += [Part(one, one.weight * len(some) / len(step) / size / chance[task]) for one in some]
    return parts


def own_steps(batches: Batches, task: str) -> Batches:
    """The same steps with the rows of other tasks taken out."""
    own = ([one for one in step if one.task == task] for step in batches)
    return [step for step in own if step]


def trained_alone(
    run: Run, learner: Learner, alone: Mapping[str, Batches], found: Gathered, total: int
) -> dict[str, Any] | None:
    """Task -> how it comes out learned alone; None when asked to stop on the way."""
    results: dict[str, Any] = {}
    before = total - sum(map(len, alone.values()))
    for task, batches in alone.items():
        run.state("training", f"{task} alone, for comparison")
        heldout = {task: found.heldout[task]}
        one = learner.alone(task)
        stage = Stage(run, before=before, of=total, aside=True)
        plan = planned(stage, one, batches, heldout)
        if not Steps(stage, one.model, plan, run.config, rate=rate(run, one), keep=False).work():
            return None
        results |= measured(one, heldout)
        before += len(batches)
        del one, plan  # before the next model is opened
    return results


def rate(run: Run, learner: Learner) -> float:
    """The step size asked for, or one that suits the size of the base, as in task-specific tuning."""
    wanted, lora = run.config.learning_rate, bool(run.config.lora_rank)
    if isinstance(learner, Sorter):
        return step_size(wanted, learner, lora=lora)
    return chosen_rate(wanted, learner, tiny=1e-3, small=1e-4, large=2e-5, lora=lora)


def told(prompt: Prompt, task: str) -> Prompt:
    """The prompt with the task's name before it, as in Raffel et al. 2020, section 2.4; of messages, before the last one."""
    if isinstance(prompt, str):
        return f"{task}: {prompt}"
    return [*prompt[:-1], {**prompt[-1], "content": f"{task}: {prompt[-1]['content']}"}]


def _rows(run: Run, split: str) -> list[Row]:
    rows = run.rows(split)
    if not run.config.name_task:
        return rows
    return [
        {**row, "prompt": told(row["prompt"], str(row["task"]))} if row.get("task") and "completion" in row else row
        for row in rows
    ]


def _by_task(rows: Sequence[Row], names: Sequence[str]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {name: [] for name in names}
    for row in rows:
        if row.get("task") in found:
            found[str(row["task"])].append(row)
    return found


def _held_out_alone(rows: Sequence[Row], known: Collection[str]) -> Counter[str]:
    """The tasks that have no row to learn from, and how many held-out ones."""
    return Counter(str(row["task"]) for row in rows if row["task"] not in known)


def _commonest(rows: Sequence[Example]) -> int:
    """The place of the class that most rows have, of equals the first; -1 where there are no classes, or none is sure."""
    counts = Counter(row.truth for row in rows if row.truth >= 0)
    return min(counts, key=lambda place: (-counts[place], place), default=-1)
