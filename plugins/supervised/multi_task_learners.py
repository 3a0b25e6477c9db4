"""The two kinds of model that several tasks can share: a trunk with a head a task, from labels; one that writes, from answers.

Either makes examples of its rows, has a loss for each example, and an outcome by which each is measured.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from feinschliff import NeedsNotMet, Run
from feinschliff.rows import group_of
from plugins.lib.classifying import Classifier
from plugins.lib.encoding import Encoded, encode
from plugins.lib.kway import KWay
from plugins.lib.labels import Labelled, Lessons
from plugins.lib.policies import policy_from
from plugins.lib.probing import answer_tokens, likelihoods

if TYPE_CHECKING:
    import torch

Row = dict[str, Any]


@dataclass(frozen=True)
class Example:
    """A row as a learner reads it.

    `target` is the shares of its task's classes, by their places, and `truth` the place of the class that most people said.
    `size` is what its loss is a sum over: the answer's tokens, or 1 for a label.
    """

    task: str
    sequence: Encoded
    group: str
    weight: float
    size: int = 1
    target: Mapping[int, float] = field(default_factory=dict)
    truth: int = -1


@dataclass
class Gathered:
    """The examples of each task; `counts` says what was left out or cut, by the names of a run's numbers."""

    train: dict[str, list[Example]]
    heldout: dict[str, list[Example]]
    counts: Counter[str]


class Outcomes(NamedTuple):
    """One value an example, and the place of the class that was said of it, where there are classes."""

    values: list[float]
    said: Sequence[int] = ()


class Learner(Protocol):
    """What is trained. `metric` names what outcomes come to: their sum over the sizes; `higher` is whether more is better."""

    model: Any
    metric: str
    higher: bool

    def gathered(self) -> Gathered:
        """NeedsNotMet where a task has nothing that can be learned from."""

    def alone(self, task: str) -> "Learner":
        """A fresh one from the same base for one of the tasks."""

    def losses(self, examples: Sequence[Example]) -> "torch.Tensor":
        """The loss of each in nats, a sum over its size, with gradients: shape (examples,)."""

    def outcomes(self, examples: Sequence[Example]) -> Outcomes:
        """How each came out, without gradients."""

    def chance(self, task: str) -> float:
        """The task's loss, per unit of size, of guessing evenly, in nats; 1 where that says nothing."""

    def save(self, folder: Path) -> None:
        """Not to be trained on after this."""

    def let_go(self) -> None:
        """Of the model, so that its memory is free; only `alone`, `metric` and `higher` are there after this."""


class Sorter:
    """Labels: one trunk, and a head a task."""

    metric, higher = "accuracy", True

    def __init__(self, run: Run, lessons: Mapping[str, Lessons]) -> None:
        base, config = run.model("base"), run.config
        self.run, self.lessons = run, lessons
        self.classes = {task: one.classes for task, one in lessons.items()}
        self.classifier = Classifier.begin(
            base.folder,
            self.classes,
            seed=run.seed,
            device=run.device,
            max_length=config.max_length,
            causal=base.causal,
            dropout=config.dropout,
            lora=config,
        )
        self.model = self.classifier.model

    def gathered(self) -> Gathered:
        counts: Counter[str] = Counter()
        for one in self.lessons.values():
            counts.update(one.counts)
        train = {task: self._examples(one.train) for task, one in self.lessons.items()}
        heldout = {task: self._examples(one.heldout) for task, one in self.lessons.items()}
        counts["rows/cut-prompts"] = sum(example.sequence.cut for some in train.values() for example in some)
        return Gathered(train, heldout, counts)

    def _examples(self, rows: Sequence[Labelled]) -> list[Example]:
        sequences = self.classifier.encode([row.prompt for row in rows])
        found = []
        for row, sequence in zip(rows, sequences, strict=True):
            places = {name: place for place, name in enumerate(self.classes[row.task])}
            target = {places[name]: share for name, share in row.shares.items()}
            truth = places.get(row.label, -1) if row.label is not None else -1
            found.append(Example(row.task, sequence, row.group, row.weight, target=target, truth=truth))
        return found

    def alone(self, task: str) -> "Sorter":
        return Sorter(self.run, {task: self.lessons[task]})

    def losses(self, examples: Sequence[Example]) -> "torch.Tensor":
        """The trunk runs once for the rows of all tasks; each is read by its own task's head. Nats, shape (examples,)."""
        import torch

        numbers = self.model(**self.classifier.inputs([one.sequence for one in examples])).logits
        found = numbers.new_zeros(len(examples), dtype=torch.float32)
        for task, places in by_task(examples).items():
            targets = torch.zeros(len(places), len(self.classes[task]))
            for row, place in enumerate(places):
                for name, share in examples[place].target.items():
                    targets[row, name] = share
            logits = self.classifier.of_task(numbers[places], task)
            values = torch.nn.functional.cross_entropy(logits, targets.to(logits.device), reduction="none")
            found = found.index_put((torch.tensor(places, device=found.device),), values)
        return found

    def outcomes(self, examples: Sequence[Example]) -> Outcomes:
        """1 where the likeliest class is the right one, else 0."""
        said = self._predicted(examples)
        return Outcomes([float(one.truth == place) for one, place in zip(examples, said, strict=True)], said)

    def _predicted(self, examples: Sequence[Example]) -> list[int]:
        """The place of the likeliest class of each example's task."""
        found = [0] * len(examples)
        for task, places in by_task(examples).items():
            shares = self.classifier.probabilities([examples[place].sequence for place in places], task)
            for place, share in zip(places, shares, strict=True):
                found[place] = max(range(len(share)), key=share.__getitem__)
        return found

    def chance(self, task: str) -> float:
        return math.log(len(self.classes[task]))

    def save(self, folder: Path) -> None:
        self.classifier.save(folder)

    def let_go(self) -> None:
        del self.model, self.classifier


