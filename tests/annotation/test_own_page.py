"""Somebody's own page: what they did, what waits, how far they agree, and all they said."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import timedelta

import pgtrigger
import pytest
from django.db.models import F
from django.test import Client
from django.utils import timezone

from annotation import asking, assigning, belonging, concurring, guiding, judging, looking_back
from annotation.kinds import KINDS
from annotation.looking_back import Search
from annotation.models import Assignment, Draft, Judgement, Membership, Project
from tests.builders import (
    add_items,
    as_lines,
    bring_in,
    claim,
    join,
    judge,
    know_the_guidelines,
    member_of,
    person,
    project_of,
    signed_in,
)
from webapp.people.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada() -> User:
    return person("ada")


@pytest.fixture
def bo() -> User:
    return person("bo")


@pytest.fixture
def project(ada: User, bo: User) -> Project:
    made = project_of(person("lin"), ada, bo, overlap=2)
    add_items(made, 8)
    return made


@pytest.fixture
def client(ada: User) -> Client:
    return signed_in(ada)


def say(assignment: Assignment, ranks: list[int]) -> Judgement:
    """Ranks by position, not as they were shown."""
    return judging.submit(assignment=assignment, answers={"ranking": {"ranks": ranks}}, key=uuid.uuid4())


def long_ago(**ago: int) -> None:
    """Moves all judgements into the past: what only a test may do."""
    with pgtrigger.ignore("annotation.Judgement:judgements_are_append_only"):
        Judgement.objects.update(submitted_at=F("submitted_at") - timedelta(**ago))


def page_of(client: Client, project: Project, query: str = "") -> str:
    return client.get(f"/p/{project.slug}/mine/{query}").text


def test_hours_and_counts_are_of_ones_own_live_work(project: Project, ada: User, bo: User, client: Client) -> None:
    for active_ms in (10_000, 20_000, 4_500_000):
        assignment = claim(project, ada)
        answers = {"ranking": {"ranks": [1, 2, 3, 4]}}
        judging.submit(assignment=assignment, answers=answers, key=uuid.uuid4(), active_ms=active_ms)
    judge(project, bo)
    work = looking_back.work(member_of(project, ada))
    assert (work.today, work.week, work.all, work.median_s) == (3, 3, 3, 20)
    assert work.all_time == (1, 15)
    page = page_of(client, project)
    assert "1 h 15 min at work" in page
    assert "20 s" in page


def test_the_last_thirty_days_are_counted_by_day(project: Project, ada: User) -> None:
    member = member_of(project, ada)
    assert [day.count for day in looking_back.days(member)] == [0] * 30
    judge(project, ada)
    long_ago(days=2)
    judge(project, ada)
    counted = looking_back.days(member)
    assert [day.count for day in counted[-4:]] == [0, 1, 0, 1]
    assert counted[-1].day == timezone.localdate()
    long_ago(days=40)
    assert sum(day.count for day in looking_back.days(member)) == 0


def test_history_is_found_by_words_question_and_day(project: Project, ada: User) -> None:
    member = member_of(project, ada)
    for _ in range(3):
        judge(project, ada)

    def found(**search: object) -> list[str]:
        return [judgement.item.key for judgement in looking_back.history(member, Search(**search))]  # type: ignore[arg-type]

    assert found() == ["i2", "i1", "i0"]
    assert found(words="answer 1.2") == ["i1"]
    assert found(words="nowhere") == []
    assert found(question="ranking", since=timezone.localdate()) == ["i2", "i1", "i0"]
    assert found(until=timezone.localdate() - timedelta(days=1)) == []


def test_the_history_has_pages_and_keeps_the_search_on_them(ada: User, client: Client) -> None:
    large = project_of(None, ada, name="Large")
    add_items(large, 60, answers=2)
    for _ in range(60):
        judge(large, ada, {"ranking.rank-0": "1", "ranking.rank-1": "2"})
    page = page_of(client, large, "?words=question")
    assert "60 judgements, newest first." in page
    assert "?words=question&amp;page=2#mine-title" in page
    assert "Question 0 of i?" in page_of(client, large, "?words=question&page=2")
    assert "Nothing found" in page_of(client, large, "?words=xylophone")


@pytest.mark.parametrize(
    "query", ["?page=x", "?page=99", "?since=soon", "?question=nope", "?words=%25%27%22", "?until=0000-00-00"]
)
def test_odd_searches_are_no_fault(project: Project, ada: User, client: Client, query: str) -> None:
    judge(project, ada)
    assert client.get(f"/p/{project.slug}/mine/{query}").status_code == 200


def test_what_was_replaced_can_be_looked_at(project: Project, ada: User, client: Client) -> None:
    assignment = claim(project, ada)
    say(assignment, [1, 2, 3, 4])
    first = looking_back.summary(Judgement.objects.get())
    say(assignment, [4, 3, 2, 1])
    page = page_of(client, project)
    assert "corrected" in page
    assert first.replace(">", "&gt;") in page


def test_correcting_is_offered_only_while_it_is_allowed(project: Project, ada: User, client: Client) -> None:
    judge(project, ada)
    assert "Correct Question 0 of i?" in page_of(client, project)
    Project.objects.update(correct_hours=1)
    long_ago(hours=2)
    assert "Correct Question 0 of i?" not in page_of(client, project)


def test_drafts_and_skipped_items_are_there_to_go_on_with(project: Project, ada: User, client: Client) -> None:
    skipped = claim(project, ada)
    assigning.skip(assignment=skipped, reason="too long for now")
    begun = claim(project, ada)
    Draft.objects.create(assignment=begun, fields={"ranking.rank-0": "1"}, saved_at=timezone.now())
    page = page_of(client, project)
    assert "Too long for now" in page
    assert f"/p/{project.slug}/judge/{skipped.pk}/unskip/" in page
    assert f'href="/p/{project.slug}/judge/{begun.pk}/"' in page


def both_judge(project: Project, ada: User, bo: User, items: int, differing: int = 0) -> None:
    """ada and bo judge as many items; of `differing` bo says the opposite."""
    for number in range(items):
        say(claim(project, ada), [1, 2, 3, 4])
        say(claim(project, bo), [4, 3, 2, 1] if number < differing else [1, 2, 3, 4])


def weeks(project: Project, user: User) -> list[tuple[int, int]]:
    found = concurring.of_member(Membership.objects.select_related("project").get(pk=member_of(project, user).pk))
    return [(one.percent, one.found.items) for week in found for one in week.measured]


def test_agreement_is_said_of_whole_weeks_with_enough_items_only(project: Project, ada: User, bo: User) -> None:
    both_judge(project, ada, bo, 4)
    long_ago(days=7)
    assert weeks(project, ada) == []  # four items are too few
    both_judge(project, ada, bo, 4, differing=4)
    assert weeks(project, ada) == []  # those of this week do not count yet
    long_ago(days=7)
    assert weeks(project, ada) == []  # now each of two weeks has four
    add_items(project, 5, prefix="j")
    both_judge(project, ada, bo, 5, differing=1)
    long_ago(days=7)
    assert weeks(project, ada) == weeks(project, bo) == [(80, 5)]


def test_an_item_that_is_not_complete_tells_nothing(ada: User, bo: User) -> None:
    wide = project_of(None, ada, bo, name="Wide", overlap=3)
    add_items(wide, 6)
    both_judge(wide, ada, bo, 6)
    long_ago(days=7)
    assert weeks(wide, ada) == []
    cy = person("cy")
    join(wide, cy)
    for _ in range(6):
        judge(wide, cy)
    long_ago(days=7)
    assert [items for _, items in weeks(wide, ada)] == [6]


def test_a_correction_moves_nothing_that_annotators_see_but_what_leads_see(
    project: Project, ada: User, bo: User
) -> None:
    both_judge(project, ada, bo, 5)
    long_ago(days=7)
    assert weeks(project, ada) == [(100, 5)]
    for assignment in Assignment.objects.filter(member=member_of(project, ada)):
        say(assignment, [4, 3, 2, 1])
    assert weeks(project, ada) == [(100, 5)]
    (measured,) = concurring.of_project(project)
    assert (measured.percent, measured.found.pairs, measured.way) == (0, 30, "order")


def test_agreement_is_shown_to_annotators_where_the_project_says_so(
    project: Project, ada: User, bo: User, client: Client
) -> None:
    both_judge(project, ada, bo, 5)
    long_ago(days=7)
    assert "How far you agree" not in page_of(client, project)
    Project.objects.update(show_agreement=True)
    page = page_of(client, project)
    assert "How far you agree" in page
    assert "100 %" in page


def test_leads_see_agreement_by_version_of_the_guidelines(project: Project, ada: User, bo: User) -> None:
    both_judge(project, ada, bo, 6, differing=3)
    say(claim(project, ada), [1, 2, 3, 4])
    guiding.write(project=project, text="Brevity first.", actor=None)
    know_the_guidelines(project)
    say(claim(project, bo), [1, 2, 3, 4])  # this item was judged under two versions
    add_items(project, 5, prefix="j")
    both_judge(project, ada, bo, 5)
    told = [
        (version, one.percent, one.found.items) for version, all_ in concurring.by_guidelines(project) for one in all_
    ]
    assert told == [(1, 50, 6), (2, 100, 5)]
    lead = signed_in(User.objects.get(username="lin"))
    assert "Agreement by version" in lead.get(f"/p/{project.slug}/guidelines/").text
    assert "How far people agree" in lead.get(f"/p/{project.slug}/").text
    assert "How far people agree" not in signed_in(ada).get(f"/p/{project.slug}/").text


@pytest.mark.parametrize(
    ("kind", "options", "one", "other", "said"),
    [
        ("comparison", {}, {"winner": 1, "strength": 2}, {"winner": 1, "strength": 1}, ("order", 100, 100)),
        (
            "rating", {"aspects": [{"name": "truth"}, {"name": "style"}]},
            {"scores": [{"truth": 3, "style": None}, {"truth": 1, "style": 2}]},
            {"scores": [{"truth": 4, "style": 2}, {"truth": 1, "style": 4}]}, ("score", 33, 67),
        ),
        (
            "label", {"of": "answer", "labels": "rude\nwrong", "many": True},
            {"labels": [["rude"], []]}, {"labels": [["rude", "wrong"], []]}, ("label", 50, 75),
        ),
    ],
)  # fmt: skip
def test_every_kind_that_can_be_compared_is(
    ada: User,
    bo: User,
    kind: str,
    options: Mapping[str, object],
    one: object,
    other: object,
    said: tuple[str, int, int],
) -> None:
    if kind not in KINDS:
        pytest.skip(f"{kind} is not there yet")
    asked = [asking.draft(kind, options=options)]
    made = belonging.create_project(name=kind, questions=asked, creator=None, overlap=2)
    bring_in(made, as_lines([{"id": "1", "prompt": "Why?", "responses": ["a", "b"]}]))
    for user, answer in ((ada, one), (bo, other)):
        join(made, user)
        judging.submit(assignment=claim(made, user), answers={kind: answer}, key=uuid.uuid4())
    (measured,) = concurring.of_project(made)
    assert (measured.way, measured.percent, measured.near_percent) == said
