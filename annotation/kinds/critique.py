"""Critique: mark what is wrong in an answer, say what kind of fault it is, and put it right in place.

Answer: {"spans": [{"response": 0, "start": 3, "end": 9, "text": "...", "category": "wrong", "severity": null, "note": "",
"fix": null}]}. Offsets count code points of the stored text, and `text` is what stands there; `fix` is what should stand
there instead ("" removes it). An empty list says that nothing is wrong. Marks may overlap, fixes may not.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal

from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError, field_validator
from pydantic import BaseModel as Record

from annotation.kinds.answer import Answer, BadAnswer, Entered, Fields, Kind, Projection, Subject
from annotation.kinds.answer import Options as BaseOptions
from annotation.kinds.demonstration import edited
from annotation.kinds.shown import Shown, data_name
from annotation.kinds.writing import excerpt, one_line_end, typed

MOST_MARKS = 200
MOST_NOTE = 5_000


class Word(Record):
    """One category or level: `name` is what is stored, `title` what people read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Shown(_("Name in the data"), _("Small letters, digits, - and _.")), AfterValidator(data_name)]
    title: Annotated[
        str, Shown(_("Words on the screen")), StringConstraints(strip_whitespace=True, min_length=1, max_length=60)
    ]


def _distinct(words: list[Word]) -> list[Word]:
    names = [word.name for word in words]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise ValueError(gettext("“%(name)s” stands there twice. Give each a name of its own.") % {"name": twice})
    return words


class Options(BaseOptions):
    categories: Annotated[
        list[Word], Shown(_("What can be wrong"), _("Every mark gets one of these."), one=_("category"))
    ] = Field(
        default=[
            Word(name="wrong", title="Wrong"),
            Word(name="unclear", title="Unclear"),
            Word(name="superfluous", title="Superfluous"),
            Word(name="style", title="Style"),
            Word(name="harmful", title="Harmful"),
        ],
        min_length=1,
        max_length=20,
        description="The kinds of fault, each {name, title}.",
    )
    severities: Annotated[
        list[Word], Shown(_("How bad it is"), _("From slight to grave; leave it empty not to ask."), one=_("level"))
    ] = Field(default=[], max_length=7, description="Levels of severity, each {name, title}; none: not asked.")
    note: Annotated[
        Literal["optional", "required", "none"],
        Shown(
            _("A note on each mark"), words={"optional": _("If they like"), "required": _("Always"), "none": _("Never")}
        ),
    ] = Field(default="optional", description="Whether every mark is explained in words.")
    fix: Annotated[
        Literal["optional", "required", "none"],
        Shown(
            _("A correction of each mark"),
            _(
                "The corrected answer is learned from, against the original. A mark without one is kept for people to read."
            ),
            words={"optional": _("If they like"), "required": _("Always"), "none": _("Never")},
        ),
    ] = Field(default="optional", description="Whether people put right what they marked.")

    _names_once = field_validator("categories", "severities")(_distinct)


class Span(Record):
    """One mark, as it is stored."""

    model_config = ConfigDict(extra="forbid", strict=True)

    response: int = Field(ge=0)
    start: int = Field(ge=0)
    end: int = Field(ge=1)
    text: str = Field(min_length=1)
    category: str
    severity: str | None = None
    note: str = ""
    fix: str | None = None


class Stored(Record):
    model_config = ConfigDict(extra="forbid", strict=True)

    spans: list[Span] = Field(max_length=MOST_MARKS)


class Mark(Record):
    """One mark as the form has it: `answer` is the place at which the response was shown."""

    model_config = ConfigDict(extra="forbid", strict=True)

    answer: int = Field(ge=0, le=9)
    start: int
    end: int
    text: str
    category: str
    severity: str | None = None
    note: str = ""
    fix: str | None = None


MARKS = TypeAdapter(list[Mark])