class Writer:
    """Demonstrations: one model that answers the prompts of all tasks."""

    metric, higher = "loss", False

    def __init__(self, run: Run, train: Mapping[str, Sequence[Row]], heldout: Mapping[str, Sequence[Row]]) -> None:
        config = run.config
        self.run, self.rows = run, (train, heldout)
        self.policy = policy_from(
            run.model("base").folder, seed=run.seed, device=run.device, lora=config, max_length=config.max_length
        )
        self.model = self.policy.model
        self.engine = KWay(self.model, pad=self.policy.pad, device=self.policy.device, sharing="never")

    def gathered(self) -> Gathered:
        train, heldout = ({task: self._examples(task, some) for task, some in rows.items()} for rows in self.rows)
        empty = [task for task, some in train.items() if not some]
        if empty:
            raise NeedsNotMet(
                f"no answer of the tasks {empty} fits into {self.policy.longest} tokens: raise max_length, take a base that "
                "reads more, or leave these tasks out"
            )
        left = sum(map(len, (*self.rows[0].values(), *self.rows[1].values())))
        left -= sum(map(len, (*train.values(), *heldout.values())))
        cut = sum(example.sequence.cut for some in train.values() for example in some)
        return Gathered(train, heldout, Counter({"rows/left-out": left, "rows/cut-prompts": cut}))

    def _examples(self, task: str, rows: Sequence[Row]) -> list[Example]:
        """The prompt is cut where it must be, the answer never; one that leaves no room for a prompt is left out."""
        tokenizer, found = self.policy.tokenizer, []
        for row in rows:
            one = encode(tokenizer, row["prompt"], row["completion"], causal=True, max_length=self.policy.longest)
            weight = float(row.get("weight", 1.0))
            if one is not None and 0 in one.types and weight > 0:
                found.append(Example(task, one, group_of(row), weight, size=answer_tokens(one)))
        return found

    def alone(self, task: str) -> "Writer":
        return Writer(self.run, {task: self.rows[0][task]}, {task: self.rows[1].get(task, [])})

    def losses(self, examples: Sequence[Example]) -> "torch.Tensor":
        return -self.engine.logps([one.sequence for one in examples])[0].sum(-1)

    def outcomes(self, examples: Sequence[Example]) -> Outcomes:
        """The answer's surprise in nats, EOS included."""
        return Outcomes([-value for value in likelihoods(self.policy, [one.sequence for one in examples])])

    def chance(self, task: str) -> float:
        return 1.0

    def save(self, folder: Path) -> None:
        self.policy.save(folder)

    def let_go(self) -> None:
        del self.model, self.policy, self.engine


def by_task(examples: Sequence[Example]) -> dict[str, list[int]]:
    """Task -> the places of its examples."""
    found: dict[str, list[int]] = {}
    for place, one in enumerate(examples):
        found.setdefault(one.task, []).append(place)
    return found
