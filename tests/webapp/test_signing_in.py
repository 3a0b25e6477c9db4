"""Getting in: one-time links, passwords, lock-out, and what ends a session."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from tests.builders import PASSWORD, person, signed_in
from webapp.people import inviting
from webapp.people.models import SignInLink, User

pytestmark = pytest.mark.django_db
CHOSEN = {"new_password1": PASSWORD, "new_password2": PASSWORD}


@pytest.fixture
def ada() -> User:
    return person("ada")


def test_looking_at_a_link_does_not_spend_it_and_choosing_a_password_does(ada: User) -> None:
    link = inviting.new_link(user=ada)
    client = Client()
    for _ in range(3):
        assert client.get(link).status_code == 200
    answer = client.post(link, CHOSEN)
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert client.get("/").status_code == 200
    assert Client().get(link).status_code == 410
    assert Client().post(link, CHOSEN).status_code == 410


def test_the_password_that_was_chosen_by_link_signs_in(ada: User) -> None:
    Client().post(inviting.new_link(user=ada), CHOSEN)
    assert Client().post("/sign-in/", {"username": "ada", "password": PASSWORD}).status_code == 302


def test_a_refused_password_leaves_the_link_alone(ada: User) -> None:
    link = inviting.new_link(user=ada)
    answer = Client().post(link, {"new_password1": "short", "new_password2": "short"})
    assert answer.status_code == 200
    assert "too short" in answer.text
    assert not User.objects.get(pk=ada.pk).has_chosen_password
    assert Client().get(link).status_code == 200


@pytest.mark.parametrize("bad", ["short", "password1234", "1234567890", "ada-lovelace"])
def test_weak_passwords_are_refused(bad: str) -> None:
    link = inviting.new_link(user=person("ada-lovelace"))
    client = Client()
    assert client.post(link, {"new_password1": bad, "new_password2": bad}).status_code == 200
    assert client.get("/").status_code == 302


def test_a_restart_prints_new_links_and_those_given_out_work_on_until_one_is_used() -> None:
    inviting.first_people()
    first = {username: path for username, _, path in inviting.unclaimed_links()}
    again = {username: path for username, _, path in inviting.unclaimed_links()}
    assert Client().get(first["admin"]).status_code == 200
    chosen = {"new_password1": "a long enough phrase", "new_password2": "a long enough phrase"}
    assert Client().post(again["admin"], chosen).status_code == 302
    assert Client().get(first["admin"]).status_code == 410
    assert "admin" not in {username for username, _, _ in inviting.unclaimed_links()}


def test_a_new_link_ends_the_older_ones(ada: User) -> None:
    older, newer = inviting.new_link(user=ada), inviting.new_link(user=ada)
    assert Client().get(older).status_code == 410
    assert Client().get(newer).status_code == 200


def test_a_link_runs_out(ada: User) -> None:
    link = inviting.new_link(user=ada)
    SignInLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert Client().get(link).status_code == 410
    assert Client().post(link, CHOSEN).status_code == 410


def test_a_link_of_somebody_deactivated_opens_nothing(ada: User) -> None:
    link = inviting.new_link(user=ada)
    User.objects.filter(pk=ada.pk).update(is_active=False)
    assert Client().post(link, CHOSEN).status_code == 410


def test_only_the_digest_of_a_link_is_kept(ada: User) -> None:
    key = inviting.new_link(user=ada).strip("/").split("/")[-1]
    stored = SignInLink.objects.get()
    assert key not in (stored.digest, str(stored.__dict__))
    assert len(stored.digest) == 64


def test_the_command_makes_a_link_and_the_person_where_it_is_asked_to() -> None:
    out = StringIO()
    with pytest.raises(CommandError, match="nobody called “ada”"):
        call_command("sign_in_link", "ada")
    call_command("sign_in_link", "ada", "--create", stdout=out)
    assert Client().get(out.getvalue().strip()).status_code == 200
    assert not User.objects.get(username="ada").has_chosen_password


@pytest.mark.parametrize("name", ["", "a b", "<script>", "x" * 200])
def test_the_command_makes_nobody_with_a_bad_name(name: str) -> None:
    with pytest.raises(CommandError, match="cannot be a user name"):
        call_command("sign_in_link", name, "--create")
    assert not User.objects.exists()


def test_a_link_that_was_claimed_at_the_same_moment_is_spent(ada: User) -> None:
    inviting.new_link(user=ada)
    link = SignInLink.objects.select_related("user").get()
    assert inviting.claim(link=link, password=PASSWORD)
    assert not inviting.claim(link=link, password="another one entirely")
    assert User.objects.get(pk=ada.pk).check_password(PASSWORD)


def test_choosing_a_password_by_link_ends_older_sessions(ada: User) -> None:
    old = signed_in(ada)
    assert old.get("/").status_code == 200
    Client().post(inviting.new_link(user=ada), CHOSEN)
    assert old.get("/").status_code == 302


def test_a_deactivated_person_is_signed_out_at_once(ada: User) -> None:
    client = signed_in(ada)
    assert client.get("/").status_code == 200
    User.objects.filter(pk=ada.pk).update(is_active=False)
    assert client.get("/").status_code == 302


@pytest.mark.parametrize(
    "elsewhere",
    ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "http:evil.example"],
)
def test_signing_in_leads_nowhere_outside(ada: User, elsewhere: str) -> None:
    ada.set_password(PASSWORD)
    ada.save()
    sent = {"username": "ada", "password": PASSWORD, "next": elsewhere}
    answer = Client().post(f"/sign-in/?next={elsewhere}", sent)
    assert (answer.status_code, answer["Location"]) == (302, "/")


def test_signing_in_goes_on_to_the_page_that_was_asked_for(ada: User) -> None:
    ada.set_password(PASSWORD)
    ada.save()
    asked = Client().get("/account/")
    assert asked["Location"] == "/sign-in/?next=/account/"
    answer = Client().post("/sign-in/", {"username": "ada", "password": PASSWORD, "next": "/account/"})
    assert answer["Location"] == "/account/"


def test_repeated_failures_lock_the_account_from_that_address(ada: User) -> None:
    ada.set_password(PASSWORD)
    ada.save()
    client = Client()
    answers = [client.post("/sign-in/", {"username": "ada", "password": "wrong"}) for _ in range(10)]
    assert answers[0].status_code == 200
    assert answers[-1].status_code == 429
    assert "Too many attempts" in answers[-1].text
    assert client.post("/sign-in/", {"username": "ada", "password": PASSWORD}).status_code == 429
    bo = person("bo", password=PASSWORD)
    assert Client().post("/sign-in/", {"username": bo.username, "password": PASSWORD}).status_code == 302


def test_changing_the_password_asks_for_the_old_one_and_keeps_this_session_alone(ada: User) -> None:
    ada.set_password(PASSWORD)
    ada.save()
    here, there = signed_in(ada), signed_in(ada)
    new = {"action": "change-password", "new_password1": "a quite new phrase", "new_password2": "a quite new phrase"}
    assert here.post("/account/", {**new, "old_password": "wrong"}).status_code == 200
    assert here.post("/account/", {**new, "old_password": PASSWORD}).status_code == 302
    assert here.get("/").status_code == 200
    assert there.get("/").status_code == 302


def test_signing_out_is_a_post(ada: User) -> None:
    client = signed_in(ada)
    assert client.get("/sign-out/").status_code == 405
    assert client.get("/").status_code == 200
    client.post("/sign-out/")
    assert client.get("/").status_code == 302


def test_a_post_without_the_csrf_token_is_refused(ada: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(ada, backend="django.contrib.auth.backends.ModelBackend")
    assert client.post("/account/", {"action": "create-token", "name": "x"}).status_code == 403
    assert not ada.api_tokens.exists()
