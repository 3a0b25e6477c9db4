"""The versions of a project's questions: what each one changed, in words, who changed it and when."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from annotation import asking
from annotation.kinds import KINDS
from annotation.kinds.shown import shown
from annotation.models import Project, Question
from webapp.people.models import AuditEntry

LONGEST = 80


@dataclass(frozen=True)
class Version:
    """One version of the questions. `judgements` counts those that stand and answered it; `changes` are sentences."""

    number: int
    at: datetime | None
    by: str
    judgements: int
    changes: list[str]
    questions: list[Question]


def history(project: Project, given: Mapping[int, int]) -> list[Version]:
    """All versions, the newest first. `given`: version -> judgements that stand and answered it."""
    asked: dict[int, list[Question]] = defaultdict(list)
    for question in project.questions.order_by("version", "position"):
        asked[question.version].append(question)
    made = {
        entry.detail.get("version"): entry
        for entry in AuditEntry.objects.filter(action=asking.CHANGED, subject=project.slug).select_related("actor")
    }
    versions: list[Version] = []
    before: list[Question] = []
    for number in sorted(asked):
        entry = made.get(number)
        first = not versions
        at, who = (project.created_at, project.created_by) if first else (entry and entry.at, entry and entry.actor)
        changes = differences(before, asked[number]) if before else []
        versions.append(
            Version(number, at or None, who.username if who else "", given.get(number, 0), changes, asked[number])
        )
        before = asked[number]
    return versions[::-1]


def differences(before: Sequence[Question], after: Sequence[Question]) -> list[str]:
    """What is different, one sentence each. Questions are the same if they have the same name."""
    old, new = {q.name: q for q in before}, {q.name: q for q in after}
    said = [_("“%(title)s” is gone.") % {"title": q.title} for name, q in old.items() if name not in new]
    for name, question in new.items():
        if name not in old:
            said.append(_("“%(title)s” is new (%(kind)s).") % {"title": question.title, "kind": _label(question.kind)})
        else:
            said += _of_one(old[name], question)
    kept_before, kept_after = [n for n in old if n in new], [n for n in new if n in old]
    if kept_before != kept_after:
        titles = " · ".join(new[name].title for name in new)
        said.append(_("They are asked in another order: %(titles)s.") % {"titles": titles})
    return said


def _of_one(old: Question, new: Question) -> list[str]:
    title = new.title
    if old.kind != new.kind:
        kinds = {"title": title, "old": _label(old.kind), "new": _label(new.kind)}
        return [_("“%(title)s” was a question of another kind: %(old)s, now %(new)s.") % kinds]
    said = []
    if old.title != new.title:
        said.append(_("“%(old)s” is now called “%(new)s”.") % {"old": old.title, "new": new.title})
    if old.help != new.help:
        said.append(
            _("“%(title)s” has another help: %(help)s") % {"title": title, "help": _short(new.help) or _("none")}
        )
    if old.required != new.required:
        sentence = _("“%(title)s” must be answered.") if new.required else _("“%(title)s” may be left out.")
        said.append(sentence % {"title": title})
    return said + [f"“{title}”, {line}" for line in _options(KINDS.get(new.kind), old.options, new.options)]


def _options(kind: Any, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:  # noqa: ANN401 - a Kind or None
    fields = kind.schema.model_fields if kind else {}
    lines = []
    for name in [*fields, *(name for name in {**old, **new} if name not in fields)]:
        # an option that did not exist yet meant its default
        default = fields[name].get_default(call_default_factory=True) if name in fields else None
        then, now = old.get(name, default), new.get(name, default)
        if _plain(then) == _plain(now):
            continue
        words = shown(fields[name], name) if name in fields else None
        label = str(words.label) if words else name
        lines.append(f"{label}: {_said(then, words)} → {_said(now, words)}")
    return lines


def _said(value: Any, words: Any) -> str:  # noqa: ANN401 - any option, a Shown or None
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if words is not None and isinstance(value, str | int) and value in words.words:
        return str(words.words[value])
    if isinstance(value, list):
        return _short(", ".join(_name(entry) for entry in value)) or _("none")
    return _short(value if isinstance(value, str) else json.dumps(_plain(value), ensure_ascii=False)) or _("none")


def _name(entry: Any) -> str:  # noqa: ANN401
    entry = _plain(entry)
    if not isinstance(entry, dict):
        return str(entry)
    first = entry.get("title") or entry.get("name") or ""
    rest = [str(value) for key, value in entry.items() if key not in ("title", "name") and value not in ("", [], None)]
    return f"{first} ({', '.join(rest)})" if first and rest else str(first or " ".join(rest))


def _plain(value: Any) -> Any:  # noqa: ANN401 - JSON of whatever pydantic made
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    return [_plain(entry) for entry in value] if isinstance(value, list | tuple) else value


def _short(text: str) -> str:
    line = " / ".join(part.strip() for part in text.splitlines() if part.strip())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def _label(kind: str) -> str:
    return str(KINDS[kind].label) if kind in KINDS else kind
