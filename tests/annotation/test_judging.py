"""Judgements: taken once, never changed, corrected by newer ones, and refused in words."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from annotation import assigning, belonging, guiding, judging
from annotation.models import Assignment, Item, Judgement, Project
from tests.builders import add_items, claim, judge, member_of, person, project_of, signed_in
from tests.webapp.page_reading import Page
from webapp.people.models import User

pytestmark = pytest.mark.django_db
RANKED = {"ranking.rank-0": "2", "ranking.rank-1": "1", "ranking.rank-2": "2", "ranking.rank-3": ""}


@pytest.fixture
def ada() -> User:
    return person("ada")


@pytest.fixture
def project(ada: User) -> Project:
    made = project_of(person("lin"), ada)
    add_items(made, 3)
    return made


@pytest.fixture
def client(ada: User) -> Client:
    return signed_in(ada)


def post(client: Client, assignment: Assignment, form: dict[str, str], key: object = None) -> HttpResponse:
    address = f"/p/{assignment.item.project.slug}/judge/{assignment.pk}/submit/"
    return client.post(address, {"key": str(key or uuid.uuid4()), **form})


def by_position(order: list[int], ranks: list[int | None]) -> list[int | None]:
    """Ranks as shown, as the item knows its responses."""
    stored: list[int | None] = [None] * len(order)
    for place, position in enumerate(order):
        stored[position] = ranks[place]
    return stored


def entered(answer: HttpResponse) -> dict[str, Any]:
    """What the page fills the form's fields with."""
    (found,) = (form["data-entered"] for form in Page(answer.text).all("form") if "data-entered" in form)
    return json.loads(found)


def selected(answer: HttpResponse) -> list[str]:
    """What a ranking page shows as chosen, from the first answer to the last."""
    given = entered(answer)
    values = [given.get(f"ranking.rank-{place}", "") for place in range(4)]
    return [value[0] if isinstance(value, list) else value for value in values]


def test_what_was_submitted_is_stored_by_position_with_all_that_belongs_to_it(
    client: Client, project: Project, ada: User
) -> None:
    assignment = claim(project, ada)
    key = uuid.uuid4()
    answer = post(client, assignment, RANKED | {"active_ms": "4200"}, key)
    assert (answer.status_code, answer["Location"]) == (302, f"/p/{project.slug}/judge/")
    stored = Judgement.objects.get()
    assert stored.answers == {"ranking": {"ranks": by_position(assignment.order, [2, 1, 2, None])}}
    assert (stored.key, stored.order, stored.active_ms) == (key, assignment.order, 4200)
    assert (stored.version, stored.supersedes, stored.origin, stored.guidelines_version) == (1, None, "live", 1)
    assert stored.started_at == assignment.started_at
    assert Assignment.objects.get().state == Assignment.DONE


def test_the_same_post_twice_is_one_judgement(client: Client, project: Project, ada: User) -> None:
    assignment, key = claim(project, ada), uuid.uuid4()
    for _ in range(3):
        assert post(client, assignment, RANKED, key).status_code == 302
    assert Judgement.objects.count() == 1


def test_the_same_key_with_another_answer_is_refused_with_409(client: Client, project: Project, ada: User) -> None:
    assignment, key = claim(project, ada), uuid.uuid4()
    post(client, assignment, RANKED, key)
    answer = post(client, assignment, RANKED | {"ranking.rank-0": "1"}, key)
    assert answer.status_code == 409
    assert "sent before with another answer" in answer.text
    assert selected(answer) == ["1", "1", "2", ""]
    assert Judgement.objects.count() == 1


def test_a_key_of_somebody_else_is_refused_with_409(client: Client, project: Project, ada: User) -> None:
    bo = person("bo")
    belonging.join(project=project, user=bo)
    key = uuid.uuid4()
    post(client, claim(project, ada), RANKED, key)
    assert post(signed_in(bo), claim(project, bo), RANKED, key).status_code == 409
    assert Judgement.objects.count() == 1


def test_a_key_of_another_item_is_refused_with_409(client: Client, project: Project, ada: User) -> None:
    key = uuid.uuid4()
    post(client, claim(project, ada), RANKED, key)
    assert post(client, claim(project, ada), RANKED, key).status_code == 409


