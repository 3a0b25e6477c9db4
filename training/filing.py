"""The files of a snapshot: rows go to the disk as they come, and the folder is complete or not there.

Stands inside freezing.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

SPLITS = ("train", "heldout")


def canonical(value: Mapping[str, Any]) -> str:
    """JSON that is always written alike."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


class Files:
    """Rows on their way into a folder that nobody sees yet; what they come to is counted on the way."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counts = dict.fromkeys(SPLITS, 0)
        self.groups: dict[str, set[str]] = {split: set() for split in SPLITS}
        self.tasks: set[str] = set()  # that rows to train on name
        self._out = {split: (folder / f"{split}.jsonl").open("wb") for split in SPLITS}
        self._hashes = {split: hashlib.sha256() for split in SPLITS}

    def add(self, split: str, row: Mapping[str, Any]) -> None:
        line = (canonical(row) + "\n").encode()
        self._out[split].write(line)
        self._hashes[split].update(line)
        self.counts[split] += 1
        self.groups[split].add(row["group"])
        if split == "train" and row.get("task"):
            self.tasks.add(row["task"])

    def digests(self) -> dict[str, str]:
        return {split: found.hexdigest() for split, found in self._hashes.items()}

    def keep(self, place: Path, manifest: Mapping[str, Any]) -> None:
        """Puts the folder in its place. One that is there and was changed is replaced: freezing again is what mends it."""
        (self.folder / "manifest.json").write_text(canonical(manifest), "utf-8")
        self.close()
        if _holds(place, manifest):
            return
        for name in os.listdir(self.folder):
            with (self.folder / name).open("rb") as file:
                os.fsync(file.fileno())
        changed = self.folder.with_name(f"{self.folder.name}-changed")
        with suppress(OSError):  # another process froze the same content at the same moment
            with suppress(FileNotFoundError):
                place.rename(changed)
            self.folder.rename(place)
        shutil.rmtree(changed, ignore_errors=True)

    def close(self) -> None:
        for out in self._out.values():
            out.close()


@contextmanager
def writing(top: Path) -> Iterator[Files]:
    """Files in a folder of their own below `top`, which goes again where they were not kept."""
    top.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=top, prefix=".writing-"))
    try:
        files = Files(folder)
        try:
            yield files
        finally:
            files.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _holds(place: Path, manifest: Mapping[str, Any]) -> bool:
    """Whether what lies there is what the manifest says."""
    try:
        if (place / "manifest.json").read_text("utf-8") != canonical(manifest):
            return False
        for split, digest in manifest["sha256"].items():
            with (place / f"{split}.jsonl").open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                    return False
    except (OSError, ValueError):
        return False
    return True
