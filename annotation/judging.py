"""Takes judgements: each submission once, under its idempotency key, in one transaction, never changed after."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now
from django.utils.formats import time_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from annotation import asking, assigning, reviewing
from annotation.models import Assignment, Draft, Feedback, Judgement, Membership


class Refused(Exception):
    """The submission was not taken; the text says why and what to do."""


class KeyReused(Refused):
    """The same idempotency key came with another payload or from another person."""


class ItemTaken(Refused):
    """The lease ran out and others have given the item all the judgements it needs."""


class SaidElsewhere(Refused):
    """The annotator answered this item in another tab since this page was loaded."""


class TooLate(Refused):
    """The time in which a judgement may be corrected is over."""


@dataclass(frozen=True)
class Sheet:
    """What the page that was sent had before it; None where it does not say, and then what holds now counts.

    `expects` is the version of the annotator's own judgement that it showed, 0 for none. `replaces` is the key of an earlier
    submission from the same page, of which nobody knew whether it had arrived.
    """

    expects: int | None = None
    replaces: uuid.UUID | None = None
    guidelines_version: int | None = None
    schema_version: int | None = None


def read_answers(
    *, assignment: Assignment, form: Mapping[str, str], schema_version: int | None = None
) -> dict[str, Any]:
    """The answers in a submitted form, by question, as asked now or in the version that was on the page. Raises BadAnswer."""
    questions = asking.questions_of(assignment.item.project, schema_version)
    subject = asking.subject_of(assignment.item, assignment.order)
    return asking.read(questions=questions, form=form, subject=subject)


@transaction.atomic
def submit(
    *,
    assignment: Assignment,
    answers: dict[str, Any],
    key: uuid.UUID,
    active_ms: int | None = None,
    sheet: Sheet | None = None,
) -> Judgement:
    """Stores a judgement, or a correction if this annotator judged the item before. Its draft is gone then.

    Sending the same key again, or a correction that changes nothing, returns what was stored. Raises KeyReused,
    SaidElsewhere, TooLate, ItemTaken.
    """
    sheet = sheet or Sheet()
    assignment = Assignment.objects.select_for_update().get(pk=assignment.pk)
    stored = Judgement.objects.filter(key=key).first()
    if stored is not None:
        if (stored.item_id, stored.member_id, stored.answers) != (assignment.item_id, assignment.member_id, answers):
            raise KeyReused(
                _("This page was sent before with another answer. Load it again, then correct the answer there.")
            )
        return stored
    _hold_slot(assignment=assignment)
    own = Judgement.objects.filter(item_id=assignment.item_id, member_id=assignment.member_id)
    last = own.order_by("version").last()
    project = assignment.item.project
    latest = max(project.guidelines.values_list("version", flat=True), default=0)
    guidelines = latest if sheet.guidelines_version is None else min(sheet.guidelines_version, latest)
    schema = sheet.schema_version or project.schema_version
    Draft.objects.filter(assignment=assignment).delete()
    said = (answers, assignment.order, guidelines, schema)
    if last is not None and (last.answers, last.order, last.guidelines_version, last.schema_version) == said:
        reviewing.settle(item_id=last.item_id, member_id=last.member_id)
        return last  # looked at again and left as it was: no correction
    if last is not None:
        _refuse_wrong_correction(last=last, sheet=sheet)
    judgement = Judgement.objects.create(
        item_id=assignment.item_id,
        member_id=assignment.member_id,
        key=key,
        version=last.version + 1 if last else 1,
        supersedes=last,
        answers=answers,
        order=assignment.order,
        guidelines_version=guidelines,
        schema_version=schema,
        active_ms=active_ms,
        started_at=assignment.started_at,
    )
    Assignment.objects.filter(pk=assignment.pk).update(state=Assignment.DONE)
    reviewing.settle(item_id=judgement.item_id, member_id=judgement.member_id)
    return judgement


def _refuse_wrong_correction(*, last: Judgement, sheet: Sheet) -> None:
    """Raises SaidElsewhere or TooLate; the transaction is undone then, the draft's end with it."""
    if sheet.expects is not None and sheet.expects != last.version and sheet.replaces != last.key:
        said = _(
            "You answered this item in another tab at %(time)s: “%(said)s”. Look at both; what you send next counts."
        )
        at = time_format(localtime(last.submitted_at), "H:i")
        raise SaidElsewhere(said % {"time": at, "said": asking.summary(last)})
    if not may_correct(judgement=last):
        hours = last.item.project.correct_hours or 0
        raise TooLate(
            ngettext(
                "An answer can be corrected for %(hours)s hour here, and that time is over. What you said before stays.",
                "An answer can be corrected for %(hours)s hours here, and that time is over. What you said before stays.",
                hours,
            )
            % {"hours": hours}
        )


def may_correct(*, judgement: Judgement) -> bool:
    """Whether the annotator may still replace it: the time counts from their first answer; a lead who asks again opens it."""
    hours = judgement.item.project.correct_hours
    if hours is None:
        return True
    own = Judgement.objects.filter(item_id=judgement.item_id, member_id=judgement.member_id)
    if own.filter(version=1, submitted_at__gt=Now() - timedelta(hours=hours)).exists():
        return True
    return Feedback.objects.filter(judgement__in=own, asks_again=True, settled_at=None).exists()


def _hold_slot(*, assignment: Assignment) -> None:
    """Makes sure the assignment holds a slot: one whose lease ran out takes a free one, if there is one."""
    if assignment.slot is None and not assigning.reopen(assignment=assignment):
        raise ItemTaken(
            _("Your time for this item ran out, and others have completed it since. Please go on with the next.")
        )


def last_of(*, member: Membership) -> Judgement | None:
    """The annotator's newest live judgement."""
    return Judgement.objects.filter(member=member, origin="live").select_related("item").order_by("id").last()


def current(*, project_id: int) -> Any:  # noqa: ANN401 - a queryset, which django-stubs names by model
    """The judgements of a project that nothing supersedes, oldest first."""
    # superseded_by=None would be an outer join, of which the database makes all before it tells the first
    later = Judgement.objects.filter(supersedes=OuterRef("pk"))
    return Judgement.objects.filter(~Exists(later), member__project_id=project_id).order_by("id")
