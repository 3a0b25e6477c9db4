"""Lays runs beside each other: the settings in which they differ, and their final numbers with the best one marked.

Departs from the usual dashboard: where runs learned from different snapshots, or where intervals overlap, nothing is called
best, for then the difference is no evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext

from training.models import Run
from training.reporting import meaning
from training.reporting.results import made_with

LOWER = ("loss", "perplexity", "error", "brier", "ece", "mae", "rmse")
HIGHER = ("accuracy", "auc", "f1", "precision", "recall", "agreement", "correlation", "kendall", "spearman", "gain")
BOUNDS = ("/low", "/high")


@dataclass(frozen=True)
class Cell:
    """A final number of a run, with its 95 % interval where it has one; `mark` says that it is the best."""

    value: float | None
    low: float | None = None
    high: float | None = None
    mark: str = ""


def differing(runs: Sequence[Run]) -> list[tuple[str, list[Any]]]:
    """Settings that are not the same everywhere, each with its value in every run (None: it has no such setting)."""
    told = [_settings(run) for run in runs]
    names = list(dict.fromkeys(name for settings in told for name in settings))
    rows = [(name, [settings.get(name) for settings in told]) for name in names]
    return [(name, values) for name, values in rows if any(value != values[0] for value in values)]


def titled(runs: Sequence[Run], rows: Sequence[tuple[str, list[Any]]]) -> list[tuple[str, str, list[Any]]]:
    """(title, name, values) of settings: the words of the forms; the name is empty where everybody would guess it."""
    fixed = {
        "trainer": gettext("Trainer"),
        "snapshot": gettext("Snapshot"),
        "seed": gettext("Seed"),
        "processes": gettext("Processes"),
    }
    for role in dict.fromkeys(role for run in runs for role in run.models_used):
        fixed[role] = gettext("%(name)s model") % {"name": role.capitalize()}
    fields: dict[str, dict[str, None]] = {}  # two trainers may mean two things by one name
    for run in runs:
        for field in made_with(run):
            fields.setdefault(field.name, {})[field.title or field.name] = None
    found = []
    for name, values in rows:
        titles = list(fields.get(name, [name]))
        is_guessed = name in fixed or titles[0].lower() == name.replace("_", " ").lower() or titles == [name]
        found.append((fixed.get(name) or " / ".join(map(gettext, titles)), "" if is_guessed else name, values))
    return found


def _settings(run: Run) -> dict[str, Any]:
    return {
        "trainer": f"{run.trainer} {run.trainer_version}".strip(),
        "snapshot": run.snapshot.hash[:12],
        "seed": run.seed,
        "processes": run.ranks,
        **run.models_used,
        **{setting.name: setting.value for setting in made_with(run)},
    }


def numbers(runs: Sequence[Run]) -> list[tuple[str, list[Cell]]]:
    """Final numbers that any of the runs has, one row each."""
    names = sorted({name for run in runs for name in run.numbers if not name.endswith(BOUNDS)})
    fair = len({run.snapshot_id for run in runs}) == 1
    rows = []
    for name in names:
        cells = [_cell(run.numbers, name) for run in runs]
        if any(cell.value is not None for cell in cells):
            rows.append((name, _marked(cells, direction(name)) if fair else cells))
    return rows


@dataclass(frozen=True)
class Row:
    """A final number of several runs: what it is (empty: nobody explains it), whose, its name, and each run's cell."""

    title: str
    whose: str
    name: str
    cells: list[Cell]

    @property
    def is_shared(self) -> bool:
        """Whether it compares anything; a run that stands alone shares all it has."""
        return len(self.cells) < 2 or sum(cell.value is not None for cell in self.cells) > 1


def explained(runs: Sequence[Run]) -> list[Row]:
    """The final numbers in the trainers' own words and order, the model's before its baselines'; what nobody explains is last."""
    cells = dict(sorted(numbers(runs), key=lambda row: not row[0].endswith("/model")))
    return [Row(one.title, of.whose, of.name, cells[of.name]) for one in meaning.across(runs, cells) for of in one.told]


def _cell(of: dict[str, Any], name: str) -> Cell:
    value, low, high = (_number(of.get(key)) for key in (name, f"{name}/low", f"{name}/high"))
    return Cell(value, low, high) if low is not None and high is not None else Cell(value)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def direction(name: str) -> int:
    """1 where more is better, -1 where less is, 0 where it depends or a baseline is told."""
    first, _, rest = name.partition("/")
    if rest and rest not in ("model", "heldout"):
        return 0
    return 1 if first in HIGHER else -1 if first in LOWER else 0


def _marked(cells: list[Cell], better: int) -> list[Cell]:
    there = [cell for cell in cells if cell.value is not None]
    if not better or len(there) < 2:
        return cells
    best, *others = sorted(there, key=lambda cell: -better * (cell.value or 0.0))
    if best.value == others[0].value:
        return cells
    mark = (
        gettext("best")
        if all(_apart(best, other, better) for other in others)
        else gettext("first, not told apart at 95 %")
    )
    return [Cell(cell.value, cell.low, cell.high, mark) if cell is best else cell for cell in cells]


def _apart(best: Cell, other: Cell, better: int) -> bool:
    """Numbers without intervals are taken as they are."""
    if best.low is None or best.high is None or other.low is None or other.high is None:
        return True
    return best.low > other.high if better > 0 else best.high < other.low
