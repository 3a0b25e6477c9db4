"""Projects: the list, a new one, its overview, its items, its settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.core.validators import MaxValueValidator, MinValueValidator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext_lazy as _

from annotation import asking, assigning, belonging, concurring, flagging, reviewing, showing, standing, talking
from annotation.models import Feedback, Item, Judgement, Project
from annotation.rendering import plain
from annotation.requests import ProjectRequest
from webapp.people.permitting import SignedInRequest, may, project, signed_in

MOST_PEOPLE = 100  # whom the overview lists


class ProjectSettings(forms.ModelForm):
    """All of a project that is neither its questions, its guidelines nor its people. The address keeps its first name."""

    live_model = forms.ChoiceField(
        label=_("Model that people talk with"), required=False,
        help_text=_("Annotators then write prompts of their own and choose between its two answers, turn by turn."),
    )  # fmt: skip

    class Meta:
        model = Project
        fields = [
            "name", "overlap", "mask_names", "show_agreement", "correct_hours", "break_minutes", "live_model",
        ]  # fmt: skip
        labels = {
            "name": _("Name"),
            "overlap": _("Overlap"),
            "mask_names": _("Hide where an answer says which model it is"),
            "show_agreement": _("Annotators see how far they agree with the others"),
            "correct_hours": _("Hours in which a judgement can be corrected"),
            "break_minutes": _("Minutes of work until a break is suggested"),
        }
        help_texts = {
            "name": _("What people see. The address of the project stays as it is."),
            "overlap": _("How many people judge each item."),
            "mask_names": _(
                "“As ChatGPT, I …” is shown as “As ⟨the model⟩, I …”. Names that it only speaks of stay; so does the stored text."
            ),
            "show_agreement": _("On their own page, and only over items that have all their judgements."),
            "correct_hours": _("Empty: always."),
            "break_minutes": _("0: never."),
        }

    def __init__(self, *given: Any, **more: Any) -> None:  # noqa: ANN401 - a form's own
        super().__init__(*given, **more)
        chosen = self.instance.live_model
        models = talking.models_of(self.instance)
        known = [(chosen, chosen)] if chosen and chosen not in dict(models) else []
        self.fields["live_model"].choices = [("", _("None")), *models, *known]  # type: ignore[attr-defined]
        for name, least, most in (("overlap", 1, 50), ("correct_hours", 0, 87_600), ("break_minutes", 0, 600)):
            number = self.fields[name]
            number.validators += [MinValueValidator(least), MaxValueValidator(most)]
            number.widget.attrs |= {"min": least, "max": most}

    @property
    def groups(self) -> list[dict[str, Any]]:
        """The fields as the page shows them: what belongs together, under a title."""
        groups = [
            (_("The project"), ["name", "overlap"]),
            (_("Fair and blind"), ["mask_names", "show_agreement"]),
            (_("At the desk"), ["correct_hours", "break_minutes"]),
            (_("Conversations"), ["live_model"]),
        ]
        return [{"title": title, "fields": [self[name] for name in names]} for title, names in groups]


@signed_in
def home(request: SignedInRequest) -> HttpResponse:
    """The person's projects and what waits in each."""
    rows = []
    for found in belonging.projects_of(request.user):
        member = found.memberships.filter(user=request.user, active=True).first()
        state = assigning.progress(project=found, member=member)
        waiting = reviewing.waiting_for(member) if member else None
        rows.append(
            {
                "project": found, "membership": member, "progress": state, "leads": _leads(request, member),
                "waiting": waiting,
            }
        )  # fmt: skip
    can_create = may(request.user, "create_project")
    return render(request, "annotation/home.html", {"projects": rows, "can_create": can_create})


def _leads(request: SignedInRequest, member: Any) -> bool:  # noqa: ANN401 - a Membership or None
    return may(request.user, "manage", member.role if member else None)


@project("see")
def overview(request: ProjectRequest, slug: str) -> HttpResponse:
    """Where the project stands; for leads, what to do next."""
    found = request.project
    assigning.release_expired(project=found)
    state = assigning.progress(project=found, member=request.membership)
    manages = may(request.user, "manage", request.role)
    given = standing.by_member(found)
    context = {
        "project": found,
        "questions": asking.questions_of(found),
        "progress": state,
        "judgements": sum(one.all for one in given.values()),
        "live_judgements": sum(one.live for one in given.values()),
        "people": _who_judged(found, given) if manages else [],
        "agreement": concurring.of_project(found) if manages else [],
        "manages": manages,
        "texts": found.texts.count() if manages else 0,
        "open_flags": flagging.open_count(found) if manages else 0,
    }
    return render(request, "annotation/project.html", context)


def _who_judged(found: Project, given: Mapping[int, standing.Standing]) -> list[dict[str, Any]]:
    """The most diligent first; `given` counts the judgements of theirs that stand."""
    members = found.memberships.filter(active=True).select_related("user").order_by("id")
    counted = [
        (member, given[member.pk].all if member.pk in given else 0) for member in members
    ]  # who came just now: 0
    first = sorted(counted, key=lambda both: -both[1])[:MOST_PEOPLE]
    return [{"member": member, "given": count} for member, count in first]


@project("manage")
def project_settings(request: ProjectRequest, slug: str) -> HttpResponse:
    form = ProjectSettings(request.POST or None, instance=Project.objects.get(pk=request.project.pk))
    if request.method == "POST" and form.is_valid():
        belonging.configure(project=request.project, actor=request.user, **form.cleaned_data)
        messages.success(request, _("Saved."))
        return redirect("project_settings", slug=slug)
    context = {"project": request.project, "form": form}
    return render(request, "annotation/settings.html", context, status=400 if form.errors else 200)


@project("manage")
def items(request: ProjectRequest, slug: str) -> HttpResponse:
    """All items, in the order in which they are handed out."""
    page = Paginator(Item.objects.filter(project=request.project).order_by("position"), 50).get_page(
        request.GET.get("page")
    )
    ids = [item.pk for item in page]
    counts, flagged = _judgement_counts(ids), flagging.flagged(ids)
    rows = [
        {
            "item": item, "text": plain(item.prompt[-1]["content"]), "judgements": counts.get(item.pk, 0),
            "flags": item.pk in flagged,
        }
        for item in page
    ]  # fmt: skip
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
    said = reviewing.threads(Feedback.objects.filter(judgement__item=found))
    judgements = [
        {
            "judgement": row,
            "summary": asking.summary(row, by_position=True),
            "threads": [thread for thread in said if thread.judgement_id == row.pk],
            "can_tell": row.member.user_id is not None,
        }
        for row in Judgement.objects.filter(item=found).select_related("member").order_by("-id")
    ]
    superseded = set(
        Judgement.objects.filter(item=found, supersedes__isnull=False).values_list("supersedes_id", flat=True)
    )
    context = {
        "project": request.project,
        "item": found,
        **showing.inspected(found),
        "judgements": judgements,
        "superseded": superseded,
        "flags": flagging.open_on(found),
    }
    return render(request, "annotation/item.html", context)
