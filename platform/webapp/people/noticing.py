"""Tells people what they would like to know: a notice on the site, and a mail where mail is set up.

A mail is sent after the transaction that it tells of, on a thread of its own: a mail server that is slow, closed or gone
delays and fails nothing. The notice on the site is the record; the mail is a courtesy.
"""

from __future__ import annotations

import logging
import threading

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.utils import timezone, translation
from django.utils.translation import gettext

from webapp.people.models import Notice, User

log = logging.getLogger(__name__)


def notify(*, user: User, text: str, url: str = "", is_trouble: bool = False) -> Notice:
    """Part of the caller's transaction: what is rolled back tells nobody."""
    notice = Notice.objects.create(user=user, text=text[:300], url=url, is_trouble=is_trouble)
    if settings.MAIL_IS_SET_UP and user.email and user.is_active:
        transaction.on_commit(lambda: threading.Thread(target=_mail, args=[notice, user.email]).start(), robust=True)
    return notice


def unread(user: User) -> int:
    """How many notices wait."""
    return Notice.objects.filter(user=user, read_at=None).count()


def read(*, user: User, notice_id: int | None = None) -> int:
    """Marks one notice of theirs as read, or all; how many that were unread."""
    waiting = Notice.objects.filter(user=user, read_at=None)
    return (waiting if notice_id is None else waiting.filter(pk=notice_id)).update(read_at=timezone.now())


def _mail(notice: Notice, address: str) -> None:
    """Sends a notice. Whatever goes wrong is logged, without the address."""
    first_line = (notice.text.splitlines() or [""])[0]
    link = f"\n\n{settings.SITE_URL.rstrip('/')}{notice.url}" if settings.SITE_URL and notice.url else ""
    with translation.override(notice.user.reads):
        foot = gettext(
            "You get this because your account on Feinschliff has this address. Empty it there to get no more."
        )
    try:
        EmailMessage(
            subject=f"[Feinschliff] {first_line[:100]}", body=f"{notice.text}{link}\n\n{foot}", to=[address]
        ).send()
    except Exception as wrong:  # a mail server's fault is nobody's else
        log.warning("notice %s could not be mailed: %s: %s", notice.pk, type(wrong).__name__, wrong)
