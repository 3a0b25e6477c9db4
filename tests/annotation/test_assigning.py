"""Who gets which item, when, and in which order."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from annotation import assigning, belonging
from annotation.models import Assignment, Item, Project
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
    return project_of(person("lin"), ada, bo)


def nothing_for(project: Project, user: User) -> bool:
    return assigning.next_for(member=member_of(project, user)) is None


def let_run_out(assignment: Assignment) -> None:
    Assignment.objects.filter(pk=assignment.pk).update(leased_until=timezone.now() - timedelta(seconds=1))


def slots_add_up(project: Project) -> bool:
    """Free slots, imported judgements and assignments that count make up the overlap, on every item."""
    return all(
        item.free + item.imported + item.assignments.exclude(slot=None).count() == project.overlap
        for item in Item.objects.filter(project=project)
    )


def test_items_are_handed_out_in_the_order_in_which_they_came(project: Project, ada: User) -> None:
    add_items(project, 3)
    assert [judge(project, ada).item.key for _ in range(3)] == ["i0", "i1", "i2"]
    assert nothing_for(project, ada)


def test_asking_again_gives_the_same_item_with_its_lease_renewed(project: Project, ada: User) -> None:
    add_items(project, 2)
    first = claim(project, ada)
    let_run_out(first)
    again = claim(project, ada)
    assert (again.pk, again.order) == (first.pk, first.order)
    again.refresh_from_db()
    assert again.leased_until > timezone.now() + timedelta(minutes=50)
    assert Assignment.objects.count() == 1


def test_an_item_is_leased_to_as_many_as_its_overlap(project: Project, ada: User, bo: User) -> None:
    add_items(project, 1)
    claim(project, ada)
    assert nothing_for(project, bo)
    assigning.set_overlap(project=project, overlap=2)
    assert claim(project, bo).item.key == "i0"
    assert slots_add_up(project)


def test_a_lease_that_ran_out_goes_to_the_next_annotator(project: Project, ada: User, bo: User) -> None:
    add_items(project, 1)
    mine = claim(project, ada)
    assert nothing_for(project, bo)
    let_run_out(mine)
    assert claim(project, bo).item_id == mine.item_id
    mine.refresh_from_db()
    assert (mine.state, mine.slot) == (Assignment.EXPIRED, None)
    assert nothing_for(project, ada)
    assert slots_add_up(project)


def test_an_item_that_comes_back_is_shown_in_the_same_order(project: Project, ada: User, bo: User) -> None:
    add_items(project, 1)
    mine = claim(project, ada)
    let_run_out(mine)
    theirs = claim(project, bo)
    assigning.skip(assignment=theirs, reason="")
    again = claim(project, ada)
    assert (again.pk, again.order, again.state) == (mine.pk, mine.order, Assignment.OPEN)
    assert slots_add_up(project)


def test_a_skipped_item_goes_to_others_and_not_back(project: Project, ada: User, bo: User) -> None:
    add_items(project, 2)
    assigning.skip(assignment=claim(project, ada), reason="not my field")
    assert claim(project, ada).item.key == "i1"
    assert claim(project, bo).item.key == "i0"
    assigning.skip(assignment=claim(project, ada), reason="x" * 900)
    assert nothing_for(project, ada)
    assert slots_add_up(project)


def test_skipping_twice_frees_one_slot(project: Project, ada: User) -> None:
    add_items(project, 1)
    mine = claim(project, ada)
    for _ in range(3):
        assigning.skip(assignment=mine, reason="")
    assert Item.objects.get().free == 1
    assert slots_add_up(project)


def test_what_is_judged_cannot_be_skipped(project: Project, ada: User, bo: User) -> None:
    add_items(project, 1)
    judge(project, ada)
    assigning.skip(assignment=Assignment.objects.get(), reason="")
    assert Assignment.objects.get().state == Assignment.DONE
    assert nothing_for(project, bo)


def test_the_order_is_stored_and_differs_between_annotators_and_items(project: Project, ada: User, bo: User) -> None:
    assigning.set_overlap(project=project, overlap=2)
    add_items(project, 40)
    for user in (ada, bo):
        for _ in range(40):
            judge(project, user)
    orders = {}
    for user in (ada, bo):
        found = Assignment.objects.filter(member__user=user).order_by("item__position")
        orders[user] = [tuple(assignment.order) for assignment in found]
        assert all(sorted(order) == [0, 1, 2, 3] for order in orders[user])
        assert len(set(orders[user])) > 8  # of 24; chance of less is far below one in a million
        first_shown = [order[0] for order in orders[user]]
        assert max(first_shown.count(position) for position in range(4)) < 30
    assert orders[ada] != orders[bo]


def test_imported_judgements_count_towards_the_overlap(ada: User, bo: User) -> None:
    project = project_of(person("lin"), ada, bo, overlap=2)
    judged = rows(2)
    judged[0]["ranks"] = [1, 2, 3, 4]
    judged[1] |= {"responses": ["a", "b"], "votes": [1, 2, 0]}
    bring_in(project, as_lines([*judged, *rows(1, prefix="open")]))
    assert [judge(project, ada).item.key for _ in range(2)] == ["i0", "open0"]
    assert nothing_for(project, ada)
    assert claim(project, bo).item.key == "open0"
    progress = assigning.progress(project=project)
    assert (progress.done, progress.total) == (2, 3)


def test_a_larger_overlap_hands_judged_items_to_others_only(project: Project, ada: User, bo: User) -> None:
    add_items(project, 2)
    judge(project, ada)
    judge(project, ada)
    assigning.set_overlap(project=project, overlap=2)
    assert nothing_for(project, ada)
    assert [judge(project, bo).item.key for _ in range(2)] == ["i0", "i1"]
    assert slots_add_up(project)


def test_a_smaller_overlap_keeps_what_is_there_and_asks_for_no_more(ada: User, bo: User) -> None:
    project = project_of(person("lin"), ada, bo, overlap=3)
    add_items(project, 2)
    judge(project, ada)
    held = claim(project, bo)
    assigning.set_overlap(project=project, overlap=1)
    assert Item.objects.get(key="i0").free == 0
    assert Assignment.objects.get(pk=held.pk).state == Assignment.OPEN
    judge(project, bo)
    assert judge(project, bo).item.key == "i1"
    assert nothing_for(project, ada)


@pytest.mark.parametrize("overlap", [0, 51, -1])
def test_an_overlap_is_from_1_to_50(project: Project, overlap: int) -> None:
    with pytest.raises(ValidationError):
        assigning.set_overlap(project=project, overlap=overlap)
    assert Project.objects.get().overlap == 1
    with pytest.raises(IntegrityError), transaction.atomic():
        Project.objects.update(overlap=abs(overlap) and 51)


def test_progress_counts_finished_items_and_ones_own(ada: User, bo: User) -> None:
    project = project_of(person("lin"), ada, bo, overlap=2)
    add_items(project, 3)
    judge(project, ada)
    judge(project, bo)
    judge(project, ada)
    claim(project, ada)
    progress = assigning.progress(project=project, member=member_of(project, ada))
    assert (progress.done, progress.total, progress.done_by_me) == (1, 3, 2)


def test_a_new_member_of_a_finished_project_gets_nothing(project: Project, ada: User) -> None:
    add_items(project, 1)
    judge(project, ada)
    cy = person("cy")
    belonging.join(project=project, user=cy)
    assert nothing_for(project, cy)


def test_the_database_itself_refuses_a_second_assignment_and_a_shared_slot(
    project: Project, ada: User, bo: User
) -> None:
    add_items(project, 1)
    mine = claim(project, ada)
    copy = {"item_id": mine.item_id, "order": [0], "started_at": mine.started_at, "leased_until": mine.leased_until}
    for member, slot in ((member_of(project, ada), 2), (member_of(project, bo), mine.slot)):
        with pytest.raises(IntegrityError), transaction.atomic():
            Assignment.objects.create(member=member, slot=slot, **copy)
