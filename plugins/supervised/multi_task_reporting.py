"""What the page of a multi-task run shows: each task beside its baselines, the mix as asked and as it came, who gains.

Means go over tasks, each counting the same however many rows it has. Intervals: bootstrap over whole groups
(feinschliff.measuring), over rows where there are too few groups.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from feinschliff import Run
from feinschliff.measuring import interval
from plugins.lib.classified import scores, show, units
from plugins.lib.mixing import fit
from plugins.supervised.multi_task_learners import Example, Learner, Sorter

GLANCE, CURVES = 32, 12  # held-out rows of a task behind its curve; tasks with a curve of their own
NAME = 60  # characters of a task's name in a curve's
SHOWN_CLASSES = 4  # tasks of which the classes are shown one by one
BENT = 0.02  # a share that lies so far from the asked one is told
LISTED = 200  # rows of a table
Numbers = dict[str, Any]
Cells = list[str | float | None]


@dataclass(frozen=True)
class Measured:
    """One task's held-out rows: `outcomes` summed over `sizes` are its `value`; `said` are the classes' places, if any."""

    outcomes: Sequence[float]
    sizes: Sequence[float]
    groups: Sequence[str]
    said: Sequence[int] = ()

    @property
    def value(self) -> float:
        return sum(self.outcomes) / sum(self.sizes)

    @property
    def units(self) -> list[str]:
        return units(self.groups)


def measured(learner: Learner, heldout: Mapping[str, Sequence[Example]]) -> dict[str, Measured]:
    """Task -> how it came out; tasks without held-out rows are not among them."""
    found = {}
    for task, rows in heldout.items():
        if rows:
            values, said = learner.outcomes(rows)
            found[task] = Measured(values, [float(one.size) for one in rows], [one.group for one in rows], said)
    return found


def over_tasks(found: Mapping[str, Measured], name: str) -> Numbers:
    """The mean over tasks with its 95 % interval; empty without tasks."""
    if not found:
        return {}
    values = [value / sum(one.sizes) for one in found.values() for value in one.outcomes]
    weights = [size / sum(one.sizes) for one in found.values() for size in one.sizes]
    low, high = interval(values, weights, [unit for one in found.values() for unit in one.units])
    return {name: sum(values) / len(found), f"{name}/low": low, f"{name}/high": high}


def look(learner: Learner, heldout: Mapping[str, Sequence[Example]]) -> Numbers:
    """For the curves: each task on a few held-out rows, and the mean over all tasks."""
    few = {task: rows[:: max(1, len(rows) // GLANCE)] for task, rows in heldout.items()}
    values = {task: one.value for task, one in measured(learner, few).items()}
    curves = {
        f"{learner.metric}/task/{_short(task, n)}": values[task] for n, task in enumerate(values, 1) if n <= CURVES
    }
    return curves | {f"{learner.metric}/heldout": sum(values.values()) / max(1, len(values))}


def report(
    run: Run,
    learner: Learner,
    heldout: Mapping[str, Sequence[Example]],
    found: Mapping[str, Measured],
    untrained: Mapping[str, float],
    majority: Mapping[str, int],
) -> Numbers:
    """The table by task, and the means over tasks. `majority` is each task's commonest class, where there are classes."""
    lines: list[Cells] = []
    f1s: list[float] = []
    constants: list[float] = []
    for task, one in found.items():
        low, high = interval(one.outcomes, one.sizes, one.units)
        line: Cells = [task, len(one.outcomes), one.value, low, high]
        if isinstance(learner, Sorter):
            names = learner.classes[task]
            truth = [names[example.truth] for example in heldout[task]]
            said = [names[place] for place in one.said]
            f1s.append(scores(truth, said).macro_f1)
            constants.append(sum(example.truth == majority[task] for example in heldout[task]) / len(truth))
            line += [f1s[-1], constants[-1]]
            if len(f1s) <= SHOWN_CLASSES:
                show(run, truth, said, title=task)
        lines.append([*line, untrained[task]])
    if not lines:
        return {}
    classes = ["macro-F1", "majority class"] if f1s else []
    what = (
        "Share of held-out rows with the right label"
        if f1s
        else "Mean surprise of an answer's token, in nats, lower is better"
    )
    run.table(
        "Tasks",
        ["task", "rows held out", learner.metric, "low", "high", *classes, "untrained"],
        lines[:LISTED],
        note=f"{what}, with the 95 % interval, beside what is had without learning.",
    )
    numbers = over_tasks(found, "accuracy/model" if f1s else "loss/heldout")
    numbers[f"{learner.metric}/untrained"] = sum(untrained[task] for task in found) / len(found)
    if f1s:
        numbers |= {"accuracy/majority": sum(constants) / len(constants), "macro-f1/model": sum(f1s) / len(f1s)}
    return numbers


