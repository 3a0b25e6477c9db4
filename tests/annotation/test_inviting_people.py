"""Inviting, links and letting go, as a lead does it; and what a lead cannot do to people of other projects."""

from __future__ import annotations

import re

import pytest
from django.http import HttpResponse
from django.test import Client

from annotation import belonging
from annotation.models import Membership, Project
from tests.builders import PASSWORD, as_lines, bring_in, member_of, person, project_of, rows, signed_in
from webapp.people import inviting
from webapp.people.models import AuditEntry, User

pytestmark = pytest.mark.django_db


@pytest.fixture
def lin() -> User:
    return person("lin")


@pytest.fixture
def project(lin: User) -> Project:
    return project_of(lin)


def invite(lead: User, project: Project, username: str, role: str = "annotator") -> HttpResponse:
    return signed_in(lead).post(f"/p/{project.slug}/people/", {"username": username, "role": role})


def fresh_link(lead: User, project: Project, user: User) -> HttpResponse:
    return signed_in(lead).post(f"/p/{project.slug}/people/{member_of(project, user).pk}/link/", follow=True)


def link_in(answer: HttpResponse) -> str | None:
    found = re.search(r"http://testserver(/welcome/[^<]+)", answer.text)
    return found.group(1) if found else None


def test_somebody_new_gets_a_link_that_leads_into_the_project(lin: User, project: Project) -> None:
    link = link_in(invite(lin, project, "ada"))
    assert link
    ada = Client()
    assert ada.post(link, {"new_password1": PASSWORD, "new_password2": PASSWORD}).status_code == 302
    assert ada.get(f"/p/{project.slug}/").status_code == 200
    assert ada.get(f"/p/{project.slug}/items/").status_code == 403


def test_somebody_known_joins_without_a_link(lin: User, project: Project) -> None:
    bo = person("bo", password=PASSWORD)
    answer = invite(lin, project, "bo", "lead")
    assert (answer.status_code, link_in(answer)) == (302, None)
    assert signed_in(bo).get(f"/p/{project.slug}/items/").status_code == 200


@pytest.mark.parametrize("name", ["", "a b", "<b>", "x" * 61, "a\nb", "a/b", "\u202e"])
def test_a_bad_user_name_is_refused_and_makes_nobody(lin: User, project: Project, name: str) -> None:
    people = User.objects.count()
    assert invite(lin, project, name).status_code == 200
    assert User.objects.count() == people


def test_the_same_person_is_not_invited_twice(lin: User, project: Project) -> None:
    person("bo")
    invite(lin, project, "bo")
    assert "is in this project already" in invite(lin, project, "bo").text
    assert Membership.objects.filter(user__username="bo").count() == 1


def test_a_fresh_link_ends_the_one_before(lin: User, project: Project) -> None:
    first = link_in(invite(lin, project, "ada"))
    second = link_in(fresh_link(lin, project, User.objects.get(username="ada")))
    assert first and second
    assert Client().get(first).status_code == 410
    assert Client().get(second).status_code == 200


def test_a_lead_makes_no_link_for_somebody_who_has_a_password(lin: User, project: Project) -> None:
    bo = person("bo", password=PASSWORD)
    belonging.join(project=project, user=bo)
    assert link_in(fresh_link(lin, project, bo)) is None
    root = person("root", is_superuser=True)
    assert link_in(fresh_link(root, project, bo))


def test_a_lead_cannot_take_over_an_account_that_belongs_to_another_project_too(lin: User, project: Project) -> None:
    """Inviting somebody of another project who has no password yet, then asking for a link, would open that project."""
    cy = person("cy")
    other = project_of(cy, name="Other")
    link = inviting.new_link(user=cy)
    invite(lin, project, "cy")
    answer = fresh_link(lin, project, cy)
    assert link_in(answer) is None
    assert Client().get(link).status_code == 200
    assert signed_in(lin).get(f"/p/{other.slug}/").status_code == 404


@pytest.mark.parametrize(
    "flags", [{"is_staff": True}, {"is_superuser": True}, {"is_staff": True, "is_superuser": True}]
)
def test_a_lead_cannot_take_over_an_administrator_without_a_password(
    lin: User, project: Project, flags: dict[str, bool]
) -> None:
    root = person("root", **flags)
    invite(lin, project, "root")
    assert link_in(fresh_link(lin, project, root)) is None


def test_nobody_removes_themselves(lin: User, project: Project) -> None:
    client = signed_in(lin)
    client.post(f"/p/{project.slug}/people/{member_of(project, lin).pk}/deactivate/")
    assert client.get(f"/p/{project.slug}/people/").status_code == 200


def test_imported_annotators_are_nobody_who_could_sign_in(lin: User, project: Project) -> None:
    bring_in(project, as_lines([rows(1)[0] | {"ranks": [1, 2, 3, 4], "annotator": "w1"}]))
    imported = project.memberships.get(pseudonym="w1")
    client = signed_in(lin)
    for action in ("link", "deactivate"):
        assert client.post(f"/p/{project.slug}/people/{imported.pk}/{action}/").status_code == 404


def test_pseudonyms_do_not_follow_from_names_and_stay(lin: User, project: Project) -> None:
    invite(lin, project, "ada")
    ada = User.objects.get(username="ada")
    pseudonym = member_of(project, ada).pseudonym
    assert "ada" not in pseudonym
    belonging.join(project=project, user=ada, role="lead")
    assert member_of(project, ada).pseudonym == pseudonym
    other = project_of(lin, ada, name="Other")
    assert member_of(other, ada).pseudonym != pseudonym


def test_what_a_lead_does_to_people_stands_in_the_audit_trail(lin: User, project: Project) -> None:
    invite(lin, project, "ada")
    ada = User.objects.get(username="ada")
    fresh_link(lin, project, ada)
    signed_in(lin).post(f"/p/{project.slug}/people/{member_of(project, ada).pk}/deactivate/")
    trail = AuditEntry.objects.filter(actor=lin).order_by("id").values_list("action", flat=True)
    assert list(trail) == ["create project", "invite", "new sign-in link", "remove member"]
    assert "welcome" not in str(list(AuditEntry.objects.values()))
