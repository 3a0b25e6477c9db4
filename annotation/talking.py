"""Conversations with a live model: every turn is an item with two answers, judged like any other; the better one goes on.

A conversation is a group of items: their keys are `talk:<conversation>:<turn>`, and the prompt of each is all that was said
before it. So it stays on one side of every split, and needs no table of its own. A turn that nobody has judged yet is the
author's alone; what the overlap asks for besides is free for others from then on.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Max
from django.db.models.functions import Now
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from annotation import asking, judging
from annotation.asking import Asked
from annotation.kinds import Rankable
from annotation.models import Assignment, Item, Judgement, Membership, Project, Response

LONGEST = 20_000  # characters of one turn
MOST_TURNS = 50
PREFIX = "talk"


class CannotTalk(Exception):
    """The turn was not taken; the text says why and what to do."""


class NoReply(CannotTalk):
    """The model did not answer; whatever answers for LIVE_ANSWERS raises it."""


@dataclass(frozen=True)
class Turn:
    """One turn of somebody's conversation: the item, their assignment, and what they said of it, if anything yet."""

    item: Item
    assignment: Assignment
    judgement: Judgement | None


@dataclass(frozen=True)
class Conversation:
    """Its turns from first to last; none at its beginning."""

    id: uuid.UUID
    turns: list[Turn]

    @property
    def open(self) -> Turn | None:
        """The turn whose answers wait for a judgement."""
        return self.turns[-1] if self.turns and self.turns[-1].judgement is None else None

    @property
    def said(self) -> list[dict[str, str]]:
        """All that was said, the chosen answer of the last judged turn included."""
        if not self.turns:
            return []
        last = self.turns[-1]
        if last.judgement is None:
            return list(last.item.prompt)
        return [*last.item.prompt, {"role": "assistant", "content": chosen(last)}]


def models_of(project: Project) -> list[tuple[str, str]]:
    """(string, name) of the models that a lead can connect."""
    return list(import_string(settings.LIVE_MODELS)(project))


def question(project: Project) -> Asked | None:
    """The first question that puts answers in an order: what is asked after every turn. A comparison comes first."""
    asked = [one for one in asking.questions_of(project) if isinstance(one.kind, Rankable)]
    return next((one for one in asked if one.kind.name == "comparison"), asked[0] if asked else None)


def hindrance(project: Project) -> str:
    """Why nobody can talk here; empty when they can."""
    if not project.live_model:
        return _("No model is connected. A lead of the project connects one in its settings.")
    if question(project) is None:
        return _("This project asks no comparison and no ranking, so no answer could be chosen. A lead can add one.")
    return ""


def mine(*, member: Membership) -> list[Conversation]:
    """The annotator's conversations, the newest first."""
    found = Assignment.objects.filter(member=member, item__key__startswith=f"{PREFIX}:").exclude(
        state=Assignment.SKIPPED
    )
    turns: dict[str, list[Turn]] = {}
    said = {
        j.item_id: j for j in Judgement.objects.filter(member=member, superseded_by=None, item__assignments__in=found)
    }
    for assignment in (
        found.select_related("item__project").prefetch_related("item__responses").order_by("item__position")
    ):
        item = assignment.item
        turns.setdefault(item.key.split(":")[1], []).append(Turn(item, assignment, said.get(item.pk)))
    own = [Conversation(uuid.UUID(name), some) for name, some in turns.items() if some[0].item.key.endswith(":1")]
    return sorted(own, key=lambda one: -one.turns[-1].item.position)


def conversation(*, member: Membership, id: uuid.UUID) -> Conversation:
    """The annotator's own; one that does not exist yet has no turns."""
    return next((one for one in mine(member=member) if one.id == id), Conversation(id, []))


def taken(*, member: Membership, id: uuid.UUID) -> bool:
    """Whether a conversation of that id is somebody else's, here or in another project."""
    items = Item.objects.filter(group=f"{PREFIX}:{id}")
    return items.exclude(project_id=member.project_id, assignments__member=member).exists()


def chosen(turn: Turn) -> str:
    """The answer that goes on: the best ranked; of equals, the one shown first."""
    asked = next(
        one
        for one in asking.questions_of(turn.item.project, turn.judgement.schema_version if turn.judgement else None)
        if turn.judgement and one.name in turn.judgement.answers and isinstance(one.kind, Rankable)
    )
    assert isinstance(asked.kind, Rankable) and turn.judgement  # noqa: S101 - for the type checker
    ranks = asked.kind.ranks(turn.judgement.answers[asked.name], len(turn.assignment.order))
    texts = asking.subject_of(turn.item, turn.assignment.order).texts
    best = min(turn.assignment.order, key=lambda position: ranks[position] or 99)
    return texts[best]


