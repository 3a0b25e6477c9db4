"""From rows to what a contrastive loss learns from: an anchor, the text that belongs to it, and texts that do not.

Whatever stands in one batch is pushed apart, so the batches are made here, by one rule: no two of their examples may share
a group, a prompt or a text, and of labelled texts a class or a text. Labels of different tasks do not meet: they are no
classes of each other. Pure functions of rows, seed and epoch; resuming rests on that.
"""

import heapq
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from feinschliff.rows import group_of, kind_of, pair_to_ranking, prompt_text, ratings_to_ranking
from plugins.lib import labels
from plugins.lib.rankings import rated_together

Row = Mapping[str, Any]
EVERY = 10**6  # hard negatives: all lower-ranked answers
SEARCHED = 4  # times the batch: how far a batch looks for a text that stands in it already before it stays smaller


class Example(NamedTuple):
    """`group` is what a bootstrap must not tear apart. A batch takes one example of an `apart`, and all of one `task`."""

    anchor: str
    positive: str
    negatives: tuple[str, ...]
    group: str
    apart: str
    task: str = ""  # of a label


class Read(NamedTuple):
    """The examples of an epoch, and how many rows gave none, by reason."""

    examples: list[Example]
    left_out: Counter[str]


def read(
    rows: Sequence[Row], *, hard: int = 0, apart: Literal["group", "text"] = "group", seed: int = 0, epoch: int = 0
) -> Read:
    """All rows, which are of one kind or several, as examples. Labelled texts are paired afresh every epoch."""
    left_out: Counter[str] = Counter()
    labelled: list[Row] = []
    others: list[Row] = []
    for row in rows:
        if row.get("weight", 1.0) <= 0:
            left_out["weight-0"] += 1
        else:
            (labelled if kind_of(dict(row)) == "label" else others).append(row)
    found = _of_classes(labelled, random.Random(f"{seed}/{epoch}/partners"), left_out)  # noqa: S311 - no secret
    for row in _rankings(others):
        made = _one(row, hard, apart)
        if not made:
            left_out["no-positive"] += 1
        for example in made:
            if example.anchor.strip() and example.positive.strip():
                found.append(example)
            else:
                left_out["empty"] += 1
    return Read(found, left_out)


def is_unsupervised(rows: Iterable[Row]) -> bool:
    """Whether rows have nothing that belongs together but a text and itself."""
    return all(kind_of(dict(row)) in ("text", "prompt") for row in rows)


def batches(examples: Sequence[Example], *, most: int, seed: int, epoch: int) -> list[list[Example]]:
    """The epoch's batches: at most `most` examples of one task that share neither `apart` nor a text, as anchor or positive.

    What there is most of is taken first, so that no batch is left with one class alone. An example that would stand alone
    without hard negatives has nothing to be told apart from and is left to the next epoch.
    """
    rng = random.Random(f"{seed}/{epoch}/batches")  # noqa: S311 - an order, not a secret
    tasks: dict[str, dict[str, list[Example]]] = {}
    for example in rng.sample(list(examples), len(examples)):
        tasks.setdefault(example.task, {}).setdefault(example.apart, []).append(example)
    found = []
    for waiting in tasks.values():
        heap = [(-len(queue), rng.random(), key) for key, queue in waiting.items()]
        heapq.heapify(heap)
        while heap:
            batch, again = _batch(heap, waiting, most)
            for key in again:
                heapq.heappush(heap, (-len(waiting[key]), rng.random(), key))
            if len(batch) > 1 or batch[0].negatives:
                found.append(batch)
    rng.shuffle(found)
    return found


def _batch(
    heap: list[tuple[int, float, str]], waiting: Mapping[str, list[Example]], most: int
) -> tuple[list[Example], list[str]]:
    """One batch, and the keys of which examples are left. The first one always fits, so each batch is a step forward."""
    batch: list[Example] = []
    again: list[str] = []
    wanted: set[str] = set()
    unwanted: set[str] = set()
    refused = 0
    while heap and len(batch) < most and refused < SEARCHED * most:
        _, _, key = heapq.heappop(heap)
        example = waiting[key][-1]
        texts = {example.anchor, example.positive}
        if batch and (texts & (wanted | unwanted) or wanted.intersection(example.negatives)):
            refused += 1
        else:
            batch.append(waiting[key].pop())
            wanted |= texts
            unwanted.update(example.negatives)
        if waiting[key]:
            again.append(key)
    return batch, again


def _rankings(rows: Sequence[Row]) -> Iterator[Row]:
    """The rows as they are, pairs as rankings, and what one person gave to one prompt's answers as one ranking."""
    for row in rows:
        if "scores" not in row:
            yield pair_to_ranking(dict(row)) if "chosen" in row else row
    for rated in rated_together(dict(row) for row in rows):
        alone = ({**row, "completions": [row["completion"]], "ranks": [None]} for row in rated)
        yield from ratings_to_ranking(rated).rows or alone


def _one(row: Row, hard: int, apart: str) -> list[Example]:
    """What one row gives: each answer that people liked best; nothing where they told no two answers apart."""
    if "text" in row:
        text = row["text"]
        return [Example(text, text, (), group_of(dict(row)), group_of(dict(row)) if apart == "group" else text)]
    prompt, group = prompt_text(row["prompt"]), group_of(dict(row))
    key = group if apart == "group" else prompt
    if "completions" in row:
        known = [(rank, text) for rank, text in zip(row["ranks"], row["completions"], strict=True) if rank is not None]
        best = min((rank for rank, _ in known), default=0)
        good = list(dict.fromkeys(text for rank, text in known if rank == best))
        worse = [text for rank, text in sorted(known, key=lambda one: -one[0]) if rank > best and text not in good]
        bad = tuple(text for text in dict.fromkeys(worse) if text.strip())[:hard]
        return [Example(prompt, text, bad, group, key) for text in good] if worse else []
    if "completion" in row:
        return [Example(prompt, row["completion"], (), group, key)]
    return [Example(prompt, prompt, (), group, key)]


def _of_classes(rows: Sequence[Row], rng: random.Random, left_out: Counter[str]) -> list[Example]:
    """Each different text of a class, with another one of it: all in a circle, in an order that the seed draws.

    A text is of the class that most people gave it, within each task; one on which they are evenly split is of none.
    """
    classes: dict[tuple[str, str], list[labels.Labelled]] = {}
    for row in labels.read(rows):
        if not prompt_text(row.prompt).strip():
            left_out["empty"] += 1
        elif row.label is None:
            left_out["split"] += 1
        else:
            classes.setdefault((row.task, row.label), []).append(row)
    found = []
    for (task, label), texts in classes.items():
        if len(texts) < 2:
            left_out["alone-in-class"] += len(texts)
            continue
        order = rng.sample(texts, len(texts))
        found += [
            Example(prompt_text(one.prompt), prompt_text(other.prompt), (), one.group, f"{task}/{label}", task)
            for one, other in zip(order, [*order[1:], order[0]], strict=True)
        ]
    return found
