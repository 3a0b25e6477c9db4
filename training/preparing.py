"""Makes a run's folder: job.json and the rows, all that its process needs to know."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.translation import gettext

from feinschliff import API_VERSION
from training import freezing
from training.catalogue import environments
from training.catalogue.listing import ListingFailed, listing
from training.machine import disk
from training.models import Model, Run


class CannotPrepare(Exception):
    """Something the run needs is gone; the text says what."""


def folder(run: Run) -> Path:
    """Where the run lives. The name is its id, never what a client sent."""
    return Path(settings.HOME) / "runs" / str(run.pk)


def log_size(run_folder: Path) -> int:
    """Bytes of output that earlier attempts left."""
    try:
        return (run_folder / "output.log").stat().st_size
    except FileNotFoundError:
        return 0


def prepare(run: Run) -> Path:
    """The folder with a fresh job.json; what an earlier attempt left in it stays. Raises CannotPrepare."""
    try:
        freezing.verify(run.snapshot)
    except (freezing.CannotFreeze, OSError) as wrong:
        raise CannotPrepare(gettext("The snapshot's rows cannot be used: %(wrong)s") % {"wrong": wrong}) from None
    if run.attempts <= 1 and (full := disk.refusal()):  # what was begun may go on: it would lose more than it takes
        raise CannotPrepare(full)
    place = folder(run)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        python(run)
        told = job(run) | {"log_from": log_size(place)}  # what earlier attempts printed stands before this one's output
    except (environments.EnvironmentUnusable, ListingFailed) as wrong:
        raise CannotPrepare(str(wrong)) from None
    draft = place / ".job.json.draft"
    draft.write_text(json.dumps(told, indent=1, ensure_ascii=False), "utf-8")
    os.replace(draft, place / "job.json")
    return place


def job(run: Run) -> dict[str, Any]:
    """What job.json says."""
    rows = freezing.folder(run.snapshot)
    return {
        "api": API_VERSION,
        "run": str(run.pk),
        "attempt": run.attempts,
        "trainer": run.trainer,
        "trainer_version": run.trainer_version,
        "config": run.config,
        "seed": run.seed,
        "snapshot": run.snapshot.hash,
        "rows": {split: str(rows / f"{split}.jsonl") for split in freezing.SPLITS},
        "models": {role: _model(run, ref) for role, ref in run.models_used.items()},
        "plugins": settings.BUILTIN_PLUGINS,
        "entry_points": _entry_points(run),
        "weights": str(Path(settings.HOME) / "weights"),
        "local_models": settings.LOCAL_MODELS,
        "resources": {"device": "auto", "ranks": run.ranks},
    }


def _entry_points(run: Run) -> list[str] | None:
    """The installed plugins that the run needs: no other is loaded. None, of an older run: all."""
    if not run.plugin:
        return None
    made = [int(ref[4:]) for ref in run.models_used.values() if ref.startswith("run:")]
    names = {run.plugin, *Run.objects.filter(pk__in=made).values_list("plugin", flat=True)}
    if schemes := {ref.partition(":")[0] for ref in run.models_used.values()} - {"run"}:
        sources = listing().sources_for(run.environment)
        names |= {source["plugin"] for source in sources if schemes & set(source["schemes"])}
    return sorted(names)


def python(run: Run) -> str:
    """The interpreter that works the run, where its plugin has its own; else empty, and the launcher's own choice."""
    return environments.interpreter(run.environment) if run.environment else ""


def _model(run: Run, ref: str) -> dict[str, str]:
    if not ref.startswith("run:"):
        return {"ref": ref}
    model = Model.objects.filter(run_id=int(ref[4:]), project=run.project).first()
    if model is None:
        raise CannotPrepare(gettext("The model %(ref)s is not there any more.") % {"ref": ref})
    return {"ref": ref, "folder": str(folder(model.run) / "model")}


def replay_command(run: Run) -> str:
    """What works a copy of the run's folder by hand, from the project's root: the run itself keeps its model and result."""
    copy = f"again=$(mktemp -d) && cp -a {shlex.quote(str(folder(run)))}/. $again"
    try:
        own = shlex.quote(python(run)) if run.environment else ".venv/bin/python"
    except environments.EnvironmentUnusable:
        own = ".venv/bin/python"
    return f"{copy} && {own} -m feinschliff train $again --again"
