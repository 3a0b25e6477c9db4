"""The guidelines: written in versions, confirmed by each annotator, and what changed between two versions.

A judgement pins the version it was made under, so that a change can list the judgements it may overturn (reviewing.py asks
for them again). Whoever has not confirmed the version of now reads it, or what changed in it, before going on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext

from annotation.models import Guidelines, Item, Membership, Project
from webapp.people import auditing
from webapp.people.models import User

MOST_EXAMPLES = 20
MOST_ANSWERS = 10
MOST_TEXT = 64_000  # characters; above it would not be rendered
MOST_VERDICT = 60
#: the end of a sentence, or of a line
ENDS = re.compile(r"(?<=[.!?:;。！？])\s+")


@transaction.atomic
def write(
    *, project: Project, text: str, actor: User | None, examples: Sequence[Any] | None = None, change: str = ""
) -> Guidelines:
    """A new version of the guidelines, unless nothing changed; `examples=None` keeps those there are.

    Its author has read it. Raises ValidationError.
    """
    last = project.guidelines.select_for_update().last()
    kept = checked(examples) if examples is not None else last.examples if last else []
    if len(text) > MOST_TEXT:
        raise ValidationError(gettext("Guidelines have at most %(n)d characters.") % {"n": MOST_TEXT})
    if last and (last.text, last.examples) == (text, kept):
        return last
    version = (last.version if last else 0) + 1
    made = Guidelines.objects.create(project=project, version=version, text=text, examples=kept, change=change.strip())
    if actor is not None:
        project.memberships.filter(user=actor).update(guidelines_read=version)
    auditing.record(actor=actor, action="write guidelines", subject=project.slug, version=version)
    return made


def checked(examples: Sequence[Any]) -> list[dict[str, Any]]:
    """Examples in their one shape, {prompt, answers: [{text, verdict}], why}; empty ones are left out. Raises ValidationError."""
    found: list[dict[str, Any]] = []
    for number, given in enumerate(examples, 1):
        answers = [
            {"text": str(answer["text"]).strip(), "verdict": str(answer["verdict"]).strip()}
            for answer in given["answers"]
        ]
        answers = [answer for answer in answers if answer["text"] or answer["verdict"]]
        example = {"prompt": str(given["prompt"]).strip(), "answers": answers, "why": str(given["why"]).strip()}
        if not (example["prompt"] or answers or example["why"]):
            continue
        place = {"n": number}
        if not example["prompt"]:
            raise ValidationError(
                gettext("Example %(n)d has no prompt. Write one, or empty the whole example.") % place
            )
        if not answers or not all(answer["text"] for answer in answers):
            raise ValidationError(
                gettext("Example %(n)d: every answer needs its text, and there is at least one.") % place
            )
        if len(answers) > MOST_ANSWERS:
            raise ValidationError(gettext("Example %(n)d has more than ten answers. Take some out.") % place)
        if any(len(answer["verdict"]) > MOST_VERDICT for answer in answers):
            raise ValidationError(
                gettext("Example %(n)d: a verdict is a few words, at most 60 characters. Say more under “Why”.") % place
            )
        found.append(example)
    if len(found) > MOST_EXAMPLES:
        raise ValidationError(
            gettext("There is room for %(n)d examples. Keep the most telling ones.") % {"n": MOST_EXAMPLES}
        )
    return found


def example_of(item: Item) -> dict[str, Any]:
    """An example out of an item, its verdicts and its why still to be written."""
    prompt = "\n\n".join(message["content"] for message in item.prompt)
    texts = item.responses.order_by("position").values_list("text", flat=True)[:MOST_ANSWERS]
    return {"prompt": prompt, "answers": [{"text": text, "verdict": ""} for text in texts], "why": ""}


@dataclass(frozen=True)
class Reading:
    """Guidelines that somebody has to read before going on; `before` is the version they know, None for the first time."""

    now: Guidelines
    before: Guidelines | None


def current(project: Project) -> Guidelines | None:
    """The version that is in force, None where nothing has been written."""
    last = project.guidelines.last()
    return last if last and (last.text.strip() or last.examples) else None


def must_read(*, member: Membership) -> Reading | None:
    """What `member` has to read first, None if they know the guidelines or there are none."""
    now = current(member.project)
    if now is None or member.guidelines_read >= now.version:
        return None
    before = member.project.guidelines.filter(version=member.guidelines_read).first()
    return Reading(now, before if before and (before.text.strip() or before.examples) else None)


def confirm(*, member: Membership, version: int) -> None:
    """Notes that `member` has read `version`; one that was never written, or is older than what they know, changes nothing."""
    if member.project.guidelines.filter(version=version).exists():
        Membership.objects.filter(pk=member.pk, guidelines_read__lt=version).update(guidelines_read=version)


@dataclass(frozen=True)
class Piece:
    """A sentence of a line of the guidelines, and whether the change left it, brought it or took it."""

    mark: Literal["same", "added", "removed"]
    text: str


@dataclass(frozen=True)
class Stretch:
    """Lines that belong together: all unchanged, or with something changed in each."""

    changed: bool
    lines: list[list[Piece]]


def difference(before: str, after: str) -> list[Stretch]:
    """What changed between two texts: by lines, and within lines that correspond by sentences."""
    old, new = before.splitlines(), after.splitlines()
    stretches: list[Stretch] = []
    for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            stretches.append(Stretch(False, [[Piece("same", line)] for line in new[c:d]]))
        else:
            stretches.append(Stretch(True, list(_lines(old[a:b], new[c:d]))))
    return stretches


def _lines(old: Sequence[str], new: Sequence[str]) -> Iterator[list[Piece]]:
    """Changed lines: the n-th of the old beside the n-th of the new, as far as both go."""
    both = min(len(old), len(new))
    for before, after in zip(old[:both], new[:both], strict=True):
        yield list(_sentences(ENDS.split(before), ENDS.split(after)))
    yield from ([Piece("removed", line)] for line in old[both:] if line.strip())
    yield from ([Piece("added", line)] for line in new[both:] if line.strip())


def _sentences(old: list[str], new: list[str]) -> Iterator[Piece]:
    for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            yield Piece("same", " ".join(new[c:d]))
            continue
        for mark, text in (("removed", " ".join(old[a:b])), ("added", " ".join(new[c:d]))):
            if text.strip():
                yield Piece(mark, text)  # type: ignore[arg-type]


def examples_changed(before: Guidelines, after: Guidelines) -> tuple[list[Any], list[Any]]:
    """The examples that came, and those that went."""
    return (
        [example for example in after.examples if example not in before.examples],
        [example for example in before.examples if example not in after.examples],
    )
