"""What a contrastive run shows: retrieval beside the untrained base and beside counting words, and how texts lie."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from feinschliff import Run
from plugins.lib import retrieval

BINS = 40  # of the picture, over cosines from -1 to 1
SHOWN, CHARACTERS = 8, 2000
Numbers = dict[str, float | None]
WHO = {"model": "this model", "untrained": "untrained base", "tf-idf": "word counts (TF-IDF)"}
LIE = {
    "model": "heldout",
    "untrained": "untrained",
    "tf-idf": "tf-idf",
}  # these are no shares: no bars are drawn of them


def report(
    run: Run,
    task: retrieval.Task,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    words: retrieval.Found | None,
    embed: Callable[[Sequence[str]], Any],
) -> Numbers:
    """Table, picture and texts on the run's page; returns the numbers. Nothing where nothing was held out."""
    if words is None or not task.queries:
        return {}
    sides = {"model": after, "untrained": before, "tf-idf": words._asdict()}
    numbers: Numbers = {}
    for who, found in sides.items():
        numbers |= retrieval.numbers(task, found["ranks"], who)
        side = LIE[who]
        numbers |= {f"alignment/{side}": found["alignment"], f"uniformity/{side}": found["uniformity"]}
    numbers |= retrieval.gain(task, after["ranks"], before["ranks"], "untrained")
    numbers |= retrieval.gain(task, after["ranks"], words.ranks, "tf-idf")
    names = ("mrr/{}", "mrr/{}/low", "mrr/{}/high", "recall-1/{}", "recall-10/{}")
    run.table(
        "Finding what belongs together",
        ["", "MRR@10", "low", "high", "recall@1", "recall@10", "alignment", "uniformity"],
        [
            [title, *(numbers[name.format(who)] for name in names), sides[who]["alignment"], sides[who]["uniformity"]]
            for who, title in WHO.items()
        ],
        note=f"Each of {len(task.queries)} held-out texts looks for what belongs to it among {len(task.documents)}. "
        "Alignment is how far apart what belongs together lies, uniformity how evenly all texts are spread; both are better "
        "when lower (Wang & Isola 2020).",
    )
    _plot(run, before, after)
    _show(run, task, embed)
    return numbers


def _plot(run: Run, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    series = {
        f"{what}, {when}": histogram(side["cosines"][key])
        for when, side in (("before", before), ("after", after))
        for what, key in (("belongs together", "belongs"), ("does not", "other"))
        if side["cosines"][key]
    }
    run.plot(
        "How alike held-out texts are",
        series,
        x="cosine",
        y="share of pairs",
        note="The less the two curves after training overlap, the better a threshold tells what belongs together.",
    )


def histogram(values: Sequence[float]) -> list[tuple[float, float]]:
    """(middle, share) of equal bins from -1 to 1, from the first that holds a value to the last."""
    counts = [0] * BINS
    for value in values:
        counts[min(BINS - 1, max(0, int((value + 1) / 2 * BINS)))] += 1
    held = [place for place, count in enumerate(counts) if count]
    return [
        (2 * (place + 0.5) / BINS - 1, counts[place] / len(values)) for place in range(held[0], held[-1] + 1)
    ]  # fmt: skip


def _show(run: Run, task: retrieval.Task, embed: Callable[[Sequence[str]], Any]) -> None:
    """A few held-out texts with the nearest other one, and the rank at which what belongs to them is found."""
    cosines = retrieval.unit(embed(task.queries[:SHOWN])) @ retrieval.unit(embed(task.documents)).T
    for query, row, relevant in zip(task.queries, cosines, task.relevant, strict=False):
        order = [place for place in row.argsort()[::-1] if task.documents[place] != query]
        rank = 1 + min(order.index(place) for place in relevant)
        nearest = task.documents[order[0]]
        run.sample(query[:CHARACTERS], nearest[:CHARACTERS], cosine=float(row[order[0]]), rank=float(rank))
