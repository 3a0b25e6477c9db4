"""Takes judgements: each submission once, under its idempotency key, in one transaction, never changed after."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from django.db import transaction

from annotation import asking, assigning
from annotation.models import Assignment, Item, Judgement, Membership


class Refused(Exception):
    """The submission was not taken; the text says why and what to do."""


class KeyReused(Refused):
    """The same idempotency key came with another payload or from another person."""


class ItemTaken(Refused):
    """The lease ran out and others have given the item all the judgements it needs."""


def read_answers(*, assignment: Assignment, form: Mapping[str, str]) -> dict[str, Any]:
    """The answers in a submitted form, by question. Raises BadAnswer."""
    questions = asking.questions_of(assignment.item.project)
    subject = asking.subject_of(assignment.item, assignment.order)
    return asking.read(questions=questions, form=form, subject=subject)


@transaction.atomic
def submit(
    *, assignment: Assignment, answers: dict[str, Any], key: uuid.UUID, active_ms: int | None = None
) -> Judgement:
    """Stores a judgement, or a correction if this annotator judged the item before.

    Sending the same key again, or a correction that changes nothing, returns what was stored. Raises KeyReused, ItemTaken.
    """
    assignment = Assignment.objects.select_for_update().get(pk=assignment.pk)
    stored = Judgement.objects.filter(key=key).first()
    if stored is not None:
        if (stored.item_id, stored.member_id, stored.answers) != (assignment.item_id, assignment.member_id, answers):
            raise KeyReused(
                "This page was sent before with another answer. Load it again, then correct the answer there."
            )
        return stored
    _hold_slot(assignment=assignment)
    last = (
        Judgement.objects.filter(item_id=assignment.item_id, member_id=assignment.member_id).order_by("version").last()
    )
    project = assignment.item.project
    guidelines = project.guidelines.last()
    version = guidelines.version if guidelines else 0
    said = (answers, assignment.order, version, project.schema_version)
    if last is not None and (last.answers, last.order, last.guidelines_version, last.schema_version) == said:
        return last  # looked at again and left as it was: no correction
    judgement = Judgement.objects.create(
        item_id=assignment.item_id,
        member_id=assignment.member_id,
        key=key,
        version=last.version + 1 if last else 1,
        supersedes=last,
        answers=answers,
        order=assignment.order,
        guidelines_version=version,
        schema_version=project.schema_version,
        active_ms=active_ms,
        started_at=assignment.started_at,
    )
    Assignment.objects.filter(pk=assignment.pk).update(state=Assignment.DONE)
    return judgement


def _hold_slot(*, assignment: Assignment) -> None:
    """Makes sure the assignment holds a slot: one whose lease ran out takes a free one, if there is one."""
    if assignment.slot is not None:
        return
    item = Item.objects.select_for_update().get(pk=assignment.item_id)
    if item.free == 0:
        raise ItemTaken(
            "Your time for this item ran out, and others have completed it since. Please go on with the next."
        )
    slot = assigning.take_slot(item=item)
    Assignment.objects.filter(pk=assignment.pk).update(slot=slot, state=Assignment.OPEN)


def last_of(*, member: Membership) -> Judgement | None:
    """The annotator's newest live judgement."""
    return Judgement.objects.filter(member=member, origin="live").select_related("item").order_by("id").last()


def current(*, project_id: int) -> Any:  # noqa: ANN401 - a queryset, which django-stubs names by model
    """The judgements of a project that nothing supersedes, oldest first."""
    return Judgement.objects.filter(item__project_id=project_id, superseded_by=None).order_by("id")
