"""What leads say about an item beside its texts: its topic, which routes it, and a warning, shown before it."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext

from annotation.mapping import MAX_TOPIC, MAX_WARNING
from annotation.models import Item
from webapp.people import auditing
from webapp.people.models import User


@transaction.atomic
def describe(*, item: Item, topic: str, warning: str, actor: User) -> None:
    """Sets both, as one line each. Raises ValidationError."""
    said = {"topic": " ".join(topic.split()), "warning": " ".join(warning.split())}
    for name, most in (("topic", MAX_TOPIC), ("warning", MAX_WARNING)):
        if len(said[name]) > most:
            words = gettext("At most %(most)d characters; this is %(length)d.")
            raise ValidationError({name: words % {"most": most, "length": len(said[name])}})
    if (item.topic, item.warning) == (said["topic"], said["warning"]):
        return
    Item.objects.filter(pk=item.pk).update(**said)
    auditing.record(actor=actor, action="describe item", subject=item.project.slug, item=item.key, **said)
