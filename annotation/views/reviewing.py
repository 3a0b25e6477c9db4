"""Leads look through judgements, comment on them, and ask for them again."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import Exists, OuterRef
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from annotation import asking, reviewing, standing
from annotation.models import Feedback, Judgement
from annotation.rendering import plain
from annotation.requests import ProjectRequest
from webapp.people.permitting import project

PAGE = 50


class Filter(forms.Form):
    """What narrows the list; every field may be empty."""

    annotator = forms.ChoiceField(required=False, label=_("Annotator"))
    question = forms.ChoiceField(required=False, label=_("Question"))
    words = forms.CharField(
        required=False, max_length=200, label=_("Words"), help_text=_("In the prompt, the answers or what was said.")
    )
    since = forms.DateField(
        required=False, label=_("From"), widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    until = forms.DateField(
        required=False, label=_("Until"), widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    before_version = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=100_000,
        label=_("Made before version"),
        help_text=_("Of the guidelines."),
    )
    flagged = forms.BooleanField(required=False, label=_("Flagged items"))
    discussed = forms.BooleanField(required=False, label=_("With feedback"))
    waiting = forms.BooleanField(required=False, label=_("Asked for again"))

    def __init__(self, request: ProjectRequest) -> None:
        super().__init__(request.GET or None, auto_id="filter-%s")
        who_judged = Exists(Judgement.objects.filter(member=OuterRef("pk")))
        names = request.project.memberships.filter(who_judged).values_list("pseudonym", flat=True)
        questions = {q.name: q.title for q in request.project.questions.order_by("version", "position")}
        _choices(self.fields["annotator"], [(name, name) for name in names.order_by("pseudonym")])
        _choices(self.fields["question"], list(questions.items()))

    def wanted(self) -> reviewing.Wanted:
        """A field that is wrong narrows nothing; it says so beside itself."""
        if not self.is_bound:
            return reviewing.Wanted()
        self.is_valid()
        return reviewing.Wanted(**self.cleaned_data)


def _choices(field: forms.Field, choices: list[tuple[str, Any]]) -> None:
    assert isinstance(field, forms.ChoiceField)  # noqa: S101 - for the type checker
    field.choices = [("", _("All")), *choices]


@project("manage")
def judgements(request: ProjectRequest, slug: str) -> HttpResponse:
    """The judgements that stand, narrowed by what the lead looks for."""
    form = Filter(request)
    wanted, versions = form.wanted(), asking.Versions(request.project)
    # far back in the list only numbers are walked over, and of what is shown the rest is read
    pages = Paginator(reviewing.judgements(request.project, wanted).values_list("pk", flat=True), PAGE)
    if wanted == reviewing.Wanted():  # all of them: an index alone tells how many
        pages.count = standing.of_project(request.project).all
    page = pages.get_page(request.GET.get("page"))
    whole = Judgement.objects.filter(pk__in=list(page)).select_related("item", "member")
    listed = list(whole.prefetch_related("item__responses").order_by("-id"))
    waiting = set(
        Feedback.objects.filter(asks_again=True, settled_at=None, judgement__item__in=[j.item_id for j in listed])
        .values_list("judgement__item_id", "judgement__member_id")
    )  # fmt: skip
    rows = [
        {
            "judgement": row,
            "text": plain(row.item.prompt[-1]["content"], 100),
            "said": asking.said(row, by_position=True, versions=versions),
            "waiting": (row.item_id, row.member_id) in waiting,
        }
        for row in listed
    ]
    query = request.GET.copy()
    query.pop("page", None)
    last = request.project.guidelines.last()
    context = {
        "project": request.project,
        "form": form,
        "page": page,
        "rows": rows,
        "query": query.urlencode(),
        "narrowed": any(value for value in query.values()),
        "version": last.version if last else 0,
    }
    return render(request, "annotation/judgements.html", context)


@project("manage")
@require_POST
def ask_again(request: ProjectRequest, slug: str) -> HttpResponse:
    """Asks for the judgements that were ticked, or for all that the filter in the address finds."""
    back = reverse("judgements", args=[slug])
    if request.GET:
        back = f"{back}?{request.GET.urlencode()}"
    if request.POST.get("which") == "all":
        form = Filter(request)
        if form.is_bound and not form.is_valid():
            messages.error(request, gettext("A field of the filter is wrong. Mend it first; nobody was asked."))
            return redirect(back)
        chosen = reviewing.judgements(request.project, form.wanted())
    else:
        keys = [
            int(key) for key in request.POST.getlist("judgement") if key.isascii() and key.isdigit() and len(key) < 18
        ]
        chosen = reviewing.judgements(request.project, reviewing.Wanted()).filter(pk__in=keys)
        if not keys:
            messages.error(request, gettext("No judgement is ticked. Tick some, or choose all that are listed."))
            return redirect(back)
    last = request.project.guidelines.last()
    because = last.version if last and request.POST.get("because") == "guidelines" else None
    try:
        asked = reviewing.ask_again(
            judgements=chosen.select_related("item__project", "member__user"), author=request.user,
            text=request.POST.get("text", ""), guidelines_version=because,
        )  # fmt: skip
    except ValidationError as wrong:
        messages.error(request, wrong.messages[0])
        return redirect(back)
    told = ngettext("%(n)d judgement is asked for again.", "%(n)d judgements are asked for again.", asked) % {
        "n": asked
    }
    if not asked:
        told = gettext("Nobody was asked: these wait already, came with an import, or are of people who have left.")
    messages.success(request, told)
    return redirect(back)


@project("manage")
@require_POST
def feedback(request: ProjectRequest, slug: str, judgement_id: int) -> HttpResponse:
    """A lead's words on one judgement, from the item's page."""
    found = get_object_or_404(
        Judgement.objects.select_related("item__project", "member__user"),
        pk=judgement_id,
        item__project=request.project,
    )
    first = request.POST.get("replies_to", "")
    try:
        if first.isascii() and first.isdigit() and len(first) < 18:
            thread = get_object_or_404(Feedback, pk=first, judgement=found)
            reviewing.reply(feedback=thread, author=request.user, text=request.POST.get("text", ""))
        else:
            asks = "asks_again" in request.POST
            reviewing.comment(judgement=found, author=request.user, text=request.POST.get("text", ""), asks_again=asks)
    except ValidationError as wrong:
        messages.error(request, wrong.messages[0])
    else:
        messages.success(request, gettext("Sent to %(who)s.") % {"who": found.member.pseudonym})
    return redirect(reverse("item", args=[slug, found.item_id]) + f"#judgement-{found.pk}")
