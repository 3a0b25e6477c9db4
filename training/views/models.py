"""Models: what they reached, where they come from, and trying them."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext

from annotation.requests import ProjectRequest
from training import answering
from training.models import Model
from training.reporting import results
from webapp.people.permitting import project
from webapp.saying import number

MOST_TEXTS, MOST_CHARACTERS = 10, 20_000


@project("train")
def models(request: ProjectRequest, slug: str) -> HttpResponse:
    found = Model.objects.filter(project=request.project).select_related("run", "run__snapshot")[:200]
    rows = [{"model": model, "accuracy": model.run.numbers.get("accuracy/model")} for model in found]
    return render(request, "training/models.html", {"project": request.project, "rows": rows})


@project("score")
def model(request: ProjectRequest, slug: str, model_id: int) -> HttpResponse:
    """A model's numbers, its lineage, and the form to try it."""
    found = get_object_or_404(
        Model.objects.select_related("run", "run__snapshot"), pk=model_id, project=request.project
    )
    context: dict[str, Any] = {
        "project": request.project,
        "model": found,
        "run": found.run,
        "snapshot": found.run.snapshot,
        "comparisons": results.comparisons(found.run.numbers),
        "verdict": results.verdict(found.run.numbers),
        "numbers": sorted(found.run.numbers.items()),
        "behind": results.judgements_behind(found.run.snapshot),
        "held_out": results.held_out(found.run.numbers),
        "can_score": "score" in found.yields,
        "prompt": "",
        "completions": ["", ""],
    }
    if request.method == "POST":
        context |= _tried(request, found)
    return render(request, "training/model.html", context, status=400 if context.get("error") else 200)


def _tried(request: ProjectRequest, found: Model) -> dict[str, Any]:
    prompt = request.POST.get("prompt", "")
    completions = request.POST.getlist("completion")[:MOST_TEXTS]
    filled = [text for text in completions if text.strip()]
    tried: dict[str, Any] = {"prompt": prompt, "completions": completions or [""]}
    if not prompt.strip() or not filled:
        return tried | {"error": gettext("Write a prompt and at least one answer to it.")}
    if len(prompt) > MOST_CHARACTERS or any(len(text) > MOST_CHARACTERS for text in filled):
        said = gettext("A text here has at most %(n)s characters.")
        return tried | {"error": said % {"n": number(MOST_CHARACTERS)}}
    try:
        scores = answering.score(model=found, prompt=prompt, completions=filled)
    except answering.NoAnswer as wrong:
        return tried | {"error": str(wrong)}
    low, best = min(scores), max(scores)
    span = (best - low) or 1.0
    results = [
        {"text": text, "score": score, "best": score == best, "share": round(100 * (score - low) / span)}
        for score, text in sorted(zip(scores, filled, strict=True), reverse=True)
    ]
    return tried | {"results": results}
