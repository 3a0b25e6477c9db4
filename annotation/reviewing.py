"""What leads say of judgements to those who made them, what comes back, and which judgements are asked for again.

Stands after judging. A judgement that is asked for again comes back to its annotator, however long ago it was made; a
correction, saving it as it was, or a written answer settles that. Leads know annotators by their pseudonyms here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Exists, F, Func, OuterRef, Q, QuerySet, TextField, Value
from django.db.models.functions import Now
from django.urls import reverse
from django.utils.text import Truncator
from django.utils.translation import gettext, ngettext

from annotation.models import Assignment, Feedback, Flag, Judgement, Membership, Project, Response
from webapp.people import auditing, noticing
from webapp.people.models import User

MOST_TEXT = 4000


@dataclass(frozen=True)
class Wanted:
    """Which judgements to list; what is left empty does not narrow the list."""

    annotator: str = ""  # a pseudonym
    question: str = ""
    words: str = ""  # in the prompt, the responses or the answer
    since: date | None = None
    until: date | None = None
    flagged: bool = False
    discussed: bool = False  # somebody wrote feedback on it
    waiting: bool = False  # asked for again, and not settled yet
    before_version: int | None = None  # made under older guidelines than these


def judgements(project: Project, wanted: Wanted) -> QuerySet[Judgement]:
    """The judgements that stand, narrowed, newest first."""
    later = Judgement.objects.filter(supersedes=OuterRef("pk"))  # as judging.current does
    found = Judgement.objects.filter(~Exists(later), member__project=project).select_related("item", "member")
    if wanted.annotator:
        found = found.filter(member__pseudonym=wanted.annotator)
    if wanted.question:
        found = found.filter(answers__has_key=wanted.question)
    if wanted.since:
        found = found.filter(submitted_at__date__gte=wanted.since)
    if wanted.until:
        found = found.filter(submitted_at__date__lte=wanted.until)
    if wanted.flagged:
        found = found.filter(Exists(Flag.objects.filter(item=OuterRef("item"))))
    said = Feedback.objects.filter(judgement__item=OuterRef("item"), judgement__member=OuterRef("member"))
    if wanted.discussed:
        found = found.filter(Exists(said))
    if wanted.waiting:
        found = found.filter(Exists(said.filter(asks_again=True, settled_at=None)))
    if wanted.before_version is not None:
        found = found.filter(origin="live", guidelines_version__lt=wanted.before_version)
    return holding(found, wanted.words).order_by("-id")


def holding(found: QuerySet[Judgement], words: str) -> QuerySet[Judgement]:
    """Those with all of `words` in the prompt, a response or what was answered; capitals do not matter."""
    if not words.strip():
        return found
    found = found.annotate(
        prompt_text=_inside("item__prompt", "$[*].content"),
        answer_text=_inside("answers", '$.** ? (@.type() == "string")'),  # words, not the numbers of a ranking
    )
    for word in words.split()[:10]:
        responses = Response.objects.filter(item=OuterRef("item"), text__icontains=word)
        found = found.filter(Q(prompt_text__icontains=word) | Q(answer_text__icontains=word) | Exists(responses))
    return found


def _inside(field: str, path: str) -> Func:
    """What `path` finds in a JSON field, as one text."""
    template = "jsonb_path_query_array(%(expressions)s::jsonpath)::text"
    return Func(F(field), Value(path), template=template, output_field=TextField())


@transaction.atomic
def comment(*, judgement: Judgement, author: User, text: str, asks_again: bool = False) -> Feedback:
    """Tells the annotator something of a judgement, and asks to look at it again. Raises ValidationError."""
    text = _text(text)
    user = judgement.member.user
    if user is None:
        raise ValidationError(gettext("This judgement came with an import: nobody here could read what you write."))
    made = Feedback.objects.create(judgement=judgement, author=author, text=text, asks_again=asks_again)
    project = judgement.item.project
    auditing.record(actor=author, action="comment on judgement", subject=project.slug, judgement=judgement.pk)
    told = (
        gettext("%(project)s: please look at one of your judgements again: %(text)s")
        if asks_again
        else gettext("%(project)s: feedback on one of your judgements: %(text)s")
    )
    noticing.notify(
        user=user, text=told % {"project": project.name, "text": Truncator(text).chars(120)}, url=_mine(project)
    )
    return made


@transaction.atomic
def ask_again(
    *, judgements: Iterable[Judgement], author: User, text: str = "", guidelines_version: int | None = None
) -> int:
    """Asks the annotators for these judgements again; how many were asked for.

    Left out are those that wait already, imported ones and those of people who have left. One notice a person.
    """
    text = _text(text, may_be_empty=True)
    asked: dict[int, list[Feedback]] = {}
    people: dict[int, Membership] = {}
    waiting = set(
        Feedback.objects.filter(asks_again=True, settled_at=None).values_list(
            "judgement__item_id", "judgement__member_id"
        )
    )
    project: Project | None = None
    for judgement in judgements:
        member = judgement.member
        project = project or judgement.item.project
        if member.user_id is None or not member.active or (judgement.item_id, member.pk) in waiting:
            continue
        people[member.pk] = member
        asked.setdefault(member.pk, []).append(
            Feedback(
                judgement=judgement, author=author, text=text, asks_again=True, guidelines_version=guidelines_version
            )
        )
    Feedback.objects.bulk_create([one for ones in asked.values() for one in ones], batch_size=1000)
    count = sum(map(len, asked.values()))
    if project is None or not count:
        return 0
    auditing.record(actor=author, action="ask for judgements again", subject=project.slug, count=count)
    for pk, ones in asked.items():
        told = ngettext(
            "%(project)s: %(n)d of your judgements to look at again.",
            "%(project)s: %(n)d of your judgements to look at again.",
            len(ones),
        )
        user = people[pk].user
        if user is not None:
            noticing.notify(user=user, text=told % {"project": project.name, "n": len(ones)}, url=_mine(project))
    return count


@transaction.atomic
def reply(*, feedback: Feedback, author: User, text: str) -> Feedback:
    """The annotator's answer, which settles what was asked, or the lead's next word. Raises ValidationError."""
    text = _text(text)
    first = feedback.replies_to or feedback
    made = Feedback.objects.create(judgement=first.judgement, replies_to=first, author=author, text=text)
    project = first.judgement.item.project
    if author.pk == first.judgement.member.user_id:
        Feedback.objects.filter(pk=first.pk).update(settled_at=Now(), read_at=Now())
        who = {"project": project.name, "who": first.judgement.member.pseudonym, "text": Truncator(text).chars(120)}
        url = reverse("item", args=[project.slug, first.judgement.item_id]) + f"#judgement-{first.judgement_id}"
        noticing.notify(user=first.author, text=gettext("%(project)s: %(who)s answers: %(text)s") % who, url=url)
    elif first.judgement.member.user is not None:
        who = {"project": project.name, "text": Truncator(text).chars(120)}
        told = gettext("%(project)s: feedback on one of your judgements: %(text)s") % who
        noticing.notify(user=first.judgement.member.user, text=told, url=_mine(project))
    return made


def settle(*, item_id: int, member_id: int) -> int:
    """Settles what was asked of this annotator's judgements of an item; part of the submission's transaction."""
    waiting = Feedback.objects.filter(
        judgement__item_id=item_id, judgement__member_id=member_id, asks_again=True, settled_at=None
    )
    return waiting.update(settled_at=Now(), read_at=Now())


def mark_read(*, member: Membership) -> int:
    """Notes that the annotator has seen all that was written to them."""
    unread = Feedback.objects.filter(judgement__member=member, read_at=None)
    return unread.exclude(author_id=member.user_id).update(read_at=Now())


def again(member: Membership) -> QuerySet[Assignment]:
    """The annotator's assignments that are asked for again, in the order of asking."""
    waiting = Feedback.objects.filter(
        judgement__item=OuterRef("item"), judgement__member=OuterRef("member"), asks_again=True, settled_at=None
    )
    found = Assignment.objects.filter(Exists(waiting), member=member, state=Assignment.DONE)
    return found.select_related("item").annotate(asked_id=waiting.order_by("id").values("id")[:1]).order_by("asked_id")


