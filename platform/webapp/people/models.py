"""People, the ways they get in, and the record of what they did."""

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    """Somebody who can sign in. `is_staff` creates projects; `is_superuser` may everything."""

    language = models.CharField(max_length=10, blank=True, help_text="What they chose to read; empty: never chosen.")

    @property
    def has_chosen_password(self) -> bool:
        return self.has_usable_password()

    @property
    def reads(self) -> str:
        """The language in which something is written for them while no request of theirs is at hand: a notice, a mail."""
        return self.language or settings.LANGUAGE_CODE


class SignInLink(models.Model):
    """A one-time way in, after which its owner chooses a password. Only the token's digest is kept."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sign_in_links")
    digest = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"link for {self.user}"


class ApiToken(models.Model):
    """A key for scripts. Shown once; only its digest is kept, and its first characters to recognise it by."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=80)
    prefix = models.CharField(max_length=12)
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.prefix}… ({self.name})"


class Notice(models.Model):
    """Something a person would like to know of: a run of theirs that ended, say. Shown until it is read."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="notices")
    text = models.CharField(max_length=300)
    url = models.CharField(max_length=300, blank=True)
    is_trouble = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    read_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["user"], condition=models.Q(read_at=None), name="unread_notices")]

    def __str__(self) -> str:
        return self.text


class AuditEntry(models.Model):
    """Who did what to which thing, and when. Written by the step that did it, in its transaction."""

    actor = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    action = models.CharField(max_length=60)
    subject = models.CharField(max_length=200)
    detail = models.JSONField(default=dict)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.actor}: {self.action} {self.subject}"
