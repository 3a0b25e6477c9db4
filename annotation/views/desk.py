"""The annotator's desk: the next item, the ones after it, the answer, the draft, the way back.

Every form works without JavaScript, by redirects. With it one page stays open: it fetches sheets ahead and sends forms in
the background, and then gets JSON, which it asks for by its Accept header.
"""

from __future__ import annotations

import uuid
from dataclasses import asdict
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from annotation import asking, assigning, drafting, guiding, judging, reviewing
from annotation.kinds import BadAnswer
from annotation.models import Assignment, Judgement, Membership
from annotation.requests import ProjectRequest
from annotation.views import guidelines, sheets
from webapp.people.permitting import project

MOST_IDS = 20


@project("judge")
def next_item(request: ProjectRequest, slug: str) -> HttpResponse:
    """The next item, or what to do when there is none."""
    member = sheets.member_of(request)
    if unread := guiding.must_read(member=member):
        return guidelines.gate(request, unread)
    assignment = assigning.next_for(member=member)
    if assignment is None:
        progress = assigning.progress(project=request.project, member=member)
        context = {"project": request.project, "progress": progress, "last": sheets.last(member)}
        context["waiting"] = reviewing.waiting_for(member)
        return render(request, "annotation/desk/done.html", context)
    return _page(request, assignment)


@project("judge")
@require_GET
def ahead(request: ProjectRequest, slug: str) -> HttpResponse:
    """One more sheet, for a page that has those of `shown` and `held` already; 204 when there is none now."""
    member = sheets.member_of(request)
    if guiding.must_read(member=member):
        return HttpResponse(status=204)  # the desk's own page shows what is new in the guidelines first
    found = assigning.ahead(member=member, shown=_ids(request, "shown"), held=_ids(request, "held"))
    return HttpResponse(status=204) if found is None else _sheet(request, found)


@project("judge")
@require_GET
def keep(request: ProjectRequest, slug: str) -> HttpResponse:
    """Renews the leases of a page that is at work; tells it who is signed in, and a token for its next forms."""
    member = sheets.member_of(request)
    kept = assigning.keep(member=member, shown=_ids(request, "shown"), held=_ids(request, "held"))
    return JsonResponse({
        "user": request.user.pk, "token": get_token(request), "kept": kept,
        "progress": asdict(assigning.glance(member=member)),
    })  # fmt: skip


@project("judge")
def show(request: ProjectRequest, slug: str, assignment_id: int) -> HttpResponse:
    """One of the annotator's own items again, to correct it; with `?part=sheet` without the page around it."""
    assignment = _own(request, assignment_id)
    if unread := guiding.must_read(member=assignment.member):
        return guidelines.gate(request, unread)
    return _sheet(request, assignment) if request.GET.get("part") == "sheet" else _page(request, assignment)


@project("judge")
@require_POST
def submit(request: ProjectRequest, slug: str, assignment_id: int) -> HttpResponse:
    assignment = _own(request, assignment_id)
    key = _uuid(request.POST.get("key", ""))
    if key is None:
        return _refuse(request, assignment, _("The page sent no valid key. Load it again and answer once more."), 400)
    shown = _shown(request)
    try:
        version = _schema_version(request, shown.schema_version)
        answers = judging.read_answers(assignment=assignment, form=request.POST, schema_version=version)
    except BadAnswer as wrong:
        return _refuse(request, assignment, str(wrong), 400, key)
    try:
        judgement = judging.submit(
            assignment=assignment, answers=answers, key=key, active_ms=sheets.active_ms(request), sheet=shown
        )
    except judging.Refused as refusal:
        return _refuse(request, assignment, str(refusal), 409)
    if not _wants_json(request):
        return redirect(sheets.came_from(request).get("back_url") or reverse("desk", args=[slug]))
    return JsonResponse(_saved(request, assignment, judgement))


@project("judge")
@require_POST
def skip(request: ProjectRequest, slug: str, assignment_id: int) -> HttpResponse:
    assignment = _own(request, assignment_id)
    assigning.skip(
        assignment=assignment, reason=request.POST.get("reason", ""), note=request.POST.get("note", "")[:150]
    )
    if not _wants_json(request):
        messages.info(request, _("Skipped. You can take it back from “Your work”."))
        return redirect("desk", slug=slug)
    return JsonResponse({"skipped": assignment.pk, "progress": asdict(assigning.glance(member=assignment.member))})


