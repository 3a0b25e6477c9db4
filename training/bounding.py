"""What of a run's words may be kept: values that the database can hold, and tables and pictures of bounded size.

Stands between the stream and the database. A report that is not what the contract says is dropped as a whole; what is merely too
large is cut, so that its beginning is still read.
"""

from __future__ import annotations

import math
from typing import Any

from feinschliff.run import MATRIX_LABELS, PLOT_POINTS, PLOT_SERIES, TABLE_COLUMNS, TABLE_ROWS

TITLE, NOTE, NAME, CELL = 120, 500, 120, 500  # characters that are kept
Report = dict[str, Any]


def number(value: object) -> float | None:
    """A finite float, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def storable(value: Any) -> Any:  # noqa: ANN401 - JSON
    """A JSON value as Postgres can keep it: no NUL, no half surrogate pairs, no NaN and no infinity."""
    if isinstance(value, str):
        return value.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [storable(one) for one in value]
    if isinstance(value, dict):
        return {storable(name): storable(one) for name, one in value.items()}
    return value


def report(event: dict[str, Any]) -> Report | None:
    """A `report` event as it is kept: kind, title, note and content; None where it is no report of the contract."""
    kind, title, note = event.get("kind"), event.get("title"), event.get("note")
    if not isinstance(kind, str) or kind not in CONTENTS or not isinstance(title, str) or not title.strip():
        return None
    content = CONTENTS[kind](event)
    if content is None:
        return None
    note = note[:NOTE] if isinstance(note, str) else ""
    return {"kind": kind, "title": title.strip()[:TITLE], "note": note, "content": content}


def _table(event: dict[str, Any]) -> Report | None:
    columns, rows = event.get("columns"), event.get("rows")
    if not isinstance(columns, list) or not isinstance(rows, list) or not columns:
        return None
    if any(not isinstance(row, list) or len(row) != len(columns) for row in rows):
        return None
    return {
        "columns": [str(name)[:NAME] for name in columns[:TABLE_COLUMNS]],
        "rows": [[_cell(cell) for cell in row[:TABLE_COLUMNS]] for row in rows[:TABLE_ROWS]],
    }


def _cell(value: object) -> str | float | None:
    return value[:CELL] if isinstance(value, str) else number(value)


def _plot(event: dict[str, Any]) -> Report | None:
    series = event.get("series")
    if not isinstance(series, dict) or not all(isinstance(points, list) for points in series.values()):
        return None
    found = {str(name)[:NAME]: _points(points[:PLOT_POINTS]) for name, points in list(series.items())[:PLOT_SERIES]}
    return {"x": _words(event.get("x")), "y": _words(event.get("y")), "series": found}


def _words(value: object) -> str:
    return value[:NAME] if isinstance(value, str) else ""


def _points(points: list[Any]) -> list[list[float]]:
    """Points with two finite numbers; others cannot be drawn."""
    both = [[number(value) for value in point] for point in points if isinstance(point, list) and len(point) == 2]
    return [[x, y] for x, y in both if x is not None and y is not None]


def _matrix(event: dict[str, Any]) -> Report | None:
    labels, counts = event.get("labels"), event.get("counts")
    if not isinstance(labels, list) or not isinstance(counts, list) or not labels or len(labels) > MATRIX_LABELS:
        return None
    if len(counts) != len(labels) or any(not isinstance(row, list) or len(row) != len(labels) for row in counts):
        return None
    return {
        "labels": [str(label)[:NAME] for label in labels],
        "counts": [[number(count) for count in row] for row in counts],
    }


CONTENTS = {"table": _table, "line": _plot, "points": _plot, "matrix": _matrix}
