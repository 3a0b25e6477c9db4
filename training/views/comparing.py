"""Runs beside each other: their curves in one chart a metric, the settings in which they differ, their final numbers."""

from __future__ import annotations

from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from annotation.requests import ProjectRequest
from training.reporting import comparing, curving, meaning
from webapp.people.permitting import project


@project("train")
def compare(request: ProjectRequest, slug: str) -> HttpResponse:
    """`?runs=3,5,8`: an address to share. Check boxes send `runs=3&runs=5`, and are led to that address."""
    asked = request.GET.getlist("runs")
    runs, unknown = curving.chosen(request.project.runs.select_related("snapshot"), asked)
    if len(asked) > 1 and runs:
        return redirect(f"{reverse('compare_runs', args=[slug])}?runs={','.join(str(run.pk) for run in runs)}")
    shown = runs[: curving.MOST]
    rows = comparing.explained(shown)
    settings = comparing.titled(shown, comparing.differing(shown) if shown else [])
    names = dict.fromkeys([*(row.name for row in rows), *curving.names(shown)])
    context = {
        "project": request.project,
        "runs": [{"run": run, "title": run.state_title} for run in shown],
        "ids": ",".join(str(run.pk) for run in shown),
        "unknown": unknown,
        "most": curving.MOST,
        "left_out": runs[curving.MOST :],
        "differing": [row for row in settings if None not in row[2]],
        "of_some": [row for row in settings if None in row[2]],
        "numbers": [row for row in rows if row.is_shared],
        "numbers_of_one": [row for row in rows if not row.is_shared],
        "glossary": [one for one in meaning.across(shown, names) if one.title],
        "all": request.GET.get("curves") == "all",
        "snapshots_differ": len({run.snapshot_id for run in shown}) > 1,
        "others": [] if shown else request.project.runs.filter(archived_at=None)[:50],
    }
    return render(request, "training/compare.html", context)


@project("train")
def curves(request: ProjectRequest, slug: str) -> JsonResponse:
    """The curves of `?runs=3,5,8`, and whether any of them lives; `only=shared` leaves out what one of them alone has."""
    runs, _ = curving.chosen(request.project.runs, request.GET.getlist("runs"))
    told = curving.told(runs[: curving.MOST])
    if request.GET.get("only") == "shared":
        told = curving.shared(told)
    return JsonResponse({"live": any(run["live"] for run in told), "runs": told})
