"""Label rows as classifiers learn from them: one text a row, with the share of people's votes for each class.

Several people's labels of one text become one soft target. Cross entropy is linear in its target, so this is the loss of their
rows one by one; only how much a text counts is a choice (`counts`). Measured is on what most people said; a text on which
they are split evenly has no truth to measure.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from feinschliff import NeedsNotMet
from feinschliff.rows import group_of, prompt_text

Prompt = str | list[dict[str, str]]
Rare = Literal["refuse", "keep", "leave-out"]
FEWEST = 2  # rows of a class without which it cannot be learned and told from others
NAMED = 5  # examples in a sentence
MANY_TIES = 1e-9


@dataclass(frozen=True)
class Labelled:
    """A text and its classes' shares of the votes, which add up to 1; `votes` is how many labels of people they are."""

    prompt: Prompt
    shares: Mapping[str, float]
    weight: float
    group: str
    task: str
    item: str
    votes: int = 1

    @property
    def label(self) -> str | None:
        """The class that most said; None where two are even."""
        best = max(self.shares.values())
        found = [name for name, share in self.shares.items() if share >= best - MANY_TIES]
        return found[0] if len(found) == 1 else None


@dataclass
class Lessons:
    """What there is to learn from and to measure on. `classes` are in the order of the outputs; `counts` says what was left
    out and why, by the names of a run's numbers. `agreement`: of the held-out texts that several people labelled, evenly split
    ones too, the mean share of the labels that is the majority's; None where there is no such text."""

    train: list[Labelled]
    heldout: list[Labelled]
    classes: list[str]
    counts: Counter[str] = field(default_factory=Counter)
    agreement: float | None = None

    @property
    def truth(self) -> list[str]:
        """The class of each held-out row; rows without one are not among them."""
        return [row.label for row in self.heldout if row.label is not None]


def read(rows: Sequence[Mapping[str, Any]], counts: Literal["judgement", "item"] = "item") -> list[Labelled]:
    """One entry a text and task, in order of first appearance; rows of weight 0 say nothing.

    `counts`: a text that several people labelled counts once, or once for each of them.
    """
    together: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        if row.get("weight", 1.0) > 0:
            together.setdefault((prompt_text(row["prompt"]), row.get("task") or ""), []).append(row)
    found = []
    for (_, task), some in together.items():
        weights = [float(row.get("weight", 1.0)) for row in some]
        votes: Counter[str] = Counter()
        for row, weight in zip(some, weights, strict=True):
            votes[row["label"].strip()] += weight  # type: ignore[assignment]  # votes may be weighed
        found.append(
            Labelled(
                prompt=some[0]["prompt"],
                shares={name: share / sum(weights) for name, share in sorted(votes.items())},
                weight=sum(weights) / (len(weights) if counts == "item" else 1),
                group=group_of(dict(some[0])),
                task=task,
                item=str(some[0].get("item") or ""),
                votes=len(some),
            )
        )
    return found


def lessons(
    train: Sequence[Labelled], heldout: Sequence[Labelled], *, rare: Rare = "refuse", task: str = ""
) -> Lessons:
    """The rows of one task, checked. NeedsNotMet says what cannot be learned from, and what to do about it.

    `rare` is about classes of a single training row and of none: `refuse` them; `keep` the single rows in training and measure
    on neither; `leave-out` both everywhere. A text is learned from and measured on only where the class that most people gave
    it can be; then votes for other classes that cannot be are left out.
    """
    where = f" of the task {task!r}" if task else ""
    _check_texts([*train, *heldout], where)
    if not train:
        raise NeedsNotMet(f"there are no labelled rows{where} to learn from")
    rows_of = Counter(name for row in train for name in row.shares)
    lonely = sorted(name for name, count in rows_of.items() if count < FEWEST)
    unknown = sorted({name for row in heldout for name in row.shares} - set(rows_of))
    if rare == "refuse":
        _refuse(lonely, unknown, where)
    counts: Counter[str] = Counter()
    known = set(rows_of) - (set(lonely) if rare == "leave-out" else set())
    kept = [one for row in train if (row.label is None or row.label in known) and (one := _among(row, known))]
    known &= {name for row in kept for name in row.shares}
    if len(known) < 2:
        raise NeedsNotMet(
            f"all {len(kept)} texts{where} have the label {next(iter(known or rows_of))!r}: a classifier needs two classes at "
            "least. Label some texts that belong elsewhere"
        )
    told = [one for row in heldout if row.label in known - set(lonely) and (one := _among(row, known))]
    counts["rows/left-out"] = len(train) - len(kept)
    counts["rows/not-measured"] = len(heldout) - len(told)
    return Lessons(kept, told, sorted(known), counts, _agreement(heldout))


