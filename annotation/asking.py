"""The questions of a project: those asked now, those that an older judgement answered, and a change of them.

A change writes every question anew under the next version of the schema; judgements keep the version that they answered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Count, Q
from django.utils.text import slugify
from django.utils.translation import gettext as _

from annotation.kinds import KINDS, BadAnswer, Fields, Kind, Rankable, Subject
from annotation.kinds.answer import Answer, Entered, Options, Projection
from annotation.kinds.shown import wrong_options
from annotation.models import Item, Judgement, Project, Question
from webapp.people import auditing
from webapp.people.models import User

MOST_QUESTIONS = 12
LONGEST_TITLE = 200
#: the action under which a change stands in the audit trail, with its version
CHANGED = "change questions"


@dataclass(frozen=True)
class Asked:
    """A question with its kind and its options at hand."""

    name: str
    title: str
    help: str
    required: bool
    kind: Kind
    options: Options

    def read(self, form: Mapping[str, Any], subject: Subject) -> Answer | None:
        answer = self.kind.read(Fields(form, self.name), subject, self.options)
        if answer is None and self.required:
            raise BadAnswer(_("“%(title)s” is not answered yet.") % {"title": self.title})
        return answer

    def fields(self, answer: Answer, subject: Subject) -> Entered:
        """Form field names, with the question's name before them, and their values."""
        return {f"{self.name}.{k}": v for k, v in self.kind.fields(answer, subject, self.options).items()}

    def summary(self, answer: Answer, subject: Subject) -> str:
        return self.kind.summary(answer, subject, self.options)

    def project(self, rows: str, answer: Answer, subject: Subject) -> Projection:
        return self.kind.project(rows, answer, subject, self.options, self.name)


def questions_of(project: Project, version: int | None = None) -> list[Asked]:
    """In the order in which they are asked; those of now, or of an older version."""
    asked = project.questions.filter(version=version or project.schema_version).order_by("position")
    return [_asked(question) for question in asked]


def _asked(question: Question) -> Asked:
    kind = KINDS[question.kind]
    return Asked(
        name=question.name, title=question.title, help=question.help, required=question.required, kind=kind,
        options=kind.schema.model_validate(question.options),
    )  # fmt: skip


def ranked_question(project: Project) -> tuple[str, Rankable] | None:
    """The first question whose answer is an order, to which imported ranks belong: its name and kind."""
    found = ((asked.name, asked.kind) for asked in questions_of(project) if isinstance(asked.kind, Rankable))
    return next(found, None)


def demonstrated_question(project: Project) -> Asked | None:
    """The first question that asks for a text, to which imported demonstrations belong."""
    return next((asked for asked in questions_of(project) if asked.kind.name == "demonstration"), None)


def limits(project: Project) -> tuple[int, int]:
    """The fewest and the most responses an item may have, for every question to make sense."""
    return limits_of(questions_of(project))


def limits_of(asked: Iterable[Asked]) -> tuple[int, int]:
    """The same for these questions."""
    kinds = [one.kind for one in asked]
    return max((kind.fewest for kind in kinds), default=0), min((kind.most for kind in kinds), default=100)


def subject_of(item: Item, order: Sequence[int]) -> Subject:
    texts = [response.text for response in sorted(item.responses.all(), key=lambda r: r.position)]
    return Subject(order=list(order) or list(range(len(texts))), texts=texts, prompt=item.prompt)


def read(*, questions: Iterable[Asked], form: Mapping[str, Any], subject: Subject) -> dict[str, Answer]:
    """The answers in a submitted form, by question; those left empty are not among them. Raises BadAnswer."""
    found = {asked.name: asked.read(form, subject) for asked in questions}
    answers = {name: answer for name, answer in found.items() if answer is not None}
    if not answers:
        raise BadAnswer(_("Nothing is answered yet. Answer a question, or skip the item."))
    return answers


