"""Says what the numbers and curves of a run mean, in the words of its trainer (`Trainer.explains`).

A number is called `what/whose`: the trainer explains the what, and whose it is reads the same everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from feinschliff.trainer import explanation
from training.catalogue.listing import ListingFailed, listing
from training.models import Run
from training.reporting import curving, results
from training.reporting.results import WHO, listed

#: whose a number is, by the last part of its name
WHOSE = WHO | {
    "heldout": _("on held-out rows"), "train": _("on the rows it learns from"),
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
    return [one for one in across([run], curving.names([run])) if one.title]


def across(runs: Sequence[Run], names: Iterable[str]) -> list[Meaning]:
    """What these numbers or curves of several runs mean. What two trainers explain under different titles nobody explains."""
    explains: dict[str, Any] = {}
    explanations = _explanations()
    of_runs = [explanations.get(run.trainer, {}) for run in runs]
    for told in reversed(of_runs):  # the first run's words and order stand
        explains = {**told, **{key: about for key, about in explains.items() if key not in told}}
    titles = [{key: about["title"] for key, about in told.items()} for told in of_runs]
    clear = {key: about for key, about in explains.items() if len({of[key] for of in titles if key in of}) == 1}
    return _grouped(clear, ((name, None) for name in names))


def comparisons(run: Run) -> list[results.Comparison]:
    """Its metrics beside their baselines, in the words of its trainer."""
    return results.comparisons(
        run.numbers, {name: gettext(str(about["title"])) for name, about in _explains(run).items()}
    )


def headline(run: Run) -> tuple[float, str] | None:
    """The number that says most of a run and what it is: the first that its trainer explains and the run has."""
    return headlines([run])[0]


def headlines(runs: Iterable[Run]) -> list[tuple[float, str] | None]:
    """The same of each; what is installed is looked up once, which takes milliseconds."""
    explanations = _explanations()
    return [_headline(run, explanations.get(run.trainer, {})) for run in runs]


def _headline(run: Run, explains: Mapping[str, Any]) -> tuple[float, str] | None:
    for key, about in (explains or {"accuracy": {"title": gettext("Accuracy")}}).items():
        for end in OWN:
            value = run.numbers.get(key + end)
            if isinstance(value, int | float) and not isinstance(value, bool):
                title = str(about["title"])
                return value, gettext(title)
    return None


def _explains(run: Run) -> Mapping[str, Any]:
    """What its trainer explains; nothing where the trainer is gone."""
    return _explanations().get(run.trainer, {})


def _explanations() -> dict[str, Mapping[str, Any]]:
    """Trainer -> what it explains."""
    try:
        return {name: trainer.get("explains") or {} for name, trainer in listing().trainers.items()}
    except ListingFailed:
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
