"""Keeps what somebody has entered and not sent yet, so that they find it again in any browser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from annotation.models import Assignment, Draft, Judgement

#: the most fields and characters a draft may have: more than any sheet of ours makes
MOST_FIELDS, MOST_CHARACTERS = 2000, 4_000_000


class TooLarge(ValueError):
    """More than any sheet of ours can hold."""


@transaction.atomic
def keep(*, assignment: Assignment, fields: Mapping[str, Any], expects: int | None = None) -> Draft | None:
    """The draft as it stands now; None where there is nothing left to keep.

    Empty fields end a draft. One that arrives after its item was sent, and so expects an older judgement than there is, is
    dropped: it must not come back to life. Raises TooLarge.
    """
    if len(fields) > MOST_FIELDS or sum(len(str(value)) for value in fields.values()) > MOST_CHARACTERS:
        raise TooLarge
    Assignment.objects.select_for_update().get(pk=assignment.pk)
    own = Judgement.objects.filter(item_id=assignment.item_id, member_id=assignment.member_id)
    newest = own.order_by("version").values_list("version", flat=True).last() or 0
    if not fields or (expects is not None and expects != newest):
        if expects is None or expects == newest:
            Draft.objects.filter(assignment=assignment).delete()
        return None
    draft, _ = Draft.objects.update_or_create(
        assignment=assignment, defaults={"fields": dict(fields), "saved_at": Now()}
    )
    draft.refresh_from_db()
    return draft
