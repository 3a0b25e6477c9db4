"""Makes a run's folder: job.json and the rows, all that its process needs to know."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from django.conf import settings

from feinschliff import API_VERSION
from training import freezing
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
        raise CannotPrepare(f"The snapshot's rows cannot be used: {wrong}") from None
    place = folder(run)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = place / ".job.json.draft"
    draft.write_text(json.dumps(job(run), indent=1, ensure_ascii=False), "utf-8")
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
        "weights": str(Path(settings.HOME) / "weights"),
        "local_models": settings.LOCAL_MODELS,
        "resources": {"device": "auto", "ranks": run.ranks},
    }


def _model(run: Run, ref: str) -> dict[str, str]:
    if not ref.startswith("run:"):
        return {"ref": ref}
    model = Model.objects.filter(run_id=int(ref[4:]), project=run.project).first()
    if model is None:
        raise CannotPrepare(f"The model {ref} is not there any more.")
    return {"ref": ref, "folder": str(folder(model.run) / "model")}


def replay_command(run: Run) -> str:
    """What works the run's folder again by hand, from the project's root."""
    return f".venv/bin/python -m feinschliff train {folder(run)}"
