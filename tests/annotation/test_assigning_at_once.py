"""Many annotators ask, submit and lose their leases at the same moment, each on a connection of its own."""

from __future__ import annotations

import functools
import random
import threading
import uuid

import pytest
from django.db import transaction
from django.db.models.functions import Now

from annotation import assigning, belonging, judging
from annotation.models import Assignment, Item, Judgement, Membership, Project
from tests.annotation.at_once import at_once, faults
from tests.annotation.test_assigning import slots_add_up
from tests.builders import add_items, claim, member_of, person, project_of

pytestmark = pytest.mark.django_db(transaction=True)


def crowd(project: Project, count: int) -> list[Membership]:
    return [belonging.join(project=project, user=person(f"annotator-{number}")) for number in range(count)]


def submit_one(member: Membership) -> int | None:
    """The next item claimed and judged; its id."""
    assignment = assigning.next_for(member=member)
    if assignment is None:
        return None
    form = {f"ranking.rank-{place}": str(place + 1) for place in range(4)}
    answers = judging.read_answers(assignment=assignment, form=form)
    return judging.submit(assignment=assignment, answers=answers, key=uuid.uuid4()).item_id


def work_through(member: Membership) -> list[int]:
    """All that one annotator gets until nothing is left, with leases that sometimes run out and items that are skipped."""
    dice = random.Random(member.pk)
    done = []
    for _ in range(40):
        assignment = assigning.next_for(member=Membership.objects.select_related("project").get(pk=member.pk))
        if assignment is None:
            break
        fate = dice.random()
        if fate < 0.2:
            assigning.skip(assignment=assignment, reason="")
        elif fate < 0.4:
            Assignment.objects.filter(pk=assignment.pk, state="open").update(leased_until=Now())
        else:
            form = {f"ranking.rank-{place}": str(place + 1) for place in range(4)}
            answers = judging.read_answers(assignment=assignment, form=form)
            try:
                done.append(judging.submit(assignment=assignment, answers=answers, key=uuid.uuid4()).item_id)
            except judging.ItemTaken:
                continue
    return done


def test_thirty_claims_at_once_never_exceed_the_overlap() -> None:
    project = project_of(None, overlap=2)
    add_items(project, 7)
    claims = at_once(*(functools.partial(assigning.next_for, member=member) for member in crowd(project, 30)))
    assert faults(claims) == []
    assert sum(claim is not None for claim in claims) == 14
    for item in Item.objects.all():
        assert sorted(item.assignments.values_list("slot", flat=True)) == [1, 2]
        assert item.free == 0
    assert slots_add_up(project)


def test_a_crowd_that_skips_dawdles_and_judges_never_exceeds_the_overlap_nor_meets_an_item_twice() -> None:
    project = project_of(None, overlap=3)
    add_items(project, 12)
    results = at_once(*(functools.partial(work_through, member) for member in crowd(project, 30)))
    assert faults(results) == []
    assert slots_add_up(project)
    for item in Item.objects.all():
        assert item.judgements.count() <= 3
    for done in results:
        assert isinstance(done, list)
        assert len(done) == len(set(done))
    assert Judgement.objects.count() == sum(len(done) for done in results if isinstance(done, list))


def test_one_annotator_in_many_tabs_has_one_item() -> None:
    project = project_of(None, overlap=2)
    add_items(project, 10)
    (member,) = crowd(project, 1)
    results = at_once(*(functools.partial(assigning.next_for, member=member) for _ in range(12)))
    assert faults(results) == []
    assert {result.pk for result in results if isinstance(result, Assignment)} == {Assignment.objects.get().pk}
    assert slots_add_up(project)


def test_a_lease_that_ran_out_is_given_away_once() -> None:
    project = project_of(None, overlap=1)
    add_items(project, 3)
    first, *others = crowd(project, 21)
    assigning.next_for(member=first)
    Assignment.objects.update(leased_until=Now())
    results = at_once(*(functools.partial(assigning.next_for, member=member) for member in others))
    assert faults(results) == []
    assert sum(result is not None for result in results) == 3
    assert slots_add_up(project)


