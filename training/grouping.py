"""What is done about prompts that are alike: they come into one group, so that they stand on one side of every later split.

Beside likening. Snapshots that are frozen already are files and stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.db import transaction

from annotation.models import Item, Project
from webapp.people import auditing
from webapp.people.models import AuditEntry, User

GROUPED, UNDONE = "group items", "undo grouping"  # in the audit trail


@transaction.atomic
def group(*, project: Project, together: Sequence[Sequence[int]], actor: User | None) -> int:
    """Each set of items, by id, becomes one group, with all else that was in a group with one of them; how many items changed.

    The group of the item that came first is kept, so that as little as possible changes sides. What every item was in before
    is in the audit trail, and `undo` puts it back.
    """
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)  # one at a time, and not while items come in
    before: dict[str, str] = {}
    for ids in together:
        groups = set(Item.objects.filter(project=project, pk__in=ids).values_list("group", flat=True))
        members = Item.objects.filter(project=project, group__in=groups).order_by("position")
        first = members.first()
        if first is None or len(groups) < 2:
            continue
        moved = members.exclude(group=first.group)
        before |= {str(pk): was for pk, was in moved.values_list("pk", "group") if str(pk) not in before}
        Item.objects.filter(pk__in=list(moved.values_list("pk", flat=True))).update(group=first.group)
    if before:
        auditing.record(actor=actor, action=GROUPED, subject=project.slug, before=before)
    return len(before)


def last(project: Project) -> AuditEntry | None:
    """The newest grouping that was not undone."""
    entries = AuditEntry.objects.filter(subject=project.slug)
    undone = list(entries.filter(action=UNDONE).values_list("detail__entry", flat=True))
    return entries.filter(action=GROUPED).exclude(pk__in=undone).first()


def newest(project: Project) -> int:
    """A number that is another one after each grouping and each undoing of one."""
    entries = AuditEntry.objects.filter(subject=project.slug, action__in=(GROUPED, UNDONE))
    return entries.values_list("pk", flat=True).first() or 0


@transaction.atomic
def undo(*, project: Project, entry: int, actor: User | None) -> int:
    """Puts the items of a grouping back into the groups they were in; how many. Only `last` can be undone: 0 for another."""
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    found = last(project)
    if found is None or found.pk != entry:
        return 0
    before: dict[str, str] = found.detail["before"]
    items = list(Item.objects.filter(project=project, pk__in=before).only("group"))
    moved = {str(item.pk): item.group for item in items}
    for item in items:
        item.group = before[str(item.pk)]
    Item.objects.bulk_update(items, ["group"], batch_size=1000)
    auditing.record(actor=actor, action=UNDONE, subject=project.slug, entry=entry, before=moved)
    return len(items)


@transaction.atomic
def name_topics(*, project: Project, topics: Mapping[int, str], actor: User | None) -> int:
    """Gives items without a topic the one of the project's that was chosen for each, by item id; how many got one."""
    given, known = (
        0,
        set(Item.objects.filter(project=project).exclude(topic="").values_list("topic", flat=True).distinct()),
    )
    topics = {pk: topic for pk, topic in topics.items() if topic in known}
    for pk, topic in topics.items():
        given += Item.objects.filter(project=project, pk=pk, topic="").update(topic=topic)
    if given:
        auditing.record(
            actor=actor, action="name topics", subject=project.slug, topics={str(pk): topic for pk, topic in topics.items()}
        )  # fmt: skip
    return given
