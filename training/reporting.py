"""Arranges what a run reported for people: curves by metric, and final numbers beside their baselines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.utils import timezone

from training import preparing
from training.models import Metric, Run

POINTS = 400  # a curve is thinned to about this many
LOG_READ = 256_000  # bytes at the end of the output, protocol lines among them
LOG_TAIL = 16_000  # characters shown
WHO = {
    "model": "this model", "random": "a coin", "constant": "always the same score", "longer": "the longer answer",
    "untrained": "before training",
}  # fmt: skip


@dataclass(frozen=True)
class Bar:
    """One value to draw; `low` and `high` are its 95 % interval, where it has one."""

    who: str
    value: float
    low: float | None
    high: float | None
    own: bool


def curves(run: Run) -> dict[str, list[list[float | None]]]:
    """Metric -> [[step, value], ...]. Where a step was reported again after a resume, the later report stands."""
    found: dict[str, dict[int, float | None]] = {}
    for name, step, value in (
        Metric.objects.filter(run=run).order_by("attempt", "id").values_list("name", "step", "value")
    ):
        found.setdefault(name, {})[step] = value
    return {name: _thinned(sorted(points.items())) for name, points in sorted(found.items())}


def _thinned(points: list[tuple[int, float | None]]) -> list[list[float | None]]:
    every = max(1, len(points) // POINTS)
    kept = points[::every]
    if points and kept[-1] != points[-1]:
        kept.append(points[-1])
    return [[step, value] for step, value in kept]


def remaining_seconds(run: Run) -> int | None:
    """By the pace so far; None while nothing is known."""
    if not run.started_at or not run.done or not run.total or run.state != Run.RUNNING:
        return None
    spent = (timezone.now() - run.started_at).total_seconds()
    return max(0, round(spent * (run.total - run.done) / run.done))


def log_tail(run: Run) -> str:
    """The end of what its process printed."""
    path: Path = preparing.folder(run) / "output.log"
    try:
        with path.open("rb") as file:
            start = max(0, file.seek(0, 2) - LOG_READ)
            file.seek(start)
            lines = file.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return ""
    whole = lines[1:] if start else lines  # the first may be the end of a line
    return "\n".join(line for line in whole if not line.startswith('{"type"'))[-LOG_TAIL:]


def comparisons(numbers: dict[str, Any]) -> list[tuple[str, list[Bar]]]:
    """Metrics that were measured for the model and for baselines, as bars; the model first."""
    found = []
    for name in sorted({key.split("/")[0] for key in numbers if key.endswith("/model")}):
        bars = [_bar(numbers, name, who, title) for who, title in WHO.items() if _finite(numbers.get(f"{name}/{who}"))]
        if len(bars) > 1:
            found.append((name, bars))
    return found


def _bar(numbers: dict[str, Any], name: str, who: str, title: str) -> Bar:
    key = f"{name}/{who}"
    return Bar(title, numbers[key], numbers.get(f"{key}/low"), numbers.get(f"{key}/high"), who == "model")


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def verdict(numbers: dict[str, Any], name: str = "accuracy") -> str:
    """One honest sentence: does the interval clear the best baseline, fall under it, or hold it?"""
    low, high = numbers.get(f"{name}/model/low"), numbers.get(f"{name}/model/high")
    rivals = [(numbers[f"{name}/{who}"], title) for who, title in WHO.items() if _finite(numbers.get(f"{name}/{who}"))]
    rivals = [rival for rival in rivals if rival[1] != WHO["model"]]
    if not rivals or low is None or high is None:
        return ""
    best, title = max(rivals)
    if low > best:
        return f"Better than every baseline: its whole 95 % interval lies above {title} ({best:.3f})."
    if high < best:
        return f"Worse than {title} ({best:.3f}): its whole 95 % interval lies below."
    return f"Not told apart from {title} ({best:.3f}), which lies inside its 95 % interval. More judgements would tell."
