"""The annotator's desk: the next item, the answer, the way back."""

from __future__ import annotations

import json
import uuid
from contextlib import suppress
from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from annotation import asking, assigning, belonging, judging
from annotation.kinds import BadAnswer, Subject
from annotation.models import Assignment, Judgement, Membership
from annotation.rendering import plain
from annotation.rendering import render as render_text
from annotation.requests import ProjectRequest
from webapp.people.permitting import LEAD, project

SKIP_REASONS = ["not my field", "unclear or broken", "I would rather not judge this"]
MAX_ACTIVE_MS = 24 * 3600 * 1000


def _member(request: ProjectRequest) -> Membership:
    """The person's membership; a superuser who judges for the first time becomes a lead."""
    if request.membership is None:
        request.membership = belonging.join(project=request.project, user=request.user, role=LEAD)
    return request.membership


@project("judge")
def next_item(request: ProjectRequest, slug: str) -> HttpResponse:
    """The next item, or what to do when there is none."""
    member = _member(request)
    assignment = assigning.next_for(member=member)
    if assignment is None:
        context = {"project": request.project, "progress": _progress(member), "last": _last(member)}
        return render(request, "annotation/desk/done.html", context)
    return _page(request, assignment)


@project("judge")
def show(request: ProjectRequest, slug: str, assignment_id: int) -> HttpResponse:
    """One of the annotator's own items again, to correct it."""
    return _page(request, _own(request, assignment_id))


@project("judge")
@require_POST
def submit(request: ProjectRequest, slug: str, assignment_id: int) -> HttpResponse:
    assignment = _own(request, assignment_id)
    try:
        key = uuid.UUID(request.POST.get("key", ""))
    except ValueError:
        return _page(
            request, assignment, error="The page sent no valid key. Load it again and answer once more.", status=400
        )
    try:
        answers = judging.read_answers(assignment=assignment, form=request.POST)
    except BadAnswer as wrong:
        return _page(request, assignment, error=str(wrong), status=400, key=key)
    try:
        judging.submit(assignment=assignment, answers=answers, key=key, active_ms=_active_ms(request))
    except judging.Refused as refusal:
        return _page(request, assignment, error=str(refusal), status=409)
    return redirect("desk", slug=slug)


@project("judge")
@require_POST
def skip(request: ProjectRequest, slug: str, assignment_id: int) -> HttpResponse:
    assigning.skip(assignment=_own(request, assignment_id), reason=request.POST.get("reason", ""))
    return redirect("desk", slug=slug)


@project("judge")
def mine(request: ProjectRequest, slug: str) -> HttpResponse:
    """The annotator's own work, newest first."""
    member = _member(request)
    rows = (
        Judgement.objects.filter(member=member, origin="live", superseded_by=None)
        .select_related("item")
        .order_by("-id")[:200]
    )
    pages = dict(Assignment.objects.filter(member=member).values_list("item_id", "pk"))
    judgements = [
        {
            "item": plain(row.item.prompt[-1]["content"], 90),
            "summary": asking.summary(row),
            "saved_at": row.submitted_at,
            "url": reverse("assignment", args=[slug, pages[row.item_id]]),
            "corrected": row.version > 1,
            "superseded": False,
        }
        for row in rows
    ]
    return render(request, "annotation/desk/mine.html", {"project": request.project, "judgements": judgements})


@project("see")
def guidelines(request: ProjectRequest, slug: str) -> HttpResponse:
    current = request.project.guidelines.last()
    context = {
        "project": request.project,
        "guidelines_html": render_text(current.text) if current else "",
        "version": current.version if current else 0,
    }
    return render(request, "annotation/desk/guidelines.html", context)


def _own(request: ProjectRequest, assignment_id: int) -> Assignment:
    """The person's own assignment in this project, or 404."""
    found = Assignment.objects.select_related("item__project").filter(item__project=request.project)
    return get_object_or_404(found, pk=assignment_id, member=_member(request))


