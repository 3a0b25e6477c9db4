"""Starts what was advised: freezes the rows that a method learns from, and launches it, or two to compare."""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext

from annotation.models import Project
from training import freezing, launching
from training.advising.advice import Advice, Experiment
from training.advising.judging import Method
from training.models import Run, Snapshot
from webapp.people.models import User


class CannotStart(Exception):
    """Nothing was started; the text says why."""


def method_named(advice: Advice, name: str, kind: str = "") -> Method:
    """The trainer's first method, or that on rows of `kind`. Raises CannotStart."""
    found = [method for method in advice.methods if method.name == name and kind in ("", method.kind)]
    if not found:
        names = ", ".join(dict.fromkeys(method.name for method in advice.methods))
        raise CannotStart(
            gettext("There is no trainer “%(name)s”. There are: %(trainers)s.") % {"name": name, "trainers": names}
        )
    return found[0]


def snapshot_for(*, project: Project, method: Method, actor: User | None = None) -> Snapshot:
    """The rows that the method learns from, frozen as they stand now. Raises CannotStart."""
    return _frozen(project, method.kind, actor)


def _frozen(project: Project, kind: str, actor: User | None) -> Snapshot:
    try:
        return freezing.freeze(project=project, rows=kind, actor=actor)
    except freezing.CannotFreeze as wrong:
        raise CannotStart(str(wrong)) from None


def start(*, project: Project, method: Method, actor: User | None = None) -> Run:
    """Launches the method with the settings that rules name and the trainer's own defaults. Raises CannotStart."""
    return _launched(project, method, _frozen(project, method.kind, actor), actor)


def compare(*, project: Project, experiment: Experiment, actor: User | None = None) -> list[Run]:
    """Launches both methods on one snapshot, with one seed; both or, whatever fails, none. Raises CannotStart."""
    snapshot = _frozen(project, experiment.kind, actor)
    with transaction.atomic():
        return [_launched(project, method, snapshot, actor) for method in (experiment.first, experiment.second)]


def _launched(project: Project, method: Method, snapshot: Snapshot, actor: User | None) -> Run:
    try:
        return launching.launch(
            project=project, trainer=method.name, snapshot=snapshot, config=method.settings, models=method.models,
            actor=actor,
        )  # fmt: skip
    except launching.CannotLaunch as wrong:
        raise CannotStart(f"{method.name}: {wrong}") from None