@project("judge")
@require_POST
def unskip(request: ProjectRequest, slug: str, assignment_id: int) -> HttpResponse:
    """Takes a skipped item back, if nobody else has taken its place."""
    assignment = _own(request, assignment_id)
    if assigning.unskip(assignment=assignment):
        return _sheet(request, assignment) if _wants_json(request) else redirect("assignment", slug, assignment.pk)
    error = _("Others have completed this item since you skipped it. There is nothing left to do for it.")
    if _wants_json(request):
        return JsonResponse({"error": error}, status=409)
    messages.error(request, error)
    return redirect("mine", slug=slug)


@project("judge")
@require_POST
def draft(request: ProjectRequest, slug: str, assignment_id: int) -> HttpResponse:
    """Keeps what is entered and not sent yet; renews the lease, for somebody is at work."""
    assignment = _own(request, assignment_id)
    try:
        kept = drafting.keep(
            assignment=assignment, fields=sheets.fields_in(request), expects=_number(request.POST.get("expects", ""))
        )
    except drafting.TooLarge:
        return JsonResponse({"error": _("This draft is too large to keep.")}, status=400)
    assigning.keep(member=assignment.member, shown=[assignment.pk])
    return JsonResponse({"saved_at": int(kept.saved_at.timestamp() * 1000) if kept else None})


def _own(request: ProjectRequest, assignment_id: int) -> Assignment:
    """The person's own assignment in this project, or 404."""
    found = Assignment.objects.select_related("item__project", "member__project").filter(item__project=request.project)
    return get_object_or_404(found, pk=assignment_id, member=sheets.member_of(request))


def _page(
    request: ProjectRequest,
    assignment: Assignment,
    *,
    error: str | None = None,
    status: int = 200,
    key: uuid.UUID | None = None,
) -> HttpResponse:
    """The whole desk, with one sheet on it."""
    context = sheets.frame(request, assignment.member, but_not=assignment)
    context |= sheets.sheet(request, assignment, error=error, key=key)
    return render(request, "annotation/desk/judge.html", context, status=status)


def _sheet(request: ProjectRequest, assignment: Assignment) -> HttpResponse:
    """One sheet alone, for the page that is there already."""
    return render(request, "annotation/desk/sheet.html", sheets.sheet(request, assignment))


def _refuse(
    request: ProjectRequest, assignment: Assignment, error: str, status: int, key: uuid.UUID | None = None
) -> HttpResponse:
    if _wants_json(request):
        return JsonResponse({"error": error}, status=status)
    return _page(request, assignment, error=error, status=status, key=key)


def _saved(request: ProjectRequest, assignment: Assignment, judgement: Judgement) -> dict[str, Any]:
    member: Membership = assignment.member
    return {
        "saved_at": int(judgement.submitted_at.timestamp() * 1000),
        "url": reverse("assignment", args=[request.project.slug, assignment.pk]),
        "correctable": judging.may_correct(judgement=judgement),
        "summary": asking.summary(judgement),
        "progress": asdict(assigning.glance(member=member)),
    }


def _shown(request: ProjectRequest) -> judging.Sheet:
    """What the page says that it had before it."""
    form = request.POST
    return judging.Sheet(
        expects=_number(form.get("expects", "")),
        replaces=_uuid(form.get("replaces", "")),
        guidelines_version=_number(form.get("guidelines_version", "")),
        schema_version=_number(form.get("schema_version", "")),
    )


def _schema_version(request: ProjectRequest, shown: int | None) -> int | None:
    """The version of the questions on the page. Raises BadAnswer for one that was never asked."""
    if shown is not None and not request.project.questions.filter(version=shown).exists():
        raise BadAnswer(_("This page asks questions that the project does not have. Load it again."))
    return shown


def _wants_json(request: ProjectRequest) -> bool:
    return request.headers.get("Accept", "").startswith("application/json")


def _ids(request: ProjectRequest, name: str) -> list[int]:
    """The numbers in `?name=1,2`; what is none is left out."""
    found = (_number(part) for part in request.GET.get(name, "").split(",")[:MOST_IDS])
    return [number for number in found if number is not None]


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
