"""What the training commands share."""

from __future__ import annotations

from collections.abc import Iterable

from django.core.management.base import CommandError

from training.models import Model, Snapshot


def snapshot_named(name: str) -> Snapshot:
    """The snapshot whose hash begins so. Raises CommandError."""
    found = list(Snapshot.objects.filter(hash__startswith=name)[:2]) if len(name) >= 6 else []
    if len(found) != 1:
        why = (
            "fits more than one snapshot" if found else "is the beginning of no snapshot's hash (6 characters or more)"
        )
        raise CommandError(f"“{name}” {why}. `manage.py freeze` prints the hash.")
    return found[0]


def model_named(ref: str) -> Model:
    """The model called `run:<id>`, or `<id>`. Raises CommandError."""
    number = ref.removeprefix("run:")
    model = Model.objects.filter(run_id=int(number)).first() if number.isascii() and number.isdigit() else None
    if model is None:
        there = ", ".join(m.ref for m in Model.objects.all()[:20]) or "none yet"
        raise CommandError(f"There is no model “{ref}”. There are: {there}.")
    return model


def pairs(texts: Iterable[str], what: str) -> dict[str, str]:
    """`["a=b"]` as a dict. Raises CommandError."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise CommandError(f"{what} is written name=value, not {text!r}.")
        found[name] = value
    return found
