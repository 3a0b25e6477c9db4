"""Tells people what they would like to know: a notice on the site, and a mail where mail is set up."""

from __future__ import annotations

from webapp.people.models import Notice, User


def notify(*, user: User, text: str, url: str = "", is_trouble: bool = False) -> Notice:
    """Part of the caller's transaction: what is rolled back tells nobody."""
    return Notice.objects.create(user=user, text=text[:300], url=url, is_trouble=is_trouble)
