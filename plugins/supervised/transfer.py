"""Transfer: what is general in a model stays as it is, the rest learns something new from labels or demonstrations.

Read from top to bottom: freeze (`plugins.lib.freezing`), keep what the frozen part gives for every row
(`plugins.lib.activations`), step (`plugins.lib.stepping`), measure, save. Departs from Howard & Ruder (2018, sections 3.1 and
3.3) in that layers may stay frozen for good, and that neither gradual unfreezing nor learning rates by layer are the default.
"""

import resource
import sys
import time
from bisect import bisect_right
from collections.abc import Hashable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import accumulate, chain
from typing import Any

from feinschliff import NeedsNotMet, Run
from feinschliff.rows import kind_of
from plugins.lib.activations import Activations, room
from plugins.lib.batching import NO_BUDGET, batches, packed
from plugins.lib.freezing import Frozen, freeze
from plugins.lib.layers import layers_of
from plugins.lib.stepping import Plan, Steps
from plugins.supervised.transfer_config import TransferConfig, layers_to_freeze
from plugins.supervised.transfer_learners import Learner, Lesson, Sorter, Writer

GB = 1e9
Epochs = list[list[list[Lesson]]]


class Stopped(Exception):
    """Asked to end before the first step."""


def train(run: Run) -> dict[str, Any]:
    """The trainer's door: returns the final numbers, or nothing when it was asked to stop on the way."""
    kinds = {kind_of(row) for row in run.rows("train")}
    if len(kinds) > 1:
        raise NeedsNotMet("these rows are demonstrations and labels in one: make a snapshot of each, and a run of each")
    learner: Learner = Sorter(run) if kinds == {"label"} else Writer(run)
    frozen = frozen_in(learner, run.config)
    epochs = [steps_of(run, learner, number) for number in range(learner.epochs)]
    trunk = Trunk(run, frozen, learner)
    try:
        with trunk:
            course = Course(run, learner, frozen, trunk, epochs)
            if not course.steps.work():
                return {}
            course.end()
    except Stopped:
        return {}
    run.state("saving")
    learner.save(run.out / "model")  # before anything is measured, which must not cost the model
    run.state("evaluating", "held-out rows, after training")
    numbers = learner.measured(course.steps.untrained)
    told = {"steps": course.steps.total, "learning-rate": course.steps.rate, "loss/train": course.steps.recent()}
    return numbers | told | report(run, frozen, trunk, course.seconds())


def frozen_in(learner: Learner, config: TransferConfig) -> Frozen:
    """The learner's model with what is to be frozen for good: what was asked for, and what thawing would never come to.

    Raises NeedsNotMet for a base that is no stack of layers, or has fewer of them.
    """
    try:
        total = len(layers_of(learner.model))
        count = layers_to_freeze(config.freeze, total)
        deepest = (learner.epochs - 1) // config.thaw_every if config.thaw_every else total + 1
        if deepest <= total:  # one deeper lie the embeddings
            count = max(count or 0, total - deepest)
        return freeze(learner.model, embeddings=count is not None, layers=count or 0)
    except ValueError as error:
        raise NeedsNotMet(f"this base cannot be frozen so: {error}") from None


def steps_of(run: Run, learner: Learner, number: int) -> list[list[Lesson]]:
    """The steps of an epoch: batches of neighbours in length, `accumulate` of them a step."""
    config = run.config
    budget = config.batch_tokens or NO_BUDGET
    found = batches(
        learner.lessons, _length, _place, budget=budget, most=learner.batch_rows, seed=run.seed, epoch=number
    )
    size = config.accumulate
    return [list(chain.from_iterable(found[start : start + size])) for start in range(0, len(found), size)]


def _length(row: Lesson) -> Mapping[Hashable, int]:
    return {row.place: len(row.sequence.ids)}


def _place(row: Lesson) -> int:
    return row.place


class Trunk(AbstractContextManager["Trunk"]):
    """Where a batch's states at the border come from: kept for all rows, worked out anew, or nowhere, without frozen layers.

    `why_not` says why none are kept, where that was asked for; `size` is in bytes.
    """

    def __init__(self, run: Run, frozen: Frozen, learner: Learner) -> None:
        self.run, self.frozen, self.learner = run, frozen, learner
        self.kept: Activations | None = None
        self.size, self.why_not, self.seconds = 0, "", 0.0

    def __enter__(self) -> "Trunk":
        config = self.run.config
        if config.cache == "off" or self.learner.epochs < 2 or not self.frozen.count:
            return self
        keys = self.learner.keys(self.learner.lessons)
        self.size, self.why_not = room(self.frozen, keys, self.run.out, most=config.cache_gb * GB)
        if self.why_not:
            self.run.state(
                "loading", f"the frozen layers run in every epoch; their states are not kept: {self.why_not}"
            )
            return self
        self.run.state("loading", f"the frozen layers, once for all rows ({self.size / 1e6:,.0f} MB)")
        began = time.monotonic()
        self.kept = Activations(self.frozen, keys, self.learner.padded, self.run.out, tell=self._heed)
        self.seconds = time.monotonic() - began
        return self

    def __exit__(self, *error: object) -> None:
        if self.kept:
            self.kept.close()

    def _heed(self, done: int, total: int) -> None:
        if self.run.stopping:
            raise Stopped

    def resumed(self, rows: Sequence[Lesson]) -> AbstractContextManager[None]:
        """Inside, the learner's forward for these rows starts at the border; from the beginning where it cannot."""
        if self.frozen.obstacle:
            return nullcontext()
        keys = self.learner.keys(rows)
        return self.frozen.resumed(self.kept(keys) if self.kept else self.frozen.trunk(self.learner.padded(keys)))


