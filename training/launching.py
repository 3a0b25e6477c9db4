"""Launches runs: checks trainer, config, snapshot and models before anything starts, then queues the run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from annotation.models import Project
from training.freezing import CannotFreeze, verify
from training.listing import listing
from training.models import Model, Run, Snapshot
from webapp.people import auditing
from webapp.people.models import User

MAX_SEED = 2**31 - 1


class CannotLaunch(Exception):
    """The run was not queued. `faults` maps a field (config field, role, or "") to what is wrong with it."""

    def __init__(self, faults: dict[str, str]) -> None:
        self.faults = faults
        super().__init__("; ".join(f"{field}: {text}" if field else text for field, text in faults.items()))


def trainer_named(name: str) -> dict[str, Any]:
    """The listing of one trainer. Raises CannotLaunch."""
    trainers = listing().trainers
    if name not in trainers:
        raise CannotLaunch({"trainer": f"There is no trainer “{name}”. There are: {', '.join(sorted(trainers))}."})
    return trainers[name]


@transaction.atomic
def launch(
    *,
    project: Project,
    trainer: str,
    snapshot: Snapshot,
    config: Mapping[str, Any],
    models: Mapping[str, str],
    seed: int = 0,
    ranks: int = 1,
    launched_from: Run | None = None,
    actor: User | None = None,
) -> Run:
    """Queues a run. Raises CannotLaunch with every fault that can be known before it starts."""
    offered = trainer_named(trainer)
    whole = defaults(offered["schema"]) | dict(config)
    faults = (
        _config_faults(offered["schema"], whole)
        | _snapshot_faults(offered, snapshot, project)
        | _model_faults(offered, models, project)
    )
    if not 0 <= seed <= MAX_SEED:
        faults["seed"] = f"a seed is a whole number from 0 to {MAX_SEED}"
    if not 1 <= ranks <= offered.get("ranks", 1):
        faults["ranks"] = f"the processes of {offered['title']} are from 1 to {offered.get('ranks', 1)}"
    if faults:
        raise CannotLaunch(faults)
    run = Run.objects.create(
        project=project, snapshot=snapshot, trainer=trainer, trainer_version=str(offered.get("version", "")),
        plugin=offered["plugin"], environment=offered.get("environment", ""), ranks=ranks, launched_from=launched_from,
        resumable=bool(offered.get("resumable")), config=whole, seed=seed, models_used=dict(models), launched_by=actor,
    )  # fmt: skip
    auditing.record(actor=actor, action="launch", subject=project.slug, run=run.pk, trainer=trainer)
    return run


@transaction.atomic
def cancel(*, run: Run, actor: User | None) -> None:
    """A queued run ends at once; one at work is asked to, and ends when its trainer has."""
    waiting = Run.objects.filter(pk=run.pk, state=Run.QUEUED)
    if not waiting.update(state=Run.CANCELLED, cancel_requested_at=Now(), ended_at=Now()):
        Run.objects.filter(pk=run.pk, state__in=Run.HELD, cancel_requested_at=None).update(cancel_requested_at=Now())
    auditing.record(actor=actor, action="cancel", subject=run.project.slug, run=run.pk)


def defaults(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A config with nothing chosen."""
    return {name: field["default"] for name, field in schema.get("properties", {}).items() if "default" in field}


def _config_faults(schema: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, str]:
    known = schema.get("properties", {})
    faults = {
        name: f"this trainer has no such setting; it has: {', '.join(known)}" for name in config if name not in known
    }
    for fault in jsonschema.Draft202012Validator(dict(schema)).iter_errors(dict(config)):
        if fault.path:
            faults.setdefault(str(fault.path[0]), fault.message)
        elif fault.validator != "additionalProperties":  # said above, by name
            faults.setdefault("", fault.message)
    return faults


def _snapshot_faults(offered: Mapping[str, Any], snapshot: Snapshot, project: Project) -> dict[str, str]:
    needs = offered["needs"]
    if snapshot.project_id != project.pk:
        return {"snapshot": "this snapshot belongs to another project"}
    if snapshot.rows not in needs["rows"]:
        return {
            "snapshot": f"{offered['title']} learns from {' or '.join(needs['rows'])} rows; these are {snapshot.rows} rows"
        }
    if snapshot.counts["train"] < needs["at_least"]:
        missing = needs["at_least"] - snapshot.counts["train"]
        return {
            "snapshot": f"{offered['title']} needs at least {needs['at_least']} rows to train on; {missing} more are missing"
        }
    try:
        verify(snapshot)
    except (CannotFreeze, OSError) as wrong:
        return {"snapshot": str(wrong)}
    return {}


def _model_faults(offered: Mapping[str, Any], models: Mapping[str, str], project: Project) -> dict[str, str]:
    faults = {}
    roles = offered["needs"]["models"]
    found = listing()
    schemes = [*(scheme for source in found.sources for scheme in source["schemes"]), "run"]
    for role in roles:
        if not models.get(role):
            faults[role] = f"choose a model that can {roles[role]}"
    for role, ref in models.items():
        scheme, _, name = ref.partition(":")
        if role not in roles:
            faults[role] = f"{offered['title']} takes no model as {role}; it takes: {', '.join(roles) or 'none'}"
        elif ref and (scheme not in schemes or not name):
            faults[role] = f"a model is named {', '.join(s + ':…' for s in schemes)}, not “{ref[:60]}”"
        elif scheme in ("tiny", "package") and ref not in found.model_strings():
            faults[role] = f"there is no {ref[:60]} here; at hand are {', '.join(found.model_strings())}"
        elif scheme == "local" and not _allowed(name):
            there = ", ".join(settings.LOCAL_MODELS) or "none; FEINSCHLIFF_LOCAL_MODELS names them"
            faults[role] = f"there is no such folder below one that models may come from ({there})"
        elif scheme == "run" and not _model_of(name, project, roles[role]):
            faults[role] = f"there is no model {ref} in this project that can {roles[role]}"
    return faults


def _allowed(name: str) -> bool:
    folder = Path(name).resolve()
    return folder.is_dir() and any(folder.is_relative_to(Path(top).resolve()) for top in settings.LOCAL_MODELS)


def _model_of(name: str, project: Project, verb: str) -> Model | None:
    if not (name.isascii() and name.isdigit()):
        return None
    model = Model.objects.filter(run_id=int(name), project=project).first()
    return model if model and verb in model.yields else None
