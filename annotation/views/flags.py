"""Flags from the desk, the leads' page of them, and what leads say about an item beside its texts."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from annotation import assigning, describing, flagging
from annotation.models import Assignment, Flag, Item
from annotation.rendering import plain
from annotation.requests import ProjectRequest
from webapp.people.permitting import project

PAGE = 50
#: the reason of a skip that came with a flag, as the desk's own list has it
SKIPPED_AS = "unclear or broken"


@project("judge")
@require_POST
def flag(request: ProjectRequest, slug: str, assignment_id: int) -> HttpResponse:
    """From the desk's script as JSON, without leaving the item; from the plain form with a redirect."""
    found = Assignment.objects.select_related("item__project", "member__user").filter(item__project=request.project)
    assignment = get_object_or_404(found, pk=assignment_id, member=request.membership)
    wants_json = "application/json" in request.headers.get("Accept", "")
    try:
        flagging.flag(
            item=assignment.item, member=assignment.member,
            reason=request.POST.get("reason", ""), note=request.POST.get("note", ""),
        )  # fmt: skip
    except flagging.BadFlag as wrong:
        if wants_json:
            return JsonResponse({"error": str(wrong)}, status=400)
        messages.error(request, str(wrong))
        return redirect("assignment", slug=slug, assignment_id=assignment.pk)
    if wants_json:
        return JsonResponse({"said": gettext("Flagged. A lead looks at it.")})
    messages.success(request, gettext("Flagged. A lead looks at it."))
    if request.POST.get("skip"):
        assigning.skip(assignment=assignment, reason=SKIPPED_AS)
        return redirect("desk", slug=slug)
    return redirect("assignment", slug=slug, assignment_id=assignment.pk)


@project("manage")
def flags(request: ProjectRequest, slug: str) -> HttpResponse:
    """Open ones first to last raised; settled ones behind `?settled=1`."""
    settled = request.GET.get("settled") == "1"
    found = flagging.flags_of(request.project).filter(settled_at__isnull=not settled)
    page = Paginator(found, PAGE).get_page(request.GET.get("page"))
    rows = [
        {
            "flag": one, "reason": flagging.REASONS.get(one.reason, one.reason),
            "text": plain(one.item.prompt[-1]["content"], 120),
        }
        for one in page
    ]  # fmt: skip
    context = {
        "project": request.project, "page": page, "rows": rows, "settled": settled,
        "open_flags": flagging.open_count(request.project), "most": flagging.MOST_NOTE,
    }  # fmt: skip
    return render(request, "annotation/flags.html", context)


@project("manage")
@require_POST
def settle_flag(request: ProjectRequest, slug: str, flag_id: int) -> HttpResponse:
    found = get_object_or_404(Flag.objects.select_related("item"), pk=flag_id, item__project=request.project)
    if request.POST.get("reopen"):
        flagging.reopen(flag=found, actor=request.user)
        messages.success(request, gettext("The flag is open again."))
    else:
        flagging.settle(flag=found, actor=request.user, note=request.POST.get("note", ""))
        messages.success(request, gettext("Settled. Who raised the flag is told."))
    return redirect("flags", slug=slug)


@project("manage")
@require_POST
def describe_item(request: ProjectRequest, slug: str, item_id: int) -> HttpResponse:
    found = get_object_or_404(Item.objects.select_related("project"), pk=item_id, project=request.project)
    said = {name: request.POST.get(name, "") for name in ("topic", "warning")}
    try:
        describing.describe(item=found, actor=request.user, **said)
    except ValidationError as wrong:
        context = {"project": request.project, "item": found, "said": said, "wrong": wrong.message_dict}
        return render(request, "annotation/item_described.html", context, status=400)
    messages.success(request, gettext("Saved."))
    return redirect("item", slug=slug, item_id=found.pk)
