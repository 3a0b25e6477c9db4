"""Arranges the tables and pictures that a run made for its page: numbers as people write them, and the numbers behind a picture.

Beside reporting. A picture is drawn in the browser; whoever does not see it reads the same points as a table.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from training.models import Report, Run
from webapp.saying import number

DIGITS = 4  # significant ones
BEHIND = 200  # points in the table behind a picture; of more an even choice, with the first and the last in it
SHADES = 8  # of a matrix, from none to all of a row


@dataclass(frozen=True)
class Cell:
    """What a cell says, and whether it is a number; `shade` is its share of the row, in steps."""

    text: str
    is_number: bool = False
    shade: int = 0


@dataclass(frozen=True)
class Shown:
    """One report for the template. `points` is what the browser draws, as JSON; `left_out` points are not in the table."""

    report: Report
    titles: list[str]
    rows: list[list[Cell]]
    points: str = ""
    left_out: int = 0

    @property
    def columns(self) -> list[Cell]:
        """The titles, each told whether numbers stand below it: they end together, as the numbers do."""
        return [
            Cell(title, bool(self.rows) and all(row[place].is_number for row in self.rows))
            for place, title in enumerate(self.titles)
        ]

    @property
    def is_picture(self) -> bool:
        return bool(self.points)

    @property
    def is_matrix(self) -> bool:
        return self.report.kind == Report.MATRIX


def shown(run: Run) -> list[Shown]:
    """What the run made, in the order in which each was first told."""
    return [_MAKERS[report.kind](report) for report in run.reports.all() if report.kind in _MAKERS]


def drawn(title: str, series: Mapping[str, Sequence[tuple[float, float]]], *, x: str, y: str, note: str = "") -> Shown:
    """A picture of lines that no run made, as a run's are shown."""
    content = {"x": x, "y": y, "series": {name: [list(point) for point in points] for name, points in series.items()}}
    return _plot(Report(kind=Report.LINE, title=title, note=note, content=content))


def stamp(run: Run) -> str:
    """Changes whenever a report comes or another takes its place."""
    latest = run.reports.order_by("-at").values_list("at", flat=True).first()
    return f"{run.reports.count()} {latest.timestamp()}" if latest else ""


def in_words(value: float) -> str:
    """A number with four significant digits (below one three), as the reader's language writes it."""
    if not value:
        return number(0)
    size = math.floor(math.log10(abs(value)))
    if not -DIGITS <= size < 9:
        return f"{value:.{DIGITS - 1}g}"
    decimals = DIGITS - 1 - size if size >= 0 else DIGITS - 2 - size
    return number(value, 0 if value == int(value) else max(decimals, 0))


def _cell(value: str | float | None, shade: int = 0) -> Cell:
    if isinstance(value, str):
        return Cell(value)
    return Cell("–" if value is None else in_words(value), True, shade)


def _table(report: Report) -> Shown:
    return Shown(report, report.content["columns"], [[_cell(cell) for cell in row] for row in report.content["rows"]])


def _plot(report: Report) -> Shown:
    """Under the picture a row a point: which series, then where."""
    series: dict[str, list[list[float]]] = report.content["series"]
    points = [(name, x, y) for name, of in series.items() for x, y in of]
    kept = points
    if len(points) > BEHIND:
        kept = [points[round(place * (len(points) - 1) / (BEHIND - 1))] for place in range(BEHIND)]
    rows = [[Cell(name), _cell(x), _cell(y)] for name, x, y in kept]
    drawn = {**report.content, "title": report.title, "kind": report.kind}
    return Shown(
        report, ["", report.content["x"], report.content["y"]], rows, json.dumps(drawn), len(points) - len(kept)
    )


def _matrix(report: Report) -> Shown:
    """Shaded by the share of the row: of what truly is this, how much was taken for that?"""
    labels: list[str] = report.content["labels"]
    rows = []
    for label, counts in zip(labels, report.content["counts"], strict=True):
        total = sum(abs(count) for count in counts if count) or 1.0
        shaded = [_cell(count, round(SHADES * abs(count or 0) / total)) for count in counts]
        rows.append([Cell(label), *shaded])
    return Shown(report, ["", *labels], rows)


_MAKERS: dict[str, Any] = {
    Report.TABLE: _table, Report.LINE: _plot, Report.POINTS: _plot, Report.MATRIX: _matrix,
}  # fmt: skip
