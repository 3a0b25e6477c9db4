"""Launching runs from a form made of the trainer's own schema, watching them, ending them."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from annotation.requests import ProjectRequest
from training import configuring, launching, preparing, reporting
from training.listing import ListingFailed, listing
from training.models import Model, Run
from webapp.people.permitting import project

TITLES = {
    Run.QUEUED: "Waiting for a worker", Run.STARTING: "Starting", Run.RUNNING: "Running", Run.STOPPING: "Stopping",
    Run.SUCCEEDED: "Succeeded", Run.FAILED: "Failed", Run.CANCELLED: "Cancelled",
}  # fmt: skip


@project("train")
def runs(request: ProjectRequest, slug: str) -> HttpResponse:
    found = request.project.runs.select_related("snapshot", "launched_by")[:200]
    rows = [{"run": run, "title": TITLES[run.state], "accuracy": run.numbers.get("accuracy/model")} for run in found]
    context = {"project": request.project, "rows": rows, "has_snapshots": request.project.snapshots.exists()}
    return render(request, "training/runs.html", context)


@project("train")
def new(request: ProjectRequest, slug: str) -> HttpResponse:
    """First which trainer, then its form. `?from=<run>` starts from another run's settings."""
    try:
        found = listing()
    except ListingFailed as wrong:
        return render(request, "training/new_run.html", {"project": request.project, "failed": str(wrong)})
    source = _source(request)
    name = request.POST.get("trainer") or request.GET.get("trainer") or (source.trainer if source else "")
    if not name and len(found.trainers) == 1:
        name = next(iter(found.trainers))
    offered = found.trainers.get(name)
    if offered is None:
        return render(
            request, "training/new_run.html", {"project": request.project, "trainers": found.trainers.values()}
        )
    start = {"config": source.config, "models": source.models_used, "seed": source.seed} if source else {}
    values: dict[str, Any] = {"config": {}, "models": {}, "seed": 0} | start
    faults: dict[str, str] = {}
    if request.method == "POST":
        values, faults = _values(request, offered)
        if not faults:
            try:
                run = launching.launch(
                    project=request.project, trainer=name, actor=request.user,
                    snapshot=get_object_or_404(request.project.snapshots, hash=request.POST.get("snapshot", "")),
                    **values,
                )  # fmt: skip
            except launching.CannotLaunch as wrong:
                faults = wrong.faults
            else:
                return redirect("run", slug=slug, run_id=run.pk)
    context = _form(request, offered, values, faults, source)
    return render(request, "training/new_run.html", context, status=400 if faults else 200)


def _source(request: ProjectRequest) -> Run | None:
    number = request.GET.get("from", "")
    named = number.isascii() and number.isdigit() and len(number) < 19
    return request.project.runs.filter(pk=int(number)).first() if named else None


def _values(request: ProjectRequest, offered: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    config, faults = configuring.read(offered["schema"], request.POST)
    models = {}
    for role in offered["needs"]["models"]:
        other = request.POST.get(f"other-{role}", "").strip()
        models[role] = other or request.POST.get(f"model-{role}", "").strip()
    seed = request.POST.get("seed", "0").strip()
    if not (seed.isascii() and seed.isdigit() and len(seed) < 11):
        faults["seed"] = "a seed is a whole number, 0 or more"
    return {"config": config, "models": models, "seed": 0 if "seed" in faults else int(seed or 0)}, faults


def _form(
    request: ProjectRequest, offered: dict[str, Any], values: dict[str, Any], faults: dict[str, str], source: Run | None
) -> dict[str, Any]:
    needs = offered["needs"]
    config = values["config"]
    if request.method == "POST":  # what was typed stays, also where it was wrong
        typed = {name: request.POST.get(f"config-{name}") for name in faults}
        config = config | {name: text for name, text in typed.items() if text is not None}
    chosen = request.POST.get("snapshot") or request.GET.get("snapshot") or (source.snapshot.hash if source else "")
    suited = [s for s in request.project.snapshots.all()[:100] if s.rows in needs["rows"]]
    known = set(offered["schema"].get("properties", {})) | set(needs["models"]) | {"seed", "snapshot"}
    return {
        "project": request.project,
        "trainer": offered,
        "fields": configuring.fields(offered["schema"], config, faults),
        "roles": [
            _role(request, role, verb, values["models"].get(role, ""), faults) for role, verb in needs["models"].items()
        ],
        "snapshots": suited,
        "chosen": chosen or (suited[0].hash if suited else ""),
        "seed": request.POST.get("seed", "") if "seed" in faults else values["seed"],
        "faults": faults,
        "other_faults": [text for name, text in faults.items() if name not in known],
        "unsuited": request.project.snapshots.count() - len(suited),
    }


def _role(request: ProjectRequest, role: str, verb: str, value: str, faults: dict[str, str]) -> dict[str, Any]:
    own = [model.ref for model in Model.objects.filter(project=request.project) if verb in model.yields]
    choices = [*listing().model_strings(), *own]
    value = value or _best(choices)
    return {
        "name": role, "verb": verb, "choices": choices, "value": value if value in choices else "",
        "other": "" if value in choices else value, "error": faults.get(role, ""),
    }  # fmt: skip


def _best(choices: list[str]) -> str:
    """Real weights before fresh ones."""
    return next((ref for ref in choices if not ref.startswith("tiny:")), choices[0] if choices else "")


@project("train")
def run(request: ProjectRequest, slug: str, run_id: int) -> HttpResponse:
    found = get_object_or_404(request.project.runs.select_related("snapshot", "launched_by"), pk=run_id)
    context = {
        "project": request.project,
        "run": found,
        "title": TITLES[found.state],
        "model": Model.objects.filter(run=found).first(),
        "comparisons": reporting.comparisons(found.numbers),
        "verdict": reporting.verdict(found.numbers),
        "numbers": sorted(found.numbers.items()),
        "held_out": reporting.held_out(found.numbers),
        "took": reporting.took(found),
        "log": reporting.log_tail(found),
        "samples": found.samples.order_by("-id")[:20],
        "replay": preparing.replay_command(found),
        "remaining": reporting.remaining_seconds(found),
    }
    return render(request, "training/run.html", context)


@project("train")
def live(request: ProjectRequest, slug: str, run_id: int) -> JsonResponse:
    """What the run's page draws while it lives."""
    found = get_object_or_404(request.project.runs, pk=run_id)
    progress = {"done": found.done, "total": found.total, "remaining_s": reporting.remaining_seconds(found)}
    return JsonResponse(
        {
            "live": found.is_live,
            "state": found.state,
            "state_title": TITLES[found.state] + (f": {found.message}" if found.message else ""),
            "progress": progress,
            "metrics": reporting.curves(found),
            "log": reporting.log_tail(found),
            "log_offset": found.log_offset,
            "error": None,  # the page itself says it, once
        }
    )


@project("train")
@require_POST
def cancel(request: ProjectRequest, slug: str, run_id: int) -> HttpResponse:
    found = get_object_or_404(request.project.runs, pk=run_id)
    launching.cancel(run=found, actor=request.user)
    messages.info(request, "The run was asked to stop. What it has learned so far is not kept as a model.")
    return redirect("run", slug=slug, run_id=run_id)
