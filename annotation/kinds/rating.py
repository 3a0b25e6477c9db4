"""Rating: each answer on each aspect by a number, as HelpSteer2 (five aspects, 0 to 4) and UltraFeedback (four, 1 to 5) do.

Answer: {"scores": [{"helpfulness": 3, "truth": null}, ...]}, one a response by position, or a single one where the item as a
whole is rated (always so if it has no responses). null: cannot say.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from annotation.kinds.answer import NOTHING, Answer, BadAnswer, Entered, Fields, Kind, Projection, Subject
from annotation.kinds.answer import Options as BaseOptions
from annotation.kinds.shown import Shown, WrongTogether, data_name
from feinschliff.rows import ranking_to_pairs, ratings_to_ranking

MOST_POINTS = 11
UNSURE = "-"  # the form's word for "cannot say"


class Point(BaseModel):
    """What one number on the scale means."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: Annotated[int, Shown(_("Point"))] = 1
    words: Annotated[str, Shown(_("What it means")), Field(min_length=1, max_length=300)] = "…"


class Aspect(BaseModel):
    """One thing that is rated."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[
        str, Shown(_("Name in the data"), _("Small letters, digits, - and _.")), AfterValidator(data_name)
    ] = "quality"
    title: Annotated[str, Shown(_("Title"), _("Empty: the name.")), Field(max_length=80)] = ""
    help: Annotated[str, Shown(_("Help"), _("What to look at.")), Field(max_length=300)] = ""
    points: Annotated[
        list[Point], Shown(_("Words for points"), _("Empty: those of the question."), one=_("point")),
        Field(max_length=MOST_POINTS),
    ] = []  # fmt: skip
    unsure: Annotated[bool, Shown(_("“Cannot say” is offered"))] = False
    counts: Annotated[bool, Shown(_("More is better: it counts in rankings made of the ratings"))] = True

    @property
    def label(self) -> str:
        return self.title or self.name.replace("-", " ").replace("_", " ").capitalize()


class Options(BaseOptions):
    of: Annotated[
        Literal["answer", "item"],
        Shown(_("What is rated"), words={"answer": _("Each answer"), "item": _("The item as a whole")}),
        Field(description="What is rated: each answer, or the item as a whole."),
    ] = "answer"
    aspects: Annotated[
        list[Aspect], Shown(_("Aspects"), one=_("aspect")),
        Field(min_length=1, max_length=8, description="What is rated, one number each."),
    ] = [Aspect()]  # fmt: skip
    lowest: Annotated[
        int, Shown(_("Lowest point")), Field(ge=-10, le=10, description="Where the scale begins.")
    ] = 1  # fmt: skip
    highest: Annotated[
        int, Shown(_("Highest point"), _("A scale has 2 to 11 points.")),
        Field(ge=-9, le=20, description="Where the scale ends; it has 2 to 11 points."),
    ] = 5  # fmt: skip
    points: Annotated[
        list[Point], Shown(_("Words for points"), _("For aspects without words of their own."), one=_("point")),
        Field(max_length=MOST_POINTS, description="What points mean, for aspects without words of their own."),
    ] = []  # fmt: skip

    @field_validator("aspects")
    @classmethod
    def _names_differ(cls, aspects: list[Aspect]) -> list[Aspect]:
        twice = [name for name, count in Counter(aspect.name for aspect in aspects).items() if count > 1]
        if twice:
            raise ValueError(
                gettext("Two aspects are called “%(name)s”. Give one of them another name.") % {"name": twice[0]}
            )
        return aspects

    @model_validator(mode="after")
    def _scale_makes_sense(self) -> "Options":
        if not 2 <= self.highest - self.lowest + 1 <= MOST_POINTS:
            raise WrongTogether(
                "highest",
                gettext("A scale has 2 to %(most)s points; from %(lowest)s to %(highest)s it has %(count)s.")
                % {
                    "most": MOST_POINTS, "lowest": self.lowest, "highest": self.highest,
                    "count": max(0, self.highest - self.lowest + 1),
                },
            )  # fmt: skip
        lists = {"points": self.points} | {f"aspects.{n}.points": one.points for n, one in enumerate(self.aspects)}
        for place, point in (
            (f"{place}.{n}.value", one) for place, ones in lists.items() for n, one in enumerate(ones)
        ):
            if not self.lowest <= point.value <= self.highest:
                raise WrongTogether(
                    place,
                    gettext("There are words for %(value)s, but the scale runs from %(lowest)s to %(highest)s.")
                    % {"value": point.value, "lowest": self.lowest, "highest": self.highest},
                )
        return self

    @property
    def scale(self) -> range:
        return range(self.lowest, self.highest + 1)

    def words(self, aspect: Aspect) -> dict[int, str]:
        """The points that have words, and these."""
        return {point.value: point.words for point in aspect.points or self.points}

    def key(self, value: int) -> str:
        """What is typed for a point: its own digit; on a scale beyond digits its place, counted from 1."""
        if self.lowest >= 0 and self.highest <= 10:
            return str(value) if value < 10 else "0" if self.lowest > 0 else "x"
        return "1234567890x"[value - self.lowest]

    @property
    def shown(self) -> list[dict[str, Any]]:
        """The aspects as the screen needs them."""
        return [
            {
                "name": aspect.name, "label": aspect.label, "help": aspect.help, "unsure": aspect.unsure,
                "points": [
                    {"value": value, "words": words.get(value, ""), "key": self.key(value)} for value in self.scale
                ],
                "lowest": words.get(self.lowest, ""), "highest": words.get(self.highest, ""),
                "anchored": any(words.get(value) for value in self.scale),
            }
            for aspect in self.aspects
            for words in [self.words(aspect)]
        ]  # fmt: skip

    @property
    def explained(self) -> bool:
        """Whether there are words about any aspect or point."""
        return bool(self.points or any(aspect.help or aspect.points for aspect in self.aspects))

    def rated(self, subject: Subject) -> list[int | None]:
        """Positions of what is rated, as they are shown; None stands for the item as a whole."""
        return list(subject.order) if self.of == "answer" and subject.count else [None]


class Rating(Kind):
    name = "rating"
    label = _("Rating")
    title = _("Rate the answers")
    help = _("Rate every answer by itself, on every aspect.")
    place = "page"
    fewest, most = 0, 10
    schema = Options
    rows = ("rating", "ranking", "pair")
    derived = ("ranking", "pair")

    def read(self, fields: Fields, subject: Subject, options: Options) -> Answer | None:
        cells = dict(self._cells(subject, options))
        texts = {(place, name): fields.get(f"score-{place}-{name}").strip() for place, name in cells}
        if not any(texts.values()):
            return None
        scores: list[dict[str, int | None]] = [{} for position in options.rated(subject)]
        for cell, (position, aspect) in cells.items():
            text = texts[cell]
            if not text:
                raise BadAnswer(self._place(gettext("Rate %(what)s on “%(aspect)s” too."), subject, position, aspect))
            scores[position or 0][aspect.name] = (
                None if text == UNSURE else self._number(text, subject, position, aspect)
            )
        return self.check({"scores": scores}, subject, options)

    def _cells(self, subject: Subject, options: Options) -> Iterator[tuple[tuple[int, str], tuple[int | None, Aspect]]]:
        """(place shown, aspect's name) -> (position, aspect), in the order in which they are filled in."""
        for place, position in enumerate(options.rated(subject)):
            for aspect in options.aspects:
                yield (place, aspect.name), (position, aspect)

    def _place(self, sentence: str, subject: Subject, position: int | None, aspect: Aspect, **more: Any) -> str:  # noqa: ANN401
        what = (
            gettext("the item")
            if position is None
            else gettext("answer %(letter)s") % {"letter": subject.letter(position)}
        )
        return sentence % {"what": what, "aspect": aspect.label, **more}

    def _number(self, text: str, subject: Subject, position: int | None, aspect: Aspect) -> int:
        digits = text.removeprefix("-")
        if digits.isascii() and digits.isdigit() and len(digits) < 4:
            return int(text)
        wrong = gettext("“%(aspect)s” of %(what)s is a whole number, not “%(given)s”.")
        raise BadAnswer(self._place(wrong, subject, position, aspect, given=text[:20]))

    def check(self, answer: object, subject: Subject, options: Options) -> Answer:
        scores = answer.get("scores") if isinstance(answer, dict) else None
        rated = options.rated(subject)
        if not isinstance(scores, list) or not all(isinstance(one, dict) for one in scores):
            raise BadAnswer("a rating is a list of {aspect: number}, one for each answer")
        if len(scores) != len(rated):
            raise BadAnswer(f"{len(scores)} ratings for {len(rated)}")
        return {"scores": [self._checked(one, options) for one in scores]}

    def _checked(self, given: dict[str, Any], options: Options) -> dict[str, int | None]:
        names = {aspect.name for aspect in options.aspects}
        if set(given) != names:
            odd = sorted(str(name) for name in set(given) ^ names)[0]
            raise BadAnswer(f"the aspects are {', '.join(sorted(names))}; look at {odd[:40]!r}")
        checked: dict[str, int | None] = {}
        for aspect in options.aspects:
            value = given[aspect.name]
            if value is None and not aspect.unsure:
                raise BadAnswer(gettext("“%(aspect)s” takes a number.") % {"aspect": aspect.label})
            whole = isinstance(value, int) and not isinstance(value, bool)
            if value is not None and not (whole and options.lowest <= value <= options.highest):
                raise BadAnswer(
                    gettext("“%(aspect)s” is a whole number from %(lowest)s to %(highest)s, not %(given)s.")
                    % {
                        "aspect": aspect.label, "lowest": options.lowest, "highest": options.highest,
                        "given": repr(value)[:20],
                    }
                )  # fmt: skip
            checked[aspect.name] = value
        return checked

    def fields(self, answer: Answer, subject: Subject, options: Options) -> Entered:
        return {
            f"score-{place}-{name}": UNSURE if value is None else str(value)
            for place, position in enumerate(options.rated(subject))
            for name, value in answer["scores"][position or 0].items()
        }

    def summary(self, answer: Answer, subject: Subject, options: Options) -> str:
        """`A 4 3 – B 2 2`, the numbers in the order of the aspects; `?` where somebody could not say."""
        parts = []
        for position in options.rated(subject):
            scores = answer["scores"][position or 0]
            numbers = " ".join("?" if scores[a.name] is None else str(scores[a.name]) for a in options.aspects)
            parts.append(numbers if position is None else f"{subject.letter(position)} {numbers}")
        return ", ".join(parts)

    def legend(self, options: Options) -> str:
        return ", ".join(aspect.label for aspect in options.aspects) if len(options.aspects) > 1 else ""

    def project(self, rows: str, answer: Answer, subject: Subject, options: Options, task: str) -> Projection:
        """Rows of ratings keep all but "cannot say". Rankings go by the mean of the aspects where more is better; see
        `feinschliff.rows.ratings_to_ranking` for what that loses. Of an item as a whole there are no rows."""
        if options.rated(subject) == [None]:
            return Projection([], {"ratings of a whole item": 1})
        ratings = [
            {"prompt": subject.prompt, "completion": text, "scores": {n: float(s) for n, s in scores.items() if s is not None}}
            for text, scores in zip(subject.texts, answer["scores"], strict=True)
        ]  # fmt: skip
        if rows == "rating":
            rated = [row for row in ratings if row["scores"]]
            return Projection(
                rated, {"answers nobody could rate": len(ratings) - len(rated)} if len(rated) < len(ratings) else {}
            )
        counting = [aspect.name for aspect in options.aspects if aspect.counts]
        if len(ratings) < 2:
            return NOTHING
        ranking, lost = ratings_to_ranking(ratings, aspects=counting)
        dropped = {"ratings that say no order": lost} if lost else {}
        if rows == "ranking" or not ranking:
            return Projection(ranking, dropped)
        pairs, ties = ranking_to_pairs(ranking[0])
        return Projection(pairs, dropped | ({"ties": ties} if ties else {}))
