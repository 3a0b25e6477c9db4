"""Tables, pictures and texts before and after, as `try` shows them in a terminal when a run has ended.

What the platform draws on a run's page stands here in words and dots. Cells are cut rather than wrapped.
"""

import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from feinschliff.terminal import curve

WIDEST = 40  # characters of a cell
SHOWN_POINTS, SHOWN_ROWS, SHOWN_PAIRS = 12, 30, 3
TEXT = 400  # characters of a text
DOTS = 1000  # steps along x that a curve is drawn on
Event = Mapping[str, Any]


def lines_of(report: Event) -> list[str]:
    """One `report` of the stream: its title, its note, and what it holds."""
    head = [f"{report['title']}:", *([f"    {report['note']}"] if report.get("note") else [])]
    match report["kind"]:
        case "table":
            body = _aligned([report["columns"], *report["rows"]])
        case "matrix":
            rows = zip(report["labels"], report["counts"], strict=True)
            body = _aligned([["true \\ said", *report["labels"]], *([label, *counts] for label, counts in rows)])
        case "line":
            body = [line for name, points in report["series"].items() for line in _curve(name, points, report)]
        case _:
            points = [[name, *point] for name, of in report["series"].items() for point in _evenly(of)]
            body = _aligned([["", report["x"], report["y"]], *points])
    return [*head, *(f"    {line}" for line in body)]


def _aligned(rows: Sequence[Sequence[object]]) -> list[str]:
    """Rows with their cells under each other: words begin together, numbers end together. The first row names the columns."""
    cells = [[_cell(cell) for cell in row] for row in rows[: SHOWN_ROWS + 1]]
    widths = [max(len(row[place]) for row in cells) for place in range(len(cells[0]))]
    are_numbers = [
        all(not isinstance(row[place], str) for row in rows[1:]) and len(rows) > 1 for place in range(len(widths))
    ]
    lines = [
        "  ".join(
            f"{cell:>{width}}" if is_number else f"{cell:<{width}}"
            for cell, width, is_number in zip(row, widths, are_numbers, strict=True)
        ).rstrip()
        for row in cells
    ]
    left = len(rows) - len(cells)
    return [*lines, *([f"... and {left} more"] if left else [])]


def _cell(value: object) -> str:
    if isinstance(value, str):
        one_line = " ".join(value.split())
        return one_line if len(one_line) <= WIDEST else one_line[: WIDEST - 1] + "…"
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _evenly(points: Sequence[Any]) -> list[Any]:
    if len(points) <= SHOWN_POINTS:
        return list(points)
    return [points[round(place * (len(points) - 1) / (SHOWN_POINTS - 1))] for place in range(SHOWN_POINTS)]


def _curve(name: str, points: Sequence[Sequence[float]], report: Event) -> list[str]:
    """A curve of dots; the axis below says where x begins and ends."""
    if not points:
        return [f"{name}: no points"]
    places = [x for x, _ in points]
    low, span = min(places), (max(places) - min(places)) or 1.0
    width = max(10, min(60, shutil.get_terminal_size().columns - 20))
    *drawn, _axis = curve([(round((x - low) / span * DOTS), y) for x, y in points], width, 4)
    axis = f"{report['x'] or 'x'}: {_cell(float(low))} to {_cell(float(max(places)))}"
    return [f"{name}: {report['y'] or 'y'}", *drawn, f"{'':10}{axis}"]


def pair(sample: Event) -> list[str]:
    """A prompt with what was written to it before and after."""
    prompt = sample.get("prompt")
    asked = prompt if isinstance(prompt, str) else str((prompt or [{}])[-1].get("content", ""))
    texts = {"before": sample["before"], "after": sample["text"]}
    numbers = ", ".join(f"{name} {_cell(value)}" for name, value in (sample.get("values") or {}).items())
    told = [f"    {name:<6}  {' '.join(str(text).split())[:TEXT]}" for name, text in texts.items()]
    return [f"{' '.join(asked.split())[:TEXT]}", *told, *([f"            {numbers}"] if numbers else [])]


def shown(reports: Mapping[str, Event], samples: Sequence[Event]) -> list[str]:
    """All of it, a blank line before each part."""
    lines = [line for report in reports.values() for line in ["", *lines_of(report)]]
    if samples:
        lines += ["", "Before and after:"]
        lines += [f"    {line}" for sample in samples[:SHOWN_PAIRS] for line in pair(sample)]
        lines += [f"    ... and {len(samples) - SHOWN_PAIRS} more in output.log"] if len(samples) > SHOWN_PAIRS else []
    return lines
