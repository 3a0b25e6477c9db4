"""Watching runs, ending them, starting them again."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from annotation.requests import ProjectRequest
from training import launching, preparing
from training.machine import disk
from training.models import Model, Run
from training.reporting import curving, logs, meaning, pacing, pairing, picturing, results, sampling
from webapp.people import noticing
from webapp.people.permitting import project


@project("train")
def runs(request: ProjectRequest, slug: str) -> HttpResponse:
    there = request.project.runs.filter(archived_at=None).select_related("snapshot", "launched_by")[:200]
    rows = [
        {
            "run": run, "title": run.state_title, "reached": reached,
            "stopped": results.stopped(run.numbers), "warned": bool(results.warnings(run.numbers)),
        }
        for run, reached in zip(there, meaning.headlines(there), strict=True)
    ]  # fmt: skip
    context = {
        "project": request.project,
        "rows": rows,
        "archived": request.project.runs.exclude(archived_at=None).count(),
        "has_snapshots": request.project.snapshots.exists(),
    }
    return render(request, "training/runs.html", context)


@project("train")
def run(request: ProjectRequest, slug: str, run_id: int) -> HttpResponse:
    found = get_object_or_404(request.project.runs.select_related("snapshot", "launched_by"), pk=run_id)
    beside, _ = curving.chosen(request.project.runs.exclude(pk=found.pk), request.GET.getlist("with"))
    beside = beside[: curving.MOST - 1]
    cause, _, last_words = found.error.partition("\n")
    context = {
        "project": request.project,
        "run": found,
        "title": found.state_title,
        "model": Model.objects.filter(run=found).first(),
        "comparisons": meaning.comparisons(found),
        "verdict": results.verdict(found.numbers),
        "aside": results.aside(found.numbers),
        "warnings": results.warnings(found.numbers),
        "numbers": meaning.numbers(found),
        "glossary": meaning.curves(found),
        "held_out": results.held_out(found.numbers),
        "took": results.took(found),
        "size": disk.in_words(disk.folder_size(preparing.folder(found))),
        "progress": pacing.told(found),
        "log": logs.log_tail(found),
        "settings": results.made_with(found),
        "cause": cause,
        "last_words": last_words.strip("\n") or (logs.last_lines(found) if cause else ""),
        "written": sampling.samples_by_prompt(found),
        "pairs": pairing.pairs(found),
        "reports": picturing.shown(found),
        "stopped": results.stopped(found.numbers),
        "replay": preparing.replay_command(found),
        "beside": beside,
        "comparable": _with_those(curving.comparable(found), beside),
        "relaunched": request.project.runs.filter(launched_from=found),
    }
    return render(request, "training/run.html", context)


def _with_those(others: list[Run], chosen: list[Run]) -> list[Run]:
    return [*chosen, *(run for run in others if run not in chosen)]


@project("train")
def live(request: ProjectRequest, slug: str, run_id: int) -> JsonResponse:
    """What the run's page draws while it lives: its state, and the curves of it and of those laid beside it."""
    found = get_object_or_404(request.project.runs, pk=run_id)
    beside, _ = curving.chosen(request.project.runs.exclude(pk=found.pk), request.GET.getlist("with"))
    answer: dict[str, Any] = {
        "live": found.is_live,
        "state": found.state,
        "state_title": f"{found.state_title}: {found.message}" if found.message else found.state_title,
        "progress": pacing.told(found),
        "runs": curving.told([found, *beside[: curving.MOST - 1]]),
        "samples": found.samples.count(),
        "reports": picturing.stamp(found),
        "log": logs.log_tail(found),
        "unread": noticing.unread(request.user),
    }
    return JsonResponse(answer)


@project("train")
@require_POST
def cancel(request: ProjectRequest, slug: str, run_id: int) -> HttpResponse:
    """Asks once whether to (`sure=yes`): hours of work may go with it."""
    found = get_object_or_404(request.project.runs, pk=run_id)
    if found.is_live and request.POST.get("sure") != "yes":
        context = {"project": request.project, "run": found, "waits": not found.attempts}
        return render(request, "training/cancel.html", context)
    launching.cancel(run=found, actor=request.user)
    if found.attempts:
        messages.info(request, gettext("The run was asked to stop. What it has learned so far is not kept as a model."))
    else:
        messages.info(request, gettext("The run was taken out of the queue; it had not begun."))
    return redirect("run", slug=slug, run_id=run_id)


@project("train")
@require_POST
def relaunch(request: ProjectRequest, slug: str, run_id: int) -> HttpResponse:
    """The same once more: same settings, same seed, same rows. Where that cannot be, its form says what is wrong."""
    found = get_object_or_404(request.project.runs, pk=run_id)
    try:
        again = launching.launch(
            project=request.project, trainer=found.trainer, snapshot=found.snapshot, config=found.config,
            models=found.models_used, seed=found.seed, ranks=found.ranks, name=found.name, launched_from=found,
            actor=request.user,
        )  # fmt: skip
    except launching.CannotLaunch as wrong:
        messages.error(
            request,
            gettext("It could not be launched again as it was. %(wrong)s. Nothing was launched.") % {"wrong": wrong},
        )
        return redirect(f"{reverse('new_run', args=[slug])}?from={run_id}")
    messages.success(
        request, gettext("Launched again as run %(run)s, with the same settings and the same seed.") % {"run": again.pk}
    )
    return redirect("run", slug=slug, run_id=again.pk)


@project("train")
@require_POST
def rename(request: ProjectRequest, slug: str, run_id: int) -> HttpResponse:
    found = get_object_or_404(request.project.runs, pk=run_id)
    try:
        launching.rename(run=found, name=request.POST.get("name", ""), actor=request.user)
    except launching.CannotLaunch as wrong:
        messages.error(
            request, gettext("The run keeps its name: %(wrong)s.") % {"wrong": "; ".join(wrong.faults.values())}
        )
    return redirect("run", slug=slug, run_id=run_id)
