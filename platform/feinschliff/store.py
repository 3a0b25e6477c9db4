"""The one door through which files reach a job that runs elsewhere, and come back: a folder here, or `s3://bucket/prefix`.

Keys are ids that we made, never a path that a client sent. What is put arrives complete or not at all: its files first,
then a manifest with their sizes and hashes; without a manifest there is nothing. What is fetched is compared with it.
Needs fsspec (`pip install feinschliff[store]`), and the library of the kind of store that is named (s3fs for `s3://`).
"""

import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

MANIFEST = "manifest.json"
_ID = re.compile(r"[A-Za-z0-9]+([-_.][A-Za-z0-9]+)*")


class StoreError(Exception):
    """What cannot be stored or fetched, and why."""


class Store:
    """Folders and files under keys such as `runs/run-7-1/model`. A key holds what was put under it, as a whole."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._fs, self._root = _opened(url)

    def put_folder(self, key: str, folder: Path) -> None:
        """Everything in the folder, in the place of what the key held. Links are refused: they may point anywhere."""
        if not folder.is_dir():
            raise StoreError(f"{folder}: no such folder; nothing was stored")
        self._put(key, {path.relative_to(folder).as_posix(): path for path in _files(folder)})

    def put_file(self, key: str, file: Path) -> None:
        self._put(key, {file.name: file})

    def fetch_folder(self, key: str, folder: Path) -> None:
        """What the key holds becomes the folder, which takes its place only when all of it is there and right."""
        manifest = self._manifest(key)
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.draft")
        try:
            draft.mkdir()
            for name, about in manifest.items():
                self._fetch(key, name, about, draft / name)
            shutil.rmtree(folder, ignore_errors=True)
            draft.rename(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def fetch_file(self, key: str, file: Path) -> None:
        manifest = self._manifest(key)
        if len(manifest) != 1:
            raise StoreError(f"{key} holds {len(manifest)} files, not one; nothing was fetched")
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f".{file.name}.{uuid.uuid4().hex[:8]}.draft")
        try:
            for name, about in manifest.items():
                self._fetch(key, name, about, draft)
            draft.replace(file)
        finally:
            draft.unlink(missing_ok=True)

    def exists(self, key: str) -> bool:
        """Whether something complete was put there."""
        return bool(self._fs.exists(self._place(key, MANIFEST)))

    def keys(self, key: str) -> list[str]:
        """The ids right below a key that hold something, sorted."""
        self._fs.invalidate_cache()
        try:
            below = self._fs.ls(self._place(key), detail=False)
        except FileNotFoundError:
            return []
        names = (PurePosixPath(str(path).rstrip("/")).name for path in below)
        return sorted(name for name in names if _ID.fullmatch(name) and self.exists(f"{key}/{name}"))

    def size(self, key: str) -> int:
        """Bytes of the files that the key holds."""
        return sum(int(about["size"]) for about in self._manifest(key).values())

    def delete(self, key: str) -> None:
        """The key and all below it; the manifest first, so that nothing half-deleted is ever found."""
        self._fs.invalidate_cache()
        if self._fs.exists(self._place(key, MANIFEST)):
            self._fs.rm_file(self._place(key, MANIFEST))
        if self._fs.exists(self._place(key)):
            self._fs.rm(self._place(key), recursive=True)

    def _put(self, key: str, files: Mapping[str, Path]) -> None:
        self.delete(key)
        manifest = {}
        for name, path in files.items():
            self._fs.put_file(str(path), self._place(key, "files", *_parts(name)))
            manifest[name] = {"size": path.stat().st_size, "sha256": _digest(path)}
        self._fs.pipe_file(self._place(key, MANIFEST), json.dumps(manifest).encode())

    def _manifest(self, key: str) -> dict[str, dict[str, Any]]:
        self._fs.invalidate_cache()
        try:
            found = json.loads(self._fs.cat_file(self._place(key, MANIFEST)))
        except FileNotFoundError:
            raise StoreError(f"{self.url} holds nothing complete under {key}") from None
        for name in found:
            _parts(name)  # a manifest that was tampered with names no place outside
        return found

    def _fetch(self, key: str, name: str, about: Mapping[str, Any], file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._fs.get_file(self._place(key, "files", *_parts(name)), str(file))
        if file.stat().st_size != about["size"] or _digest(file) != about["sha256"]:
            raise StoreError(f"{key}, {name}: what came from {self.url} is not what was put there; nothing was changed")

    def _place(self, key: str, *parts: str) -> str:
        ids = key.split("/")
        wrong = [one for one in ids if not _ID.fullmatch(one) or len(one) > 200]
        if wrong or ids[-1] in (MANIFEST, "files"):
            raise StoreError(f"{key!r} is no key: ids of letters, digits and single - _ . between them, joined by /")
        return "/".join([self._root, *ids, *parts])


def _opened(url: str) -> tuple[Any, str]:
    """(filesystem, root)."""
    try:
        import fsspec
    except ImportError:
        raise StoreError("the store needs fsspec: pip install 'feinschliff[store]'") from None
    if "://" not in url:
        Path(url).mkdir(mode=0o700, parents=True, exist_ok=True)
    options = {"auto_mkdir": True} if "://" not in url or url.startswith("file://") else {}
    try:
        fs, root = fsspec.core.url_to_fs(url, **options)
    except ImportError as missing:
        raise StoreError(f"{url}: this kind of store needs one more library: {missing}") from None
    except ValueError as wrong:
        raise StoreError(f"{url}: not a store ({wrong}); a folder, or s3://bucket/prefix") from None
    return fs, str(root).rstrip("/")


def _parts(name: str) -> list[str]:
    """The parts of a file's name within its folder; refused if it could lead outside."""
    parts = name.split("/")
    if any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts):
        raise StoreError(f"{name!r} is no name of a file within a folder")
    return parts


def _files(folder: Path) -> Iterator[Path]:
    for top, folders, names in os.walk(folder):
        for name in [*folders, *names]:
            if (path := Path(top, name)).is_symlink():
                raise StoreError(f"{path}: links are not stored; nothing was")
        yield from (Path(top, name) for name in sorted(names))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
