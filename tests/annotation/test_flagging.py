"""Flags go to the leads, once each; a lead settles them; topics and warnings are the leads' to change."""

from __future__ import annotations

from typing import Any

import pytest
from django.db.models.functions import Now
from django.http import HttpResponse
from django.test import Client

from annotation import flagging
from annotation.importing import ImportRefused
from annotation.models import Assignment, Flag, Item, Project
from tests.builders import as_lines, bring_in, claim, person, project_of, rows, signed_in
from webapp.people.models import AuditEntry, Notice, User

pytestmark = pytest.mark.django_db


@pytest.fixture
def lin() -> User:
    return person("lin")


@pytest.fixture
def ada() -> User:
    return person("ada")


@pytest.fixture
def project(lin: User, ada: User) -> Project:
    made = project_of(lin, ada, name="Tides")
    bring_in(made, as_lines(rows(2)))
    return made


def raise_flag(client: Client, assignment: Assignment, *, json: bool = True, **form: str) -> HttpResponse:
    headers = {"Accept": "application/json"} if json else {}
    return client.post(f"/p/tides/judge/{assignment.pk}/flag/", form, headers=headers)


def test_a_flag_from_the_desk_reaches_the_leads_with_a_notice_each(project: Project, ada: User, lin: User) -> None:
    client, assignment = signed_in(ada), claim(project, ada)
    assert raise_flag(client, assignment, reason="harmful", note="Line 3.\r\n").json() == {
        "said": "Flagged. A lead looks at it."
    }
    raise_flag(client, assignment, reason="personal data")
    assert [(f.reason, f.note) for f in Flag.objects.order_by("id")] == [("harmful", "Line 3."), ("personal data", "")]
    second, first = Notice.objects.filter(user=lin)
    assert (first.url, first.is_trouble, second.url) == ("/p/tides/flags/", True, "/p/tides/flags/")
    assert first.text == f"Flagged in Tides: {assignment.item.key} (Harmful)."
    assert AuditEntry.objects.filter(action="flag", subject="tides").count() == 2
    assert Assignment.objects.get(pk=assignment.pk).state == Assignment.OPEN


def test_a_flood_of_flags_is_no_flood_of_notices(project: Project, ada: User, lin: User) -> None:
    member, item = project.memberships.get(user=ada), project.items.first()
    assert item is not None

    def flag(count: int) -> None:
        for number in range(count):
            flagging.flag(item=item, member=member, reason="other", note=f"{number}")
            Flag.objects.filter(settled_at=None).update(settled_at=Now())

    flag(7)
    assert Notice.objects.filter(user=lin).count() == flagging.MOST_NOTICES
    Notice.objects.update(read_at=Now())
    flag(1)
    assert Notice.objects.filter(user=lin, read_at=None).count() == 1


def test_the_same_flag_sent_again_is_one_flag_and_keeps_both_notes(project: Project, ada: User) -> None:
    client, assignment = signed_in(ada), claim(project, ada)
    for note in ("first", "first", "second"):
        raise_flag(client, assignment, reason="other", note=note)
    assert Flag.objects.get().note == "first\nsecond"


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"reason": "boring"}, "Choose what is wrong"),
        ({}, "Choose what is wrong"),
        ({"reason": "other", "note": "  "}, "Say in the note"),
        ({"reason": "harmful", "note": "x" * 2001}, "longer than 2000"),
    ],
)
def test_what_is_no_flag_is_refused_in_words(project: Project, ada: User, form: dict[str, str], words: str) -> None:
    answer = raise_flag(signed_in(ada), claim(project, ada), **form)
    assert (answer.status_code, words in answer.json()["error"]) == (400, True)
    assert not Flag.objects.exists()


def test_without_script_a_flag_comes_back_to_the_item_or_goes_on_if_it_is_skipped_too(
    project: Project, ada: User
) -> None:
    client, assignment = signed_in(ada), claim(project, ada)
    answer = raise_flag(client, assignment, json=False, reason="harmful")
    assert answer["Location"] == f"/p/tides/judge/{assignment.pk}/"
    answer = raise_flag(client, assignment, json=False, reason="harmful", skip="1")
    assert answer["Location"] == "/p/tides/judge/"
    assert Assignment.objects.get(pk=assignment.pk).state == Assignment.SKIPPED


def test_nobody_flags_by_way_of_somebody_elses_assignment(project: Project, ada: User, lin: User) -> None:
    assert raise_flag(signed_in(lin), claim(project, ada), reason="harmful").status_code == 404


