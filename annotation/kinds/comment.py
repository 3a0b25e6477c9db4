"""Comment: free words about the item. They are kept and shown, and never become rows.

Answer: {"text": "..."}, as it was typed but for spaces around it and one kind of line end.
"""

from typing import Annotated

from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from pydantic import Field, model_validator

from annotation.kinds.answer import NOTHING, Answer, BadAnswer, Entered, Fields, Kind, Projection, Subject
from annotation.kinds.answer import Options as BaseOptions
from annotation.kinds.shown import Shown, WrongTogether

SUMMARY = 80


class Options(BaseOptions):
    shortest: Annotated[
        int, Shown(_("At least"), _("Characters, if anything is written; 0: any length.")),
        Field(ge=0, le=5000, description="The fewest characters of a comment."),
    ] = 0  # fmt: skip
    longest: Annotated[
        int, Shown(_("At most"), _("Characters.")), Field(ge=1, le=50_000, description="The most characters of a comment.")
    ] = 5000  # fmt: skip
    placeholder: Annotated[
        str, Shown(_("Example in the empty field")), Field(max_length=200, description="What the empty field shows.")
    ] = ""  # fmt: skip

    @model_validator(mode="after")
    def _some_length_fits(self) -> "Options":
        if self.shortest > self.longest:
            raise WrongTogether("shortest", gettext("The fewest characters are more than the most."))
        return self


class Comment(Kind):
    name = "comment"
    label = _("Comment")
    title = _("Anything to add?")
    help = ""
    place = "page"
    required = False
    fewest, most = 0, 100
    schema = Options
    rows = ()

    def read(self, fields: Fields, subject: Subject, options: Options) -> Answer | None:
        text = fields.get("text")
        return self.check({"text": text}, subject, options) if text.strip() else None

    def check(self, answer: object, subject: Subject, options: Options) -> Answer:
        text = answer.get("text") if isinstance(answer, dict) else None
        if not isinstance(text, str) or not text.strip():
            raise BadAnswer("a comment is a text that is not empty")
        if "\0" in text or any("\ud800" <= sign <= "\udfff" for sign in text):
            raise BadAnswer(gettext("The comment holds a character that is no text and cannot be kept. Take it out."))
        text = text.replace("\r\n", "\n").replace("\r", "\n").strip()
        self._measured(text, options)
        return {"text": text}

    def _measured(self, text: str, options: Options) -> None:
        if len(text) < options.shortest:
            short = ngettext(
                "The comment takes at least %(count)s character; it has %(now)s.",
                "The comment takes at least %(count)s characters; it has %(now)s.",
                options.shortest,
            )
            raise BadAnswer(short % {"count": options.shortest, "now": len(text)})
        if len(text) > options.longest:
            long = ngettext(
                "The comment takes at most %(count)s character; it has %(now)s. Shorten it.",
                "The comment takes at most %(count)s characters; it has %(now)s. Shorten it.",
                options.longest,
            )
            raise BadAnswer(long % {"count": options.longest, "now": len(text)})

    def fields(self, answer: Answer, subject: Subject, options: Options) -> Entered:
        return {"text": answer["text"]}

    def summary(self, answer: Answer, subject: Subject, options: Options) -> str:
        text = " ".join(answer["text"].split())
        return f"“{text}”" if len(text) <= SUMMARY else f"“{text[:SUMMARY]}…”"

    def project(self, rows: str, answer: Answer, subject: Subject, options: Options, task: str) -> Projection:
        return NOTHING
