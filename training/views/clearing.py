"""Archived runs, and making room: choose runs, look at what would go, and only then let it go."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext, ngettext

from annotation.requests import ProjectRequest
from training import clearing, preparing
from training.machine import disk
from training.models import Model, Run
from webapp.people.permitting import project

A_PAGE = 50
SHOWN = ("ended", "archived")


@project("train")
def archive(request: ProjectRequest, slug: str) -> HttpResponse:
    """GET lists ended runs (`?show=ended`) or archived ones. POST: `action` with the ticked runs; deleting asks first."""
    if request.method != "POST":
        return _list(request)
    action, chosen = request.POST.get("action", ""), _chosen(request)
    back = f"{reverse('runs_archive', args=[slug])}?show={'archived' if request.POST.get('show') == 'archived' else 'ended'}"
    if not chosen:
        messages.info(request, gettext("No run was ticked; nothing was changed."))
    elif action in ("archive", "restore"):
        count = clearing.archive(project=request.project, runs=chosen, actor=request.user, restore=action == "restore")
        messages.info(request, _moved(count, restored=action == "restore"))
    elif action in clearing.TAKES and request.POST.get("sure") != "yes":
        shown = clearing.preview(project=request.project, runs=chosen, way=action)
        return render(request, "training/clear.html", _preview(request, shown, back))
    elif action in clearing.TAKES:
        messages.success(
            request, _done(clearing.clear(project=request.project, runs=chosen, way=action, actor=request.user))
        )
    return redirect(back)


def _moved(count: int, *, restored: bool) -> str:
    if restored:
        said = ngettext("%(n)d run was put back into the lists.", "%(n)d runs were put back into the lists.", count)
    else:
        said = ngettext(
            "%(n)d run was archived; nothing of it was deleted.",
            "%(n)d runs were archived; nothing of them was deleted.",
            count,
        )
    return said % {"n": count}


def _chosen(request: ProjectRequest) -> list[int]:
    given = request.POST.getlist("run")
    return sorted({int(text) for text in given if text.isascii() and text.isdigit() and len(text) < 19})


def _list(request: ProjectRequest) -> HttpResponse:
    ended = request.project.runs.filter(state__in=Run.ENDED)
    counts = {
        "ended": ended.filter(archived_at=None).count(), "archived": ended.exclude(archived_at=None).count()
    }  # fmt: skip
    asked = request.GET.get("show", "")
    show = asked if asked in SHOWN else "archived" if counts["archived"] else "ended"
    found = ended.filter(archived_at__isnull=show == "ended").select_related("model")
    page = Paginator(found, A_PAGE).get_page(request.GET.get("page"))
    rows = [_row(run) for run in page]
    context = {"project": request.project, "show": show, "counts": counts, "page": page, "rows": rows}
    return render(request, "training/archived_runs.html", context)


def _row(run: Run) -> dict[str, Any]:
    size = disk.folder_size(preparing.folder(run))
    return {"run": run, "size": disk.in_words(size) if size else "", "model": getattr(run, "model", None)}


def _preview(request: ProjectRequest, shown: clearing.Preview, back: str) -> dict[str, Any]:
    names = [name for name in clearing.TAKES[shown.way] if any(name in one.sizes for one in shown.goes)]
    goes = [
        {"run": one.run, "size": disk.in_words(one.bytes),
         "parts": [disk.in_words(one.sizes[name]) if name in one.sizes else "" for name in names]}
        for one in shown.goes
    ]  # fmt: skip
    return {
        "project": request.project, "way": shown.way, "goes": goes, "stays": shown.stays, "names": names, "back": back,
        "total": disk.in_words(shown.bytes), "show": request.POST.get("show", ""),
        "models": Model.objects.filter(run__in=[one.run for one in shown.goes]).count(),
    }  # fmt: skip


def _done(done: clearing.Preview) -> str:
    count, size = len(done.goes), disk.in_words(done.bytes)
    if done.way == clearing.DELETE:
        said = ngettext(
            "%(n)d run was deleted; %(size)s are free again.",
            "%(n)d runs were deleted; %(size)s are free again.",
            count,
        )
    else:
        said = ngettext(
            "%(n)d run was cleared of checkpoints and logs; %(size)s are free again.",
            "%(n)d runs were cleared of checkpoints and logs; %(size)s are free again.",
            count,
        )
    stays = [gettext("Run %(run)s stays: %(why)s.") % {"run": one.run.pk, "why": one.why} for one in done.stays[:5]]
    return " ".join([said % {"n": count, "size": size}, *stays])
