"""What the run's page shows beside the numbers: where the model is right and where not, and whether it knows.

By annotator, by the model that wrote the answers, by length; and a reliability plot. Small tables with their counts: a share
of four comparisons is told as such.
"""

from collections.abc import Callable, Iterable, Sequence

from feinschliff import Run
from feinschliff.rows import prompt_text
from plugins.lib.calibration import fitted_temperature, reliability
from plugins.reward_model.evaluating import Comparison, Scores, comparisons, halves, share
from plugins.reward_model.model import RewardModel
from plugins.reward_model.outputs import Outputs
from plugins.reward_model.reading import Judged, Row

MOST = 100  # rows of a table
MUCH = 1.5  # times as long
SHOWN, SHOWN_PROMPT, SHOWN_ANSWER = 3, 2000, 4000
Cells = Sequence[str | float | None]


def report(run: Run, rows: Sequence[Judged], scores: Scores) -> None:
    """Tables and plot of held-out comparisons. Nothing is shown of nothing."""
    found = comparisons(rows, scores)
    if not found:
        return
    note = "Held-out comparisons that the model gets right, with the 95 % interval, beside what the longer answer gets."
    for title, kind, names in (
        ("Accuracy by annotator", "annotator", lambda one: one.row.annotators or ("not named",)),
        ("Accuracy by length of people's choice", "people's choice is", _length),
    ):
        run.table(title, [kind, "comparisons", "model", "low", "high", "longer"], _by(found, names), note=note)
    sources = _sources(rows, scores, found)
    if sources:
        run.table(
            "By source",
            ["written by", "answers", "mean score", "won, people", "won, model"],
            sources,
            note="How each model's answers fare against the others' among people and under this reward model. A source that the "
            "model likes better than people do is one it overrates.",
        )
    _plot(run, found)


def _by(found: Sequence[Comparison], names: Callable[[Comparison], Iterable[str]]) -> list[Cells]:
    together: dict[str, list[Comparison]] = {}
    for one in found:
        for name in names(one):
            together.setdefault(name, []).append(one)
    ordered = sorted(together.items(), key=lambda item: (-len(item[1]), item[0]))[:MOST]
    return [_line(name, some) for name, some in ordered]


def _line(name: str, found: Sequence[Comparison]) -> Cells:
    numbers = share([one.right for one in found], [one.unit for one in found], "model")
    longer = sum(one.longer_is_right for one in found) / len(found)
    return [name, len(found), numbers["model"], numbers["model/low"], numbers["model/high"], longer]


def _length(one: Comparison) -> tuple[str]:
    better, worse = one.row.lengths[one.better], one.row.lengths[one.worse]
    if better == worse:
        return ("as long",)
    much = max(better, worse) > MUCH * min(better, worse)
    return (f"{'much ' if much else ''}{'longer' if better > worse else 'shorter'}",)


def _sources(rows: Sequence[Judged], scores: Scores, found: Sequence[Comparison]) -> list[Cells]:
    """A line for each source of answers, where rows say it: its mean score, and the comparisons with others it won."""
    given: dict[str, list[float]] = {}
    for row, values in zip(rows, scores, strict=True):
        for source, value in zip(row.sources, values, strict=False):
            given.setdefault(source or "not named", []).append(value)
    won: dict[str, list[tuple[float, float]]] = {source: [] for source in given}
    for one in found:
        if one.row.sources and one.row.sources[one.better] != one.row.sources[one.worse]:
            won[one.row.sources[one.better] or "not named"].append((1.0, one.right))
            won[one.row.sources[one.worse] or "not named"].append((0.0, 1 - one.right))
    lines: list[Cells] = []
    for source, values in sorted(given.items(), key=lambda item: -len(item[1]))[:MOST]:
        people, model = zip(*won[source], strict=True) if won[source] else ((), ())
        lines.append([source, len(values), sum(values) / len(values), _mean(people), _mean(model)])
    return lines


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _plot(run: Run, found: Sequence[Comparison]) -> None:
    fitting, measuring = halves(found)
    series = {"perfect": [(0.5, 0.5), (1.0, 1.0)], "model": _points([one.margin for one in found])}
    if fitting and measuring:
        series["other half, with temperature"] = _points(measuring, fitted_temperature(fitting))
    run.plot(
        "Reliability",
        series,
        x="confidence",
        y="share right",
        note="How sure the model is of a comparison, and the share of such comparisons that it gets right. Below the "
        "diagonal the model is too sure of itself, above it too timid. The temperature is fitted on one half of the held-out "
        "groups and shown on the other.",
    )


def _points(margins: Sequence[float], temperature: float = 1.0) -> list[tuple[float, float]]:
    return [(one.confidence, one.right) for one in reliability(margins, temperature)]


def report_aspects(
    run: Run, rated: Sequence[Judged], numbers: Sequence[Sequence[float]], outputs: Outputs
) -> dict[str, float]:
    """A table of the errors by aspect in people's units; returns the errors over all aspects, in standard deviations.

    `rated` are single rated answers, `numbers` what the model gives for each. The constant is the training mean.
    """
    lines: list[Cells] = []
    squares: list[tuple[float, float]] = []
    for place, aspect in enumerate(outputs.aspects):
        pairs = [
            (target, sum(values[place :: len(outputs.aspects)]) / outputs.heads)
            for row, values in zip(rated, numbers, strict=True)
            if (target := row.targets[place]) is not None
        ]
        if pairs:
            own = [((target - found) ** 2, target**2) for target, found in pairs]
            squares += own
            model, constant = (_root(column) * outputs.spreads[place] for column in zip(*own, strict=True))
            lines.append([aspect, len(pairs), model, constant, _correlation(pairs)])
    if not squares:
        return {}
    run.table(
        "Error by aspect",
        ["aspect", "ratings", "error", "error of a constant", "correlation"],
        lines,
        note="Root mean squared error in the units of the ratings, beside always answering the training mean; Pearson's r.",
    )
    model, constant = (_root(column) for column in zip(*squares, strict=True))
    return {"error/model": model, "error/constant": constant, "ratings/heldout": len(squares)}


def _root(squares: Sequence[float]) -> float:
    return (sum(squares) / len(squares)) ** 0.5


def _correlation(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Pearson's r; None where either side is constant."""
    first, second = (sum(column) / len(pairs) for column in zip(*pairs, strict=True))
    above = sum((a - first) * (b - second) for a, b in pairs)
    below = (sum((a - first) ** 2 for a, _ in pairs) * sum((b - second) ** 2 for _, b in pairs)) ** 0.5
    return above / below if below else None


def show(run: Run, reward: RewardModel, rows: Sequence[Row]) -> None:
    """A few held-out rankings with the score of each answer, for the run's page."""
    for row in rows[:SHOWN]:
        for text, sequence in zip(row["completions"], reward.encode(row["prompt"], row["completions"]), strict=True):
            if sequence is not None:
                score = reward.outputs.score(reward.numbers([sequence])[0])
                run.sample(prompt_text(row["prompt"])[:SHOWN_PROMPT], text[:SHOWN_ANSWER], score=score)