class Versions:
    """The questions of a project by version of its schema, each looked up once: for lists of judgements."""

    def __init__(self, project: Project) -> None:
        self.project, self.known = project, dict[int, list[Asked]]()

    def of(self, version: int) -> list[Asked]:
        if version not in self.known:
            self.known[version] = questions_of(self.project, version)
        return self.known[version]


def summary(judgement: Judgement, *, by_position: bool = False) -> str:
    """All that was said, in one line: by the letters that were shown, or by those of the item's own order."""
    return " · ".join(one.words for one in said(judgement, by_position=by_position))


class Said(NamedTuple):
    """What was said to one question: `words` is its answer in a line, `legend` what the numbers there stand for, if anything."""

    title: str
    words: str
    legend: str


def said(judgement: Judgement, *, by_position: bool = False, versions: Versions | None = None) -> list[Said]:
    """All that was said, in the order in which it was asked."""
    asked = (versions or Versions(judgement.item.project)).of(judgement.schema_version)
    subject = subject_of(judgement.item, () if by_position else judgement.order)
    return [
        Said(a.title, a.summary(judgement.answers[a.name], subject), a.kind.legend(a.options))
        for a in asked
        if a.name in judgement.answers
    ]


def draft(kind: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - a question's parts
    """A question of `kind` with its own words, for `create_project` and `change`."""
    words = {"title": str(KINDS[kind].title), "help": str(KINDS[kind].help)} if kind in KINDS else {}
    return {"name": kind, "kind": kind} | words | more


def free_name(name: str, taken: Collection[str]) -> str:
    """`name`, or the first of `name-2`, `name-3` ... that is not taken."""
    numbered = (f"{name}-{number}" for number in range(2, len(taken) + 3))
    return name if name not in taken else next(one for one in numbered if one not in taken)


def from_drafts(drafts: Sequence[Mapping[str, Any]]) -> list[Asked]:
    """Questions that nobody has saved, as they would be asked. Raises WrongQuestions."""
    return [_asked(question) for question in checked(drafts)]


class WrongQuestions(ValidationError):
    """Questions that cannot be asked. `places` says what is wrong where: {"0.options.levels": sentence}; "" is all of them.

    Its messages stand alone, so those about options begin with the title of their question.
    """

    def __init__(self, places: Mapping[str, str], titles: Sequence[str] = ()) -> None:
        self.places = dict(places)
        said = []
        for place, sentence in self.places.items():
            number, _dot, part = place.partition(".")
            about = titles[int(number)] if part.startswith("options") and titles else ""
            said.append(f"“{about}”: {sentence}" if about else sentence)
        super().__init__(said)


def checked(drafts: Sequence[Mapping[str, Any]]) -> list[Question]:
    """Unsaved questions out of {kind, name, title, help, options, required}. Raises WrongQuestions."""
    if not 1 <= len(drafts) <= MOST_QUESTIONS:
        said = _("A project asks 1 to %(most)s questions, not %(count)s.")
        raise WrongQuestions({"": said % {"most": MOST_QUESTIONS, "count": len(drafts)}})
    questions: list[Question] = []
    titles: list[str] = []
    wrong: dict[str, str] = {}
    for position, given in enumerate(drafts):
        kind = given.get("kind", "")
        titles.append(str(given.get("title", "")).strip() or (str(KINDS[kind].title) if kind in KINDS else ""))
        if kind not in KINDS:
            said = _("There is no question “%(kind)s”. The kinds are: %(kinds)s.")
            wrong[f"{position}.kind"] = said % {"kind": kind, "kinds": ", ".join(KINDS)}
            continue
        title = titles[-1]
        name = slugify(given.get("name", ""))[:40] or slugify(title)[:40] or f"question-{position + 1}"
        if name in {question.name for question in questions}:
            said = _("Two questions are called “%(name)s”. Give one of them another name.")
            wrong[f"{position}.name"] = said % {"name": name}
        if len(title) > LONGEST_TITLE:
            said = _("A title has at most %(most)s characters, not %(count)s.")
            wrong[f"{position}.title"] = said % {"most": LONGEST_TITLE, "count": len(title)}
        options = given.get("options") or {}
        if faults := wrong_options(KINDS[kind].schema, options):
            wrong |= {f"{position}.options.{place}".rstrip("."): sentence for place, sentence in faults.items()}
        else:
            options = KINDS[kind].schema.model_validate(options).model_dump(mode="json")
        questions.append(
            Question(
                name=name, kind=kind, title=title, help=str(given.get("help", "")).strip(), position=position,
                options=options, required=bool(given.get("required", KINDS[kind].required)),
            )
        )  # fmt: skip
    if wrong:
        raise WrongQuestions(wrong, titles)
    _fit_together(questions)
    return questions


def _fit_together(questions: Sequence[Question]) -> None:
    """Raises WrongQuestions if no item could have the number of answers that all of them take."""
    fewest, most = max(KINDS[q.kind].fewest for q in questions), min(KINDS[q.kind].most for q in questions)
    if fewest > most:
        each = "; ".join(f"“{q.title}”: {KINDS[q.kind].fewest}-{KINDS[q.kind].most}" for q in questions)
        said = _("These questions do not fit together: no item has a number of answers that all can take (%(each)s).")
        raise WrongQuestions({"": said % {"each": each}})


@transaction.atomic
def change(*, project: Project, drafts: Sequence[Mapping[str, Any]], actor: User | None) -> int:
    """The version of the schema after the change; the same as before if nothing is different.

    Raises WrongQuestions, also where items are there already that the new questions could not take.
    """
    # As an import does: neither sees items or questions that the other is about to change.
    project = Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    wanted = checked(drafts)
    now = list(project.questions.filter(version=project.schema_version).order_by("position"))
    if [content(q) for q in now] == [content(q) for q in wanted]:
        return project.schema_version
    _refuse_what_leaves_items_behind(project, wanted)
    version = project.schema_version + 1 if now else project.schema_version
    for question in wanted:
        question.project, question.version = project, version
    Question.objects.bulk_create(wanted)
    Project.objects.filter(pk=project.pk).update(schema_version=version)
    auditing.record(actor=actor, action=CHANGED, subject=project.slug, version=version)
    return version


def _refuse_what_leaves_items_behind(project: Project, wanted: Sequence[Question]) -> None:
    """An item that no question takes could never be judged, and one too many would stop its whole project."""
    fewest, most = max(KINDS[q.kind].fewest for q in wanted), min(KINDS[q.kind].most for q in wanted)
    before = limits(project)
    if fewest <= before[0] and before[1] <= most:
        return
    items = Item.objects.filter(project=project).annotate(answers=Count("responses"))
    misfits = items.filter(Q(answers__lt=fewest) | Q(answers__gt=most))
    counts = Counter(misfits.values_list("answers", flat=True))
    if not counts:
        return
    strict = [q.title for q in wanted if KINDS[q.kind].fewest > min(counts) or KINDS[q.kind].most < max(counts)]
    said = _(
        "%(misfits)s of %(items)s items do not fit: they have %(have)s answers, where %(questions)s takes %(takes)s. "
        "Take that question out, or make a project of its own for it."
    )
    raise WrongQuestions({
        "": said
        % {
            "misfits": f"{counts.total():,}", "items": f"{items.count():,}",
            "have": ", ".join(str(count) for count in sorted(counts)),
            "questions": ", ".join(f"“{title}”" for title in strict),
            "takes": str(fewest) if fewest == most else f"{fewest}-{most}",
        }
    })  # fmt: skip


def content(question: Question) -> tuple[Any, ...]:
    """All of a question but its place: two with the same content are the same question."""
    return (question.name, question.kind, question.title, question.help, question.options, question.required)
