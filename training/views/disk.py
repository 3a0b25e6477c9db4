"""What the disk holds, for those who run the site; and the warning that it fills, for those who can do something."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext

from annotation.belonging import project_for
from annotation.models import Project
from training.machine import disk
from webapp.people.models import User
from webapp.people.permitting import SignedInRequest, may, site


@site("see_disk")
def show(request: SignedInRequest) -> HttpResponse:
    parts = disk.parts()
    largest = max((part.bytes for part in parts), default=0)
    context = {
        "parts": [_shown(part, largest) for part in parts],
        "projects": [_shown(part, largest) for part in _theirs(request.user)],
        "total": disk.in_words(sum(part.bytes for part in parts)),
        "free": disk.in_words(disk.free()),
        "reserve": disk.in_words(settings.RUN_DISK_RESERVE_BYTES),
        "home": settings.HOME,
    }
    return render(request, "training/disk.html", context)


def _shown(part: disk.Part, largest: int) -> dict[str, Any]:
    return {
        "name": part.name, "project": part.project, "size": disk.in_words(part.bytes),
        "share": round(100 * part.bytes / largest) if largest else 0,
    }  # fmt: skip


def _theirs(user: User) -> list[disk.Part]:
    """The projects that exist for this person by name, all others as one."""
    found = disk.runs_by_project()
    known = [part for part in found if part.project is None or may_train(user, part.project)]
    others = sum(part.bytes for part in found if part not in known)
    return [*known, disk.Part(gettext("Other projects"), others)] if others else known


def may_train(user: User, project: Project) -> bool:
    found = project_for(user, project.slug)
    return found is not None and may(user, "train", found[1].role if found[1] else None)


def low_disk(request: HttpRequest) -> dict[str, str]:
    """Template context: `low_disk`, a sentence for those who may train here or look after the site; else empty."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {"low_disk": ""}
    concerned = may(user, "see_disk") or may(user, "train", getattr(request, "role", None))
    return {"low_disk": disk.warning() if concerned else ""}