def test_a_lead_settles_a_flag_and_who_raised_it_is_told(project: Project, ada: User, lin: User) -> None:
    assignment, client = claim(project, ada), signed_in(lin)
    raise_flag(signed_in(ada), assignment, reason="harmful", note="<script>alert(1)</script>")
    flag = Flag.objects.get()
    assert "1 flag to settle" in client.get("/p/tides/").text
    page = client.get("/p/tides/flags/").text
    assert "&lt;script&gt;" in page and "<script>alert" not in page
    assert "Harmful" in client.get(f"/p/tides/items/{assignment.item_id}/").text
    client.post(f"/p/tides/flags/{flag.pk}/settle/", {"note": "Taken out."})
    flag.refresh_from_db()
    assert (flag.settled_by, flag.settled_note) == (lin, "Taken out.")
    assert Notice.objects.get(user=ada).text == "Your flag in Tides (Harmful) was settled: Taken out."
    assert "Taken out." in client.get("/p/tides/flags/?settled=1").text
    assert "No open flags" in client.get("/p/tides/flags/").text
    client.post(f"/p/tides/flags/{flag.pk}/settle/", {"reopen": "1"})
    assert flagging.open_count(project) == 1


def test_the_desk_offers_every_reason(project: Project, ada: User) -> None:
    page = signed_in(ada).get("/p/tides/judge/").text
    for reason, words in flagging.REASONS.items():
        assert f'name="reason" value="{reason}" required' in page
        assert f"<span>{words}</span>" in page
    assert "checked> <span>Harmful" not in page


def test_topic_and_warning_come_in_with_the_file(project: Project) -> None:
    records: list[dict[str, Any]] = rows(3, prefix="w")
    records[0] |= {"topic": "Harbours", "warning": "Speaks of\n drowning."}
    records[1] |= {"topic": None, "warning": ""}
    bring_in(project, as_lines(records))
    told = list(Item.objects.filter(key__startswith="w").order_by("position").values_list("topic", "warning"))
    assert told == [("Harbours", "Speaks of drowning."), ("", ""), ("", "")]


def test_a_mapping_may_take_them_from_other_fields_and_too_long_ones_are_refused(project: Project) -> None:
    records = [{"id": "m", "prompt": "p", "responses": ["a", "b"], "about": {"field": "law"}}]
    words = {"prompt": "prompt", "responses": "responses", "topic": "about.field"}
    bring_in(project, as_lines(records), words)
    assert Item.objects.get(key="m").topic == "law"
    with pytest.raises(ImportRefused, match="longer than 300"):
        bring_in(
            project,
            as_lines([*rows(1, prefix="n"), *rows(1, prefix="o")]).replace(
                b'"o0"', b'"o0", "warning": "' + b"x" * 301 + b'"'
            ),
        )
    assert not Item.objects.filter(key="n0").exists()


def test_prompts_alone_come_in_where_every_question_takes_them(lin: User) -> None:
    writing = project_of(lin, name="Writing", question="demonstration")
    bring_in(writing, as_lines([{"id": "1", "prompt": "Write a poem."}]))
    assert Item.objects.get(project=writing).responses.count() == 0
    ranking = project_of(lin, name="Ranking")
    with pytest.raises(ImportRefused, match="responses"):
        bring_in(ranking, as_lines([{"id": "1", "prompt": "Write a poem."}]))


def test_a_lead_changes_topic_and_warning_on_the_items_page(project: Project, lin: User, ada: User) -> None:
    item, client = Item.objects.earliest("id"), signed_in(lin)
    address = f"/p/tides/items/{item.pk}/"
    assert client.post(f"{address}words/", {"topic": " Sea ", "warning": "Sad <b>news</b>"}).status_code == 302
    item.refresh_from_db()
    assert (item.topic, item.warning) == ("Sea", "Sad <b>news</b>")
    assert "Sad &lt;b&gt;news" in client.get(address).text
    assert "Sad &lt;b&gt;news" in client.get("/p/tides/items/").text
    too_long = client.post(f"{address}words/", {"topic": "t" * 101, "warning": "kept"})
    assert (too_long.status_code, "At most 100" in too_long.text, "kept" in too_long.text) == (400, True, True)
    assert signed_in(ada).post(f"{address}words/", {"topic": "x"}).status_code == 403
