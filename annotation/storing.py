"""Writes checked drafts: new items with their responses and judgements, and judgements that are new for items already there.

The last step of importing, inside its transaction. Judgements that come with a file take free slots as live ones do.
"""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import dataclass
from typing import Any

from django.db.models import F, Max, Value
from django.db.models.functions import Greatest
from django.utils.translation import gettext

from annotation.formats.jsonl import Problem
from annotation.kinds import Rankable
from annotation.mapping import Draft
from annotation.models import Import, Item, Judgement, Membership, Project, Response

PROBLEMS_SHOWN = 20


class ImportRefused(Exception):
    """The file has problems; nothing of it was imported."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("; ".join(str(problem) for problem in problems))


@dataclass
class Counts:
    """What an import did."""

    lines: int = 0
    items: int = 0
    already_there: int = 0
    left_out: int = 0
    responses: int = 0
    judgements: int = 0
    annotators: int = 0


class Writer:
    """Stores drafts batch by batch. The caller holds the project's row, so that positions and pseudonyms are given in order."""

    def __init__(
        self, *, project: Project, batch: Import, ranked: tuple[str, Rankable] | None, written: str, counts: Counts
    ) -> None:
        """`ranked` and `written` are the questions that imported ranks and demonstrations answer."""
        self.project, self.batch, self.ranked, self.written, self.counts = project, batch, ranked, written, counts
        last = Item.objects.filter(project=project).aggregate(last=Max("position"))["last"]
        self.position = 0 if last is None else last + 1
        self.members = {m.pseudonym: m for m in project.memberships.all()}

    def write(self, some: list[Draft]) -> None:
        there = self._there(some)
        new = [draft for draft in some if draft.key not in there]
        made = Item.objects.bulk_create([self._item(place, draft) for place, draft in enumerate(new)])
        self.position += len(made)
        responses = [
            Response(item=item, position=place, text=text, source=source)
            for item, draft in zip(made, new, strict=True)
            for place, (text, source) in enumerate(zip(draft.responses, draft.sources, strict=True))
        ]
        Response.objects.bulk_create(responses)
        self._judge(dict(zip((draft.key for draft in new), made, strict=True)) | there, some)
        self.counts.items += len(made)
        self.counts.already_there += len(there)
        self.counts.responses += len(responses)

    def _item(self, place: int, draft: Draft) -> Item:
        return Item(
            project=self.project,
            batch=self.batch,
            key=draft.key,
            position=self.position + place,
            prompt=draft.prompt,
            context=draft.context,
            topic=draft.topic,
            warning=draft.warning,
            task=draft.task,
            group=draft.group,
            digest=draft.digest,
            free=self.project.overlap,
        )

    def _there(self, some: list[Draft]) -> dict[str, Item]:
        """Items that the project holds already, locked in one order. The same id with other content is a problem."""
        held = Item.objects.select_for_update(no_key=True).filter(project=self.project, key__in=[d.key for d in some])
        there = {item.key: item for item in held.order_by("id")}
        for draft in some:
            if draft.key in there and there[draft.key].digest != draft.digest:
                message = gettext("the project holds an item %(key)s with other content") % {"key": repr(draft.key)}
                raise ImportRefused([Problem(draft.line, "id", message)])
        return there

    def _judge(self, items: dict[str, Item], some: list[Draft]) -> None:
        """The judgements that are not there yet; each takes a free slot of its item, if one is left. One that is there with
        other answers is a problem: it is never changed, and what the file says would be lost."""
        held = Judgement.objects.filter(item__in=items.values()).order_by("version")
        known = {
            (item, who): answers
            for item, who, answers in held.values_list("item_id", "member__pseudonym", "answers").iterator()
        }
        problems = [
            Problem(draft.line, "annotator", _contradicted(pseudonym))
            for draft in some
            for pseudonym, answers in self._said(draft).items()
            if (there := known.get((items[draft.key].pk, pseudonym))) is not None
            and not answers.items() <= there.items()
        ]
        if problems:
            raise ImportRefused(problems[:PROBLEMS_SHOWN])
        judgements = [
            Judgement(
                item=items[draft.key],
                member=self._member(draft.line, pseudonym),
                key=uuid.uuid4(),
                answers=answers,
                schema_version=self.project.schema_version,
                origin="import",
            )
            for draft in some
            for pseudonym, answers in self._said(draft).items()
            if (items[draft.key].pk, pseudonym) not in known
        ]
        Judgement.objects.bulk_create(judgements)
        self.counts.judgements += len(judgements)
        for number, ids in _by_number(judgements).items():
            taken = Item.objects.filter(pk__in=ids)
            taken.update(imported=F("imported") + number, free=Greatest(F("free") - number, Value(0)))

    def _said(self, draft: Draft) -> dict[str, dict[str, Any]]:
        """Pseudonym -> answers by question: what somebody ranked, wrote and labelled is one judgement."""
        said: dict[str, dict[str, Any]] = {}
        for pseudonym, ranks in draft.judgements:
            question, kind = self.ranked  # type: ignore[misc] # drafts with ranks are refused without
            said[pseudonym] = {question: kind.from_ranks(ranks)}
        if draft.written:
            pseudonym, text = draft.written
            said.setdefault(pseudonym, {})[self.written] = {"text": text, "edited_from": None}
        if draft.labelled:
            said.setdefault(draft.labelled[0], {}).update(draft.answers)
        return said

    def _member(self, line: int, pseudonym: str) -> Membership:
        member = self.members.get(pseudonym)
        if member is None:
            member = Membership.objects.create(project=self.project, pseudonym=pseudonym)
            self.members[pseudonym] = member
            self.counts.annotators += 1
        elif member.user_id is not None:
            message = gettext("the pseudonym %(pseudonym)s belongs to somebody who judges here") % {
                "pseudonym": repr(pseudonym)
            }
            raise ImportRefused([Problem(line, "annotator", message)])
        return member


def _contradicted(pseudonym: str) -> str:
    said = gettext(
        "%(pseudonym)s has judged this item already, and said something else or less; judgements are never changed. To keep "
        "both, name another annotator, as in annotator: =second"
    )
    return said % {"pseudonym": repr(pseudonym)}


def _by_number(judgements: list[Judgement]) -> dict[int, list[int]]:
    """How many judgements came in -> the items that got so many: few statements for many items."""
    found: dict[int, list[int]] = {}
    for item_id, number in Counter(judgement.item_id for judgement in judgements).items():
        found.setdefault(number, []).append(item_id)
    return found
