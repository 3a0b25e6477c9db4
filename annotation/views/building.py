"""The project builder: a new project from a starting point, and the page where its questions are put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST

from annotation import asking, belonging, building, samples, standing, starting_points, versions
from annotation.kinds import KINDS
from annotation.models import Project
from annotation.requests import ProjectRequest
from annotation.views import sheets
from webapp.people.permitting import SignedInRequest, project, site


class NewProject(forms.Form):
    """What a project starts from; all of it can be changed later."""

    name = forms.CharField(
        label=gettext_lazy("Name"), max_length=120, help_text=gettext_lazy("What people will see in their list.")
    )
    template = forms.ChoiceField(label=gettext_lazy("What people do"))
    overlap = forms.IntegerField(
        label=gettext_lazy("Overlap"), min_value=1, max_value=50, initial=1,
        help_text=gettext_lazy("How many people judge each item."),
    )  # fmt: skip
    guidelines = forms.CharField(
        label=gettext_lazy("Guidelines"), required=False, widget=forms.Textarea(attrs={"rows": 8}),
        help_text=gettext_lazy(
            "What makes an answer good. Markdown. Annotators have it at hand while they judge. "
            "Empty: those of the template, where it has some."
        ),
    )  # fmt: skip

    def __init__(self, *given: Any, **more: Any) -> None:  # noqa: ANN401 - a form's own
        super().__init__(*given, **more)
        points = [(point.slug, str(point.title)) for point in starting_points.offered()]
        self.fields["template"].choices = [*points, (OWN, _("Your own"))]  # type: ignore[attr-defined]


OWN = "own"


@site("create_project")
def new(request: SignedInRequest) -> HttpResponse:
    form = NewProject(request.POST or None)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        point = starting_points.STARTING_POINTS.get(given["template"])
        try:
            made = belonging.create_project(
                creator=request.user, name=given["name"], overlap=given["overlap"],
                questions=point.questions() if point else [asking.draft("ranking")],
                guidelines=given["guidelines"].replace("\r\n", "\n") or (str(point.guidelines) if point else ""),
            )  # fmt: skip
        except ValidationError as wrong:
            form.add_error("name", wrong)
        else:
            if point is None:
                messages.success(request, _("%(name)s is made. Put its questions together.") % {"name": made.name})
                return redirect("questions", slug=made.slug)
            said = _("%(name)s is ready. Bring in the texts that people will judge.") % {"name": made.name}
            messages.success(request, said)
            return redirect("import", slug=made.slug)
    chosen = form["template"].value() or "instructgpt"
    context = {"form": form, "points": starting_points.offered(), "chosen": chosen, "own": OWN}
    return render(request, "annotation/new_project.html", context, status=400 if form.errors else 200)


@project("manage")
def questions(request: ProjectRequest, slug: str) -> HttpResponse:
    """The questions of the project as a form. Every button of it works without a script; the script only saves the journey."""
    found = request.project
    now = list(found.questions.filter(version=found.schema_version).order_by("position"))
    if request.method != "POST":
        return _page(request, building.drafts_of(now), {})
    said = building.read(request.POST)
    done, _colon, what = request.POST.get("do", "save").partition(":")
    if done == "save":
        return _save(request, said.drafts)
    return _page(request, building.step(said, done, what, taken=[question.name for question in now]), {})


def _save(request: ProjectRequest, drafts: Sequence[Mapping[str, Any]]) -> HttpResponse:
    found = request.project
    before = found.schema_version
    if request.POST.get("version") != str(before):
        said = _(
            "Somebody else has changed the questions meanwhile: version %(version)s is asked now. "
            "What you see is yours; saving it again puts it after theirs."
        )
        return _page(request, drafts, {"": said % {"version": before}}, status=409)
    try:
        version = asking.change(project=found, drafts=drafts, actor=request.user)
    except asking.WrongQuestions as wrong:
        return _page(request, drafts, wrong.places, status=400)
    if version == before:
        messages.info(request, _("Nothing was different, so version %(version)s stays.") % {"version": version})
    else:
        messages.success(request, _what_happened(found, before, version))
    return redirect("questions", slug=found.slug)


def _what_happened(found: Project, before: int, version: int) -> str:
    kept = standing.by_schema(found).get(before, 0)
    now = _("Saved: version %(version)s is asked from now on.") % {"version": version}
    if not kept:
        return now
    said = ngettext(
        "%(count)s judgement keeps version %(before)s.", "%(count)s judgements keep version %(before)s.", kept
    )
    return now + " " + said % {"count": f"{kept:,}", "before": before}


def _page(
    request: ProjectRequest, drafts: Sequence[Mapping[str, Any]], problems: Mapping[str, str], status: int = 200
) -> HttpResponse:
    found = request.project
    asked = list(found.questions.filter(version=found.schema_version).values_list("name", flat=True))
    made, given = building.forms(drafts, problems, asked), standing.by_schema(found)
    context = {
        "project": found,
        "questions": made,
        "problem": problems.get("", ""),
        "mistakes": building.mistakes(made),
        "changed": request.method == "POST",
        "kinds": list(KINDS.values()),
        "full": len(drafts) >= asking.MOST_QUESTIONS,
        "version": found.schema_version,
        # the version that the form was made from; who was told of a newer one has seen that
        "begun": request.POST.get("version", found.schema_version) if status != 409 else found.schema_version,
        "judged": given.get(found.schema_version, 0),
        "samples": samples.offered(found),
        "limits": asking.limits(found),
    }
    # the script puts the form alone in the place of the one that is there
    template = (
        "annotation/builder/form.html" if request.headers.get("X-Part") == "form" else "annotation/builder/page.html"
    )
    if template.endswith("page.html"):
        context["history"] = versions.history(found, given)
    return render(request, template, context, status=status)


@project("manage")
@require_POST
def preview(request: ProjectRequest, slug: str) -> HttpResponse:
    """The desk as an annotator would see it with the questions in the form, and what is wrong with them by field.

    With mistakes in them the page goes on showing what it has; one that has nothing yet (`blank`) gets what is asked now.
    """
    said = building.read(request.POST)
    problems: dict[str, str] = {}
    try:
        asked = asking.from_drafts(said.drafts)
    except asking.WrongQuestions as wrong:
        problems, asked = wrong.places, asking.questions_of(request.project) if "blank" in request.POST else []
    answer: dict[str, Any] = {"problems": said.named(problems), "problem": problems.get("", ""), "page": None}
    if asked:
        answer |= {"page": _drawn(request, asked), "takes": samples.takes(asked)}
    return JsonResponse(answer)


def _drawn(request: ProjectRequest, asked: Sequence[asking.Asked]) -> str:
    item, subject = samples.chosen(request.project, request.POST.get("sample", ""), asked)
    reading = sheets.shown(questions=asked, subject=subject, passages=item.context, mask=request.project.mask_names)
    context = {"project": request.project, "entered": "{}", "draft": "", "submit_url": request.path, **reading}
    return render_to_string("annotation/builder/preview.html", context, request)


@project("manage")
@require_POST
def go_back(request: ProjectRequest, slug: str, version: int) -> HttpResponse:
    """An older version made anew, as the next one."""
    found = request.project
    older = list(found.questions.filter(version=version).order_by("position"))
    if not older:
        raise Http404
    before = found.schema_version
    try:
        now = asking.change(project=found, drafts=building.drafts_of(older), actor=request.user)
    except asking.WrongQuestions as wrong:
        messages.error(request, " ".join(wrong.messages))
    else:
        if now == before:
            messages.info(request, _("These are the questions that are asked already."))
        else:
            messages.success(request, _what_happened(found, before, now))
    return redirect("questions", slug=slug)
