"""API tokens, and the API's own door."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.builders import person, project_of, signed_in
from webapp.people import tokens
from webapp.people.models import ApiToken, User

pytestmark = pytest.mark.django_db
PROJECTS = "/api/v1/projects/"


@pytest.fixture
def ada() -> User:
    return person("ada")


def asked_with(key: str, path: str = PROJECTS) -> int:
    return Client().get(path, headers={"Authorization": f"Bearer {key}"}).status_code


def test_healthz_answers_without_sign_in() -> None:
    answer = Client().get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer fsk_wrong", "Bearer fsk_\xff", "Basic YWRhOng="])
def test_the_api_is_closed_without_a_session_or_a_live_token(header: str) -> None:
    answer = Client().get(PROJECTS, headers={"Authorization": header} if header else {})
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Bearer"


def test_a_token_opens_its_owners_projects_and_no_others(ada: User) -> None:
    lin = person("lin")
    mine, other = project_of(lin, ada), project_of(lin, name="Other")
    key = tokens.make_token(user=ada, name="export")
    answer = Client().get(PROJECTS, headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 200
    assert [row["slug"] for row in answer.json()["results"]] == [mine.slug]
    assert asked_with(key, f"{PROJECTS}{mine.slug}/") == 200
    assert asked_with(key, f"{PROJECTS}{other.slug}/") == 404
    assert asked_with(key, f"{PROJECTS}nowhere/") == 404


def test_a_session_opens_the_api(ada: User) -> None:
    assert signed_in(ada).get(PROJECTS).status_code == 200


def test_a_revoked_token_opens_nothing(ada: User) -> None:
    key = tokens.make_token(user=ada, name="export")
    assert asked_with(key) == 200
    signed_in(ada).post("/account/", {"action": "revoke-token", "token": str(ApiToken.objects.get().pk)})
    assert asked_with(key) == 401


def test_nobody_revokes_the_token_of_another(ada: User) -> None:
    key = tokens.make_token(user=ada, name="export")
    signed_in(person("bo")).post("/account/", {"action": "revoke-token", "token": str(ApiToken.objects.get().pk)})
    assert asked_with(key) == 200


def test_a_deactivated_owner_loses_the_token_at_once(ada: User) -> None:
    key = tokens.make_token(user=ada, name="export")
    User.objects.filter(pk=ada.pk).update(is_active=False)
    assert asked_with(key) == 401


def test_a_token_is_shown_once_and_kept_as_a_digest(ada: User) -> None:
    client = signed_in(ada)
    made = client.post("/account/", {"action": "create-token", "name": "nightly"})
    stored = ApiToken.objects.get()
    key = next(word for word in made.text.replace("<", " ").replace(">", " ").split() if word.startswith("fsk_"))
    assert asked_with(key) == 200
    assert key not in client.get("/account/").text
    assert stored.digest not in key
    assert key not in str(vars(stored))


@pytest.mark.parametrize("name", ["x" * 500, "", "<b>"])
def test_any_name_of_a_token_is_taken_or_mended(ada: User, name: str) -> None:
    answer = signed_in(ada).post("/account/", {"action": "create-token", "name": name})
    assert answer.status_code == 200
    assert ApiToken.objects.count() == 1


def test_a_form_with_a_nul_is_refused_before_it_reaches_the_database(ada: User) -> None:
    answer = signed_in(ada).post("/account/", {"action": "create-token", "name": "with\x00nul"})
    assert answer.status_code == 400
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize("number", ["", "x", "-1", "9" * 30, "9" * 5000, "²"])
def test_any_number_of_a_token_is_read_without_a_fault(ada: User, number: str) -> None:
    assert signed_in(ada).post("/account/", {"action": "revoke-token", "token": number}).status_code == 302


def test_the_api_writes_nothing(ada: User) -> None:
    client = signed_in(ada)
    assert {getattr(client, verb)(PROJECTS).status_code for verb in ("post", "put", "patch", "delete")} == {405}
