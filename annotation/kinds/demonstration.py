"""Demonstration: write the answer that the model should have given, from nothing or by editing one that it gave.

Answer: {"text": "...", "edited_from": 2 | null}, where `edited_from` is the position of the response that was edited.
"""

from __future__ import annotations

from typing import Annotated, Literal

from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from pydantic import BaseModel as Record
from pydantic import ConfigDict, Field, StringConstraints, ValidationError, model_validator

from annotation.kinds.answer import NOTHING, Answer, BadAnswer, Entered, Fields, Kind, Projection, Subject
from annotation.kinds.answer import Options as BaseOptions
from annotation.kinds.shown import Shown, WrongTogether
from annotation.kinds.writing import MOST_CHARACTERS, excerpt, one_line_end, typed

Point = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class Options(BaseOptions):
    way: Annotated[
        Literal["choose", "write", "edit"],
        Shown(
            _("How it is made"),
            _("Where an item has no answers there is nothing to edit, and people write."),
            words={"choose": _("As they like"), "write": _("Written from nothing"), "edit": _("By editing an answer")},
        ),
    ] = Field(default="choose", description="Whether people write from nothing, edit an answer, or choose.")
    begin: Annotated[
        Literal["open", "best"],
        Shown(
            _("Which answer is edited"),
            words={"open": _("They choose one"), "best": _("The one they ranked best, unless they choose another")},
        ),
    ] = Field(default="open", description="Whether the answer ranked best on the same page is laid out for editing.")
    min_length: Annotated[int, Shown(_("At least this many characters"))] = Field(
        default=1, ge=1, le=MOST_CHARACTERS, description="The fewest characters, blanks around the text not counted."
    )
    max_length: Annotated[int, Shown(_("At most this many characters"))] = Field(
        default=MOST_CHARACTERS, ge=1, le=MOST_CHARACTERS, description="The most characters."
    )
    checklist: Annotated[
        list[Point], Shown(_("Checklist"), _("One sentence a line; all are ticked before it is saved."), one=_("point"))
    ] = Field(default=[], max_length=12, description="What people confirm before they save, one sentence each.")

    @model_validator(mode="after")
    def _room_between(self) -> Options:
        if self.min_length > self.max_length:
            said = gettext("The fewest characters are more than the most. Lower the first or raise the second.")
            raise WrongTogether("min_length", said)
        return self


class Stored(Record):
    model_config = ConfigDict(extra="forbid", strict=True)

    text: str
    edited_from: int | None = None


class Demonstration(Kind):
    name = "demonstration"
    label = _("Demonstration")
    title = _("Write the best answer you can")
    help = _("It should be right, complete and no longer than it needs to be.")
    place = "page"
    fewest, most = 0, 10
    schema = Options
    rows = ("demonstration", "pair", "ranking")

    def read(self, fields: Fields, subject: Subject, options: Options) -> Answer | None:
        """The form's `from` is the place at which the edited answer was shown, or empty; `check-0` ... are the ticks."""
        text = typed(fields.get("text"), most=options.max_length)
        if not text.strip():
            return None
        place = fields.get("from").strip()
        if place and not (place.isascii() and place.isdigit() and len(place) < 3 and int(place) < subject.count):
            raise BadAnswer(gettext("There is no such answer to edit. Choose one of those on the page."))
        answer = self.check(
            {"text": text, "edited_from": subject.order[int(place)] if place else None}, subject, options
        )
        left = [point for n, point in enumerate(options.checklist) if not fields.get(f"check-{n}")]
        if left:
            raise BadAnswer(gettext("Not ticked yet: %(points)s") % {"points": " · ".join(left)})
        return answer

    def check(self, answer: object, subject: Subject, options: Options) -> Answer:
        try:
            found = Stored.model_validate(answer)
        except ValidationError:
            raise BadAnswer(gettext("a demonstration is a text, and the answer it was made from or null")) from None
        text, origin = typed(found.text, most=options.max_length), found.edited_from
        if len(text.strip()) < options.min_length:
            missing = options.min_length - len(text.strip())
            message = ngettext(
                "The text is %(n)d character too short; write at least %(least)d.",
                "The text is %(n)d characters too short; write at least %(least)d.",
                missing,
            )
            raise BadAnswer(message % {"n": missing, "least": options.min_length})
        if origin is not None and not 0 <= origin < subject.count:
            raise BadAnswer(gettext("There is no such answer to edit. Choose one of those on the page."))
        if options.way == "write" and origin is not None:
            raise BadAnswer(gettext("Here the text is written from nothing, not made from one of the answers."))
        if options.way == "edit" and origin is None and subject.count:
            raise BadAnswer(gettext("Choose the answer that you edit first."))
        if origin is not None and origin < len(subject.texts) and _same(text, subject.texts[origin]):
            raise BadAnswer(
                gettext(
                    "The text is still the same as answer %(letter)s. Change what is not good yet, or skip the item."
                )
                % {"letter": subject.letter(origin)}
            )
        return {"text": text, "edited_from": origin}

    def fields(self, answer: Answer, subject: Subject, options: Options) -> Entered:
        origin = answer["edited_from"]
        place = "" if origin is None else str(list(subject.order).index(origin))
        ticks: Entered = {f"check-{n}": "1" for n in range(len(options.checklist))}
        return {"text": answer["text"], "from": place} | ticks

    def summary(self, answer: Answer, subject: Subject, options: Options) -> str:
        said = {"text": excerpt(answer["text"])}
        if answer["edited_from"] is None:
            return gettext("wrote “%(text)s”") % said
        said["letter"] = subject.letter(answer["edited_from"])
        return gettext("edited %(letter)s: “%(text)s”") % said

    def project(self, rows: str, answer: Answer, subject: Subject, options: Options, task: str) -> Projection:
        """An edited answer is better than the one it was made from; a text from nothing was compared with none."""
        text, origin = answer["text"], answer["edited_from"]
        if rows == "demonstration":
            return Projection([{"prompt": subject.prompt, "completion": text}], {})
        if origin is None:
            return Projection([], {"texts written from nothing": 1})
        return edited(rows, subject.prompt, text, subject.texts[origin])


def edited(rows: str, prompt: object, better: str, original: str) -> Projection:
    """The edited text above its original, as a pair or as a ranking of two."""
    if rows == "pair":
        return Projection([{"prompt": prompt, "chosen": better, "rejected": original, "margin": None}], {})
    if rows == "ranking":
        return Projection([{"prompt": prompt, "completions": [better, original], "ranks": [1, 2]}], {})
    return NOTHING


def _same(text: str, original: str) -> bool:
    """Whether nothing but line ends and blanks around the text differ."""
    return text.strip() == one_line_end(original).strip()
