"""Says what the numbers and curves of a run mean, in the words of its trainer (`Trainer.explains`).

A number is called `what/whose`: the trainer explains the what, and whose it is reads the same everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from feinschliff.trainer import explanation
from training.catalogue.listing import ListingFailed, listing
from training.models import Run
from training.reporting.results import WHO, listed

#: whose a number is, by the last part of its name
WHOSE = WHO | {
    "heldout": _("on held-out rows"), "train": _("on the rows it learns from"), "majority": _("always the commonest label"),
    "before": _("before training"), "after": _("after training"), "low": _("lower end of the interval"),
    "high": _("upper end of the interval"), "left-out": _("left out"), "cut-prompts": _("with a prompt that was cut"),
}  # fmt: skip
BETTER = {"higher": _("More is better."), "lower": _("Less is better.")}
SMALL = 0.001
#: whose number stands for the model, where several are told
OWN = ("", "/model", "/heldout", "/judge", "/after")


@dataclass(frozen=True)
class Told:
    """A number of a run under its name, with its 95 % interval where it has one; `whose` may be empty."""

    name: str
    whose: str
    value: Any = None
    low: float | None = None
    high: float | None = None

    @property
    def small(self) -> str:
        """A number that four places would round to nothing, such as a learning rate."""
        return f"{self.value:.2g}" if isinstance(self.value, float) and 0 < abs(self.value) < SMALL else ""


@dataclass(frozen=True)
class Meaning:
    """What some numbers or curves have in common, and what that is; without a title nobody explained them."""

    title: str
    description: str
    better: str
    told: list[Told]


def numbers(run: Run) -> list[Meaning]:
    """All final numbers under what they mean, in the order of the trainer; what it does not explain comes last."""
    told = dict(listed(run.numbers))
    bounds = {name: (told.get(f"{name}/low"), told.get(f"{name}/high")) for name in told}
    spans = {name: both for name, both in bounds.items() if None not in both}
    inside = {f"{name}/{end}" for name in spans for end in ("low", "high")}
    return _grouped(_explains(run), ((name, value) for name, value in told.items() if name not in inside), spans)


def curves(run: Run) -> list[Meaning]:
    """What the run's curves mean; those that nobody explains are left out."""
    names = run.metrics.values_list("name", flat=True).distinct().order_by("name")
    return [one for one in _grouped(_explains(run), ((name, None) for name in names)) if one.title]


def headline(run: Run) -> tuple[float, str] | None:
    """The number that says most of a run and what it is: the first that its trainer explains and the run has."""
    explains = _explains(run) or {"accuracy": {"title": gettext("Accuracy")}}
    for key, about in explains.items():
        for end in OWN:
            value = run.numbers.get(key + end)
            if isinstance(value, int | float) and not isinstance(value, bool):
                title = str(about["title"])
                return value, gettext(title)
    return None


def _explains(run: Run) -> Mapping[str, Any]:
    """What its trainer explains; nothing where the trainer is gone."""
    try:
        return listing().trainers[run.trainer].get("explains") or {}
    except (ListingFailed, KeyError):
        return {}


def _grouped(
    explains: Mapping[str, Any],
    told: Iterable[tuple[str, Any]],
    spans: Mapping[str, tuple[Any, Any]] = MappingProxyType({}),
) -> list[Meaning]:
    groups: dict[str, list[Told]] = {}
    for name, value in told:
        whose = str(WHOSE.get(name.rpartition("/")[2], "")) if "/" in name else ""
        groups.setdefault(explanation(explains, name), []).append(Told(name, whose, value, *spans.get(name, ())))
    found = []
    for key in [*(key for key in explains if key in groups), *([""] if "" in groups else [])]:
        about = explains.get(key, {})
        title, description = (gettext(about[part]) if about.get(part) else "" for part in ("title", "description"))
        found.append(Meaning(title, description, str(BETTER.get(about.get("better", ""), "")), groups[key]))
    return found
