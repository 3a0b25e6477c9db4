"""Labels that come in by a file: which question takes them, and a question made out of them where the project asks none.

Stands inside importing. Labels are matched by what people read (the title), then by the name that is stored, so that a file may
have either. A question that is made has the labels of the file, in the order of the alphabet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.text import slugify
from django.utils.translation import gettext

from annotation import asking, picking
from annotation.formats.jsonl import Problem
from annotation.kinds import KINDS, BadAnswer, Subject
from annotation.kinds.label import MOST_LABELS, Label
from annotation.kinds.label import Options as LabelOptions
from annotation.mapping import Draft
from annotation.models import Judgement, Project
from webapp import saying
from webapp.people.models import User

MOST_NAMED = 12  # labels that a message lists


@dataclass
class Seen:
    """The labels of one field of a file."""

    labels: dict[str, None]  # in the order of the file, each once
    several: bool = False  # some record has more than one


def collect(records: Iterable[Mapping[str, Sequence[str]]]) -> dict[str, Seen]:
    """Field -> its labels in all records of a file; of too many only one too many is kept."""
    found: dict[str, Seen] = {}
    for record in records:
        for field, labels in record.items():
            seen = found.setdefault(field, Seen({}))
            seen.several = seen.several or len(labels) > 1
            if len(seen.labels) <= MOST_LABELS:
                seen.labels |= dict.fromkeys(map(_title, labels))
    return found


def fields_of(mapping: Mapping[str, str]) -> list[str]:
    """The fields with labels that a checked mapping names, each once."""
    return list(dict.fromkeys(picking.named(mapping["label"]))) if "label" in mapping else []


def questions(project: Project, fields: Sequence[str]) -> dict[str, asking.Asked]:
    """Field -> the question that takes its labels: the one of its name, or, for a single field, the first one there is."""
    asked = [one for one in asking.questions_of(project) if isinstance(one.kind, Label)]
    named = {one.name: one for one in asked}
    found = {field: named[name] for field, name in _names(project, fields).items() if name in named}
    if len(fields) == 1 and not found and asked:
        found[fields[0]] = asked[0]
    return found


def answered(draft: Draft, asked: Mapping[str, asking.Asked]) -> dict[str, dict[str, Any]]:
    """Question -> the answer that the draft's labels are. Raises Problem with line and field."""
    answers = {}
    subject = Subject(order=range(len(draft.responses)), texts=draft.responses, prompt=draft.prompt)
    for field, labels in (draft.labelled[1] if draft.labelled else {}).items():
        question = asked.get(field)
        if question is None:
            said = gettext("the project has no label question for this field; make one, or let the import make it")
            raise Problem(draft.line, field, said)
        try:
            if question.options.labelled(subject) != [None]:  # type: ignore[attr-defined]
                raise BadAnswer(
                    gettext("“%(question)s” labels each answer; the labels of a file are of the item as a whole")
                    % {"question": question.title}
                )
            names = [_found(label, question) for label in labels]
            answers[question.name] = question.kind.check({"labels": [names]}, subject, question.options)
        except BadAnswer as wrong:
            raise Problem(draft.line, field, str(wrong)) from None
    return answers


def make_room(project: Project, fields: Sequence[str], seen: Mapping[str, Seen], actor: User | None) -> None:
    """Questions that take all labels of a file, in its `fields`: new ones, or those there with the new labels added.

    The labels of a question that nobody has answered and that has none of the file's are replaced: they stood there for want of
    others. Raises Problem, also where the labels are too many or too few, and ValidationError where the items do not fit.
    """
    now = project.questions.filter(version=project.schema_version).order_by("position")
    drafts: list[dict[str, Any]] = [
        {
            "name": q.name,
            "kind": q.kind,
            "title": q.title,
            "help": q.help,
            "options": dict(q.options),
            "required": q.required,
        }
        for q in now
    ]
    asked, names, changed = questions(project, fields), _names(project, fields), False
    for field, labels in seen.items():
        if question := asked.get(field):
            text, added = _with_new(project, question, labels)
            draft = next(one for one in drafts if one["name"] == question.name)
        else:
            text, added = _lines(labels.labels, []), len(labels.labels)
            title = str(KINDS["label"].title) if len(fields) == 1 else _last(field)
            draft = {"name": names[field], "kind": "label", "title": title, "help": "", "options": {}, "required": True}
            drafts.append(draft)
        if not added:
            continue
        _check_number(field, text)
        several = {"many": True} if labels.several else {}
        draft["options"] = draft["options"] | {"labels": text} | several
        changed = True
    if changed:
        asking.change(project=project, drafts=drafts, actor=actor)