def _page(
    request: ProjectRequest,
    assignment: Assignment,
    *,
    error: str | None = None,
    status: int = 200,
    key: uuid.UUID | None = None,
) -> HttpResponse:
    item, project = assignment.item, request.project
    questions = asking.questions_of(project)
    subject = asking.subject_of(item, assignment.order)
    current = Judgement.objects.filter(item=item, member=assignment.member, superseded_by=None).first()
    guidelines = project.guidelines.last()
    context = {
        "project": project,
        "progress": _progress(assignment.member),
        "assignment": assignment,
        "key": key or uuid.uuid4(),
        "prompt": [{"role": m["role"], "html": render_text(m["content"]), "raw": m["content"]} for m in item.prompt],
        "passages": [{"title": p["title"], "html": render_text(p["text"]), "raw": p["text"]} for p in item.context],
        "responses": [
            {"index": place, "letter": chr(65 + place), "html": render_text(text), "raw": text}
            for place, text in enumerate(subject.texts[position] for position in assignment.order)
        ],
        "questions": [_question(number, asked, subject) for number, asked in enumerate(questions, 1)],
        "entered": json.dumps(_entered(request) or (_said(questions, current, subject) if current else {})),
        "last": _last(assignment.member, but_not=assignment),
        "guidelines_html": render_text(guidelines.text) if guidelines else "",
        "submit_url": reverse("submit", args=[project.slug, assignment.pk]),
        "skip_url": reverse("skip", args=[project.slug, assignment.pk]),
        "skip_reasons": SKIP_REASONS,
        "correcting": current is not None,
        "lease_minutes": int(assigning.lease().total_seconds() // 60),
        "error": error,
    }
    return render(request, "annotation/desk/judge.html", context, status=status)


def _question(number: int, asked: asking.Asked, subject: Subject) -> dict[str, Any]:
    """What a question's template gets as `q`; `fields` is what its form fields' names begin with."""
    kind = asked.kind
    return {
        "number": number, "name": asked.name, "title": asked.title, "help": asked.help, "required": asked.required,
        "kind": kind.name, "place": kind.place, "options": asked.options, "fields": f"{asked.name}.",
        "template": f"annotation/desk/kinds/{kind.name}.html", "keys": f"annotation/desk/kinds/{kind.name}_keys.html",
    }  # fmt: skip


def _said(questions: list[asking.Asked], judgement: Judgement, subject: Subject) -> dict[str, Any]:
    """The form's fields of a judgement; of one under an older schema, what still is an answer."""
    fields: dict[str, Any] = {}
    for asked in questions:
        with suppress(BadAnswer, KeyError):
            answer = asked.kind.check(judgement.answers[asked.name], subject, asked.options)
            fields |= asked.fields(answer, subject)
    return fields


def _entered(request: ProjectRequest) -> dict[str, list[str]]:
    """What a refused form held, so that nobody types it twice."""
    if request.method != "POST":
        return {}
    return {name: request.POST.getlist(name) for name in request.POST if "." in name}


def _progress(member: Membership) -> assigning.Progress:
    return assigning.progress(project=member.project, member=member)


def _last(member: Membership, but_not: Assignment | None = None) -> dict[str, Any] | None:
    """The newest judgement, to go back to; not offered on its own page."""
    last = judging.last_of(member=member)
    if last is None or (but_not is not None and last.item_id == but_not.item_id):
        return None
    page = Assignment.objects.get(item_id=last.item_id, member=member)
    return {
        "url": reverse("assignment", args=[member.project.slug, page.pk]),
        "saved_at": last.submitted_at,
        "summary": asking.summary(last),
    }


def _active_ms(request: ProjectRequest) -> int | None:
    text = request.POST.get("active_ms", "")
    return min(int(text), MAX_ACTIVE_MS) if text.isascii() and text.isdigit() and len(text) < 12 else None
