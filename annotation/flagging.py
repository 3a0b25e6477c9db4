"""Flags: somebody at the desk says that something is wrong with an item, and a lead settles it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from annotation.kinds.writing import one_line_end
from annotation.models import Flag, Item, Membership, Project
from webapp.people import auditing, noticing
from webapp.people.models import Notice, User
from webapp.people.permitting import LEAD

MOST_NOTE = 2_000
#: of notices about the flags of one project that a lead has not read; what comes after them stands on the page that they lead to
MOST_NOTICES = 5
#: what is stored -> what people read
REASONS: Mapping[str, Any] = {
    "harmful": _("Harmful"),
    "personal data": _("Holds personal data"),
    "broken or unreadable": _("Broken or unreadable"),
    "prompt makes no sense": _("The prompt makes no sense"),
    "other": _("Something else"),
}


class BadFlag(ValueError):
    """What was sent is no flag; the text says what to change."""


@transaction.atomic
def flag(*, item: Item, member: Membership, reason: str, note: str = "") -> Flag:
    """A flag of `member` on `item`, open until a lead settles it. The leads are told. Raises BadFlag.

    Sending the same reason again adds to the open flag instead of making a second one.
    """
    note = one_line_end(note).strip()
    if reason not in REASONS:
        raise BadFlag(gettext("Choose what is wrong with the item."))
    if len(note) > MOST_NOTE:
        raise BadFlag(gettext("The note is longer than %(most)d characters. Shorten it.") % {"most": MOST_NOTE})
    if reason == "other" and not note:
        raise BadFlag(gettext("Say in the note what is wrong."))
    Item.objects.select_for_update(no_key=True).get(pk=item.pk)  # the same flag sent twice at once is one
    there = Flag.objects.filter(item=item, member=member, reason=reason, settled_at=None).first()
    if there is not None:
        if note and note not in there.note:
            there.note = f"{there.note}\n{note}".strip()[:MOST_NOTE]
            there.save(update_fields=["note"])
        return there
    made = Flag.objects.create(item=item, member=member, reason=reason, note=note)
    auditing.record(actor=member.user, action="flag", subject=item.project.slug, item=item.key, reason=reason)
    _tell_leads(made, but_not=member.user)
    return made


def _tell_leads(flag: Flag, *, but_not: User | None) -> None:
    """A notice a flag, until a lead has left MOST_NOTICES of them unread: a flood of flags is no flood of notices."""
    project = flag.item.project
    url = reverse("flags", args=[project.slug])
    leads = project.memberships.filter(role=LEAD, active=True, user__is_active=True).select_related("user")
    for lead in leads:
        if (
            lead.user is None
            or lead.user == but_not
            or Notice.objects.filter(user=lead.user, url=url, read_at=None).count() >= MOST_NOTICES
        ):
            continue
        with translation.override(lead.user.reads):
            said = {"project": project.name, "item": flag.item.key[:80], "reason": str(REASONS[flag.reason])}
            text = gettext("Flagged in %(project)s: %(item)s (%(reason)s).") % said
        noticing.notify(user=lead.user, text=text, url=url, is_trouble=True)


@transaction.atomic
def settle(*, flag: Flag, actor: User, note: str = "") -> Flag:
    """Closes a flag with what was done about it, and tells who raised it. Settling it again changes nothing."""
    flag = Flag.objects.select_for_update().get(pk=flag.pk)
    if flag.settled_at is not None:
        return flag
    note = one_line_end(note).strip()[:MOST_NOTE]
    Flag.objects.filter(pk=flag.pk).update(settled_at=Now(), settled_by=actor, settled_note=note)
    flag.refresh_from_db()
    project, raised_by = flag.item.project, flag.member.user
    auditing.record(actor=actor, action="settle flag", subject=project.slug, item=flag.item.key, reason=flag.reason)
    if raised_by is not None and raised_by != actor:
        with translation.override(raised_by.reads):
            said = {"reason": str(REASONS.get(flag.reason, flag.reason)), "project": project.name, "note": note}
            words = (
                gettext("Your flag in %(project)s (%(reason)s) was settled: %(note)s")
                if note
                else gettext("Your flag in %(project)s (%(reason)s) was settled.")
            )
            noticing.notify(user=raised_by, text=words % said)
    return flag


@transaction.atomic
def reopen(*, flag: Flag, actor: User) -> None:
    """Takes a settlement back."""
    Flag.objects.filter(pk=flag.pk).update(settled_at=None, settled_by=None, settled_note="")
    auditing.record(actor=actor, action="reopen flag", subject=flag.item.project.slug, item=flag.item.key)


def flags_of(project: Project) -> QuerySet[Flag]:
    """All flags, newest first."""
    return Flag.objects.filter(item__project=project).select_related("item", "member", "settled_by").order_by("-id")


def open_on(item: Item) -> list[dict[str, Any]]:
    """What is flagged on one item and not settled: `words` and `note`."""
    waiting = item.flags.filter(settled_at=None)
    return [{"words": REASONS.get(one.reason, one.reason), "note": one.note} for one in waiting]


def flagged(item_ids: list[int]) -> set[int]:
    """Those of the items that have an open flag."""
    waiting = Flag.objects.filter(item__in=item_ids, settled_at=None)
    return set(waiting.values_list("item_id", flat=True))


def flagged_by(*, item: Item, member: Membership) -> bool:
    """Whether the member flagged the item, and no lead has settled it yet."""
    return item.flags.filter(member=member, settled_at=None).exists()


def flagged_by_member(member: Membership, item_ids: list[int]) -> set[int]:
    """Those of the items that the member flagged, and no lead has settled yet."""
    waiting = Flag.objects.filter(item__in=item_ids, member=member, settled_at=None)
    return set(waiting.values_list("item_id", flat=True))


def open_count(project: Project) -> int:
    """How many wait for a lead."""
    return Flag.objects.filter(item__project=project, settled_at=None).count()