def test_a_correction_supersedes_and_both_are_kept(client: Client, project: Project, ada: User) -> None:
    assignment = claim(project, ada)
    post(client, assignment, RANKED)
    page = client.get(f"/p/{project.slug}/judge/{assignment.pk}/")
    assert selected(page) == ["2", "1", "2", ""]
    post(client, assignment, RANKED | {"ranking.rank-3": "4"})
    old, new = Judgement.objects.order_by("version")
    assert (new.supersedes, new.version, old.version) == (old, 2, 1)
    assert list(judging.current(project_id=project.pk)) == [new]
    assert new.order == old.order
    assert Item.objects.get(key="i0").free == 0
    mine = client.get(f"/p/{project.slug}/mine/").text
    assert mine.count("Correct Question") == 1
    assert "corrected" in mine


def test_looking_again_and_saving_the_same_is_no_correction(client: Client, project: Project, ada: User) -> None:
    assignment = claim(project, ada)
    for _ in range(2):
        assert post(client, assignment, RANKED).status_code == 302
    assert Judgement.objects.get().version == 1
    guiding.write(project=project, text="Brevity first.", actor=None)
    post(client, assignment, RANKED)  # under new guidelines it is said anew
    assert Judgement.objects.count() == 2


def test_a_correction_is_taken_after_the_lease_ran_out(client: Client, project: Project, ada: User) -> None:
    assignment = claim(project, ada)
    post(client, assignment, RANKED)
    Assignment.objects.update(leased_until=timezone.now() - timedelta(days=30))
    assigning.release_expired(project=project)
    assert post(client, assignment, RANKED | {"ranking.rank-3": "4"}).status_code == 302
    assert Judgement.objects.count() == 2


def test_a_judgement_pins_the_guidelines_it_was_made_under(client: Client, project: Project, ada: User) -> None:
    post(client, claim(project, ada), RANKED)
    guiding.write(project=project, text="Truth first.", actor=None)  # nothing new
    guiding.write(project=project, text="Brevity first.", actor=None)
    post(client, claim(project, ada), RANKED)
    assert list(Judgement.objects.order_by("id").values_list("guidelines_version", flat=True)) == [1, 2]


def test_late_work_is_taken_while_the_item_is_open(client: Client, project: Project, ada: User) -> None:
    assignment = claim(project, ada)
    Assignment.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    assigning.release_expired(project=project)
    assert post(client, assignment, RANKED).status_code == 302
    assignment.refresh_from_db()
    assert (assignment.state, assignment.slot) == (Assignment.DONE, 1)
    assert Item.objects.get(key="i0").free == 0


def test_late_work_is_refused_in_words_when_others_have_completed_the_item(
    client: Client, project: Project, ada: User
) -> None:
    bo = person("bo")
    belonging.join(project=project, user=bo)
    assignment = claim(project, ada)
    Assignment.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    judge(project, bo)
    answer = post(client, assignment, RANKED)
    assert answer.status_code == 409
    assert "others have completed it" in answer.text
    assert selected(answer) == ["2", "1", "2", ""]
    assert Judgement.objects.count() == 1


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"ranking.rank-0": "1"}, "Rank at least two answers"), ({}, "is not answered yet"),
        (RANKED | {"ranking.rank-1": "first"}, "The rank of answer B is a whole number from 1, not “first”."),
        (RANKED | {"ranking.rank-1": "1.5"}, "not “1.5”"), (RANKED | {"ranking.rank-1": "-1"}, "not “-1”"),
        (RANKED | {"ranking.rank-1": "²"}, "not “²”"), (RANKED | {"ranking.rank-1": "١"}, "not “١”"),
        (RANKED | {"ranking.rank-1": "0"}, "whole number from 1 (best)"),
        (RANKED | {"ranking.rank-1": "1001"}, "whole number from 1 (best)"),
        (RANKED | {"ranking.rank-1": "9" * 30}, "not “99999999999999999999”"),
        (RANKED | {"ranking.rank-1": "9" * 5000}, "not “99999999999999999999”"),
        (RANKED | {"ranking.rank-1": "<script>alert(1)</script>"}, "not “&lt;script&gt;"),
    ],
)  # fmt: skip
def test_a_bad_ranking_is_refused_with_a_sentence_and_what_was_typed_stays(
    client: Client, project: Project, ada: User, form: dict[str, str], words: str
) -> None:
    assignment, key = claim(project, ada), uuid.uuid4()
    answer = post(client, assignment, form, key)
    assert answer.status_code == 400
    assert words in answer.text
    assert selected(answer)[0] == form.get("ranking.rank-0", "")
    assert Page(answer.text).value("key") == str(key)
    assert not Judgement.objects.exists()
    assert post(client, assignment, RANKED, key).status_code == 302


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ("", "is not answered yet"),
        ("4", "one of 3, 2, 1, 0, -1, -2, -3, not “4”"),
        ("9" * 5000, "one of 3, 2, 1, 0, -1, -2, -3"),
        ("A", "not “A”"),
        ("1.0", "not “1.0”"),
    ],
)
def test_a_bad_comparison_is_refused_with_a_sentence(client: Client, ada: User, choice: str, words: str) -> None:
    pairs = project_of(None, ada, name="Pairs", question="comparison")
    add_items(pairs, 1)
    answer = post(client, claim(pairs, ada), {"comparison.choice": choice})
    assert answer.status_code == 400
    assert words in answer.text
    assert not Judgement.objects.exists()


