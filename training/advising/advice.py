"""The advice as a whole: what the project has, every method judged, how sure that is, and the experiment that would tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

from django.utils.translation import gettext

from annotation.models import Project
from feinschliff.trainer import roles_from, verbs_from
from training.advising import costing, judging, looking
from training.advising.costing import Cost
from training.advising.judging import NOT, Method
from training.advising.looking import Have
from training.catalogue.listing import listing

CLOSE = 1  # points between two methods that nobody could tell apart by


@dataclass(frozen=True)
class Experiment:
    """Two methods that could learn from the same snapshot, and whose held-out numbers would tell which is better here."""

    first: Method
    second: Method
    kind: str


@dataclass(frozen=True)
class Advice:
    """Methods in the order in which to consider them. `unsure` says why the order is not settled; empty where it is."""

    have: Have
    methods: list[Method]
    costs: Mapping[tuple[str, str], Cost]
    unsure: str
    experiment: Experiment | None

    @property
    def first(self) -> Method | None:
        """The one to take, if any fits at all."""
        return next((method for method in self.methods if method.verdict != NOT), None)

    @property
    def considered(self) -> list[Method]:
        return [method for method in self.methods if method.verdict != NOT]

    @property
    def unfit(self) -> list[Method]:
        return [method for method in self.methods if method.verdict == NOT]


def advise(project: Project) -> Advice:
    """What to do with what the project has now. Raises ListingFailed."""
    have = looking.look(project)
    methods = judging.methods(project, have, listing())
    fitting = [method for method in methods if method.verdict != NOT]
    experiment = experiment_of(have, fitting)
    unsure = _unsure(fitting[0], experiment) if experiment else ""
    costs = costing.costs(project, fitting, have.room)
    return Advice(have, methods, costs, unsure, experiment if unsure else None)


def _unsure(first: Method, experiment: Experiment) -> str:
    """Why nobody can say which method is better here; empty where it can be said."""
    if (
        first.can_start
        and first.key != experiment.first.key
        and not any(one.effect == "waits" for one in first.reasons)
    ):
        return ""  # what comes first is of another sort than the two, and nothing speaks against it
    for_it = [reason for reason in experiment.first.reasons if reason.effect == "for"]
    doubted = any(reason.effect == "waits" or reason.rule.evidence == "thin" for reason in experiment.first.reasons)
    if doubted or not for_it:
        return gettext("The evidence for a project of this size is thin, so this order is no more than likely.")
    if experiment.first.points - experiment.second.points <= CLOSE:
        return gettext("Nothing that is known tells the two apart here.")
    return ""


def experiment_of(have: Have, methods: Iterable[Method]) -> Experiment | None:
    """The first two that can start, give a model of the same sort and can learn from the same kind of rows."""
    ready = [method for method in methods if method.can_start][:4]
    for first, second in combinations(ready, 2):
        alike = first.yields[0] == second.yields[0] and first.asks == second.asks
        kind = _shared_kind(have, first, second) if alike else ""
        if kind and first.name != second.name:
            return Experiment(first, second, kind)
    return None


def _shared_kind(have: Have, first: Method, second: Method) -> str:
    """Rows that both would learn from to the same end, with the same models."""
    for kind in dict.fromkeys([first.kind, second.kind, *first.trainer["needs"]["rows"]]):
        enough = all(
            kind in one.trainer["needs"]["rows"]
            and have.counted.train.get(kind, 0) >= one.trainer["needs"]["at_least"]
            and tuple(verbs_from(one.trainer, kind)) == one.yields
            and roles_from(one.trainer["needs"], kind, optional=False) == dict(one.asks)
            for one in (first, second)
        )
        if enough:
            return kind
    return ""