def test_many_leases_that_ran_out_together_come_back_without_a_deadlock() -> None:
    project = project_of(None, overlap=3)
    add_items(project, 40)
    members = crowd(project, 20)
    for member in members[:3]:
        for item in Item.objects.all():
            Assignment.objects.create(
                item=item, member=member, slot=members.index(member) + 1, order=[0, 1, 2, 3],
                started_at=Now(), leased_until=Now(),
            )  # fmt: skip
    Item.objects.update(free=0)
    results = at_once(
        *(functools.partial(assigning.next_for, member=member) for member in members[3:]),
        *(functools.partial(assigning.release_expired, project=project) for _ in range(10)),
    )
    assert faults(results) == []
    assert slots_add_up(project)


def test_changing_the_overlap_counts_the_claim_that_is_being_made() -> None:
    """A claim that is not committed yet when the change begins must not be lost from the count of free slots."""
    project = project_of(None, overlap=1)
    add_items(project, 1)
    (member,) = crowd(project, 1)
    claimed, changing = threading.Event(), threading.Event()

    def slow_claim() -> None:
        with transaction.atomic():
            assigning.next_for(member=member)
            claimed.set()
            changing.wait(1)

    def change() -> None:
        claimed.wait(10)
        assigning.set_overlap(project=Project.objects.get(pk=project.pk), overlap=1)
        changing.set()

    assert faults(at_once(slow_claim, change)) == []
    assert Item.objects.get().free == 0
    assert slots_add_up(project)


def test_overlap_changes_while_a_crowd_works_leave_the_slots_adding_up() -> None:
    project = project_of(None, overlap=2)
    add_items(project, 10)
    members = crowd(project, 12)
    changes = [
        functools.partial(assigning.set_overlap, project=Project.objects.get(pk=project.pk), overlap=n)
        for n in (3, 4, 3)
    ]
    assert faults(at_once(*(functools.partial(submit_one, member) for member in members), *changes)) == []
    assigning.set_overlap(project=project, overlap=4)
    assert slots_add_up(project)


def test_fifty_posts_of_one_answer_are_one_judgement() -> None:
    ada = person("ada")
    project = project_of(None, ada)
    add_items(project, 1)
    assignment, key = claim(project, ada), uuid.uuid4()
    answers = {"ranking": {"ranks": [1, 2, 3, 4]}}
    post = functools.partial(judging.submit, assignment=assignment, answers=answers, key=key)
    results = at_once(*[post] * 50)
    assert faults(results) == []
    assert {result.pk for result in results if isinstance(result, Judgement)} == {Judgement.objects.get().pk}
    assert member_of(project, ada).judgements.count() == 1


def test_different_answers_at_once_are_a_chain_of_corrections() -> None:
    ada = person("ada")
    project = project_of(None, ada)
    add_items(project, 1)
    assignment = claim(project, ada)
    posts = [
        functools.partial(
            judging.submit, assignment=assignment, answers={"ranking": {"ranks": [n, 5, 5, 5]}}, key=uuid.uuid4()
        )
        for n in range(1, 9)
    ]
    assert faults(at_once(*posts)) == []
    chain = list(Judgement.objects.order_by("version"))
    assert [judgement.version for judgement in chain] == list(range(1, 9))
    assert [judgement.supersedes_id for judgement in chain] == [None, *[judgement.pk for judgement in chain[:-1]]]
    assert judging.current(project_id=project.pk).get() == chain[-1]


def test_late_work_and_the_next_annotators_claim_do_not_both_get_the_last_slot() -> None:
    ada, bo = person("ada"), person("bo")
    for attempt in range(5):
        project = project_of(None, ada, bo, name=f"Round {attempt}")
        add_items(project, 1)
        late = claim(project, ada)
        Assignment.objects.filter(pk=late.pk).update(leased_until=Now())
        assigning.release_expired(project=project)
        late.refresh_from_db()
        submit = functools.partial(
            judging.submit, assignment=late, answers={"ranking": {"ranks": [1, 2, 3, 4]}}, key=uuid.uuid4()
        )
        results = at_once(submit, functools.partial(assigning.next_for, member=member_of(project, bo)))
        took = [isinstance(results[0], Judgement), results[1] is not None]
        assert sorted(took) == [False, True] or isinstance(results[0], judging.ItemTaken)
        assert slots_add_up(project)