def is_asked_again(*, item_id: int, member_id: int) -> bool:
    """Whether this annotator may correct the item however long ago they judged it."""
    return Feedback.objects.filter(
        judgement__item_id=item_id, judgement__member_id=member_id, asks_again=True, settled_at=None
    ).exists()


def asked_of(*, assignment: Assignment) -> list[Feedback]:
    """What waits for an answer on this item's page, oldest first."""
    found = Feedback.objects.filter(judgement__item_id=assignment.item_id, judgement__member_id=assignment.member_id)
    return list(found.filter(asks_again=True, settled_at=None).select_related("judgement"))


@dataclass(frozen=True)
class Waiting:
    """What waits for an annotator in a project."""

    unread: int
    again: int


def waiting_for(member: Membership) -> Waiting:
    """Requests count once: among what is to be looked at again, not among the comments too."""
    unread = Feedback.objects.filter(judgement__member=member, read_at=None).exclude(author_id=member.user_id)
    comments = unread.exclude(asks_again=True, settled_at=None)
    return Waiting(unread=comments.count(), again=again(member).count())


def threads(found: QuerySet[Feedback] | Iterable[Feedback]) -> list[Feedback]:
    """First words with their answers at hand as `.replies.all()`, newest thread first."""
    keys = [one.pk for one in found]
    firsts = Feedback.objects.filter(pk__in=keys, replies_to=None).order_by("-id")
    return list(
        firsts.select_related("author", "judgement__item__project", "judgement__member").prefetch_related(
            "replies__author"
        )
    )


def _text(text: str, *, may_be_empty: bool = False) -> str:
    text = text.replace("\r\n", "\n").strip()
    if not text and not may_be_empty:
        raise ValidationError(gettext("Nothing is written yet. Write what you want to say."))
    if len(text) > MOST_TEXT:
        raise ValidationError(
            gettext("This has %(n)d characters; at most %(most)d fit.") % {"n": len(text), "most": MOST_TEXT}
        )
    return text


def _mine(project: Project) -> str:
    return reverse("mine", args=[project.slug]) + "#feedback"
