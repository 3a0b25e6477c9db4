"""Launches runs: checks trainer, config, snapshot and models before anything starts, then queues the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jsonschema
from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext

from annotation.models import Project
from training import casting, preflighting
from training.catalogue import switching, validating
from training.catalogue.listing import listing
from training.configuring import defaults
from training.models import Model, Run, Snapshot
from webapp.people import auditing
from webapp.people.models import User

MAX_SEED = 2**31 - 1
LONGEST_NAME = 80


class CannotLaunch(Exception):
    """The run was not queued. `faults` maps a field (config field, role, or "") to what is wrong with it."""

    def __init__(self, faults: dict[str, str]) -> None:
        self.faults = faults
        super().__init__("; ".join(f"{field}: {text}" if field else text for field, text in faults.items()))


def trainer_named(name: str) -> dict[str, Any]:
    """The listing of one trainer. Raises CannotLaunch."""
    trainers = listing().trainers
    if name not in trainers:
        raise CannotLaunch(
            {
                "trainer": gettext("There is no trainer “%(name)s”. There are: %(trainers)s.")
                % {"name": name, "trainers": ", ".join(sorted(trainers))}
            }
        )
    return trainers[name]


def launch(
    *,
    project: Project,
    trainer: str,
    snapshot: Snapshot,
    config: Mapping[str, Any],
    models: Mapping[str, str],
    seed: int = 0,
    ranks: int = 1,
    name: str = "",
    launched_from: Run | None = None,
    actor: User | None = None,
) -> Run:
    """Queues a run. Raises CannotLaunch with every fault that can be known before it starts.

    `name` is what people shall call it, in one line; without one it is called by its trainer and number.

    A role that the trainer may use and that is empty, or not named, stays without a model.
    """
    offered = trainer_named(trainer)
    models = {role: ref for role, ref in models.items() if ref or role not in casting.optional(offered)}
    is_off = switching.refusal(project, offered, listing())
    if is_off:
        raise CannotLaunch({"trainer": is_off})
    whole = defaults(offered["schema"]) | dict(config)
    looked = preflighting.check(
        project=project, trainer=offered, snapshot=snapshot, config=whole, models=models, ranks=ranks
    )
    faults = config_faults(offered, whole) | preflighting.faults(looked)
    if not 0 <= seed <= MAX_SEED:
        faults["seed"] = gettext("a seed is a whole number from 0 to %(most)s") % {"most": MAX_SEED}
    name = " ".join(name.split())
    if wrong := name_fault(name):
        faults["name"] = wrong
    if faults:
        raise CannotLaunch(faults)
    with transaction.atomic():
        _hold_models(models)
        run = Run.objects.create(
            project=project, snapshot=snapshot, name=name, trainer=trainer, trainer_version=str(offered.get("version", "")),
            plugin=offered["plugin"], environment=offered.get("environment", ""), ranks=ranks,
            launched_from=launched_from, resumable=bool(offered.get("resumable")), config=whole, seed=seed,
            models_used=dict(models), launched_by=actor,
        )  # fmt: skip
        auditing.record(actor=actor, action="launch", subject=project.slug, run=run.pk, trainer=trainer)
    return run


def name_fault(name: str) -> str:
    """What is wrong with a run's name; empty where nothing is."""
    if len(name) > LONGEST_NAME:
        return gettext("a name has at most %(most)s characters") % {"most": LONGEST_NAME}
    return "" if name.isprintable() else gettext("a name has no invisible signs in it")


@transaction.atomic
def rename(*, run: Run, name: str, actor: User | None) -> None:
    """Calls a run, and the model that it left, by another name; an empty one gives it back the one it had by itself.

    Raises CannotLaunch with what is wrong with the name.
    """
    name = " ".join(name.split())
    if wrong := name_fault(name):
        raise CannotLaunch({"name": wrong})
    held = Run.objects.select_for_update(of=("self",)).get(pk=run.pk)  # it may leave its model just now
    before, held.name = held.name, name
    Run.objects.filter(pk=run.pk).update(name=name)
    Model.objects.filter(run=held).update(name=held.title)
    auditing.record(actor=actor, action="rename", subject=run.project.slug, run=run.pk, before=before, name=name)


def _hold_models(models: Mapping[str, str]) -> None:
    """Keeps the models of other runs from being deleted until this run, which uses them, is there to be seen."""
    for role, ref in sorted(models.items()):
        if ref.startswith("run:") and not list(Model.objects.select_for_update().filter(run_id=int(ref[4:]))):
            raise CannotLaunch({role: gettext("the model %(ref)s was deleted just now") % {"ref": ref}})


@transaction.atomic
def cancel(*, run: Run, actor: User | None) -> None:
    """A queued run ends at once; one at work is asked to, and ends when its trainer has."""
    waiting = Run.objects.filter(pk=run.pk, state=Run.QUEUED)
    if not waiting.update(state=Run.CANCELLED, cancel_requested_at=Now(), ended_at=Now()):
        Run.objects.filter(pk=run.pk, state__in=Run.HELD, cancel_requested_at=None).update(cancel_requested_at=Now())
    auditing.record(actor=actor, action="cancel", subject=run.project.slug, run=run.pk)


def config_faults(trainer: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with which setting; where each is right by itself, the trainer's own rules are asked too.

    `trainer` is its listing.
    """
    return _schema_faults(trainer["schema"], config) or validating.refused(trainer, config)


def _schema_faults(schema: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, str]:
    known = schema.get("properties", {})
    faults = {
        name: gettext("this trainer has no such setting; it has: %(known)s") % {"known": ", ".join(known)}
        for name in config
        if name not in known
    }
    for fault in jsonschema.Draft202012Validator(dict(schema)).iter_errors(dict(config)):
        if fault.path:
            faults.setdefault(str(fault.path[0]), fault.message)
        elif fault.validator != "additionalProperties":  # said above, by name
            faults.setdefault("", fault.message)
    return faults
