"""Projects: the list, a new one, its overview, its items, its settings."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import Count, Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from annotation import asking, assigning, belonging, judging
from annotation.kinds import KINDS
from annotation.models import Item, Judgement, Membership, Project
from annotation.rendering import plain
from annotation.rendering import render as render_text
from annotation.requests import ProjectRequest
from webapp.people.permitting import SignedInRequest, may, project, signed_in, site


class NewProject(forms.Form):
    """What a project starts from; all of it but the question can be changed later."""

    name = forms.CharField(max_length=120, help_text="What people will see in their list.")
    question = forms.ChoiceField(
        choices=[(kind.name, f"{kind.name.capitalize()}: {str(kind.title).lower()}") for kind in KINDS.values()],
        widget=forms.RadioSelect,
        initial="ranking",
        help_text="A ranking takes two to ten answers an item, a comparison two.",
    )
    overlap = forms.IntegerField(min_value=1, max_value=50, initial=1, help_text="How many people judge each item.")
    guidelines = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 8}),
        help_text="What makes an answer good. Markdown. Annotators have it at hand while they judge.",
    )


class ProjectSettings(forms.Form):
    overlap = forms.IntegerField(min_value=1, max_value=50, help_text="How many people judge each item.")
    guidelines = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 14}),
        help_text="Markdown. A change makes a new version; every judgement keeps the version it was made under.",
    )


@signed_in
def home(request: SignedInRequest) -> HttpResponse:
    """The person's projects and what waits in each."""
    rows = []
    for found in belonging.projects_of(request.user):
        member = found.memberships.filter(user=request.user, active=True).first()
        state = assigning.progress(project=found, member=member)
        rows.append({"project": found, "membership": member, "progress": state, "leads": _leads(request, member)})
    can_create = may(request.user, "create_project")
    return render(request, "annotation/home.html", {"projects": rows, "can_create": can_create})


def _leads(request: SignedInRequest, member: Any) -> bool:  # noqa: ANN401 - a Membership or None
    return may(request.user, "manage", member.role if member else None)


@site("create_project")
def new(request: SignedInRequest) -> HttpResponse:
    form = NewProject(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            made = belonging.create_project(creator=request.user, **form.cleaned_data)
        except ValidationError as wrong:
            form.add_error("name", wrong)
        else:
            messages.success(request, f"{made.name} is ready. Bring in the texts that people will judge.")
            return redirect("import", slug=made.slug)
    return render(request, "annotation/new_project.html", {"form": form})


@project("see")
def overview(request: ProjectRequest, slug: str) -> HttpResponse:
    """Where the project stands; for leads, what to do next."""
    found = request.project
    assigning.release_expired(project=found)
    state = assigning.progress(project=found, member=request.membership)
    current = judging.current(project_id=found.pk)
    manages = may(request.user, "manage", request.role)
    context = {
        "project": found,
        "questions": asking.questions_of(found),
        "progress": state,
        "judgements": current.count(),
        "live_judgements": current.filter(origin="live").count(),
        "people": _who_judged(found) if manages else [],
        "manages": manages,
    }
    return render(request, "annotation/project.html", context)


def _who_judged(found: Project) -> QuerySet[Membership]:
    """The most diligent first; `given` counts the judgements that stand."""
    standing = Count("judgements", filter=Q(judgements__superseded_by=None))
    members = found.memberships.filter(active=True).select_related("user")
    return members.annotate(given=standing).order_by("-given", "id")[:100]


@project("manage")
def project_settings(request: ProjectRequest, slug: str) -> HttpResponse:
    found = request.project
    last = found.guidelines.last()
    form = ProjectSettings(
        request.POST or None, initial={"overlap": found.overlap, "guidelines": last.text if last else ""}
    )
    if request.method == "POST" and form.is_valid():
        assigning.set_overlap(project=found, overlap=form.cleaned_data["overlap"])
        written = belonging.write_guidelines(
            project=found, text=form.cleaned_data["guidelines"].replace("\r\n", "\n"), actor=request.user
        )
        messages.success(request, f"Saved. The guidelines are at version {written.version}.")
        return redirect("project_settings", slug=slug)
    return render(request, "annotation/settings.html", {"project": found, "form": form})


@project("manage")
def items(request: ProjectRequest, slug: str) -> HttpResponse:
    """All items, in the order in which they are handed out."""
    page = Paginator(Item.objects.filter(project=request.project).order_by("position"), 50).get_page(
        request.GET.get("page")
    )
    counts = _judgement_counts([item.pk for item in page])
    rows = [
        {"item": item, "text": plain(item.prompt[-1]["content"]), "judgements": counts.get(item.pk, 0)} for item in page
    ]
    return render(request, "annotation/items.html", {"project": request.project, "page": page, "rows": rows})


def _judgement_counts(item_ids: list[int]) -> dict[int, int]:
    counts: dict[int, int] = {}
    for item_id in Judgement.objects.filter(item_id__in=item_ids, superseded_by=None).values_list("item_id", flat=True):
        counts[item_id] = counts.get(item_id, 0) + 1
    return counts


@project("manage")
def item(request: ProjectRequest, slug: str, item_id: int) -> HttpResponse:
    """One item with what people said of it, for leads: here sources and annotators' pseudonyms are shown."""
    found = get_object_or_404(Item, pk=item_id, project=request.project)
    judgements = [
        {"judgement": row, "summary": asking.summary(row, by_position=True)}
        for row in Judgement.objects.filter(item=found).select_related("member").order_by("-id")
    ]
    superseded = set(
        Judgement.objects.filter(item=found, supersedes__isnull=False).values_list("supersedes_id", flat=True)
    )
    context = {
        "project": request.project,
        "item": found,
        "prompt": [{"role": m["role"], "html": render_text(m["content"])} for m in found.prompt],
        "passages": [{"title": p["title"], "html": render_text(p["text"])} for p in found.context],
        "responses": [
            {"letter": chr(65 + r.position), "html": render_text(r.text), "source": r.source}
            for r in found.responses.all()
        ],
        "judgements": judgements,
        "superseded": superseded,
    }
    return render(request, "annotation/item.html", context)
