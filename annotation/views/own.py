"""Somebody's own page in a project: how far they are, what others tell them, and all they said."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from annotation import asking, assigning, concurring, flagging, judging, looking_back, reviewing
from annotation.models import Assignment, Feedback, Item, Judgement, Membership
from annotation.rendering import plain
from annotation.requests import ProjectRequest
from annotation.views.sheets import AGAIN, SKIP_REASONS, member_of
from webapp.people.permitting import project

PAGE = 50
THREADS = 30
CHART_HEIGHT = 90  # in the picture's own units


class Search(forms.Form):
    """What narrows the history."""

    words = forms.CharField(
        required=False,
        max_length=200,
        label=_("Words"),
        widget=forms.TextInput(attrs={"placeholder": _("item or judgement")}),
    )
    question = forms.ChoiceField(required=False, label=_("Question"))
    since = forms.DateField(
        required=False, label=_("From"), widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    until = forms.DateField(
        required=False, label=_("Until"), widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )

    def __init__(self, request: ProjectRequest) -> None:
        super().__init__(request.GET or None, auto_id="search-%s")
        questions = {q.name: q.title for q in request.project.questions.order_by("version", "position")}
        field = self.fields["question"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - for the type checker
        field.choices = [("", _("All")), *questions.items()]

    def search(self) -> looking_back.Search:
        if not self.is_bound:
            return looking_back.Search()
        self.is_valid()
        return looking_back.Search(**self.cleaned_data)


@project("judge")
def mine(request: ProjectRequest, slug: str) -> HttpResponse:
    member = member_of(request)
    form = Search(request)
    page = Paginator(looking_back.history(member, form.search()), PAGE).get_page(request.GET.get("page"))
    query = request.GET.copy()
    query.pop("page", None)
    context = {
        "project": request.project,
        "member": member,
        "progress": assigning.progress(project=request.project, member=member),
        "work": looking_back.work(member),
        "chart": _chart(looking_back.days(member)),
        "weeks": concurring.of_member(member) if request.project.show_agreement else None,
        "threads": _threads(member),
        "again": reviewing.again(member).count(),
        "drafts": [
            {"item": _line(draft.assignment.item), "saved_at": draft.saved_at, "url": _page_of(slug, draft.assignment)}
            for draft in looking_back.drafts(member)
        ],
        "skipped": [
            {"item": _line(one.item), "reason": _reason(one), "unskip_url": reverse("unskip", args=[slug, one.pk])}
            for one in looking_back.skipped(member)
        ],
        "form": form,
        "searched": any(value for value in query.values()),
        "page": page,
        "query": query.urlencode(),
        "judgements": _history(slug, member, list(page), request.GET.urlencode()),
    }
    answer = render(request, "annotation/desk/mine.html", context)
    reviewing.mark_read(member=member)  # after they were rendered as new
    return answer


def _history(slug: str, member: Membership, rows: list[Judgement], query: str) -> list[dict[str, Any]]:
    """`query` is the search that they were found by; a correction leads back to it."""
    pages = dict(
        Assignment.objects.filter(member=member, item__in=[r.item_id for r in rows]).values_list("item_id", "pk")
    )
    earlier = looking_back.earlier(rows)
    flagged = flagging.flagged_by_member(member, [r.item_id for r in rows])
    back, versions = urlencode({"back": query}), asking.Versions(member.project)
    return [
        {
            "item": _line(row.item),
            "summary": looking_back.summary(row, versions),
            "said": looking_back.said(row, versions),
            "saved_at": row.submitted_at,
            "flagged": row.item_id in flagged,
            "url": reverse("assignment", args=[slug, pages[row.item_id]]) + f"?{back}" if row.item_id in pages else "",
            "open": judging.may_correct(judgement=row),
            "earlier": [
                {"summary": looking_back.summary(old, versions), "saved_at": old.submitted_at}
                for old in earlier.get(row.item_id, [])
            ],
        }
        for row in rows
    ]


def _threads(member: Membership) -> list[dict[str, Any]]:
    """What leads wrote, newest first; `new` is what the member has not seen."""
    found = Feedback.objects.filter(judgement__member=member, replies_to=None).order_by("-id")[:THREADS]
    pages = dict(
        Assignment.objects.filter(member=member, item__judgements__feedback__in=[f.pk for f in found]).values_list(
            "item_id", "pk"
        )
    )
    slug = member.project.slug
    return [
        {
            "first": first,
            "item": _line(first.judgement.item),
            "said": looking_back.summary(first.judgement),
            "replies": [
                {"text": r.text, "mine": r.author_id == member.user_id, "at": r.created_at} for r in first.replies.all()
            ],
            "new": _is_new(first, member) or any(_is_new(r, member) for r in first.replies.all()),
            "open": first.asks_again and first.settled_at is None,
            "url": reverse("assignment", args=[slug, page]) if (page := pages.get(first.judgement.item_id)) else "",
        }
        for first in reviewing.threads(found)
    ]


def _is_new(feedback: Feedback, member: Membership) -> bool:
    return feedback.read_at is None and feedback.author_id != member.user_id


@project("judge")
@require_POST
def answer_feedback(request: ProjectRequest, slug: str, feedback_id: int) -> HttpResponse:
    """The annotator's answer to what a lead wrote."""
    found = get_object_or_404(
        Feedback.objects.select_related("judgement__item__project", "judgement__member", "author"),
        pk=feedback_id, judgement__member=member_of(request), replies_to=None,
    )  # fmt: skip
    try:
        reviewing.reply(feedback=found, author=request.user, text=request.POST.get("text", ""))
    except ValidationError as wrong:
        messages.error(request, wrong.messages[0])
    else:
        messages.success(request, gettext("Your answer is sent."))
    return redirect(reverse("mine", args=[slug]) + f"#feedback-{found.pk}")


@project("judge")
def again(request: ProjectRequest, slug: str) -> HttpResponse:
    """The next item that is asked for again, `?but=` the one on the screen.

    When none is left: the own page, or the desk for who has just `done` the last one.
    """
    found = next((one for one in reviewing.again(member_of(request)) if str(one.pk) != request.GET.get("but")), None)
    if found:
        return redirect(_page_of(slug, found) + f"?back={AGAIN}")
    if "done" in request.GET:
        messages.success(request, gettext("Saved. That was all that you were asked to look at again."))
        return redirect("desk", slug=slug)
    return redirect("mine", slug=slug)


def _page_of(slug: str, assignment: Assignment) -> str:
    return reverse("assignment", args=[slug, assignment.pk])


def _line(item: Item) -> str:
    return plain(item.prompt[-1]["content"], 90)


def _reason(assignment: Assignment) -> str:
    """In the reader's language where it is one of the reasons offered; what was added in words stays."""
    reason, colon, note = assignment.skip_reason.partition(": ")
    return f"{SKIP_REASONS.get(reason, reason)}{colon}{note}"


def _chart(days: list[looking_back.Day]) -> dict[str, Any]:
    """Bars for the picture: whole numbers in its own units, 10 a day."""
    most = max(day.count for day in days)
    bars = [
        {"x": 10 * place, "height": height, "y": CHART_HEIGHT - height, "day": day.day, "count": day.count}
        for place, day in enumerate(days)
        for height in [max(2, round(CHART_HEIGHT * day.count / most)) if day.count else 0]
    ]
    return {
        "bars": bars, "most": most, "width": 10 * len(days), "height": CHART_HEIGHT,
        "first": days[0].day, "last": days[-1].day, "worked": [day for day in reversed(days) if day.count],
        "total": sum(day.count for day in days),
    }  # fmt: skip
