"""The questions of a project: those asked now, those that an older judgement answered, and a change of them.

A change writes every question anew under the next version of the schema; judgements keep the version that they answered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.text import slugify
from pydantic import ValidationError as WrongOptions

from annotation.kinds import KINDS, BadAnswer, Fields, Kind, Rankable, Subject
from annotation.kinds.answer import Answer, Entered, Options, Projection
from annotation.models import Item, Judgement, Project, Question
from webapp.people import auditing
from webapp.people.models import User

MOST_QUESTIONS = 12


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
            raise BadAnswer(f"“{self.title}” is not answered yet.")
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


def limits(project: Project) -> tuple[int, int]:
    """The fewest and the most responses an item may have, for every question to make sense."""
    asked = questions_of(project)
    return max((a.kind.fewest for a in asked), default=0), min((a.kind.most for a in asked), default=100)


def subject_of(item: Item, order: Sequence[int]) -> Subject:
    texts = [response.text for response in sorted(item.responses.all(), key=lambda r: r.position)]
    return Subject(order=list(order) or list(range(len(texts))), texts=texts, prompt=item.prompt)


def read(*, questions: Iterable[Asked], form: Mapping[str, Any], subject: Subject) -> dict[str, Answer]:
    """The answers in a submitted form, by question; those left empty are not among them. Raises BadAnswer."""
    found = {asked.name: asked.read(form, subject) for asked in questions}
    answers = {name: answer for name, answer in found.items() if answer is not None}
    if not answers:
        raise BadAnswer("Nothing is answered yet. Answer a question, or skip the item.")
    return answers


def summary(judgement: Judgement, *, by_position: bool = False) -> str:
    """All that was said, in one line: by the letters that were shown, or by those of the item's own order."""
    asked = questions_of(judgement.item.project, judgement.schema_version)
    subject = subject_of(judgement.item, () if by_position else judgement.order)
    said = [a.summary(judgement.answers[a.name], subject) for a in asked if a.name in judgement.answers]
    return " · ".join(said)


def draft(kind: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - a question's parts
    """A question of `kind` with its own words, for `create_project` and `change`."""
    words = {"title": str(KINDS[kind].title), "help": str(KINDS[kind].help)} if kind in KINDS else {}
    return {"name": kind, "kind": kind} | words | more


def checked(drafts: Sequence[Mapping[str, Any]]) -> list[Question]:
    """Unsaved questions out of {kind, name, title, help, options, required}. Raises ValidationError."""
    if not 1 <= len(drafts) <= MOST_QUESTIONS:
        raise ValidationError(f"A project asks 1 to {MOST_QUESTIONS} questions, not {len(drafts)}.")
    questions: list[Question] = []
    for position, given in enumerate(drafts):
        kind = given.get("kind", "")
        if kind not in KINDS:
            raise ValidationError(f"There is no question “{kind}”. The kinds are: {', '.join(KINDS)}.")
        title = str(given.get("title", "")).strip() or str(KINDS[kind].title)
        name = slugify(given.get("name", ""))[:40] or slugify(title)[:40] or f"question-{position + 1}"
        if name in {question.name for question in questions}:
            raise ValidationError(f"Two questions are called “{name}”. Give one of them another name.")
        try:
            options = KINDS[kind].schema.model_validate(given.get("options") or {})
        except WrongOptions as wrong:
            first = wrong.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise ValidationError(f"“{title}”, {place}: {first['msg']}.") from None
        questions.append(
            Question(
                name=name, kind=kind, title=title[:200], help=str(given.get("help", "")), position=position,
                options=options.model_dump(mode="json"), required=bool(given.get("required", True)),
            )
        )  # fmt: skip
    fewest, most = max(KINDS[q.kind].fewest for q in questions), min(KINDS[q.kind].most for q in questions)
    if fewest > most:
        raise ValidationError("These questions do not fit together: no item has the number of answers that all need.")
    return questions


@transaction.atomic
def change(*, project: Project, drafts: Sequence[Mapping[str, Any]], actor: User | None) -> int:
    """The version of the schema after the change; the same as before if nothing is different. Raises ValidationError."""
    project = Project.objects.select_for_update().get(pk=project.pk)
    wanted = checked(drafts)
    now = list(project.questions.filter(version=project.schema_version).order_by("position"))
    if [_content(q) for q in now] == [_content(q) for q in wanted]:
        return project.schema_version
    version = project.schema_version + 1 if now else project.schema_version
    for question in wanted:
        question.project, question.version = project, version
    Question.objects.bulk_create(wanted)
    Project.objects.filter(pk=project.pk).update(schema_version=version)
    auditing.record(actor=actor, action="change questions", subject=project.slug, version=version)
    return version


def _content(question: Question) -> tuple[Any, ...]:
    return (question.name, question.kind, question.title, question.help, question.options, question.required)
