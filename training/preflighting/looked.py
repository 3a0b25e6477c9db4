"""What looking before a launch comes to: checks, each about a field of the form or a topic."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext

from webapp.saying import number

OK, WARNING, FAULT = "ok", "warning", "fault"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `level` is ok, warning or fault; `name` is the form field or the topic."""

    name: str
    level: str
    title: str
    sentence: str


def millions(count: int) -> str:
    """A count of parameters, in words."""
    if count >= 1e9:
        return gettext("%(n)s billion") % {"n": number(count / 1e9, 1)}
    return gettext("%(n)s million") % {"n": number(count / 1e6, 1)}
