"""Hands out items: a lease for one annotator on one item, never more of them than the item's overlap asks for.

A page holds the item that it shows under a full lease, and the next ones, fetched ahead, under a short one: a page that was
closed keeps them from the others for minutes only.

Every clock here is the database's. Locks are taken in one order, member, assignments, items by id, and claims skip what
others hold, so annotators never wait for each other; one annotator's own tabs do.
"""

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.core.cache import cache
from django.db import connection, transaction
from django.db.models import Count, Exists, F, Max, OuterRef, Q
from django.db.models.functions import Now

from annotation.models import Assignment, Item, Judgement, Membership, Project

#: for how long an item is kept that a page has fetched ahead and nobody has seen yet
AHEAD = timedelta(minutes=10)
#: the most items one annotator holds at once, the one in front of them among them
MOST_HELD = 3
NOT_MY_FIELD = "not my field"
#: so many skips of one topic as "not my field" send its items to the end of that annotator's queue
SKIPS_THAT_TELL = 2
GLANCE_SECONDS = 20
COUNTED_AT_ONCE = 5_000  # items; counting so many takes about a millisecond

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
WHERE i.project_id = %s AND i.free > 0 AND NOT i.topic = ANY(%s) AND NOT EXISTS (
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
    return _claim(member=member, until=lease())


@transaction.atomic
def ahead(*, member: Membership, shown: Collection[int], held: Collection[int]) -> Assignment | None:
    """One more item for a page that shows or sends `shown` and has `held` ready: an open one of theirs, else a new one.

    None when nothing is left, or when the annotator holds `MOST_HELD` already.
    """
    keep(member=member, shown=shown, held=held)
    mine = Assignment.objects.filter(member=member, state=Assignment.OPEN)
    found = mine.exclude(pk__in=[*shown, *held]).select_for_update().order_by("id").first()
    if found is not None:
        Assignment.objects.filter(pk=found.pk).update(leased_until=Now() + AHEAD)
        return found
    return _claim(member=member, until=AHEAD) if mine.count() < MOST_HELD else None


@transaction.atomic
def keep(*, member: Membership, shown: Collection[int], held: Collection[int] = ()) -> list[int]:
    """Renews the leases of a page that is at work; answers which of its assignments are still theirs.

    One of `shown` that ran out takes a slot again if its item has one left.
    """
    Membership.objects.select_for_update(no_key=True).get(pk=member.pk)
    wanted = Assignment.objects.select_for_update().filter(member=member, pk__in=[*shown, *held]).order_by("id")
    found = list(wanted)
    for assignment in sorted(found, key=lambda a: a.item_id):
        if assignment.state == Assignment.EXPIRED and assignment.pk in set(shown):
            reopen(assignment=assignment)
    theirs = [a.pk for a in found if a.state in (Assignment.OPEN, Assignment.DONE)]
    open_ones = Assignment.objects.filter(pk__in=theirs, state=Assignment.OPEN)
    open_ones.filter(pk__in=shown).update(leased_until=Now() + lease())
    open_ones.filter(pk__in=held).exclude(pk__in=shown).update(leased_until=Now() + AHEAD)
    return theirs


def reopen(*, assignment: Assignment) -> bool:
    """Gives an assignment without a slot a free one, and tells whether there was one. The caller has locked it."""
    item = Item.objects.select_for_update(no_key=True).get(pk=assignment.item_id)
    if item.free == 0:
        return False
    assignment.slot, assignment.state = take_slot(item=item), Assignment.OPEN
    Assignment.objects.filter(pk=assignment.pk).update(
        slot=assignment.slot, state=assignment.state, skip_reason="", leased_until=Now() + lease()
    )
    return True


def _claim(*, member: Membership, until: timedelta) -> Assignment | None:
    """A new assignment; items of topics that are not this annotator's come last. The caller has locked the member."""
    release_expired(project=member.project, but_for=member)
    foreign = foreign_topics(member=member)
    for avoided in [foreign, []] if foreign else [[]]:
        with connection.cursor() as cursor:
            cursor.execute(CLAIM, [member.project_id, avoided, member.pk])
            row = cursor.fetchone()
        if row:
            return _assign(item=Item.objects.get(pk=row[0]), member=member, until=until)
    return None


def foreign_topics(*, member: Membership) -> list[str]:
    """Topics that the annotator skipped as not their field often enough, and judged nothing of since."""
    said = Q(skip_reason=NOT_MY_FIELD) | Q(skip_reason__startswith=f"{NOT_MY_FIELD}: ")
    skipped = Assignment.objects.filter(said, member=member, state=Assignment.SKIPPED).exclude(item__topic="")
    times: dict[str, list[datetime]] = {}
    for topic, at in skipped.values_list("item__topic", "leased_until"):
        times.setdefault(topic, []).append(at)
    often = [topic for topic, found in times.items() if len(found) >= SKIPS_THAT_TELL]
    if not often:
        return []
    judged = Judgement.objects.filter(member=member, item__topic__in=often).values("item__topic")
    last = {row["item__topic"]: row["at"] for row in judged.annotate(at=Max("submitted_at"))}
    never = datetime.min.replace(tzinfo=UTC)
    return [t for t in often if sum(at > last.get(t, never) for at in times[t]) >= SKIPS_THAT_TELL]


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


def _assign(*, item: Item, member: Membership, until: timedelta) -> Assignment:
    order = list(range(item.responses.count()))
    secrets.SystemRandom().shuffle(order)
    slot = take_slot(item=item)
    assignment, made = Assignment.objects.get_or_create(
        item=item,
        member=member,
        defaults={"slot": slot, "order": order, "started_at": Now(), "leased_until": Now() + until},
    )
    if not made:  # a lease of their own that had run out: the same order again
        again = Assignment.objects.filter(pk=assignment.pk)
        again.update(state=Assignment.OPEN, slot=slot, leased_until=Now() + until)
    assignment.refresh_from_db()
    return assignment


@transaction.atomic
def skip(*, assignment: Assignment, reason: str, note: str = "") -> None:
    """Gives the item back to the others; this annotator will not get it again. The lease ends at the moment of the skip."""
    held = Assignment.objects.select_for_update().filter(pk=assignment.pk, state=Assignment.OPEN)
    if held.exists():
        said = f"{reason}: {note.strip()}" if note.strip() else reason
        held.update(state=Assignment.SKIPPED, slot=None, skip_reason=said[:200], leased_until=Now())
        Item.objects.filter(pk=assignment.item_id).update(free=F("free") + 1)


@transaction.atomic
def unskip(*, assignment: Assignment) -> bool:
    """Takes a skipped item back, if nobody else has taken its place; tells whether the annotator has it now."""
    locked = Assignment.objects.select_for_update().get(pk=assignment.pk)
    return locked.state in (Assignment.OPEN, Assignment.DONE) or reopen(assignment=locked)


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
    done, total = _counts(project)
    return Progress(done=done, total=total, done_by_me=_done_by(member))


def glance(*, member: Membership) -> Progress:
    """The same for the desk: one's own number as it is; of a project of many items its number up to `GLANCE_SECONDS` old."""
    key = f"progress:{member.project_id}"
    found = cache.get(key)
    if found is None:
        found = _counts(member.project)
        if found[1] > COUNTED_AT_ONCE:
            cache.set(key, found, GLANCE_SECONDS)
    return Progress(done=found[0], total=found[1], done_by_me=_done_by(member))


def _counts(project: Project) -> tuple[int, int]:
    """Items that have all their judgements, and all items."""
    items = Item.objects.filter(project=project)
    total = items.count()
    waiting = items.filter(free__gt=0).count()
    leased = Assignment.objects.filter(item__project=project, item__free=0, state=Assignment.OPEN)
    unfinished = waiting + leased.aggregate(n=Count("item", distinct=True))["n"]
    # a turn of a conversation that waits for its author's choice: nobody else gets it, and nobody has judged it
    held = Assignment.objects.filter(item=OuterRef("pk"), slot__isnull=False)
    unfinished += items.filter(free=0, imported=0, batch=None).exclude(Exists(held)).count()
    return total - unfinished, total


def _done_by(member: Membership | None) -> int:
    return Assignment.objects.filter(member=member, state=Assignment.DONE).count() if member else 0
