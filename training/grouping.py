"""What is done about prompts that are alike: they come into one group, so that they stand on one side of every later split.

Beside likening. Snapshots that are frozen already are files and stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.db import transaction

from annotation.models import Item, Project
from webapp.people import auditing
from webapp.people.models import User


@transaction.atomic
def group(*, project: Project, together: Sequence[Sequence[Item]], actor: User | None) -> int:
    """Each cluster becomes one group, with all else that was in a group with one of its items; how many items changed.

    The group of the item that came first is kept, so that as little as possible changes sides. What every item was in before
    is in the audit trail.
    """
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)  # one at a time, and not while items come in
    before: dict[str, str] = {}
    for cluster in together:
        ids = [item.pk for item in cluster]
        groups = set(Item.objects.filter(project=project, pk__in=ids).values_list("group", flat=True))
        members = Item.objects.filter(project=project, group__in=groups).order_by("position")
        first = members.first()
        if first is None or len(groups) < 2:
            continue
        moved = members.exclude(group=first.group)
        before |= {str(pk): was for pk, was in moved.values_list("pk", "group") if str(pk) not in before}
        Item.objects.filter(pk__in=list(moved.values_list("pk", flat=True))).update(group=first.group)
    if before:
        auditing.record(actor=actor, action="group items", subject=project.slug, before=before)
    return len(before)


@transaction.atomic
def name_topics(*, project: Project, topics: Mapping[int, str], actor: User | None) -> int:
    """Gives items without a topic the one that was chosen for each, by item id; how many got one."""
    given = 0
    for pk, topic in topics.items():
        given += Item.objects.filter(project=project, pk=pk, topic="").update(topic=topic)
    if given:
        auditing.record(
            actor=actor, action="name topics", subject=project.slug, topics={str(pk): topic for pk, topic in topics.items()}
        )  # fmt: skip
    return given