class Course:
    """The steps of a run: which layers are open in which epoch, how fast each goes, and how long the epochs take."""

    def __init__(self, run: Run, learner: Learner, frozen: Frozen, trunk: Trunk, epochs: Epochs) -> None:
        config = run.config
        self.learner, self.frozen, self.trunk = learner, frozen, trunk
        self.thaw_every = config.thaw_every
        self.ends = list(accumulate(map(len, epochs)))
        self.starts = [0, *self.ends]
        self.depth = -1
        self.began: dict[int, float] = {}  # epoch -> when its first step was taken here
        budget = config.batch_tokens or NO_BUDGET
        plan = Plan(
            epochs=epochs,
            loss=self._loss,
            weight=learner.weight,
            pieces=lambda rows: packed(rows, _length, budget=budget, most=learner.batch_rows),
            look=learner.look,
            looks=config.evaluations,
            before=learner.before,
        )
        rate = config.learning_rate or learner.rate(head_alone=frozen.count == len(frozen.layers))
        scales = {name: config.layer_decay ** frozen.depth(name) for name, _ in learner.model.named_parameters()}
        self.steps = Steps(run, learner.model, plan, config, rate=rate, scales=scales)

    def _loss(self, rows: Sequence[Lesson], whole: float) -> Any:  # noqa: ANN401 - a tensor
        epoch = bisect_right(self.ends, self.steps.step)
        if self.steps.step == self.starts[epoch]:  # the others did not begin in this process
            self.began.setdefault(epoch, time.monotonic())
        if self.thaw_every and self.depth != epoch // self.thaw_every:
            self.depth = epoch // self.thaw_every
            self.frozen.open(self.depth)
        with self.trunk.resumed(rows):
            return self.learner.loss(rows, whole)

    def end(self) -> None:
        self.began[len(self.ends)] = time.monotonic()

    def seconds(self) -> dict[int, float]:
        """What each epoch took, looks at held-out rows included, by number from 1; those that a resumed run took whole.

        The first one's are with the time in which the frozen layers' states were worked out.
        """
        took = {
            epoch + 1: self.began[epoch + 1] - self.began[epoch]
            for epoch in range(len(self.ends))
            if epoch in self.began and epoch + 1 in self.began
        }
        return took | ({1: took[1] + self.trunk.seconds} if 1 in took else {})


def report(run: Run, frozen: Frozen, trunk: Trunk, seconds: Mapping[int, float]) -> dict[str, float]:
    """The numbers about freezing itself; a table of what was trained, and a picture of what each epoch took."""
    parts: dict[str, list[int]] = {}
    for name, weight in frozen.model.named_parameters():
        part = parts.setdefault(_part(frozen, frozen.depth(name)), [0, 0])
        part[name not in frozen.names] += weight.numel()
    kept = f"{trunk.size / 1e6:,.1f} MB" if trunk.kept else trunk.why_not or "not asked for"
    run.table(
        "Frozen and trained",
        ["part", "frozen parameters", "trained parameters"],
        [[part, *counts] for part, counts in parts.items()],
        note=f"States of the frozen layers, kept for all rows: {kept}. Most memory held so far: {peak_mb(run):,.0f} MB.",
    )
    if len(seconds) > 1:
        run.plot(
            "Time by epoch",
            {"seconds": sorted(seconds.items())},
            x="epoch",
            y="seconds",
            note="The first one with the time in which the frozen layers worked out what is kept of them.",
        )
    later = [took for epoch, took in seconds.items() if epoch > 1]
    numbers = {
        "parameters/frozen": sum(one[0] for one in parts.values()),
        "parameters/trained": sum(one[1] for one in parts.values()),
        "layers/frozen": frozen.count,
        "layers/all": len(frozen.layers),
        "states/megabytes": trunk.size / 1e6 if trunk.kept else 0.0,
    }
    numbers |= {"seconds/first-epoch": seconds[1]} if 1 in seconds else {}
    return numbers | ({"seconds/later-epoch": sum(later) / len(later)} if later else {})


def _part(frozen: Frozen, depth: int) -> str:
    total = len(frozen.layers)
    return "head" if not depth else "embeddings" if depth > total else f"layer {total + 1 - depth}"


def peak_mb(run: Run) -> float:
    """The most memory so far, in MB: the device's where it has its own, else this process's."""
    import torch

    if run.device != "cpu" and torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e6
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1e6 if sys.platform == "darwin" else most / 1e3  # bytes there, kilobytes elsewhere
