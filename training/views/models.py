"""Models: what they reached, where they come from, and trying them."""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence
from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext

from annotation.requests import ProjectRequest
from feinschliff.best_of import kl_bound, scores_of
from training import answering
from training.models import Model
from training.reporting import meaning, pairing, picturing, results
from training.trying import VERBS
from training.views import trying
from webapp.people.permitting import project
from webapp.saying import number

MOST_TEXTS, MOST_CHARACTERS = 10, 20_000
MOST_ANSWERS, TEMPERATURE = 16, 0.8
LONGEST, MOST_TOKENS = 256, 1024  # of an answer: what the form begins with, and what may be asked for


@project("train")
def models(request: ProjectRequest, slug: str) -> HttpResponse:
    found = Model.objects.filter(project=request.project).select_related("run", "run__snapshot")[:200]
    reached = meaning.headlines(model.run for model in found)
    rows = [{"model": model, "reached": number} for model, number in zip(found, reached, strict=True)]
    return render(request, "training/models.html", {"project": request.project, "rows": rows})


@project("score")
def model(request: ProjectRequest, slug: str, model_id: int) -> HttpResponse:
    """A model's numbers, its lineage, and the forms to try it."""
    found = get_object_or_404(
        Model.objects.select_related("run", "run__snapshot"), pk=model_id, project=request.project
    )
    context: dict[str, Any] = {
        "project": request.project,
        "model": found,
        "run": found.run,
        "snapshot": found.run.snapshot,
        "comparisons": meaning.comparisons(found.run),
        "verdict": results.verdict(found.run.numbers),
        "aside": results.aside(found.run.numbers),
        "warnings": results.warnings(found.run.numbers),
        "numbers": meaning.numbers(found.run),
        "behind": results.judgements_behind(found.run.snapshot),
        "held_out": results.held_out(found.run.numbers),
        "pairs": pairing.pairs(found.run),
        "reports": picturing.shown(found.run),
        "can_score": "score" in found.yields,
        "prompt": "",
        "completions": ["", ""],
    }
    context |= _writing(request, found) | trying.forms(found)
    if request.method == "POST":
        context |= _answered(request, found, request.POST.get("do", ""))
    wrong = context.get("error") or context.get("write_error") or context.get("error_in")
    return render(request, "training/model.html", context, status=400 if wrong else 200)


def _answered(request: ProjectRequest, found: Model, do: str) -> dict[str, Any]:
    """What the model says to the form that was sent."""
    if do in VERBS:
        return trying.tried(request, found, do)
    return _written(request, found) if do == "write" else _tried(request, found)


def _writing(request: ProjectRequest, found: Model) -> dict[str, Any]:
    """What the form needs that lets a model write: who could choose among its answers."""
    if "generate" not in found.yields:
        return {"can_write": False}
    scoring = Model.objects.filter(project=request.project, run__archived_at=None).select_related("run")
    return {
        "can_write": True, "judges": [model for model in scoring if "score" in model.yields], "most_answers": MOST_ANSWERS,
        "write_prompt": "", "write_n": 1, "write_longest": LONGEST, "most_tokens": MOST_TOKENS, "judge_ref": "",
    }  # fmt: skip


def _written(request: ProjectRequest, found: Model) -> dict[str, Any]:
    """Answers of the model; with a judge the best first, each with its score."""
    prompt, count, longest, ref = (request.POST.get(name, "").strip() for name in ("prompt", "n", "longest", "judge"))
    n, tokens = _whole(count), _whole(longest or str(LONGEST))
    tried: dict[str, Any] = {"write_prompt": prompt, "write_n": count, "write_longest": longest, "judge_ref": ref}
    if not prompt or len(prompt) > MOST_CHARACTERS or not 1 <= n <= MOST_ANSWERS:
        said = gettext("Write a prompt of at most %(n)s characters, and ask for 1 to %(most)s answers.")
        return tried | {"write_error": said % {"n": number(MOST_CHARACTERS), "most": MOST_ANSWERS}}
    if not 1 <= tokens <= MOST_TOKENS:
        said = gettext("The longest answer is from 1 to %(most)s tokens.")
        return tried | {"write_error": said % {"most": number(MOST_TOKENS)}}
    judge = next((one for one in _writing(request, found).get("judges", []) if one.ref == ref), None)
    temperature = 0.0 if n == 1 else TEMPERATURE
    try:
        texts = answering.write(
            model=found, prompt=prompt, n=n, longest=tokens, temperature=temperature, seed=secrets.randbelow(2**31)
        )
    except answering.NoAnswer as wrong:
        return tried | {"write_error": str(wrong)}
    if judge is None:
        return tried | {"written": [{"number": place, "text": text} for place, text in enumerate(texts, 1)]}
    return tried | _judged(judge, prompt, texts)


def _judged(judge: Model, prompt: str, texts: Sequence[str]) -> dict[str, Any]:
    """The answers, best first; those that the judge would not score last, with what it says: a text is never lost for that."""
    scores: Sequence[float] = [math.nan] * len(texts)
    try:
        scores, why = scores_of(answering.Judge(judge), prompt, texts)
    except answering.NoAnswer as wrong:  # its process ended, or its files are gone
        why = str(wrong)
    order = sorted(range(len(texts)), key=lambda place: (math.isnan(scores[place]), -scores[place], place))
    known = [place for place in order if not math.isnan(scores[place])]
    answers = [
        {"number": place + 1, "text": texts[place], "score": scores[place] if place in known else None}
        | {"best": place in known[:1] and len(known) > 1, "judged": True}
        for place in order
    ]
    told = {"judge": judge.ref, "n": len(texts) - len(known), "all": len(texts), "why": why or gettext("nothing")}
    said = gettext("%(judge)s was to choose and gave %(n)s of the %(all)s answers no score. It says: %(why)s")
    return {
        "written": answers,
        "judge_error": said % told if len(known) < len(texts) else "",
        "bound": number(kl_bound(len(known)), 2) if len(known) > 1 else "",
        "chosen_from": len(known),
    }


def _whole(text: str) -> int:
    """A small whole number; 0 for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0


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
