"""What the desk's page and its server say to each other: sheets ahead, JSON answers, drafts, versions, times."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from annotation import judging
from annotation.asking import change, draft
from annotation.models import Assignment, Draft, Feedback, Judgement, Project
from tests.builders import add_items, claim, judge, member_of, person, project_of, signed_in
from webapp.people.models import User

pytestmark = pytest.mark.django_db
RANKED = {f"ranking.rank-{place}": str(place + 1) for place in range(4)}
OTHERWISE = {f"ranking.rank-{place}": str(4 - place) for place in range(4)}


@pytest.fixture
def ada() -> User:
    return person("ada")


@pytest.fixture
def project(ada: User) -> Project:
    made = project_of(None, ada, guidelines="")
    add_items(made, 4)
    return made


@pytest.fixture
def client(ada: User) -> Client:
    return signed_in(ada)


def url(assignment: Assignment, what: str = "") -> str:
    return f"/p/{assignment.item.project.slug}/judge/{assignment.pk}/{what}{'/' if what else ''}"


def send(client: Client, assignment: Assignment, form: dict[str, str], **more: Any) -> Any:  # noqa: ANN401 - a response
    data = {"key": str(uuid.uuid4()), **form, **{k: str(v) for k, v in more.items()}}
    return client.post(url(assignment, "submit"), data, headers={"Accept": "application/json"})


def test_a_sheet_ahead_is_one_item_and_no_page(client: Client, project: Project, ada: User) -> None:
    first = claim(project, ada)
    answer = client.get(f"/p/{project.slug}/judge/ahead/", {"shown": f"{first.pk},x,-1,{'9' * 40}", "held": ""})
    assert (answer.status_code, answer.text.count("data-item"), answer.text.count("<html")) == (200, 1, 0)
    assert f'data-assignment="{first.pk}"' not in answer.text
    held = ",".join(str(pk) for pk in Assignment.objects.exclude(pk=first.pk).values_list("pk", flat=True))
    more = {"shown": first.pk, "held": held}
    assert client.get(f"/p/{project.slug}/judge/ahead/", more).status_code == 200
    assert client.get(f"/p/{project.slug}/judge/ahead/", {"shown": first.pk}).status_code == 200
    held = ",".join(str(pk) for pk in Assignment.objects.exclude(pk=first.pk).values_list("pk", flat=True))
    assert client.get(f"/p/{project.slug}/judge/ahead/", {"shown": first.pk, "held": held}).status_code == 204


def test_a_submission_is_answered_in_json_if_that_is_asked_for(client: Client, project: Project, ada: User) -> None:
    answer = send(client, claim(project, ada), RANKED).json()
    assert set(answer) == {"saved_at", "url", "correctable", "summary", "progress"}
    assert answer["progress"]["done_by_me"] == 1
    wrong = send(client, claim(project, ada), {"ranking.rank-0": "nine"})
    assert wrong.status_code == 400
    assert wrong.json()["error"]


def test_a_tab_that_does_not_know_of_the_other_is_told(client: Client, project: Project, ada: User) -> None:
    mine = claim(project, ada)
    send(client, mine, RANKED, expects=0)
    second = send(client, mine, OTHERWISE, expects=0)
    assert second.status_code == 409
    assert "in another tab" in second.json()["error"]
    assert send(client, mine, OTHERWISE, expects=1).status_code == 200
    assert Judgement.objects.count() == 2


def test_the_same_said_in_two_tabs_is_no_conflict(client: Client, project: Project, ada: User) -> None:
    mine = claim(project, ada)
    assert [send(client, mine, RANKED, expects=0).status_code for _ in range(2)] == [200, 200]
    assert Judgement.objects.count() == 1


def test_one_that_replaces_what_arrived_unheard_is_a_correction(client: Client, project: Project, ada: User) -> None:
    mine, key = claim(project, ada), uuid.uuid4()
    send(client, mine, RANKED, expects=0, key=key)
    assert send(client, mine, OTHERWISE, expects=0, replaces=uuid.uuid4()).status_code == 409
    assert send(client, mine, OTHERWISE, expects=0, replaces=key).status_code == 200
    assert Judgement.objects.count() == 2


def test_corrections_end_with_their_time_unless_a_lead_asks_again(client: Client, project: Project, ada: User) -> None:
    Project.objects.update(correct_hours=2)
    judgement = judge(project, ada)
    mine = Assignment.objects.get()
    assert judging.may_correct(judgement=judgement)
    Project.objects.update(correct_hours=0)
    late = send(client, mine, OTHERWISE, expects=1)
    assert late.status_code == 409
    assert "that time is over" in late.json()["error"]
    page = client.get(url(mine)).text
    assert "the time to correct it is over" in page
    Feedback.objects.create(judgement=judgement, author=person("lin"), asks_again=True)
    assert send(client, mine, OTHERWISE, expects=1).status_code == 200


def test_an_answer_counts_for_the_questions_that_stood_on_its_page(client: Client, project: Project, ada: User) -> None:
    mine = claim(project, ada)
    change(project=project, drafts=[draft("ranking"), draft("comment", required=True)], actor=None)
    assert send(client, mine, RANKED).status_code == 400
    assert send(client, mine, RANKED, schema_version=9).status_code == 400
    assert send(client, mine, RANKED, schema_version=1).status_code == 200
    assert Judgement.objects.get().schema_version == 1


def test_a_draft_is_kept_and_ends_with_the_answer(client: Client, project: Project, ada: User) -> None:
    mine = claim(project, ada)
    kept = client.post(url(mine, "draft"), {"ranking.rank-0": "2", "expects": "0", "other": "x"})
    assert abs(kept.json()["saved_at"] / 1000 - timezone.now().timestamp()) < 60
    assert Draft.objects.get().fields == {"ranking.rank-0": ["2"]}
    assert "&quot;ranking.rank-0&quot;: [&quot;2&quot;]" in client.get(url(mine)).text
    send(client, mine, RANKED)
    assert not Draft.objects.exists()
    late = client.post(url(mine, "draft"), {"ranking.rank-0": "3", "expects": "0"})
    assert (late.status_code, late.json()["saved_at"], Draft.objects.count()) == (200, None, 0)
    assert client.post(url(mine, "draft"), {"ranking.rank-0": "3", "expects": "1"}).json()["saved_at"]
    client.post(url(mine, "draft"), {"expects": "1"})
    assert not Draft.objects.exists()


def test_a_draft_renews_the_lease(client: Client, project: Project, ada: User) -> None:
    mine = claim(project, ada)
    Assignment.objects.update(leased_until=timezone.now() + timedelta(minutes=1))
    client.post(url(mine, "draft"), {"ranking.rank-0": "2"})
    mine.refresh_from_db()
    assert mine.leased_until > timezone.now() + timedelta(minutes=50)


def test_a_skip_is_taken_back_over_http(client: Client, project: Project, ada: User) -> None:
    mine = claim(project, ada)
    client.post(url(mine, "skip"), {"reason": "not my field"})
    answer = client.post(url(mine, "unskip"), headers={"Accept": "application/json"})
    assert f'data-assignment="{mine.pk}"' in answer.text
    assert client.post(url(mine, "unskip")).status_code == 302
    assert member_of(project, ada).assignments.get().state == Assignment.OPEN


def test_a_warning_covers_the_item_until_it_is_asked_for(client: Client, project: Project, ada: User) -> None:
    mine = claim(project, ada)
    mine.item.warning = "<b>Speaks</b> of a fall."
    mine.item.save()
    assert "&lt;b&gt;Speaks&lt;/b&gt;" in client.get(url(mine)).text
    assert "data-cover" not in client.get(f"{url(mine)}?show=1").text


def test_keeping_tells_who_is_signed_in(client: Client, project: Project, ada: User) -> None:
    mine = claim(project, ada)
    answer = client.get(f"/p/{project.slug}/judge/keep/", {"shown": f"{mine.pk},99999999"}).json()
    assert (answer["user"], answer["kept"]) == (ada.pk, [mine.pk])
    assert answer["token"]
