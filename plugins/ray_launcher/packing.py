"""What travels with a job, and what comes back: our code as a zip, the run's folder by the store.

In the store, under `runs/<job's name>/`: `job` (job.json and rows), `checkpoints/<number>`, and in the end `model`,
`result` and `end`. Models of other runs never change and lie under `models/` once. Paths are rewritten to lie within the
job's folder: no path of this machine reaches the cluster.
"""

import hashlib
import io
import json
import shutil
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import feinschliff
from feinschliff.store import Store
from plugins.ray_launcher.configuring import Refused

COMPLETE = "complete.json"  # the marker that `Run.checkpoint` writes last
RESULT = "result.json"
WHEN = (2020, 1, 1, 0, 0, 0)  # the same code gives the same zip


def code() -> tuple[str, bytes]:
    """(name, zip) of the contract and the built-in plugins; the name follows from the content."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as package:
        for top in (Path(feinschliff.__file__).parent, Path(__file__).parents[1]):
            for path in sorted(top.rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts:
                    name = f"{top.name}/{path.relative_to(top).as_posix()}"
                    package.writestr(zipfile.ZipInfo(name, WHEN), path.read_bytes(), zipfile.ZIP_DEFLATED)
    content = made.getvalue()
    return f"_ray_pkg_{hashlib.sha256(content).hexdigest()[:32]}.zip", content


def send(store: Store, name: str, folder: Path) -> dict[str, Any]:
    """Puts all that the job needs into the store; returns job.json as it is there."""
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    job["models"] = {role: _send_model(store, model) for role, model in job.get("models", {}).items()}
    with tempfile.TemporaryDirectory(prefix="feinschliff-") as made:
        for split, path in job["rows"].items():
            shutil.copyfile(folder / path, Path(made, f"{split}.jsonl"))
            job["rows"][split] = f"{split}.jsonl"
        job |= {"weights": "", "local_models": []}  # the job has a cache of its own
        Path(made, "job.json").write_text(json.dumps(job), encoding="utf-8")
        store.put_folder(f"runs/{name}/job", Path(made))
    for checkpoint in checkpoints(folder)[-1:]:
        store.put_folder(f"runs/{name}/checkpoints/{checkpoint.name}", checkpoint)
    return job


def _send_model(store: Store, model: dict[str, Any]) -> dict[str, Any]:
    ref = str(model["ref"])
    if ref.startswith("local:"):
        raise Refused(
            f"{ref} is a folder of this machine, which the cluster cannot read; take a hub:, package: or run: model"
        )
    if not model.get("folder"):
        return {"ref": ref}
    about = Path(model["folder"], "feinschliff-model.json").read_bytes()
    key = f"models/{ref.replace(':', '-')}-{hashlib.sha256(about).hexdigest()[:12]}"
    if not store.exists(key):
        store.put_folder(key, Path(model["folder"]))
    return {"ref": ref, "folder": key}


def unpack(store: Store, name: str, folder: Path, weights: Path) -> None:
    """In the job: makes the run's folder from the store, with the newest checkpoint if there is one."""
    store.fetch_folder(f"runs/{name}/job", folder)
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    for model in job["models"].values():
        if model.get("folder"):
            store.fetch_folder(model["folder"], folder / model["folder"])
    (folder / "job.json").write_text(json.dumps(job | {"weights": str(weights)}), encoding="utf-8")
    for number in store.keys(f"runs/{name}/checkpoints")[-1:]:
        store.fetch_folder(f"runs/{name}/checkpoints/{number}", folder / "checkpoints" / number)


def save_checkpoints(store: Store, name: str, folder: Path) -> None:
    """In the job: puts checkpoints that are not in the store yet there, and keeps two."""
    known = store.keys(f"runs/{name}/checkpoints")
    for path in checkpoints(folder):
        if path.name not in known:
            with suppress(FileNotFoundError):  # the trainer wrote newer ones and removed this one meanwhile
                store.put_folder(f"runs/{name}/checkpoints/{path.name}", path)
                known.append(path.name)
    for old in sorted(known)[:-2]:
        store.delete(f"runs/{name}/checkpoints/{old}")


def save_end(store: Store, name: str, folder: Path, code: int) -> None:
    """In the job: the model, the result, and last how the process ended."""
    if (folder / RESULT).exists():
        if (folder / "model").is_dir():
            store.put_folder(f"runs/{name}/model", folder / "model")
        store.put_file(f"runs/{name}/result", folder / RESULT)
    (folder / "end.json").write_text(json.dumps({"exit": code}), encoding="utf-8")
    store.put_file(f"runs/{name}/end", folder / "end.json")


def bring(store: Store, name: str, folder: Path) -> int | None:
    """Back here: whatever the job left, into its folder; the exit status of its process where it is known.

    Takes only what is newer than what lies there: asked twice, it does nothing the second time.
    """
    if store.exists(f"runs/{name}/model"):
        store.fetch_folder(f"runs/{name}/model", folder / "model")
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    else:
        for number in store.keys(f"runs/{name}/checkpoints"):
            if not (folder / "checkpoints" / number / COMPLETE).exists():
                store.fetch_folder(f"runs/{name}/checkpoints/{number}", folder / "checkpoints" / number)
    if store.exists(f"runs/{name}/result"):
        store.fetch_file(f"runs/{name}/result", folder / RESULT)
    if not store.exists(f"runs/{name}/end"):
        return None
    return int(_said(store, f"runs/{name}/end")["exit"])


def has_come_to_an_end(store: Store, name: str) -> bool:
    """Whether the job left a result that another attempt would only repeat. One that died or was stopped goes on anew."""
    if not store.exists(f"runs/{name}/result") or not store.exists(f"runs/{name}/end"):
        return False
    state, code = _said(store, f"runs/{name}/result")["state"], _said(store, f"runs/{name}/end")["exit"]
    return state in ("failed", "needs-not-met") or (state == "succeeded" and code == 0)


def _said(store: Store, key: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="feinschliff-") as made:
        store.fetch_file(key, Path(made, "said.json"))
        return json.loads(Path(made, "said.json").read_text(encoding="utf-8"))


def clear(store: Store, name: str) -> None:
    """Removes what has come home; result and end stay, by which another worker sees that all is done."""
    for part in ("job", "checkpoints", "model"):
        store.delete(f"runs/{name}/{part}")


def checkpoints(folder: Path) -> list[Path]:
    """The complete ones, oldest first."""
    return sorted(path.parent for path in (folder / "checkpoints").glob(f"*/{COMPLETE}") if path.parent.name.isdigit())
