"""What a sheet of the desk is made from: one item, its answers, its questions, and what was entered for it before."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from django.http import QueryDict
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from annotation import asking, assigning, belonging, flagging, judging, reviewing, showing
from annotation.kinds import BadAnswer, Subject
from annotation.models import Assignment, Draft, Judgement, Membership, Project
from annotation.rendering import render as render_text
from annotation.requests import ProjectRequest
from webapp.people.permitting import LEAD

AGAIN = "again"
MAX_ACTIVE_MS = 24 * 3600 * 1000
RATHER_NOT = "I would rather not judge this"
#: what is stored, and what is shown for it
SKIP_REASONS = {
    assigning.NOT_MY_FIELD: _("Not my field"),
    "unclear or broken": _("Unclear or broken"),
    RATHER_NOT: _("I would rather not judge this"),
    "too long for now": _("Too long for now"),
}


def member_of(request: ProjectRequest) -> Membership:
    """The person's membership; a superuser who judges for the first time becomes a lead."""
    if request.membership is None:
        request.membership = belonging.join(project=request.project, user=request.user, role=LEAD)
    return request.membership


def sheet(
    request: ProjectRequest, assignment: Assignment, *, error: str | None = None, key: uuid.UUID | None = None
) -> dict[str, Any]:
    """The context of desk/sheet.html, for an assignment of the person who asks."""
    item, project = assignment.item, request.project
    questions = asking.questions_of(project)
    subject = asking.subject_of(item, assignment.order)
    said = Judgement.objects.filter(item=item, member=assignment.member, superseded_by=None).first()
    closed = said is not None and not judging.may_correct(judgement=said)
    return {
        "project": project,
        "assignment": assignment,
        "key": key or uuid.uuid4(),
        "expects": said.version if said else 0,
        "schema_version": project.schema_version,
        "guidelines_version": _guidelines_version(project),
        **shown(questions=questions, subject=subject, passages=item.context, mask=project.mask_names),
        "entered": json.dumps(_entered(request) or (_said(questions, said, subject) if said else {})),
        "draft": "" if request.method == "POST" else _draft(assignment),
        "desk_url": reverse("desk", args=[project.slug]),
        **came_from(request),
        "submit_url": reverse("submit", args=[project.slug, assignment.pk]),
        "skip_url": reverse("skip", args=[project.slug, assignment.pk]),
        "unskip_url": reverse("unskip", args=[project.slug, assignment.pk]),
        "draft_url": reverse("draft", args=[project.slug, assignment.pk]),
        "own_url": reverse("assignment", args=[project.slug, assignment.pk]),
        "skip_reasons": SKIP_REASONS,
        "rather_not": RATHER_NOT,
        "flag_reasons": flagging.REASONS,
        "flagged": flagging.flagged_by(item=item, member=assignment.member),
        "warning": item.warning,
        "covered": bool(item.warning) and said is None and not error and "show" not in request.GET,
        "correcting": said is not None,
        "asked_again": reviewing.asked_of(assignment=assignment),
        "closed": closed,
        "lease_minutes": int(assigning.lease().total_seconds() // 60),
        "error": error,
    }


def shown(
    *,
    questions: Sequence[asking.Asked],
    subject: Subject,
    passages: Sequence[Mapping[str, str]] = (),
    mask: bool = False,
) -> dict[str, Any]:
    """What is read and asked on a sheet, with the responses in the order in which they are shown; needs no assignment."""
    texts = [subject.texts[position] for position in subject.order]
    return {
        **showing.screen(prompt=subject.prompt, passages=passages, texts=texts, mask=mask),
        "questions": [_question(number, asked, subject) for number, asked in enumerate(questions, 1)],
    }


def _question(number: int, asked: asking.Asked, subject: Subject) -> dict[str, Any]:
    """What a question's template gets as `q`; `fields` is what its form fields' names begin with."""
    kind = asked.kind
    return {
        "number": number, "name": asked.name, "title": asked.title, "help": asked.help, "required": asked.required,
        "kind": kind.name, "place": kind.place, "options": asked.options, "fields": f"{asked.name}.",
        "template": f"annotation/desk/kinds/{kind.name}.html", "keys": f"annotation/desk/kinds/{kind.name}_keys.html",
    }  # fmt: skip


def frame(request: ProjectRequest, member: Membership, but_not: Assignment | None = None) -> dict[str, Any]:
    """The context of what stays on the desk while sheets come and go."""
    guidelines = request.project.guidelines.last()
    return {
        "project": request.project,
        "progress": assigning.glance(member=member),
        "last": last(member, but_not),
        "guidelines_html": render_text(guidelines.text) if guidelines else "",
        "ahead_url": reverse("ahead", args=[request.project.slug]),
        "keep_url": reverse("keep", args=[request.project.slug]),
    }


def last(member: Membership, but_not: Assignment | None = None) -> dict[str, Any] | None:
    """The newest judgement, to go back to; not offered on its own page, nor once it cannot be corrected any more."""
    found = judging.last_of(member=member)
    if found is None or (but_not is not None and found.item_id == but_not.item_id):
        return None
    if not judging.may_correct(judgement=found):
        return None
    page = Assignment.objects.get(item_id=found.item_id, member=member)
    return {
        "url": reverse("assignment", args=[member.project.slug, page.pk]),
        "saved_at": found.submitted_at,
        "summary": asking.summary(found),
    }


def _guidelines_version(project: Project) -> int:
    newest = project.guidelines.last()
    return newest.version if newest else 0


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
    return {} if request.method != "POST" else fields_in(request)


def fields_in(request: ProjectRequest) -> dict[str, list[str]]:
    """The questions' fields in a form that was sent."""
    return {name: request.POST.getlist(name) for name in request.POST if "." in name}


def _draft(assignment: Assignment) -> str:
    """The draft that was left on the server, as JSON; empty if there is none."""
    found = Draft.objects.filter(assignment=assignment).first()
    if found is None:
        return ""
    return json.dumps({"fields": found.fields, "saved_at": int(found.saved_at.timestamp() * 1000)})


def came_from(request: ProjectRequest) -> dict[str, str]:
    """`back`, the search on the own page that led here, and `back_url`, that page; nothing where one came by the desk.

    From what is asked for again, the way leads on to the next such item.
    """
    back = request.POST.get("back", request.GET.get("back"))
    if back is None:
        return {}
    if back == AGAIN:
        return {"back": AGAIN, "back_url": reverse("again", args=[request.project.slug]) + "?done=1"}
    query = f"?{QueryDict(back).urlencode()}" if back else ""
    return {"back": back, "back_url": reverse("mine", args=[request.project.slug]) + query + "#mine-title"}


def active_ms(request: ProjectRequest) -> int | None:
    """Milliseconds at work, as the page counted them; None if it did not, or not in numbers."""
    text = request.POST.get("active_ms", "")
    return min(int(text), MAX_ACTIVE_MS) if text.isascii() and text.isdigit() and len(text) < 12 else None
