"""The guidelines: read by annotators, confirmed where they changed, written by leads."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from annotation import concurring, guiding, reviewing
from annotation.models import Guidelines, Item
from annotation.rendering import render as render_text
from annotation.requests import ProjectRequest
from webapp.people.permitting import may, project

BLANK_ANSWERS = 2
#: verdicts that a lead can pick; any other words can be typed
VERDICTS = [_("good"), _("bad"), _("better"), _("worse")]


@project("see")
def guidelines(request: ProjectRequest, slug: str) -> HttpResponse:
    """What is in force, its examples, and what changed from version to version."""
    current = request.project.guidelines.last()
    versions = list(request.project.guidelines.order_by("version"))
    context: dict[str, Any] = {
        "project": request.project,
        "guidelines_html": render_text(current.text) if current else "",
        "examples": _shown(current.examples) if current else [],
        "version": current.version if current else 0,
        "manages": may(request.user, "manage", request.role),
        "changes": [_change(old, new) for old, new in pairwise(versions)][::-1],
    }
    if context["manages"] and current:
        older = reviewing.judgements(request.project, reviewing.Wanted(before_version=current.version))
        context |= {"older": older.count(), "moved": concurring.by_guidelines(request.project)}
    return render(request, "annotation/desk/guidelines.html", context)


def gate(request: ProjectRequest, reading: guiding.Reading) -> HttpResponse:
    """The page that stands before the desk while somebody has not confirmed the guidelines of now."""
    context = {
        "project": request.project,
        "version": reading.now.version,
        "guidelines_html": render_text(reading.now.text),
        "examples": _shown(reading.now.examples),
        "change": _change(reading.before, reading.now) if reading.before else None,
        "goes_on": request.get_full_path(),
    }
    return render(request, "annotation/desk/must_read.html", context)


@project("judge")
@require_POST
def confirm(request: ProjectRequest, slug: str) -> HttpResponse:
    """Somebody has read a version; the desk comes next."""
    version = request.POST.get("version", "")
    if request.membership and version.isascii() and version.isdigit() and len(version) < 9:
        guiding.confirm(member=request.membership, version=int(version))
    onward = request.POST.get("next", "")
    inside = re.fullmatch(rf"/p/{re.escape(slug)}/[\w/-]*", onward)  # never to another site
    return redirect(onward if inside else "desk", *([] if inside else [slug]))


@project("manage")
def write(request: ProjectRequest, slug: str) -> HttpResponse:
    """The lead's page: text with a live preview, examples, and what is new in words."""
    last = request.project.guidelines.last()
    if request.method == "POST":
        return _written(request, last)
    examples: list[Any] = [dict(example) for example in last.examples] if last else []
    item = request.GET.get("item", "")
    if item.isascii() and item.isdigit() and len(item) < 12:
        examples.append(guiding.example_of(get_object_or_404(Item, pk=item, project=request.project)))
    return _form(request, last, last.text if last else "", examples)


def _written(request: ProjectRequest, last: Guidelines | None) -> HttpResponse:
    text = request.POST.get("text", "").replace("\r\n", "\n")
    examples, change = entered_examples(request.POST), request.POST.get("change", "")
    if "add_example" in request.POST:
        return _form(request, last, text, [*examples, {"prompt": "", "answers": [], "why": ""}], change)
    based_on = request.POST.get("based_on", "")
    if last and based_on.isdigit() and based_on != str(last.version):
        wrong = gettext(
            "Somebody has written version %(n)d meanwhile. Look at it in another tab; saving again writes over it."
        )
        return _form(request, last, text, examples, change, error=wrong % {"n": last.version})
    try:
        made = guiding.write(project=request.project, text=text, examples=examples, change=change, actor=request.user)
    except ValidationError as refused:
        return _form(request, last, text, examples, change, error=refused.messages[0])
    if last and made.pk == last.pk:
        messages.info(request, gettext("Nothing is different, so this is still version %(n)d.") % {"n": made.version})
    else:
        messages.success(
            request,
            gettext("Saved as version %(n)d. Annotators read what changed before they go on.") % {"n": made.version},
        )
    return redirect("guidelines", slug=request.project.slug)


@project("manage")
@require_POST
def preview(request: ProjectRequest, slug: str) -> HttpResponse:
    """The text as annotators will see it: a fragment."""
    text = request.POST.get("text", "")[: guiding.MOST_TEXT]
    return HttpResponse(render_text(text.replace("\r\n", "\n")))


def entered_examples(form: QueryDict) -> list[dict[str, Any]]:
    """The examples in a submitted form: `example-<n>-prompt`, `-why`, and lists `-answer` and `-verdict`."""
    numbers = sorted({int(found[1]) for name in form if (found := re.fullmatch(r"example-(\d{1,3})-prompt", name))})
    examples = []
    for number in numbers:
        texts = form.getlist(f"example-{number}-answer")
        verdicts = form.getlist(f"example-{number}-verdict")
        verdicts += [""] * (len(texts) - len(verdicts))
        examples.append(
            {
                "prompt": form.get(f"example-{number}-prompt", "").replace("\r\n", "\n"),
                "why": form.get(f"example-{number}-why", "").replace("\r\n", "\n"),
                "answers": [
                    {"text": text.replace("\r\n", "\n"), "verdict": verdict}
                    for text, verdict in zip(texts, verdicts, strict=False)
                    if text.strip() or verdict.strip()
                ],
            }
        )
    return examples


def _form(
    request: ProjectRequest,
    last: Guidelines | None,
    text: str,
    examples: list[Any],
    change: str = "",
    *,
    error: str = "",
) -> HttpResponse:
    for example in examples:  # room for more answers
        blank = {"text": "", "verdict": ""}
        room = max(1, BLANK_ANSWERS - len(example["answers"]))
        example["answers"] = [*example["answers"], *[blank] * room][
            : max(guiding.MOST_ANSWERS, len(example["answers"]))
        ]
    context = {
        "project": request.project,
        "text": text,
        "preview_html": render_text(text),
        "examples": examples,
        "change": change,
        "version": last.version if last else 0,
        "verdicts": VERDICTS,
        "error": error,
    }
    return render(request, "annotation/write_guidelines.html", context, status=400 if error else 200)


def _change(old: Guidelines, new: Guidelines) -> dict[str, Any]:
    came, went = guiding.examples_changed(old, new)
    return {
        "before": old.version, "version": new.version, "words": new.change, "at": new.created_at,
        "stretches": guiding.difference(old.text, new.text) if old.text != new.text else [],
        "came": _shown(came), "went": _shown(went),
    }  # fmt: skip


def _shown(examples: list[Any]) -> list[dict[str, Any]]:
    """Examples with their texts rendered."""
    return [
        {
            "prompt": render_text(example["prompt"]),
            "why": render_text(example["why"]),
            "answers": [{"html": render_text(a["text"]), "verdict": a["verdict"]} for a in example["answers"]],
        }
        for example in examples
    ]
