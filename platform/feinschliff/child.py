"""The training child: `python -m feinschliff train FOLDER`, from job.json to result.json.

A run is a folder and this process. It checks what the trainer needs before loading anything heavy, dies with the
process that started it (where asked to), turns SIGTERM into `run.stopping`, and ends every way with a result that
says which.
"""

import ctypes
import hashlib
import json
import os
import platform
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from feinschliff.filling import WrongSetting, fill, whole
from feinschliff.manager import Registry, load
from feinschliff.model import MODEL_FILE, AnyModel, ModelNotOpened, Opening, open_model, resolve, verbs_of
from feinschliff.ranks import scratch, share
from feinschliff.rows import RowError, WrongKind, kind_of, read_rows
from feinschliff.run import Run, Stop, all_ranks, emit, plain, this_rank
from feinschliff.trainer import API_VERSION, NeedsNotMet, Trainer, roles_from, verbs_from

EXIT = {"succeeded": 0, "failed": 1, "needs-not-met": 2, "stopped": 3}
PR_SET_PDEATHSIG = 1


class JobModel(BaseModel):
    ref: str
    folder: str | None = None


class JobFile(BaseModel):
    """job.json. Unknown keys are allowed: a platform may note more than a child needs."""

    model_config = ConfigDict(extra="allow")

    api: int
    run: str
    trainer: str
    attempt: int = 1
    config: dict[str, Any] = {}
    seed: int = 0
    snapshot: str = ""
    rows: dict[str, str]
    models: dict[str, JobModel] = {}
    plugins: list[str] = []
    entry_points: list[str] | None = None  # installed plugins to load, by distribution; None: all
    weights: str = "weights"
    local_models: list[str] = []
    resources: dict[str, Any] = Field(default_factory=dict)


class JobError(Exception):
    """job.json, its config or a model it names cannot be used as it is."""


def die_with_parent() -> None:
    """End this process when the one in FEINSCHLIFF_PARENT ends, however it ends. Linux's own means, no polling.

    The kernel watches the *thread* that started us, so a launcher must submit from one that lives as long as the run.
    """
    parent = os.environ.get("FEINSCHLIFF_PARENT", "")
    if not parent:
        return
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if str(os.getppid()) != parent:
        os._exit(1)


class FinishedAlready(Exception):
    """The folder holds a run that has succeeded, and would lose its model."""


def train(folder: Path, *, again: bool = False) -> int:
    """Work one run folder; the exit status. `again`: also one that has succeeded, whose model and result are replaced."""
    if "RANK" not in os.environ:
        _make_way(folder, again)
    stop = Stop()

    def asked(_signal: int, _frame: FrameType | None) -> None:
        stop.asked = True

    signal.signal(signal.SIGTERM, asked)
    die_with_parent()
    began = time.monotonic()
    if "RANK" not in os.environ and (ranks := _ranks_asked(folder)) > 1:
        return _share(folder, ranks, began)
    state, error = "failed", None
    numbers: dict[str, Any] = {}
    out = scratch(folder, this_rank())
    out.mkdir(parents=True, exist_ok=True)
    try:
        job = read_job(folder)
        prepare(online=_online(job))
        registry = load(job.plugins, entry_points=True if job.entry_points is None else job.entry_points)
        state, numbers = _work(folder, out, job, registry, stop)
    except (NeedsNotMet, WrongKind) as unmet:
        state, error = "needs-not-met", str(unmet)
    except (JobError, ModelNotOpened, RowError, WrongSetting) as wrong:
        error = str(wrong)
    except MemoryError:
        traceback.print_exc()
        error = "Out of memory: take smaller batches, shorter texts or a smaller model."
    except Exception as wrong:
        traceback.print_exc()
        error = f"{type(wrong).__name__}: {wrong}".strip().splitlines()[0][:500]
    if error:
        _complain(error)
    _conclude(out, {"state": state, "numbers": plain(numbers), "error": error}, began)
    return EXIT[state]


def _make_way(folder: Path, again: bool) -> None:
    """An earlier attempt's result tells nothing of this one, which writes its own however it ends. A model stays for now."""
    result = folder / "result.json"
    with suppress(OSError, ValueError, TypeError, KeyError):
        if json.loads(result.read_text(encoding="utf-8"))["state"] == "succeeded" and not again:
            raise FinishedAlready(
                f"{folder} holds a finished run; work a copy of it, or say --again and its model and result are replaced; "
                "nothing was changed"
            )
    _remove(result)


