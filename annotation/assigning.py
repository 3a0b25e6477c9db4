"""Hands out items: a lease for one annotator on one item, never more of them than the item's overlap asks for.

Every clock here is the database's. Locks are taken in one order, member, assignment, items by id, and claims skip what
others hold, so annotators never wait for each other; one annotator's own tabs do.
"""

import secrets
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, F
from django.db.models.functions import Now

from annotation.models import Assignment, Item, Membership, Project

RELEASE = """
WITH gone AS (
    UPDATE annotation_assignment SET state = 'expired', slot = NULL
    WHERE id IN (
        SELECT a.id FROM annotation_assignment a JOIN annotation_item i ON i.id = a.item_id
        WHERE a.state = 'open' AND a.leased_until < statement_timestamp() AND i.project_id = %s AND a.member_id <> %s
        FOR UPDATE OF a SKIP LOCKED)
    RETURNING item_id
), held AS (
    SELECT id FROM annotation_item WHERE id IN (SELECT item_id FROM gone) ORDER BY id FOR NO KEY UPDATE
)
UPDATE annotation_item SET free = free + back.slots
FROM held JOIN (SELECT item_id, count(*) AS slots FROM gone GROUP BY item_id) back ON back.item_id = held.id
WHERE annotation_item.id = held.id
"""

CLAIM = """
SELECT i.id FROM annotation_item i
WHERE i.project_id = %s AND i.free > 0 AND NOT EXISTS (
    SELECT FROM annotation_assignment a
    WHERE a.item_id = i.id AND a.member_id = %s AND a.state <> 'expired')
ORDER BY i.position LIMIT 1
FOR UPDATE OF i SKIP LOCKED
"""


@dataclass(frozen=True)
class Progress:
    """Counts of a project: items that have all their judgements, all items, and one annotator's own."""

    done: int
    total: int
    done_by_me: int


def lease() -> timedelta:
    return timedelta(minutes=settings.ASSIGNMENT_MINUTES)


@transaction.atomic
def next_for(*, member: Membership) -> Assignment | None:
    """The annotator's open assignment with its lease renewed, else a new one; None when nothing is left for them."""
    Membership.objects.select_for_update(no_key=True).get(pk=member.pk)  # else two tabs claim an item each
    mine = Assignment.objects.select_for_update().filter(member=member, state=Assignment.OPEN).order_by("id").first()
    if mine is not None:
        Assignment.objects.filter(pk=mine.pk).update(leased_until=Now() + lease())
        return mine
    release_expired(project=member.project, but_for=member)
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, [member.project_id, member.pk])
        row = cursor.fetchone()
    return _assign(item=Item.objects.get(pk=row[0]), member=member) if row else None


def release_expired(*, project: Project, but_for: Membership | None = None) -> None:
    """Gives back the slots of leases that ran out, but for those of one annotator who is just asking."""
    with connection.cursor() as cursor:
        cursor.execute(RELEASE, [project.pk, but_for.pk if but_for else 0])


def take_slot(*, item: Item) -> int:
    """The lowest slot that nobody holds. The caller has locked the item and seen that one is free."""
    held = set(item.assignments.exclude(slot=None).values_list("slot", flat=True))
    slot = next(number for number in range(1, len(held) + 2) if number not in held)
    Item.objects.filter(pk=item.pk).update(free=F("free") - 1)
    return slot


def _assign(*, item: Item, member: Membership) -> Assignment:
    order = list(range(item.responses.count()))
    secrets.SystemRandom().shuffle(order)
    slot = take_slot(item=item)
    assignment, made = Assignment.objects.get_or_create(
        item=item,
        member=member,
        defaults={"slot": slot, "order": order, "started_at": Now(), "leased_until": Now() + lease()},
    )
    if not made:  # a lease of their own that had run out: the same order again
        again = Assignment.objects.filter(pk=assignment.pk)
        again.update(state=Assignment.OPEN, slot=slot, leased_until=Now() + lease())
    assignment.refresh_from_db()
    return assignment


@transaction.atomic
def skip(*, assignment: Assignment, reason: str) -> None:
    """Gives the item back to the others; this annotator will not get it again."""
    held = Assignment.objects.select_for_update().filter(pk=assignment.pk, state=Assignment.OPEN)
    if held.exists():
        held.update(state=Assignment.SKIPPED, slot=None, skip_reason=reason[:200])
        Item.objects.filter(pk=assignment.item_id).update(free=F("free") + 1)


@transaction.atomic
def set_overlap(*, project: Project, overlap: int) -> None:
    """Changes how many judgements each item gets. What is judged or leased already stays."""
    project.overlap = overlap
    project.full_clean()
    project.save(update_fields=["overlap"])
    with connection.cursor() as cursor:
        # in a statement of its own, so that the count below sees the claims that were waited for
        cursor.execute("SELECT FROM annotation_item WHERE project_id = %s ORDER BY id FOR NO KEY UPDATE", [project.pk])
        cursor.execute(
            "UPDATE annotation_item i SET free = greatest(0, %s - i.imported - (SELECT count(*) FROM annotation_assignment a"
            " WHERE a.item_id = i.id AND a.slot IS NOT NULL)) WHERE i.project_id = %s",
            [overlap, project.pk],
        )


def progress(*, project: Project, member: Membership | None = None) -> Progress:
    """Where the project stands, and how much of it is `member`'s."""
    items = Item.objects.filter(project=project)
    total = items.count()
    waiting = items.filter(free__gt=0).count()
    leased = Assignment.objects.filter(item__project=project, item__free=0, state=Assignment.OPEN)
    unfinished = waiting + leased.aggregate(n=Count("item", distinct=True))["n"]
    mine = Assignment.objects.filter(member=member, state=Assignment.DONE).count() if member else 0
    return Progress(done=total - unfinished, total=total, done_by_me=mine)