def report_mix(
    run: Run,
    sizes: Mapping[str, int],
    asked: Mapping[str, float],
    steps: Sequence[Sequence[Example]],
    heldout: Mapping[str, Sequence[Example]],
    strange: Mapping[str, int],
) -> Numbers:
    """The shares that were asked for beside those of the rows that the steps held; a warning where they differ.

    `strange` are the tasks that have held-out rows alone, and how many.
    """
    counts = Counter(example.task for step in steps for example in step)
    total = sum(counts.values())
    lines: list[Cells] = [
        [task, size, asked[task], counts[task] / total, counts[task], counts[task] / size]
        for task, size in sizes.items()
    ]
    run.table(
        "The mix",
        ["task", "rows", "share asked for", "share learned from", "rows learned from", "epochs"],
        lines[:LISTED],
        note="A task that would repeat its rows too often (`most_repeats`) leaves the rest of its share to the others.",
    )
    furthest = max(abs(counts[task] / total - share) for task, share in asked.items())
    numbers: Numbers = {"mix/furthest": furthest, "mix/fit": fit(counts, asked)}
    bent = [task for task, share in asked.items() if abs(counts[task] / total - share) > BENT]
    unseen = [task for task in sizes if not heldout.get(task)]
    told = []
    if bent:
        told.append(f"The mix is not the one asked for ({_some(bent)}): small tasks met the cap of most_repeats.")
    if unseen:
        told.append(f"Nothing is known of {_some(unseen)}: no held-out rows.")
    if strange:
        told.append(
            f"Nothing was learned of {_some(list(strange))}: no rows to learn from, {sum(strange.values())} held out."
        )
    return numbers | ({"warning": " ".join(told)} if told else {})


def report_alone(
    run: Run, learner: Learner, together: Mapping[str, Measured], alone: Mapping[str, Measured]
) -> Numbers:
    """Who gains from the others and who suffers; a gain is an improvement, whichever way the metric counts."""
    gains = {}
    lines: list[Cells] = []
    for task, one in together.items():
        sign = 1.0 if learner.higher else -1.0
        pairs = zip(one.outcomes, alone[task].outcomes, strict=True)
        gains[task] = Measured([sign * (a - b) for a, b in pairs], one.sizes, one.groups)
        low, high = interval(gains[task].outcomes, one.sizes, gains[task].units)
        verdict = "gains" if low > 0 else "suffers" if high < 0 else "not told apart"
        lines.append([task, len(one.outcomes), alone[task].value, one.value, gains[task].value, low, high, verdict])
    if not lines:
        return {}
    run.table(
        "Together and alone",
        ["task", "rows held out", "alone", "together", "gain", "low", "high", ""],
        lines[:LISTED],
        note=f"Held-out {learner.metric} of this model beside one that learned the task alone: the same rows in the same steps "
        "from the same base, those of other tasks taken out. The gain is paired, above 0 where learning together is better.",
    )
    return over_tasks(gains, "gain/together") | {
        "tasks/gain": sum(line[-1] == "gains" for line in lines),
        "tasks/suffer": sum(line[-1] == "suffers" for line in lines),
    }


def _short(task: str, number: int) -> str:
    """A task's name as a part of a curve's; of one that is cut the number tells it from others."""
    return task if len(task) <= NAME else f"{task[:NAME]} ({number})"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
