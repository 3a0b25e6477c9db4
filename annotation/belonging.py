"""Projects and who belongs to them: making one, joining one, and the look-up behind every project route."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import transaction
from django.db.models import QuerySet
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotation import asking, assigning
from annotation.models import Guidelines, Membership, Project, Question
from webapp.people import auditing, inviting
from webapp.people.models import User
from webapp.people.permitting import ANNOTATOR, LEAD

RESERVED_SLUGS = {"new"}
username_rule = RegexValidator(
    r"^[\w.@+-]{1,60}\Z", gettext_lazy("A user name has letters, digits and . @ + - _ only, at most 60.")
)


def project_for(user: User | AnonymousUser, slug: str) -> tuple[Project, Membership | None] | None:
    """The project and the person's membership; None when it is not theirs to know. A superuser needs no membership."""
    project = Project.objects.filter(slug=slug).first()
    if project is None or not user.is_authenticated:
        return None
    membership = project.memberships.filter(user=user, active=True).first()
    return (project, membership) if membership or user.is_superuser else None


def projects_of(user: User | AnonymousUser) -> QuerySet[Project]:
    """The projects that exist for this person; all there are for a superuser."""
    if not user.is_authenticated:
        return Project.objects.none()
    if user.is_superuser:
        return Project.objects.all()
    return Project.objects.filter(memberships__user=user, memberships__active=True)


@transaction.atomic
def create_project(
    *,
    name: str,
    question: str = "",
    questions: Sequence[Mapping[str, Any]] = (),
    creator: User | None,
    overlap: int = 1,
    guidelines: str = "",
    slug: str = "",
) -> Project:
    """A new project that asks `questions`, or one `question` of a kind with its own words. Its creator leads it.

    Raises ValidationError.
    """
    name = name.strip()
    slug = slugify(slug or name)[:80] or f"project-{secrets.token_hex(3)}"  # a name in another script
    if not name:
        raise ValidationError(_("A project needs a name."))
    if not 1 <= overlap <= 50:
        raise ValidationError(_("An overlap is 1 to 50 people an item, not %(overlap)s.") % {"overlap": overlap})
    asked = asking.checked(questions or [asking.draft(question)])
    if slug in RESERVED_SLUGS or Project.objects.filter(slug=slug).exists():
        said = _("A project called “%(slug)s” is there already. Choose another name; nothing was changed.")
        raise ValidationError(said % {"slug": slug})
    project = Project(name=name, slug=slug, overlap=overlap, created_by=creator)
    project.full_clean()
    project.save()
    Guidelines.objects.create(project=project, version=1, text=guidelines)
    for one in asked:
        one.project = project
    Question.objects.bulk_create(asked)
    if creator is not None:
        lead = join(project=project, user=creator, role=LEAD)
        Membership.objects.filter(pk=lead.pk).update(guidelines_read=1)  # they wrote them
    auditing.record(
        actor=creator, action="create project", subject=slug, questions=[q.kind for q in asked], overlap=overlap
    )
    return project


@transaction.atomic
def configure(*, project: Project, actor: User | None, **settings: Any) -> None:  # noqa: ANN401 - fields of a project
    """Sets what can be set about a project; its items get more or fewer slots where the overlap changes."""
    overlap = settings.pop("overlap", project.overlap)
    different = {name: value for name, value in settings.items() if getattr(project, name) != value}
    for name, value in different.items():
        setattr(project, name, value)
    project.full_clean()
    project.save(update_fields=list(different))
    if overlap != project.overlap:
        assigning.set_overlap(project=project, overlap=overlap)
        different["overlap"] = overlap
    if different:
        auditing.record(actor=actor, action="change settings", subject=project.slug, **different)


@transaction.atomic
def join(*, project: Project, user: User, role: str = ANNOTATOR) -> Membership:
    """Makes `user` a member, or changes the role of one. The pseudonym is random and stays."""
    member, _made = Membership.objects.update_or_create(
        project=project,
        user=user,
        defaults={"role": role, "active": True},
        create_defaults={"role": role, "pseudonym": f"p-{secrets.token_hex(4)}"},
    )
    return member


@transaction.atomic
def invite(*, project: Project, username: str, role: str, actor: User) -> tuple[Membership, str | None]:
    """Brings somebody in by user name; a person new to the site is made, and gets a one-time link (its path returned)."""
    username_rule(username)
    user, made = User.objects.get_or_create(username=username)
    if made:
        user.set_unusable_password()
        user.save(update_fields=["password"])
    elif project.memberships.filter(user=user, active=True, role=role).exists():
        raise ValidationError(_("%(name)s is in this project already.") % {"name": username})
    member = join(project=project, user=user, role=role)
    auditing.record(actor=actor, action="invite", subject=project.slug, username=username, role=role)
    return member, inviting.new_link(user=user) if made else None