def say(*, member: Membership, id: uuid.UUID, text: str) -> Conversation:
    """Adds a turn: asks the model, which takes its time, and then stores the turn with two answers.

    A turn that waits for a judgement is written anew. Raises CannotTalk; nothing is stored then.
    """
    project = member.project
    text = text.replace("\r\n", "\n").strip()
    if why := hindrance(project):
        raise CannotTalk(why)
    if not text or "\0" in text:
        raise CannotTalk(_("Write what you want to say to the model first."))
    if len(text) > LONGEST:
        raise CannotTalk(
            _("One turn takes at most %(most)s characters; these are %(count)s.")
            % {"most": LONGEST, "count": len(text)}
        )
    before = conversation(member=member, id=id)
    judged = [turn for turn in before.turns if turn.judgement]
    if len(judged) >= MOST_TURNS:
        raise CannotTalk(_("A conversation has at most %(most)s turns. Begin a new one.") % {"most": MOST_TURNS})
    prompt = [*Conversation(id, judged).said, {"role": "user", "content": text}]
    answers = import_string(settings.LIVE_ANSWERS)(project, project.live_model, prompt)
    add(member=member, id=id, number=len(judged) + 1, prompt=prompt, answers=answers, instead=before.open)
    return conversation(member=member, id=id)


def add(
    *, member: Membership, id: uuid.UUID, number: int, prompt: list[dict[str, str]], answers: list[tuple[str, str]],
    instead: Turn | None,
) -> None:  # fmt: skip
    """The item with its answers, held by its author. Raises CannotTalk if the turn was judged meanwhile in another tab."""
    texts = [text for text, _source in answers]
    shown = json.dumps([prompt, [], texts], ensure_ascii=False, sort_keys=True)
    try:
        with transaction.atomic():
            project = Project.objects.select_for_update(no_key=True).get(pk=member.project_id)  # positions, in order
            if question(project) is None:  # the questions changed while the model wrote
                raise CannotTalk(hindrance(project))
            if instead is not None:
                _take_back(instead)
            last = Item.objects.filter(project=project).aggregate(last=Max("position"))["last"]
            item = Item.objects.create(
                project=project, key=f"{PREFIX}:{id}:{number}", position=0 if last is None else last + 1, prompt=prompt,
                group=f"{PREFIX}:{id}", digest=hashlib.sha256(shown.encode()).hexdigest(), free=0,
            )  # fmt: skip
            Response.objects.bulk_create(
                Response(item=item, position=place, text=text, source=source[:200])
                for place, (text, source) in enumerate(answers)
            )
            # without a slot until it is judged: the desk neither offers it to anybody nor lets it run out
            Assignment.objects.create(
                item=item, member=member, slot=None, state=Assignment.EXPIRED, order=list(range(len(answers))),
                started_at=Now(), leased_until=Now(),
            )  # fmt: skip
    except IntegrityError:
        raise CannotTalk(
            _("This conversation went on in another tab. Load the page again; what you wrote is kept.")
        ) from None


def _take_back(turn: Turn) -> None:
    """Deletes a turn that nobody judged. What others hold of it, or have judged, stays, and the key says so: IntegrityError."""
    held = Item.objects.select_for_update().get(pk=turn.item.pk)
    if held.judgements.exists() or held.assignments.exclude(pk=turn.assignment.pk).exists():
        raise IntegrityError
    held.delete()


@transaction.atomic
def choose(*, turn: Turn, form: Mapping[str, Any], key: uuid.UUID, active_ms: int | None = None) -> Judgement:
    """Judges a turn by the one question that is asked here. What its overlap asks for besides is free for others then.

    Raises BadAnswer and judging.Refused.
    """
    asked = question(turn.item.project)
    if asked is None:
        raise judging.Refused(hindrance(turn.item.project))
    subject = asking.subject_of(turn.item, turn.assignment.order)
    answers = asking.read(questions=[asked], form=form, subject=subject)
    item = Item.objects.select_for_update().get(pk=turn.item.pk)
    if not item.judgements.exists():
        Item.objects.filter(pk=item.pk).update(free=item.project.overlap)
    return judging.submit(assignment=turn.assignment, answers=answers, key=key, active_ms=active_ms)
