"""What every answer carries, and that no page holds code or style of its own."""

from __future__ import annotations

import pytest
from django.contrib.staticfiles.storage import staticfiles_storage
from django.http import HttpResponse
from django.test import Client

from tests.builders import person, signed_in
from tests.webapp.page_reading import Page, dangers
from tests.webapp.test_routes import DOORS, World, world  # noqa: F401 - a fixture
from webapp.people import inviting

pytestmark = pytest.mark.django_db

POLICY = {
    "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "font-src 'self'",
    "connect-src 'self'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'", "object-src 'none'",
}  # fmt: skip


def rendered(world: World) -> dict[str, HttpResponse]:  # noqa: F811
    """Every page of the site that a GET shows, as those who may see it, and some refusals."""
    answers = {}
    for route in DOORS:
        for name in ("lin", "ada", "root", "anonymous"):
            answers[f"{route} as {name}"] = world.clients[name].get(world.here.url(route))
    ada = person("cy")
    answers["welcome"] = Client().get(inviting.new_link(user=ada))
    answers["weak password"] = Client().post(inviting.new_link(user=ada), {"new_password1": "x", "new_password2": "x"})
    answers["no such page"] = Client().get("/nothing/here/")
    answers["wrong password"] = Client().post("/sign-in/", {"username": "ada", "password": "no"})
    strict = Client(enforce_csrf_checks=True)
    answers["no csrf token"] = strict.post("/sign-in/", {"username": "ada", "password": "no"})
    answers["nul"] = signed_in(ada).post("/account/", {"action": "create-token", "name": "\x00"})
    answers["token made"] = signed_in(ada).post("/account/", {"action": "create-token", "name": "t"})
    lin, submit = world.clients["lin"], world.here.url("submit")
    answers["refused answer"] = world.clients["ada"].post(submit, {"key": "x"})
    answers["bad upload"] = lin.post(world.here.url("import"), {})
    answers["bad mapping"] = lin.post(world.here.url("import_mapping"), {"prompt": "nowhere", "responses": "responses"})
    answers["bad invitation"] = lin.post(world.here.url("project_people"), {"username": "a b", "role": "annotator"})
    answers["invitation"] = lin.post(world.here.url("project_people"), {"username": "dora", "role": "annotator"})
    answers["bad freeze"] = lin.post(world.here.url("snapshots"), {"rows": "nothing"})
    answers["bad launch"] = lin.post(world.here.url("new_run"), {"trainer": "reward-model", "seed": "x"})
    answers["bad score"] = lin.post(world.here.url("model"), {"prompt": "", "completion": ""})
    return answers


def test_every_answer_carries_the_strict_policy_and_every_page_keeps_to_it(world: World) -> None:  # noqa: F811
    wrong = []
    for name, answer in rendered(world).items():
        if {part.strip() for part in answer["Content-Security-Policy"].split(";")} != POLICY:
            wrong.append(f"{name}: {answer['Content-Security-Policy']}")
        for header, value in (
            ("X-Content-Type-Options", "nosniff"), ("X-Frame-Options", "DENY"), ("Referrer-Policy", "same-origin"),
        ):  # fmt: skip
            if answer.get(header) != value:
                wrong.append(f"{name}: {header} is {answer.get(header)}")
        if answer["Content-Type"].startswith("text/html"):
            wrong += [f"{name}: {danger}" for danger in dangers(answer.text)]
        if answer.status_code >= 500:
            wrong.append(f"{name}: {answer.status_code}")
    assert wrong == []


def test_pages_of_signed_in_people_are_kept_by_no_cache(world: World) -> None:  # noqa: F811
    for route in DOORS:
        for name in ("lin", "ada", "bo", "root"):
            answer = world.clients[name].get(world.here.url(route))
            if answer.wsgi_request.user.is_authenticated:
                assert "no-store" in answer.get("Cache-Control", ""), f"{route} as {name}"
                assert "private" in answer["Cache-Control"]


def test_every_local_address_on_a_page_is_there(world: World) -> None:  # noqa: F811
    """Links that lead nowhere, and static files that are not there, stand out before a user meets them."""
    lin = world.clients["lin"]
    seen, wrong = set(), []
    for route, who in DOORS.items():
        if who in ("public", "api") or route in ("assignment", "submit", "skip"):
            continue
        answer = lin.get(world.here.url(route))
        if answer.status_code != 200 or not answer["Content-Type"].startswith("text/html"):
            continue
        for tag, attributes in Page(answer.text).elements:
            address = attributes.get("href") or attributes.get("src") or ""
            if not address.startswith("/") or address in seen:
                continue
            seen.add(address)
            if address.startswith("/static/"):
                there = staticfiles_storage.exists(address.removeprefix("/static/"))
            else:
                there = lin.get(address).status_code in (200, 302, 405) or address.endswith(".jsonl")
            if not there:
                wrong.append(f"<{tag}> on {route}: {address}")
    assert wrong == []
    assert len(seen) > 20


def test_the_session_cookie_is_for_the_browser_alone() -> None:
    ada = person("ada", password="wooden spoon at noon")
    answer = Client().post("/sign-in/", {"username": ada.username, "password": "wooden spoon at noon"})
    cookie = answer.cookies["feinschliff_session"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