class Critique(Kind):
    name = "critique"
    label = _("Critique")
    title = _("Mark what is wrong, and put it right")
    help = _("Mark words, choose what is wrong with them, and write what should stand there.")
    place = "page"
    fewest, most = 1, 10
    schema = Options
    rows = ("pair", "demonstration")

    def read(self, fields: Fields, subject: Subject, options: Options) -> Answer | None:
        """The form's `spans` is a JSON list of marks; `fine` is ticked where nothing is wrong."""
        text, fine = fields.get("spans").strip(), bool(fields.get("fine"))
        try:
            marks = MARKS.validate_json(text) if text else []
        except ValidationError:
            raise BadAnswer(
                gettext("The page sent marks that cannot be read. Load it again and mark once more.")
            ) from None
        if marks and fine:
            raise BadAnswer(gettext("There are marks, and “nothing is wrong” is ticked too. Remove one or the other."))
        if not marks and not fine:
            return None
        if any(mark.answer >= subject.count for mark in marks):
            raise BadAnswer(gettext("A mark stands in an answer that is not on the page. Load it again."))
        spans = [mark.model_dump(exclude={"answer"}) | {"response": subject.order[mark.answer]} for mark in marks]
        return self.check({"spans": spans}, subject, options)

    def check(self, answer: object, subject: Subject, options: Options) -> Answer:
        try:
            found = Stored.model_validate(answer)
        except ValidationError as wrong:
            too_many = any(error["type"] == "too_long" for error in wrong.errors())
            words = gettext("There are more than %(most)d marks. Keep the most important.") % {"most": MOST_MARKS}
            raise BadAnswer(words if too_many else gettext("a critique is a list of marks")) from None
        spans = [self._span(span, subject, options) for span in found.spans]
        spans.sort(key=lambda span: (span["response"], span["start"], span["end"], span["category"]))
        _refuse_fixes_that_overlap(spans, subject)
        return {"spans": spans}

    def _span(self, span: Span, subject: Subject, options: Options) -> dict[str, Any]:
        """One mark in its normal shape, compared with the stored text letter by letter."""
        if span.response >= subject.count or span.response >= len(subject.texts):
            raise BadAnswer(gettext("A mark stands in an answer that is not on the page. Load it again."))
        place = {"letter": subject.letter(span.response), "text": excerpt(span.text, 40)}
        if span.end <= span.start or subject.texts[span.response][span.start : span.end] != span.text:
            raise BadAnswer(
                gettext("In answer %(letter)s “%(text)s” does not stand where it was marked. Mark it again.") % place
            )
        if span.category not in {word.name for word in options.categories}:
            raise BadAnswer(gettext("Choose what is wrong with “%(text)s” in answer %(letter)s.") % place)
        if span.severity is None and options.severities:
            raise BadAnswer(gettext("Choose how bad “%(text)s” in answer %(letter)s is.") % place)
        if span.severity is not None and span.severity not in {word.name for word in options.severities}:
            raise BadAnswer(gettext("There is no such level for “%(text)s” in answer %(letter)s.") % place)
        note = typed(span.note, most=MOST_NOTE).strip()
        if options.note == "required" and not note:
            raise BadAnswer(gettext("Say in a note what is wrong with “%(text)s” in answer %(letter)s.") % place)
        if options.note == "none" and note:
            raise BadAnswer(
                gettext("Notes are not asked here: remove that of “%(text)s” in answer %(letter)s.") % place
            )
        fix = None if span.fix is None else typed(span.fix)
        if options.fix == "required" and fix is None:
            raise BadAnswer(gettext("Write what should stand in place of “%(text)s” in answer %(letter)s.") % place)
        if options.fix == "none" and fix is not None:
            raise BadAnswer(
                gettext("Corrections are not asked here: remove that of “%(text)s” in answer %(letter)s.") % place
            )
        if fix == one_line_end(span.text):
            raise BadAnswer(
                gettext("The correction of “%(text)s” in answer %(letter)s says the same. Change it, or remove it.")
                % place
            )
        return span.model_dump() | {"note": note, "fix": fix}

    def fields(self, answer: Answer, subject: Subject, options: Options) -> Entered:
        places = {position: place for place, position in enumerate(subject.order)}
        marks = [
            {"answer": places[span["response"]]} | {key: value for key, value in span.items() if key != "response"}
            for span in answer["spans"]
        ]
        return {"spans": json.dumps(marks, ensure_ascii=False) if marks else "", "fine": "" if marks else "1"}

    def summary(self, answer: Answer, subject: Subject, options: Options) -> str:
        if not answer["spans"]:
            return gettext("nothing wrong")
        titles = {word.name: word.title for word in options.categories}
        count = len(answer["spans"])
        fixed = sum(span["fix"] is not None for span in answer["spans"])
        shown = ", ".join(
            f"{subject.letter(span['response'])} “{excerpt(span['text'], 30)}” {titles.get(span['category'], span['category'])}"
            for span in answer["spans"][:3]
        )
        said = ngettext("%(n)d mark", "%(n)d marks", count) % {"n": count}
        if fixed:
            said += ", " + ngettext("%(n)d put right", "%(n)d put right", fixed) % {"n": fixed}
        return f"{said}: {shown}{' …' if count > 3 else ''}"

    def project(self, rows: str, answer: Answer, subject: Subject, options: Options, task: str) -> Projection:
        """Every answer with fixes, put right: better than it was. Marks without a fix yield nothing and are counted."""
        made: list[dict[str, Any]] = []
        dropped = {
            "marks without a correction": sum(span["fix"] is None for span in answer["spans"]),
            "emptied answers": 0,
        }
        for position in sorted({span["response"] for span in answer["spans"] if span["fix"] is not None}):
            text = put_right(subject.texts[position], [s for s in answer["spans"] if s["response"] == position])
            if not text.strip():
                dropped["emptied answers"] += 1
            elif rows == "demonstration":
                made.append({"prompt": subject.prompt, "completion": text})
            else:
                made += edited(rows, subject.prompt, text, subject.texts[position]).rows
        return Projection(made, {name: count for name, count in dropped.items() if count})


def put_right(text: str, spans: Sequence[dict[str, Any]]) -> str:
    """`text` with the fixes of `spans` in place; they do not overlap."""
    parts, at = [], 0
    for span in sorted(spans, key=lambda span: span["start"]):
        if span["fix"] is not None:
            parts += [text[at : span["start"]], span["fix"]]
            at = span["end"]
    return "".join([*parts, text[at:]])


def _refuse_fixes_that_overlap(spans: Sequence[dict[str, Any]], subject: Subject) -> None:
    fixes = [span for span in spans if span["fix"] is not None]
    for one, two in pairwise(fixes):
        if one["response"] == two["response"] and two["start"] < one["end"]:
            raise BadAnswer(
                gettext(
                    "In answer %(letter)s two corrections overlap: “%(one)s” and “%(two)s”. "
                    "Make one of both, or leave one mark without a correction."
                )
                % {
                    "letter": subject.letter(one["response"]),
                    "one": excerpt(one["text"], 40),
                    "two": excerpt(two["text"], 40),
                }
            )
