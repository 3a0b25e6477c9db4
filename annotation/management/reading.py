"""What the commands share: finding a project by name, files that are there, refusals as one clear sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from annotation.models import Project


def project_named(name: str) -> Project:
    """The project with this slug or name. Raises CommandError that says which there are."""
    found = Project.objects.filter(slug=name).first() or Project.objects.filter(name=name).first()
    if found is None:
        there = ", ".join(Project.objects.values_list("slug", flat=True)[:20]) or "none yet"
        raise CommandError(f"There is no project “{name}”. There are: {there}.")
    return found


def readable(name: str) -> Path:
    """The path of a file that can be read. Raises CommandError."""
    path = Path(name)
    if not path.is_file():
        raise CommandError(f"There is no file {name}.")
    return path


def text_of(name: str) -> str:
    """The text of a file. Raises CommandError where it is not UTF-8."""
    try:
        return readable(name).read_text("utf-8-sig")
    except UnicodeDecodeError as wrong:
        raise CommandError(f"{name} is not UTF-8 (byte {wrong.start + 1}); save it as UTF-8.") from None


def sentence(wrong: ValidationError) -> str:
    return " ".join(wrong.messages)


def finish(command: BaseCommand, said: str, values: dict[str, Any], *, as_json: bool) -> None:
    """Says how it went: a sentence for people, or one JSON object on the last line."""
    command.stdout.write(json.dumps(values, ensure_ascii=False) if as_json else said)