@pytest.mark.parametrize("key", ["", "x", "1" * 31, "9" * 5000])
def test_a_page_without_a_valid_key_is_refused_and_keeps_what_was_typed(
    client: Client, project: Project, ada: User, key: str
) -> None:
    assignment = claim(project, ada)
    answer = client.post(f"/p/{project.slug}/judge/{assignment.pk}/submit/", {"key": key, **RANKED})
    assert answer.status_code == 400
    assert "no valid key" in answer.text
    assert selected(answer) == ["2", "1", "2", ""]


@pytest.mark.parametrize(
    ("sent", "stored"), [("", None), ("x", None), ("-5", None), ("9" * 30, None), ("99999999999", 86_400_000)]
)
def test_the_time_at_work_is_taken_where_it_can_be(
    client: Client, project: Project, ada: User, sent: str, stored: int | None
) -> None:
    assert post(client, claim(project, ada), RANKED | {"active_ms": sent}).status_code == 302
    assert Judgement.objects.get().active_ms == stored


def test_a_judgement_cannot_be_changed_or_deleted_by_any_door(project: Project, ada: User) -> None:
    judgement = judge(project, ada)
    before = Judgement.objects.values().get()

    def by_sql(statement: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)

    attempts = [
        lambda: Judgement.objects.update(answers={}),
        lambda: Judgement.objects.all().delete(),
        lambda: judgement.delete(),
        lambda: Judgement.objects.bulk_update([Judgement(pk=judgement.pk, answers={})], ["answers"]),
        lambda: by_sql("UPDATE annotation_judgement SET answers = '{}'"),
        lambda: by_sql("DELETE FROM annotation_judgement"),
    ]
    for attempt in attempts:
        with pytest.raises(DatabaseError, match="annotation_judgement"), transaction.atomic():
            attempt()
    assert Judgement.objects.values().get() == before


def test_nothing_above_a_judgement_can_be_deleted(project: Project, ada: User) -> None:
    from django.db.models import ProtectedError

    judgement = judge(project, ada)
    for thing in (project, judgement.item, judgement.member, ada):
        with pytest.raises(ProtectedError), transaction.atomic():
            thing.delete()
    assert Judgement.objects.exists()


def test_skipping_over_http_frees_the_item(client: Client, project: Project, ada: User) -> None:
    assignment = claim(project, ada)
    answer = client.post(f"/p/{project.slug}/judge/{assignment.pk}/skip/", {"reason": "x" * 5000})
    assert answer.status_code == 302
    assert Item.objects.get(key="i0").free == 1
    assert claim(project, ada).item.key == "i1"


def test_the_desk_offers_the_way_back_to_the_last_one(client: Client, project: Project, ada: User) -> None:
    first = claim(project, ada)
    post(client, first, RANKED)
    page = client.get(f"/p/{project.slug}/judge/")
    assert f'href="/p/{project.slug}/judge/{first.pk}/"' in page.text
    for _ in range(2):
        judge(project, ada)
    done = client.get(f"/p/{project.slug}/judge/")
    assert "You are through" in done.text
    assert member_of(project, ada).judgements.count() == 3


def test_somebody_removed_keeps_their_judgements_and_may_come_back(client: Client, project: Project, ada: User) -> None:
    judge(project, ada)
    member = member_of(project, ada)
    lin = signed_in(User.objects.get(username="lin"))
    assert lin.post(f"/p/{project.slug}/people/{member.pk}/deactivate/").status_code == 302
    assert client.get(f"/p/{project.slug}/judge/").status_code == 404
    assert Judgement.objects.count() == 1
    belonging.join(project=project, user=ada)
    assert client.get(f"/p/{project.slug}/judge/").status_code == 200
    assert member_of(project, ada).pseudonym == member.pseudonym
