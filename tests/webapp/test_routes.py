"""Who gets through which door: every route, every role, every object of another project."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import URLPattern, URLResolver, get_resolver, path, reverse

from annotation import flagging, reviewing, talking
from annotation.models import Assignment, Import, Item, Judgement, Membership, Project
from tests.builders import add_items, as_lines, claim, judge, member_of, person, project_of, rows, signed_in
from training.models import Model, Run, Snapshot
from webapp.people import inviting
from webapp.people.models import ApiToken, AuditEntry, SignInLink, User
from webapp.people.permitting import Permission

pytestmark = pytest.mark.django_db

#: route -> who may (public, signed_in, staff, annotator, lead, api); written by hand, so that a change is seen here
DOORS = {
    "disk": "staff", "runs_archive": "lead", "check_run": "lead",
    "healthz": "public", "language": "public", "login": "public", "logout": "public", "welcome": "public", "account": "signed_in",
    "notices": "signed_in", "open_notice": "signed_in", "compare_runs": "lead", "run_curves": "lead", "run_log": "lead",
    "run_log_file": "lead", "relaunch_run": "lead",
    "api_projects": "api", "api_project": "api", "plugins": "staff", "home": "signed_in", "new_project": "staff",
    "project": "annotator", "desk": "annotator", "assignment": "annotator", "submit": "annotator", "skip": "annotator",
    "ahead": "annotator", "keep": "annotator", "unskip": "annotator", "draft": "annotator",
    "mine": "annotator", "guidelines": "annotator", "again": "annotator", "answer_feedback": "annotator",
    "confirm_guidelines": "annotator", "write_guidelines": "lead", "preview_guidelines": "lead", "judgements": "lead",
    "ask_again": "lead", "judgement_feedback": "lead",
    "talk": "annotator", "conversation": "annotator", "say": "annotator", "choose": "annotator",
    "questions": "lead", "questions_preview": "lead", "questions_back": "lead",
    "flag": "annotator", "flags": "lead", "settle_flag": "lead", "describe_item": "lead",
    "project_settings": "lead", "similar": "lead", "items": "lead", "item": "lead", "project_people": "lead",
    "deactivate_member": "lead",
    "fresh_link": "lead", "import": "lead", "import_mapping": "lead", "discard_import": "lead",
    "withdraw_texts": "lead", "snapshots": "lead",
    "snapshot": "lead", "snapshot_rows": "lead", "runs": "lead", "new_run": "lead", "run": "lead",
    "rename_run": "lead", "run_live": "lead",
    "advice": "lead", "advice_train": "lead", "advice_compare": "lead", "api_advice": "api_lead",
    "cancel_run": "lead", "project_plugins": "lead", "models": "lead", "model": "lead",
}  # fmt: skip
PROJECT_DOORS = [name for name, who in DOORS.items() if who in ("annotator", "lead")]
SCOPES = {"public": "public", "signed_in": "signed_in", "staff": "site", "annotator": "project", "lead": "project",
          "api": "api", "api_lead": "api"}  # fmt: skip
THROUGH = {200, 204, 302, 400, 405, 410}


@dataclass
class Things:
    """A project with one of each, and the route parameters that name them."""

    project: Project
    names: dict[str, object]

    def url(self, route: str, slug: str = "") -> str:
        pattern = next(p for p in patterns() if p.name == route)
        values = {**self.names, "slug": slug or self.project.slug}
        return reverse(route, kwargs={name: values[name] for name in pattern_parameters(pattern)})


def patterns(resolver: URLResolver | None = None) -> Iterator[URLPattern]:
    for entry in (resolver or get_resolver()).url_patterns:
        if isinstance(entry, URLResolver):
            yield from patterns(entry)
        else:
            yield entry


def pattern_parameters(pattern: URLPattern) -> set[str]:
    return set(re.findall(r"<(?:\w+:)?(\w+)>", str(pattern.pattern)))


def things(name: str, lead: User, annotator: User) -> Things:
    project = project_of(lead, annotator, name=name)
    add_items(project, 3, prefix=name)
    judge(project, annotator)
    judgement = Judgement.objects.get(item__project=project)
    feedback = reviewing.comment(judgement=judgement, author=lead, text="Why?")
    assignment = claim(project, annotator)
    flagged = flagging.flag(item=assignment.item, member=assignment.member, reason="harmful")
    batch = waiting_import(project, lead)
    snapshot = Snapshot.objects.create(
        project=project, hash=f"{name}{'0' * 60}"[:64].lower(), rows="ranking",
        counts={"train": 1, "heldout": 0, "groups": {"train": 1, "heldout": 0}, "judgements": 1, "dropped": {}},
        options={"heldout": 0.2, "split_seed": 0},
    )  # fmt: skip
    run = Run.objects.create(
        project=project, snapshot=snapshot, trainer="reward-model", config={}, models_used={"base": "tiny:encoder"},
        state=Run.SUCCEEDED, numbers={"accuracy/model": 0.7},
    )  # fmt: skip
    model = Model.objects.create(project=project, run=run, name="m", yields=["score"])
    conversation, said = UUID(int=project.pk), [{"role": "user", "content": "Why?"}]
    talking.add(
        member=member_of(project, annotator),
        id=conversation,
        number=1,
        prompt=said,
        answers=[("a", "m"), ("b", "m")],
        instead=None,
    )
    names = {
        "item_id": assignment.item_id, "member_id": member_of(project, annotator).pk, "import_id": batch.pk,
        "assignment_id": assignment.pk, "name": snapshot.hash, "split": "train", "run_id": run.pk, "model_id": model.pk,
        "token": "no-such-token", "notice_id": 1, "version": 99,
        "judgement_id": judgement.pk, "feedback_id": feedback.pk, "flag_id": flagged.pk,
        "conversation": conversation,
    }  # fmt: skip
    return Things(project, names)


def waiting_import(project: Project, lead: User) -> Import:
    from annotation import receiving

    return receiving.receive(project=project, name="more.jsonl", chunks=[as_lines(rows(2))], actor=lead)


@dataclass
class World:
    here: Things
    there: Things
    clients: dict[str, Client]


@pytest.fixture
def world() -> World:
    """lin leads both projects, ada annotates in both, bo belongs to neither, root is a superuser without memberships."""
    lin, ada, bo = person("lin", is_staff=True), person("ada"), person("bo")
    root = person("root", is_staff=True, is_superuser=True)
    here, there = things("here", lin, ada), things("there", lin, ada)
    clients = {user.username: signed_in(user) for user in (lin, ada, bo, root)}
    return World(here, there, {**clients, "anonymous": Client()})


def everything() -> dict[str, int]:
    ours = (Project, Item, Import, Membership, Assignment, Judgement, Snapshot, Run, Model)
    return {model.__name__: model.objects.count() for model in (*ours, User, ApiToken, SignInLink, AuditEntry)}


def test_every_route_has_a_name_and_stands_in_the_list_of_doors() -> None:
    names = [pattern.name for pattern in patterns()]
    assert sorted(names) == sorted(DOORS)


def test_every_route_declares_the_permission_of_its_door() -> None:
    for pattern in patterns():
        permission = getattr(pattern.callback, "permission", None)
        assert isinstance(permission, Permission), pattern.name
        assert permission.scope == SCOPES[DOORS[pattern.name or ""]], pattern.name


def test_every_project_route_names_its_project_by_slug() -> None:
    for pattern in patterns():
        named = "slug" in pattern_parameters(pattern) and not DOORS[pattern.name or ""].startswith("api")
        assert (pattern.callback.permission.scope == "project") == named, pattern.name


def _undeclared(request: HttpRequest) -> HttpResponse:
    return HttpResponse("secret")


urlpatterns = [path("undeclared/", _undeclared)]


@override_settings(ROOT_URLCONF=__name__)
def test_a_view_that_declares_nothing_is_never_run() -> None:
    with pytest.raises(ImproperlyConfigured, match="declares no permission"):
        Client().get("/undeclared/")
    root = person("root", is_superuser=True)
    with pytest.raises(ImproperlyConfigured):
        signed_in(root).get("/undeclared/")


@pytest.mark.parametrize("method", ["get", "post"])
def test_nobody_gets_through_a_door_that_is_not_theirs(world: World, method: str) -> None:
    before = everything()
    wrong = []
    for route, who in DOORS.items():
        for name, client in world.clients.items():
            expected = refused(who, name)
            if expected is None:
                continue
            answer = getattr(client, method)(world.here.url(route))
            if answer.status_code != expected:
                wrong.append(f"{method} {route} as {name}: {answer.status_code}, not {expected}")
            if expected == 302 and not answer["Location"].startswith("/sign-in/?next="):
                wrong.append(f"{route} as {name} leads to {answer['Location']}")
    assert wrong == []
    assert everything() == before


def refused(who: str, name: str) -> int | None:
    """The status with which a door is closed to somebody; None where it is open."""
    if who == "public" or name == "root":
        return None
    if name == "anonymous":
        return 401 if who.startswith("api") else 302
    if who == "staff":
        return None if name == "lin" else 403
    if who in ("annotator", "lead", "api_lead") and name == "bo":
        return 404
    return 403 if who in ("lead", "api_lead") and name == "ada" else None


def test_everybody_gets_through_their_own_doors(world: World) -> None:
    wrong = []
    for route, who in DOORS.items():
        for name, client in world.clients.items():
            mine = name == "ada" or route not in ("assignment", "submit", "skip", "unskip", "draft", "conversation")
            if refused(who, name) is None and mine and not (who == "api" and name == "bo"):
                status = client.get(world.here.url(route)).status_code
                # the rows of this snapshot were never written
                if status not in THROUGH and route != "snapshot_rows":
                    wrong.append(f"{route} as {name}: {status}")
    assert wrong == []


def test_the_api_shows_an_outsider_nothing(world: World) -> None:
    assert world.clients["bo"].get(world.here.url("api_project")).status_code == 404
    assert world.clients["bo"].get(world.here.url("api_projects")).json()["results"] == []


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_thing_of_another_project_is_not_there_even_for_those_who_lead_both(world: World, method: str) -> None:
    before = everything()
    wrong = []
    for route in PROJECT_DOORS:
        if pattern_parameters(next(p for p in patterns() if p.name == route)) == {"slug"}:
            continue
        for name in ("lin", "ada", "root"):
            status = getattr(world.clients[name], method)(
                world.there.url(route, slug=world.here.project.slug)
            ).status_code
            closed = refused(DOORS[route], name) or (405 if method == "get" and status == 405 else 404)
            if status != closed:
                wrong.append(f"{method} {route} as {name}: {status}, not {closed}")
    assert wrong == []
    after = everything()
    # a superuser who comes to the desk for the first time becomes a member, and nothing else happens
    assert {k: v - before[k] for k, v in after.items() if v != before[k]} in ({}, {"Membership": 1})


def test_the_assignment_of_somebody_else_is_not_there(world: World) -> None:
    for route in ("assignment", "submit", "skip", "unskip", "draft"):
        for name in ("lin", "root"):
            assert world.clients[name].post(world.here.url(route), {"ranking.rank-0": "1"}).status_code == 404
    assert Assignment.objects.get(pk=world.here.names["assignment_id"]).state == Assignment.OPEN


def test_a_former_member_sees_the_project_no_longer(world: World) -> None:
    Membership.objects.filter(user__username="ada", project=world.here.project).update(active=False)
    ada = world.clients["ada"]
    assert ada.get(world.here.url("desk")).status_code == 404
    assert ada.post(world.here.url("submit"), {"ranking.rank-0": "1", "ranking.rank-1": "2"}).status_code == 404
    assert world.here.url("project") not in ada.get("/").text
    assert ada.get(world.there.url("desk")).status_code == 200


def test_a_link_opens_for_anybody_who_has_it(world: World) -> None:
    assert Client().get(inviting.new_link(user=User.objects.get(username="ada"))).status_code == 200


@pytest.mark.parametrize("odd", ["%00", "%ff", "9" * 40, "..%2f..", "'", "<b>", "%F0%9F%92%A5"])
def test_odd_addresses_are_not_found_and_never_a_fault(world: World, odd: str) -> None:
    lin, slug = world.clients["lin"], world.here.project.slug
    for address in (
        f"/p/{odd}/", f"/p/{slug}/items/{odd}/", f"/p/{slug}/snapshots/{odd}/", f"/p/{slug}/snapshots/{odd}/{odd}.jsonl",
        f"/p/{slug}/judge/{odd}/", f"/p/{slug}/runs/{odd}/", f"/p/{slug}/models/{odd}/", f"/api/v1/projects/{odd}/",
    ):  # fmt: skip
        assert lin.get(address).status_code == 404, address
    assert Client().get(f"/welcome/{odd}/").status_code in (404, 410)


@pytest.mark.parametrize("odd", ["", "x", "-1", "0", "9" * 40, "9" * 5000, "\x00", "²"])
def test_odd_queries_are_no_fault(world: World, odd: str) -> None:
    lin, slug = world.clients["lin"], world.here.project.slug
    assert lin.get(f"/p/{slug}/items/", {"page": odd}).status_code == 200
    asked = {"from": odd, "trainer": odd, "snapshot": odd}
    assert lin.get(f"/p/{slug}/runs/new/", asked).status_code == 200
