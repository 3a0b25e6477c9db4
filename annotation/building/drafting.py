"""Drafts of questions, as `asking.change` takes them: new ones, and those that are stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from annotation import asking
from annotation.kinds import KINDS
from annotation.models import Question


def blank(kind: str, taken: Sequence[str]) -> dict[str, Any]:
    """A new question of a kind with its own words, under a name that none of `taken` has."""
    return asking.draft(kind, name=asking.free_name(kind, taken), required=KINDS[kind].required, options={})


def drafts_of(questions: Sequence[Question]) -> list[dict[str, Any]]:
    """Stored questions as `asking.change` takes them."""
    return [
        {"name": q.name, "kind": q.kind, "title": q.title, "help": q.help, "required": q.required, "options": q.options}
        for q in questions
    ]