def _share(folder: Path, ranks: int, began: float) -> int:
    """Has ranks do the work; the exit status. Where a rank was killed we end by the same signal, as one process would."""
    prepare(online=_online(read_job(folder)))
    ended = share(folder, ranks)
    if ended.result:
        if ended.result["error"]:
            _complain(ended.result["error"])
        _conclude(folder, ended.result, began)
    if ended.code < 0:
        if -ended.code != signal.SIGKILL:
            signal.signal(-ended.code, signal.SIG_DFL)
        os.kill(os.getpid(), -ended.code)
    return EXIT.get((ended.result or {}).get("state", ""), ended.code)


def _ranks_asked(folder: Path) -> int:
    """What job.json says; one where it cannot be read, which is told later."""
    try:
        return int(read_job(folder).resources.get("ranks") or 1)
    except (JobError, TypeError, ValueError):
        return 1


def _online(job: JobFile) -> bool:
    return any(model.ref.startswith("hub:") for model in job.models.values())


def _complain(error: str) -> None:
    sys.stderr.write(f"feinschliff: {error}\n")
    sys.stderr.flush()


def _conclude(out: Path, result: dict[str, Any], began: float) -> None:
    """The result, written whole, and the last line of the protocol."""
    _write(out / "result.json", {**result, "seconds": round(time.monotonic() - began, 3), "versions": _versions()})
    emit("state", state="done", message=result["error"] or result["state"])


def read_job(folder: Path) -> JobFile:
    try:
        job = JobFile.model_validate_json((folder / "job.json").read_bytes())
    except FileNotFoundError:
        raise JobError(f"{folder}: no job.json in it; nothing was done") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise JobError(
            f"job.json, {'.'.join(map(str, first['loc'])) or 'file'}: {first['msg']}; nothing was done"
        ) from None
    if job.api != API_VERSION:
        raise JobError(f"job.json speaks API {job.api}, this Feinschliff speaks API {API_VERSION}; nothing was done")
    return job


def _work(folder: Path, out: Path, job: JobFile, registry: Registry, stop: Stop) -> tuple[str, dict[str, Any]]:
    trainer = registry.trainers.get(job.trainer)
    if trainer is None:
        refused = "; ".join(f"{refusal.plugin}: {refusal.reason}" for refusal in registry.refusals)
        raise JobError(
            f"no trainer {job.trainer!r} here, there are: {', '.join(sorted(registry.trainers)) or 'none'}"
            + (f". Refused plugins: {refused}" if refused else "")
        )
    config = fill(trainer.config, job.config)
    job = job.model_copy(update={"config": whole(config)})  # from here on it is known by all its settings
    if all_ranks() > trainer.ranks:
        raise JobError(f"{trainer.title} shares its work among {trainer.ranks} processes at most, not {all_ranks()}")
    rows = {split: folder / path for split, path in job.rows.items()}
    kinds = _check_rows(trainer, rows)
    if this_rank() == 0:
        _remove(folder / "model")  # of an attempt that did not finish
    opening = Opening(
        weights=(folder / job.weights).resolve(),
        local_models=tuple(Path(path) for path in job.local_models),
        device=str(job.resources.get("device", "auto")),
    )

    def opener(role: str) -> AnyModel:
        if role not in job.models:
            if role in trainer.needs.may_use:
                return None
            raise NeedsNotMet(f"no model was given for the role {role!r}")
        asked = job.models[role]
        model = open_model(asked.ref, opening, registry, folder / asked.folder if asked.folder else None)
        for kind in kinds:
            verb = roles_from(trainer.needs.model_dump(), kind).get(role)
            if verb and verb not in verbs_of(model):
                of_kind = f", with {kind} rows," if kind in trainer.needs.models_from else ""
                raise NeedsNotMet(
                    f"the role {role!r}{of_kind} needs a model that can {verb}; "
                    f"{asked.ref} can {', '.join(verbs_of(model)) or 'nothing'}"
                )
        return model

    run = Run(
        folder=out,
        config=config,
        seed=job.seed,
        rows=rows,
        kinds=trainer.needs.rows,
        opener=opener,
        device=opening.device,
        fingerprint=_fingerprint(job),
        stop=stop,
        checkpoints=folder / "checkpoints",
        cache=opening.weights / "computed" / trainer.name,
    )

    run.state("loading")
    for role in [*trainer.needs.models, *trainer.needs.may_use]:
        run.model(role)
    if run.stopping:
        return "stopped", {}
    numbers = resolve(trainer.train)(run) or {}
    run._tell_progress()
    if run.stopping:
        return "stopped", numbers
    if this_rank() != 0:
        return "succeeded", {}
    if not (folder / "model").is_dir():
        raise JobError(f"the trainer {trainer.name} returned without saving a model")
    _describe_model(folder, job, trainer, registry, kinds)
    for name in ("checkpoints", "dataset-cache"):  # only a run that did not finish is resumed, and both are large
        _remove(folder / name)
    return "succeeded", numbers


