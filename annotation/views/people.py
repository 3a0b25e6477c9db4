"""Who is in a project: inviting, links, and letting go."""

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from annotation import belonging
from annotation.requests import ProjectRequest
from webapp.people import auditing, inviting
from webapp.people.models import User
from webapp.people.permitting import project


class Invitation(forms.Form):
    username = forms.CharField(
        max_length=60,
        label=_("User name"),
        help_text=_(
            "Somebody new gets a one-time link from you. For somebody who is here already, only the role changes."
        ),
    )
    role = forms.ChoiceField(
        choices=[("annotator", _("Annotator: judges")), ("lead", _("Lead: imports, judges, freezes, trains"))],
        initial="annotator",
        label=_("Role"),
    )


@project("people")
def people(request: ProjectRequest, slug: str) -> HttpResponse:
    form = Invitation(request.POST or None)
    link = None
    if request.method == "POST" and form.is_valid():
        try:
            member, path = belonging.invite(project=request.project, actor=request.user, **form.cleaned_data)
        except ValidationError as wrong:
            form.add_error("username", wrong)
        else:
            if path is None:
                messages.success(request, gettext("%(user)s is in the project now.") % {"user": member.user})
                return redirect("project_people", slug=slug)
            link = {"username": form.cleaned_data["username"], "url": request.build_absolute_uri(path)}
            form = Invitation()
    return _page(request, form, link)


@project("people")
@require_POST
def fresh_link(request: ProjectRequest, slug: str, member_id: int) -> HttpResponse:
    """A new one-time link for somebody who lost theirs or has not chosen a password yet."""
    user = _person(request, member_id)
    elsewhere = user.memberships.exclude(project=request.project).exists()
    powerful = user.is_staff or user.is_superuser
    if (powerful or user.has_chosen_password or elsewhere) and not request.user.is_superuser:
        messages.error(request, gettext("Only an administrator can make a new link for this person."))
        return redirect("project_people", slug=slug)
    auditing.record(actor=request.user, action="new sign-in link", subject=slug, username=user.username)
    path = inviting.new_link(user=user)
    link = {"username": user.username, "url": request.build_absolute_uri(path)}
    return _page(request, Invitation(), link)


@project("people")
@require_POST
def deactivate(request: ProjectRequest, slug: str, member_id: int) -> HttpResponse:
    """Ends somebody's part in the project; their judgements stay."""
    user = _person(request, member_id)
    if user == request.user:
        messages.error(request, gettext("You cannot remove yourself; ask another lead."))
    else:
        request.project.memberships.filter(pk=member_id).update(active=False)
        auditing.record(actor=request.user, action="remove member", subject=slug, username=user.username)
        messages.success(
            request, gettext("%(user)s no longer sees this project. Their judgements stay.") % {"user": user}
        )
    return redirect("project_people", slug=slug)


def _person(request: ProjectRequest, member_id: int) -> User:
    """The person behind a membership of this project, or 404. Imported annotators are nobody who could sign in."""
    return get_object_or_404(User, memberships__pk=member_id, memberships__project=request.project)


def _page(request: ProjectRequest, form: Invitation, link: dict[str, str] | None) -> HttpResponse:
    members = request.project.memberships.filter(active=True).select_related("user").order_by("id")
    context = {
        "project": request.project,
        "form": form,
        "link": link,
        "members": [m for m in members if m.user_id],
        "imported": sum(1 for m in members if not m.user_id),
    }
    return render(request, "annotation/people.html", context)
