"""Keeps uploaded files until their mapping is chosen, as UTF-8 under names that end in their format. Begins an import."""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.translation import gettext

from annotation import formats
from annotation.formats import encodings, jsonl
from annotation.formats.jsonl import Problem
from annotation.models import Import, Project
from annotation.sources import Source, first_of
from annotation.storing import ImportRefused
from webapp.people.models import User


def uploads() -> Path:
    """Where files wait for their mapping."""
    folder = Path(settings.HOME) / "uploads"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def receive(
    *, project: Project, name: str, chunks: Iterable[bytes], actor: User, encoding: str = encodings.UTF8
) -> Import:
    """Keeps an uploaded file, as UTF-8, until its mapping is chosen. Raises ImportRefused for one that cannot be read."""
    path = uploads() / uuid.uuid4().hex
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("xb") as out:
            for chunk in chunks:
                size += len(chunk)
                if size > settings.IMPORT_MAX_BYTES:
                    limit = settings.IMPORT_MAX_BYTES // 2**20
                    raise ImportRefused(
                        [
                            Problem(
                                0,
                                "",
                                gettext("the file is larger than %(limit)s MB; use manage.py import_items")
                                % {"limit": limit},
                            )
                        ]
                    )
                digest.update(chunk)
                out.write(chunk)
        path = _readable(path, name, encoding)
        first_records(path, 1)
    except ImportRefused:
        path.unlink(missing_ok=True)
        raise
    return Import.objects.create(
        project=project,
        file_name=name[-200:],
        stored_as=path.name,
        sha256=digest.hexdigest(),
        size=size,
        created_by=actor,
    )


def _readable(path: Path, name: str, encoding: str) -> Path:
    """The uploaded file in UTF-8 under a name that ends in its format. Raises ImportRefused."""
    with path.open("rb") as file:
        try:
            copy = encodings.as_utf8(file, encoding)
        except Problem as problem:
            raise ImportRefused([problem]) from None
        if copy is not file:
            path.write_bytes(b"")  # the copy is in memory or a file of its own
            with path.open("wb") as out:
                shutil.copyfileobj(copy, out)
    with path.open("rb") as file:
        return path.rename(path.with_suffix(f".{formats.format_of(name, file.read(4096))}"))


def first_records(path: Path, count: int) -> list[dict[str, Any]]:
    """The first records of a file that was received. Raises ImportRefused when there is none or they cannot be read."""
    with path.open("rb") as file:
        return first_of(Source(file, formats.format_of(path.name)), count)


def as_json(record: Mapping[str, Any], limit: int = 4000) -> str:
    """A record to look at."""
    text = jsonl.shown(json.dumps(record, ensure_ascii=False, indent=2))
    return text if len(text) <= limit else text[:limit] + "\n…"