def _agreement(rows: Sequence[Labelled]) -> float | None:
    found = [max(row.shares.values()) for row in rows if row.votes > 1]
    return sum(found) / len(found) if found else None


def _among(row: Labelled, known: set[str]) -> Labelled | None:
    """The row with its votes for known classes alone; None where there are none."""
    shares = {name: share for name, share in row.shares.items() if name in known}
    total = sum(shares.values())
    return replace(row, shares={name: share / total for name, share in shares.items()}) if shares else None


def _check_texts(rows: Sequence[Labelled], where: str) -> None:
    empty = [row.item or f"number {place}" for place, row in enumerate(rows, 1) if not prompt_text(row.prompt).strip()]
    if empty:
        raise NeedsNotMet(
            f"{len(empty)} of the {len(rows)} texts{where} are empty (items {some_of(empty)}): nothing can be learned from them. "
            "Leave them out of the snapshot"
        )
    if unnamed := sum("" in row.shares for row in rows):
        raise NeedsNotMet(
            f"{unnamed} texts{where} have an empty label: give them a class, or leave them out of the snapshot"
        )


def _refuse(lonely: Sequence[str], unknown: Sequence[str], where: str) -> None:
    told = []
    if lonely:
        told.append(f"a single text to learn from: {some_of(lonely)}")
    if unknown:
        told.append(f"none to learn from, being held out alone: {some_of(unknown)}")
    if told:
        raise NeedsNotMet(
            f"classes{where} have {'; and '.join(told)}. Label more such texts, or set rare_classes: keep learns from single "
            "rows and measures on neither, leave-out leaves both out"
        )


def one_task(rows: Sequence[Labelled], wanted: str) -> list[Labelled]:
    """The rows of the wanted task, or all where none is named. NeedsNotMet for several tasks, or one that is not there."""
    tasks = sorted({row.task for row in rows})
    if wanted:
        if wanted not in tasks:
            raise NeedsNotMet(f"no row has the task {wanted!r}; there are {some_of(tasks)}")
        return [row for row in rows if row.task == wanted]
    if len(tasks) > 1:
        raise NeedsNotMet(
            f"these rows are of {len(tasks)} tasks ({some_of([task or '(not named)' for task in tasks])}): set `task` to learn "
            "one of them, or take the trainer multi-task, which learns all"
        )
    return list(rows)


def some_of(names: Sequence[str]) -> str:
    """The first five names of many, for a sentence."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(repr(name) for name in names[:NAMED]) + more


def class_weights(
    rows: Sequence[Labelled], classes: Sequence[str], how: Literal["none", "balanced", "root"]
) -> list[float]:
    """A weight for each class: by one over how often it occurs (`balanced`), or the root of that; the mean over rows is 1."""
    held = [sum(row.weight * row.shares.get(name, 0.0) for row in rows) for name in classes]
    power = {"none": 0.0, "root": 0.5, "balanced": 1.0}[how]
    raw = [0.0 if not count else count**-power for count in held]
    mean = sum(weight * count for weight, count in zip(raw, held, strict=True)) / (sum(held) or 1)
    return [weight / mean if mean else 1.0 for weight in raw]
