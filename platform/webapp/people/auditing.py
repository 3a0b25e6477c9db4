"""Writes the audit trail."""

from typing import Any

from webapp.people.models import AuditEntry, User


def record(*, actor: User | None, action: str, subject: str, **detail: Any) -> None:  # noqa: ANN401 - any JSON value
    """One line in the trail, in the caller's transaction. `actor` None is the command line."""
    AuditEntry.objects.create(actor=actor, action=action, subject=subject, detail=detail)
