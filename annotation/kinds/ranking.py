"""Ranking: put two to ten responses in order; ties, responses left out and "none is acceptable" where the options allow it.

Answer: {"ranks": [2, 1, null, 2]}, 1 = best, equal = tie, null = not ranked, by standard competition ranking; and
"none_acceptable": true if that was said, with or without an order.

Unpaired rows come from "none is acceptable" alone: an order says what is better, not what is good.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from pydantic import Field

from annotation.kinds.answer import (
    Answer,
    BadAnswer,
    Entered,
    Fields,
    Projection,
    Rankable,
    Subject,
    competition_ranks,
    ladder,
)
from annotation.kinds.answer import Options as BaseOptions
from annotation.kinds.shown import Shown
from feinschliff.rows import ranking_to_pairs


class Options(BaseOptions):
    partial: Annotated[bool, Shown(gettext_lazy("Answers may be left out of the ranking"))] = Field(
        default=True, description="Whether answers may be left out of the ranking."
    )
    ties: Annotated[bool, Shown(gettext_lazy("Answers may be equally good"))] = Field(
        default=True, description="Whether two answers may have the same rank."
    )
    none: Annotated[
        bool,
        Shown(
            gettext_lazy("“None of them is acceptable” can be said"),
            gettext_lazy("With or without an order. It also makes unpaired rows."),
        ),
    ] = Field(default=False, description="Whether people can say that no answer is acceptable.")
    way: Annotated[
        Literal["letters", "insertion"],
        Shown(
            gettext_lazy("How the desk starts"),
            gettext_lazy("Everybody can change it; dragging and buttons are always there."),
            words={
                "letters": gettext_lazy("Letters: type them from best to worst"),
                "insertion": gettext_lazy("Two at a time: each answer finds its place by a few comparisons"),
            },
        ),
    ] = Field(default="letters", description="What the desk starts with: letters from best to worst, or two at a time.")


class Ranking(Rankable):
    name = "ranking"
    label = gettext_lazy("Ranking")
    title = gettext_lazy("Rank the answers from best to worst")
    help = gettext_lazy("Best first. Answers that are equally good may share a place.")
    place = "dock"
    fewest, most = 2, 10
    schema = Options
    rows = ("ranking", "pair", "unpaired")

    def read(self, fields: Fields, subject: Subject, options: Options) -> Answer | None:
        ranks: list[int | None] = [None] * subject.count
        for place, position in enumerate(subject.order):
            text = fields.get(f"rank-{place}").strip()
            if text and not (text.isascii() and text.isdigit() and len(text) < 5):
                raise BadAnswer(
                    _("The rank of answer %(letter)s is a whole number from 1, not “%(text)s”.")
                    % {"letter": chr(65 + place), "text": text[:20]}
                )
            ranks[position] = int(text) if text else None
        none = fields.get("none") != ""
        ranked = sum(rank is not None for rank in ranks)
        if not ranked and not none:
            return None
        if ranked == 1:
            raise BadAnswer(_("Rank at least two answers: 1 for the best, 2 for the next."))
        return self.check({"ranks": ranks} | ({"none_acceptable": True} if none else {}), subject, options)

    def check(self, answer: object, subject: Subject, options: Options) -> Answer:
        checked = self._checked(answer, subject.count)
        ranks, none = checked["ranks"], "none_acceptable" in checked
        if none and not options.none:
            raise BadAnswer(_("This question does not take “none is acceptable”."))
        nothing = none and all(rank is None for rank in ranks)
        left = [subject.letter(position) for position, rank in enumerate(ranks) if rank is None]
        if left and not options.partial and not nothing:
            raise BadAnswer(_("Rank every answer; not ranked yet: %(letters)s.") % {"letters": ", ".join(sorted(left))})
        given = [rank for rank in ranks if rank is not None]
        if not options.ties and len(set(given)) < len(given):
            raise BadAnswer(_("Two answers have the same rank, and this question takes no ties."))
        return checked

    def _checked(self, answer: object, count: int) -> Answer:
        """What every ranking must be, whatever the options. Its errors are parts of sentences: imports name line and field."""
        given = answer if isinstance(answer, dict) else {}
        ranks, none = given.get("ranks"), given.get("none_acceptable", False)
        if not isinstance(ranks, list):
            raise BadAnswer(_("a ranking is a list of ranks"))
        if len(ranks) != count:
            raise BadAnswer(_("%(ranks)s ranks for %(count)s responses") % {"ranks": len(ranks), "count": count})
        for rank in ranks:
            whole = isinstance(rank, int) and not isinstance(rank, bool)
            if rank is not None and not (whole and 1 <= rank <= 1000):
                raise BadAnswer(
                    _("a rank is a whole number from 1 (best) or null, not %(rank)s") % {"rank": repr(rank)[:40]}
                )
        if not isinstance(none, bool):
            raise BadAnswer(_("“none_acceptable” is true or false, not %(value)s") % {"value": repr(none)[:40]})
        if not none and all(rank is None for rank in ranks):
            raise BadAnswer(_("no response has a rank"))
        return {"ranks": competition_ranks(ranks)} | ({"none_acceptable": True} if none else {})

    def from_ranks(self, ranks: Sequence[int | None]) -> Answer:
        return self._checked({"ranks": list(ranks)}, len(ranks))

    def fields(self, answer: Answer, subject: Subject, options: Options) -> Entered:
        ranks = [answer["ranks"][position] for position in subject.order]
        entered: Entered = {f"rank-{n}": "" if rank is None else str(rank) for n, rank in enumerate(ranks)}
        return entered | ({"none": "yes"} if answer.get("none_acceptable") else {})

    def summary(self, answer: Answer, subject: Subject, options: Options) -> str:
        none = _("none is acceptable") if answer.get("none_acceptable") else ""
        if all(rank is None for rank in answer["ranks"]):
            return none
        return ladder(answer["ranks"], subject.order) + (f" ({none})" if none else "")

    def ranks(self, answer: Answer, count: int) -> list[int | None]:
        return list(answer["ranks"])

    def project(self, rows: str, answer: Answer, subject: Subject, options: Options, task: str) -> Projection:
        if rows == "unpaired":
            return self._unpaired(answer, subject)
        if all(rank is None for rank in answer["ranks"]):
            return Projection([], {"none acceptable, no order": 1})
        ranking: dict[str, Any] = {
            "prompt": subject.prompt, "completions": list(subject.texts), "ranks": answer["ranks"],
        }  # fmt: skip
        if rows == "ranking":
            return Projection([ranking], {})
        pairs, ties = ranking_to_pairs(ranking)
        return Projection(pairs, {"ties": ties} if ties else {})

    def _unpaired(self, answer: Answer, subject: Subject) -> Projection:
        if not answer.get("none_acceptable"):
            return Projection([], {"orders that call no answer good or bad": 1})
        return Projection([{"prompt": subject.prompt, "completion": t, "label": False} for t in subject.texts], {})
