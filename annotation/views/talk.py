"""Conversations with the connected model: one's own, a turn, and the choice between two answers.

Every form works without JavaScript: the page then waits for the model. With it a turn is sent in the background, and the
answer is JSON, which the script asks for by its Accept header.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from annotation import asking, guiding, judging, talking
from annotation.kinds import BadAnswer
from annotation.rendering import plain
from annotation.rendering import render as render_text
from annotation.requests import ProjectRequest
from annotation.views import sheets
from webapp.people.permitting import project


@project("judge")
def begin(request: ProjectRequest, slug: str) -> HttpResponse:
    """One's own conversations, and a new one."""
    return _page(request, talking.Conversation(uuid.uuid4(), []))


@project("judge")
def conversation(request: ProjectRequest, slug: str, conversation: uuid.UUID) -> HttpResponse:
    return _page(request, _own(request, conversation))


@project("judge")
@require_POST
def say(request: ProjectRequest, slug: str, conversation: uuid.UUID) -> HttpResponse:
    """Sends a turn to the model and waits for its two answers."""
    member = sheets.member_of(request)
    if talking.taken(member=member, id=conversation):
        raise Http404
    page, text = reverse("conversation", args=[slug, conversation]), request.POST.get("text", "")
    try:
        if guiding.must_read(member=member):
            raise talking.CannotTalk(
                _("The guidelines have changed. Read them at the desk first, then send this again.")
            )
        talking.say(member=member, id=conversation, text=text)
    except talking.CannotTalk as wrong:
        if _wants_json(request):
            return JsonResponse({"error": str(wrong)}, status=409)
        found = talking.conversation(member=member, id=conversation)
        return _page(request, found, error=str(wrong), text=text, status=409)
    return JsonResponse({"url": page}) if _wants_json(request) else redirect(page)


@project("judge")
@require_POST
def choose(request: ProjectRequest, slug: str, conversation: uuid.UUID) -> HttpResponse:
    """Judges the turn whose item the form names; sent twice it is stored once."""
    found = _own(request, conversation)
    turn = next((one for one in found.turns if str(one.item.pk) == request.POST.get("item")), None)
    if turn is None:
        messages.error(request, _("This turn was written anew in another tab. Here is how it stands now."))
        return redirect("conversation", slug=slug, conversation=conversation)
    try:
        key = uuid.UUID(request.POST.get("key", ""))
        talking.choose(turn=turn, form=request.POST, key=key, active_ms=sheets.active_ms(request))
    except ValueError as wrong:
        told = str(wrong) if isinstance(wrong, BadAnswer) else _("The page sent no valid key. Choose once more.")
        return _page(request, found, error=told, status=400)
    except judging.Refused as refusal:
        return _page(request, found, error=str(refusal), status=409)
    return redirect("conversation", slug=slug, conversation=conversation)


def _own(request: ProjectRequest, conversation: uuid.UUID) -> talking.Conversation:
    """The person's own conversation in this project, or 404."""
    found = talking.conversation(member=sheets.member_of(request), id=conversation)
    if not found.turns:
        raise Http404
    return found


def _wants_json(request: ProjectRequest) -> bool:
    return "application/json" in request.headers.get("Accept", "")


def _page(
    request: ProjectRequest, found: talking.Conversation, *, error: str = "", text: str = "", status: int = 200
) -> HttpResponse:
    member = sheets.member_of(request)
    if guiding.must_read(member=member) and not error:
        return redirect("desk", slug=request.project.slug)
    context: dict[str, Any] = {
        "project": request.project,
        "conversation": found,
        "hindrance": talking.hindrance(request.project),
        "said": [{"role": m["role"], "html": render_text(m["content"]), "raw": m["content"]} for m in found.said],
        "error": error,
        "text": text,
        "longest": talking.LONGEST,
        "say_url": reverse("say", args=[request.project.slug, found.id]),
        "others": _others(request, found),
    }
    asked = talking.question(request.project)
    if found.open and asked:
        context |= _choice(request, found, found.open, asked)
    return render(request, "annotation/talk.html", context, status=status)


def _choice(
    request: ProjectRequest, found: talking.Conversation, turn: talking.Turn, asked: asking.Asked
) -> dict[str, Any]:
    """What the two answers of an open turn need to be judged as at the desk."""
    subject = asking.subject_of(turn.item, turn.assignment.order)
    return {
        **sheets.shown(questions=[asked], subject=subject),
        "item": turn.item,
        "key": uuid.uuid4(),
        "entered": json.dumps(sheets.fields_in(request)) if request.method == "POST" else "{}",
        "choose_url": reverse("choose", args=[request.project.slug, found.id]),
        "last_said": turn.item.prompt[-1]["content"],
    }


def _others(request: ProjectRequest, found: talking.Conversation) -> list[dict[str, Any]]:
    """The person's other conversations, for the list below."""
    own = talking.mine(member=sheets.member_of(request))
    return [
        {
            "url": reverse("conversation", args=[request.project.slug, one.id]),
            "title": plain(one.turns[0].item.prompt[-1]["content"], 90),
            "turns": len(one.turns),
            "open": one.open is not None,
        }
        for one in own
        if one.id != found.id
    ]