def _check_rows(trainer: Trainer, rows: dict[str, Path]) -> list[str]:
    """The kinds of rows it will train on, in the order in which the trainer names them; NeedsNotMet where there are too few."""
    if "train" not in rows:
        raise NeedsNotMet("the job names no rows to train on")
    there, tasks = Counter[str | None](), set[str]()
    for row in read_rows(rows["train"], trainer.needs.rows):
        there[kind_of(row)] += 1
        tasks.add(row.get("task") or "")
    if there.total() < trainer.needs.at_least:
        raise NeedsNotMet(
            f"{trainer.title} needs at least {trainer.needs.at_least} rows to train on "
            f"({' or '.join(trainer.needs.rows)}); this snapshot has {there.total()}"
        )
    if len(tasks) < trainer.needs.tasks:
        raise NeedsNotMet(
            f"{trainer.title} needs rows of at least {trainer.needs.tasks} tasks; the training rows name "
            f"{', '.join(sorted(tasks - {''})) or 'none'}"
        )
    return [kind for kind in trainer.needs.rows if there[kind]]


def _describe_model(folder: Path, job: JobFile, trainer: Trainer, registry: Registry, kinds: Sequence[str]) -> None:
    """Of rows of several kinds the model has the verbs that each of them gives."""
    owner = registry.owner(trainer.name)
    base = job.models.get("base")
    listed = trainer.model_dump(include={"needs", "yields", "yields_from"})
    verbs = [verb for verb in verbs_from(listed) if all(verb in verbs_from(listed, kind) for kind in kinds)]
    about = {
        "api": API_VERSION,
        "trainer": trainer.name,
        "trainer_version": owner.version,
        "opens": trainer.opens,
        "yields": verbs,
        "plugins": job.plugins or [owner.module],
        "entry_points": job.entry_points,
        "run": job.run,
        "base": base.ref if base else None,
        "snapshot": job.snapshot,
        "config": job.config,
        "seed": job.seed,
    }
    _write(folder / "model" / MODEL_FILE, about)


def _fingerprint(job: JobFile) -> str:
    """What must be equal for a checkpoint to be this job's own. Not where its files lie: a run may move to another machine."""
    same = job.model_dump(mode="json", include={"trainer", "config", "seed", "snapshot"})
    same |= {"models": {role: model.ref for role, model in job.models.items()}}
    same |= {} if job.snapshot else {"rows": job.rows}
    return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()


def prepare(*, online: bool = False) -> None:
    """The environment of a process that will load torch; it reads these when it is imported.

    No telemetry ever, no network unless a model from the hub was asked for. Waiting threads sleep rather than spin: on a
    machine with other work, spinning made a small run take six times as long, with the same numbers.
    """
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # a run's log is read on a page, not in a terminal
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    if not online:
        os.environ["HF_HUB_OFFLINE"] = "1"


def _versions() -> dict[str, str]:
    from feinschliff import __version__

    found = {"python": platform.python_version(), "feinschliff": __version__}
    for name in ("torch", "transformers"):
        if name in sys.modules:
            found[name] = str(getattr(sys.modules[name], "__version__", ""))
    return found


def _write(path: Path, value: dict[str, Any]) -> None:
    draft = path.with_name(f".{path.name}.draft")
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    draft.write_text(text, encoding="utf-8", errors="replace")  # half a surrogate pair must not cost the result
    draft.replace(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
