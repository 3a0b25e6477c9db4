"""What a trainer's own rules find odd about its settings, though a run would take them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema
from django.utils.translation import gettext

from training.catalogue import validating
from training.configuring import defaults
from training.preflighting.looked import WARNING, Check


def look(trainer: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[Check]:
    """A warning for each; `config` may leave settings out, which then are as they come."""
    whole, known = defaults(trainer["schema"]) | dict(config), trainer["schema"].get("properties", {})
    if not jsonschema.Draft202012Validator(trainer["schema"]).is_valid(whole):
        return  # what is wrong is told by the launch
    for name, said in validating.warned(trainer, whole).items():
        yield Check(f"setting-{name}", WARNING, title_of_setting(known, name), said)


def title_of_setting(known: Mapping[str, Any], name: str) -> str:
    """What a form calls a setting."""
    title = str(known.get(name, {}).get("title") or name.replace("_", " ").capitalize())
    return gettext(title) if title else gettext("Settings")
