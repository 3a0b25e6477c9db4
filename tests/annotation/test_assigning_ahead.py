"""Items fetched ahead, leases renewed, skips taken back, and topics that are not somebody's field."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from annotation import assigning
from annotation.models import Assignment, Item, Project
from tests.annotation.test_assigning import let_run_out, slots_add_up
from tests.builders import add_items, as_lines, bring_in, claim, judge, member_of, person, project_of, rows
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
    return project_of(None, ada, bo)


def minutes_left(assignment: Assignment) -> float:
    assignment.refresh_from_db()
    return (assignment.leased_until - timezone.now()) / timedelta(minutes=1)


def ahead(project: Project, user: User, shown: list[Assignment], held: list[Assignment]) -> Assignment | None:
    return assigning.ahead(member=member_of(project, user), shown=[a.pk for a in shown], held=[a.pk for a in held])


def test_what_is_fetched_ahead_is_kept_for_minutes_and_what_is_shown_for_long(project: Project, ada: User) -> None:
    add_items(project, 5)
    first = claim(project, ada)
    second = ahead(project, ada, [first], [])
    assert second is not None
    assert minutes_left(second) < 11 < 50 < minutes_left(first)
    assert ahead(project, ada, [second], []) == first  # an open one of theirs comes before a new one
    assert minutes_left(second) > 50


def test_nobody_holds_more_than_three(project: Project, ada: User, bo: User) -> None:
    add_items(project, 5)
    first = claim(project, ada)
    second = ahead(project, ada, [first], [])
    assert second is not None
    third = ahead(project, ada, [first], [second])
    assert third is not None
    assert ahead(project, ada, [first], [second, third]) is None
    assert claim(project, bo).item.key == "i3"
    assert slots_add_up(project)


def test_what_a_closed_page_had_fetched_ahead_goes_to_others(project: Project, ada: User, bo: User) -> None:
    add_items(project, 2)
    first = claim(project, ada)
    second = ahead(project, ada, [first], [])
    assert second is not None
    let_run_out(second)
    assert claim(project, bo).item_id == second.item_id
    kept = assigning.keep(member=member_of(project, ada), shown=[first.pk], held=[second.pk])
    assert kept == [first.pk]
    assert slots_add_up(project)


def test_a_lease_that_ran_out_is_taken_again_while_there_is_a_place(project: Project, ada: User, bo: User) -> None:
    add_items(project, 2)
    mine = claim(project, ada)
    let_run_out(mine)
    theirs = claim(project, bo)
    assert assigning.keep(member=member_of(project, ada), shown=[mine.pk]) == []
    assigning.skip(assignment=theirs, reason="")
    assert assigning.keep(member=member_of(project, ada), shown=[mine.pk]) == [mine.pk]
    assert slots_add_up(project)


def test_somebody_elses_assignment_is_not_kept(project: Project, ada: User, bo: User) -> None:
    add_items(project, 1)
    mine = claim(project, ada)
    assert assigning.keep(member=member_of(project, bo), shown=[mine.pk]) == []


def test_a_skip_is_taken_back_if_nobody_took_the_place(project: Project, ada: User, bo: User) -> None:
    add_items(project, 1)
    mine = claim(project, ada)
    assigning.skip(assignment=mine, reason="unclear or broken", note=" no question ")
    mine.refresh_from_db()
    assert mine.skip_reason == "unclear or broken: no question"
    assert assigning.unskip(assignment=mine)
    assert claim(project, ada) == mine
    assigning.skip(assignment=mine, reason="unclear or broken")
    judge(project, bo)
    assert not assigning.unskip(assignment=mine)
    assert slots_add_up(project)


def test_topics_that_are_not_ones_field_come_last(project: Project, ada: User, bo: User) -> None:
    bring_in(project, as_lines(rows(8)))
    Item.objects.filter(position__lt=6).update(topic="law")
    Item.objects.filter(position__gte=6).update(topic="tides")
    for _ in range(2):
        assert claim(project, ada).item.topic == "law"
        assigning.skip(assignment=claim(project, ada), reason=assigning.NOT_MY_FIELD)
    assert assigning.foreign_topics(member=member_of(project, ada)) == ["law"]
    assert [judge(project, ada).item.topic for _ in range(2)] == ["tides", "tides"]
    assert claim(project, bo).item.topic == "law"
    assert judge(project, ada).item.topic == "law"  # nothing else is left
    assert assigning.foreign_topics(member=member_of(project, ada)) == []  # judged since


def test_other_reasons_tell_nothing_of_a_field(project: Project, ada: User) -> None:
    add_items(project, 4)
    Item.objects.update(topic="law")
    for reason in ("unclear or broken", "too long for now", assigning.NOT_MY_FIELD):
        assigning.skip(assignment=claim(project, ada), reason=reason)
    assert assigning.foreign_topics(member=member_of(project, ada)) == []


def test_ones_own_number_is_exact_and_the_projects_is_a_little_old(project: Project, ada: User) -> None:
    add_items(project, 3)
    member = member_of(project, ada)
    assert (assigning.glance(member=member).done, assigning.glance(member=member).done_by_me) == (0, 0)
    judge(project, ada)
    seen = assigning.glance(member=member)
    assert (seen.total, seen.done_by_me) == (3, 1)
    assert assigning.progress(project=project, member=member).done == 1