def _with_new(project: Project, question: asking.Asked, seen: Seen) -> tuple[str, int]:
    """The question's labels with those that it lacks, and how many these are."""
    options: LabelOptions = question.options  # type: ignore[assignment]
    lacking = [label for label in seen.labels if _name_in(label, options) is None]
    if not lacking:
        return options.labels, 0
    is_answered = Judgement.objects.filter(item__project=project, answers__has_key=question.name).exists()
    if len(lacking) == len(seen.labels) and not is_answered:
        return _lines(lacking, []), len(lacking)
    there = [choice.name for choice in options.choices]
    return f"{options.labels.rstrip()}\n{_lines(lacking, there)}", len(lacking)


def _lines(labels: Iterable[str], taken: Sequence[str]) -> str:
    """The labels as a question's options have them, by the alphabet; each with a name of its own."""
    names, lines = list(taken), []
    for number, title in enumerate(sorted(labels, key=lambda label: (label.casefold(), label)), 1):
        name = asking.free_name(slugify(title, allow_unicode=True)[:50] or f"label-{number}", names)
        names.append(name)
        lines.append(title if name == title else f"{name} = {title}")
    return "\n".join(lines)


def _check_number(field: str, text: str) -> None:
    """Raises Problem for fewer or more labels than a question can have."""
    count = sum(1 for line in text.splitlines() if line.strip())
    if count > MOST_LABELS:
        said = gettext("more than %(most)s different labels, and a question has at most so many; take a coarser field")
        raise Problem(0, field, said % {"most": saying.number(MOST_LABELS)})
    if count < 2:
        said = gettext("all that is labelled has one label, “%(label)s”; a question needs two to choose from")
        raise Problem(0, field, said % {"label": text.strip()})


def _found(label: str, question: asking.Asked) -> str:
    options: LabelOptions = question.options  # type: ignore[assignment]
    name = _name_in(label, options)
    if name is None:
        titles = [choice.title for choice in options.choosable]
        more = gettext(" and %(n)s more") % {"n": len(titles) - MOST_NAMED} if len(titles) > MOST_NAMED else ""
        raise BadAnswer(
            gettext(
                "“%(question)s” has no label “%(label)s”; it has %(labels)s. Add it there, or let the import add it."
            )
            % {"question": question.title, "label": label, "labels": ", ".join(titles[:MOST_NAMED]) + more}
        )
    return name


def _name_in(label: str, options: LabelOptions) -> str | None:
    """The stored name of a label that a file has by its title or its name."""
    title = _title(label)
    by_title = {choice.title: choice.name for choice in options.choosable}
    names = {choice.name for choice in options.choosable}
    return by_title.get(title) or next(
        (name for name in (label, slugify(title, allow_unicode=True)) if name in names), None
    )


def _title(label: str) -> str:
    """A label as a title can have it: on one line, without the sign that parts title and help."""
    return " ".join(label.split()).replace("|", "¦")


def _last(field: str) -> str:
    return field.rpartition(".")[2]


def _names(project: Project, fields: Sequence[str]) -> dict[str, str]:
    """Field -> the name of its question: the last part of its path, for a single field `label` where no question has that.

    Each has a name of its own that no question of another kind has: with the whole path, and then with a number.
    """
    asked = asking.questions_of(project)
    labels = {one.name for one in asked if isinstance(one.kind, Label)}
    taken = [one.name for one in asked if one.name not in labels]
    lasts = [slugify(_last(field)) for field in fields]
    names = {}
    for field, last in zip(fields, lasts, strict=True):
        name = last if lasts.count(last) == 1 else slugify(field.replace(".", "-"))
        if len(fields) == 1 and name not in labels:
            name = "label"
        names[field] = asking.free_name(name[:36] or "label", taken)  # a name has at most 40
        taken.append(names[field])
    return names
