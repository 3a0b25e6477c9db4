"""Quick counts equal slow ones: what stands, by member, by version of the questions, and of which items agreement is told."""

from __future__ import annotations

import uuid
from collections import Counter
from typing import Any

import pytest

from annotation import asking, concurring, judging, standing
from annotation.models import Assignment, Judgement, Membership, Project
from tests.builders import add_items, as_lines, bring_in, claim, member_of, person, project_of, rows, signed_in
from webapp.people.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def people() -> list[User]:
    return [person(name) for name in ("ada", "bo")]


@pytest.fixture
def project(people: list[User]) -> Project:
    """ada and bo judge six items, some of them one alone; corrections, imported judgements, two versions of the questions."""
    ada, bo = people
    made = project_of(person("lin"), ada, bo, overlap=2)
    add_items(made, 6)
    bring_in(made, as_lines([one | {"ranks": [1, 2, 3, 4]} for one in rows(3, prefix="came")]))
    for number in range(6):
        say(claim(made, ada), [1, 2, 3, 4])
        if number % 3:
            say(claim(made, bo), [4, 3, 2, 1])
    asking.change(project=made, drafts=[asking.draft("ranking", title="Which is best?")], actor=None)
    made.refresh_from_db()
    for assignment in Assignment.objects.filter(member=member_of(made, ada))[:2]:
        say(assignment, [2, 1, 3, 4])
        say(assignment, [2, 1, 4, 3])
    return made


@pytest.fixture
def elsewhere(people: list[User]) -> Project:
    """The same people's judgements in another project, of which nothing may be counted here."""
    made = project_of(None, *people, name="Elsewhere", overlap=2)
    add_items(made, 3, prefix="e")
    for user in people:
        say(claim(made, user), [1, 2, 3, 4])
    return made


def say(assignment: Assignment, ranks: list[int]) -> Judgement:
    return judging.submit(assignment=assignment, answers={"ranking": {"ranks": ranks}}, key=uuid.uuid4())


def stands(project: Project) -> Any:  # noqa: ANN401 - a queryset, by way of the items
    return Judgement.objects.filter(item__project=project, superseded_by=None)


def test_what_stands_is_counted_as_by_looking_at_each(project: Project, elsewhere: Project) -> None:
    for one in (project, elsewhere):
        told = standing.by_member(one)
        assert set(told) == set(Membership.objects.filter(project=one).values_list("pk", flat=True))
        given = Counter(stands(one).values_list("member_id", flat=True))
        live = Counter(stands(one).filter(origin="live").values_list("member_id", flat=True))
        assert {member: (count.all, count.live) for member, count in told.items() if count.all} == {
            member: (given[member], live[member]) for member in given
        }
        assert standing.of_project(one).all == stands(one).count() == judging.current(project_id=one.pk).count()
        assert standing.by_schema(one) == Counter(stands(one).values_list("schema_version", flat=True))
        assert standing.newest(one) == Judgement.objects.filter(item__project=one).latest("id").pk
    assert standing.of_project(project).live < standing.of_project(project).all
    assert set(standing.by_schema(project)) == {1, 2}


def test_a_live_correction_of_what_was_imported_counts_as_made_here(project: Project, people: list[User]) -> None:
    imported = Judgement.objects.filter(item__project=project, origin="import").first()
    assert imported is not None
    before = standing.of_project(project)
    Judgement.objects.create(
        item=imported.item, member=imported.member, key=uuid.uuid4(), version=2, supersedes=imported, answers=imported.answers
    )  # fmt: skip
    assert standing.of_project(project) == standing.Standing(before.all, before.live + 1)


@pytest.mark.parametrize("most", [1, 2, 3, 4, 100])
def test_the_newest_items_that_several_judged_are_those_of_all_of_them(
    project: Project, elsewhere: Project, most: int
) -> None:
    first = Judgement.objects.filter(item__project=project, version=1).order_by("-id").values_list("item_id", flat=True)
    several = [item for item, count in Counter(first).items() if count > 1]  # by the last word on each, newest first
    assert len(several) == 4
    assert concurring._newest_items(project, most) == several[:most]
    assert concurring._ids(concurring.EVERYWHERE, project=project.pk, most=most) == several[:most]
    for looked_at in range(1, 12):
        recent = concurring._ids(concurring.RECENT, project=project.pk, most=most, looked_at=looked_at)
        assert recent == several[: len(recent)]


def test_the_list_of_judgements_counts_and_shows_what_stands(project: Project, elsewhere: Project) -> None:
    page = signed_in(User.objects.get(username="lin")).get(f"/p/{project.slug}/judgements/")
    shown = [row["judgement"].pk for row in page.context["rows"]]
    assert shown == list(stands(project).order_by("-id").values_list("pk", flat=True))
    assert page.context["page"].paginator.count == len(shown)


def test_a_long_list_of_judgements_asks_the_database_no_more_often(
    project: Project,
    django_assert_max_num_queries: Any,  # noqa: ANN401 - pytest-django's
) -> None:
    lin = signed_in(User.objects.get(username="lin"))
    with django_assert_max_num_queries(18):
        lin.get(f"/p/{project.slug}/judgements/")
