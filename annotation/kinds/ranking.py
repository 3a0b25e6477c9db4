"""Ranking: put two to ten responses in order; ties and responses left out are allowed.

Answer: {"ranks": [2, 1, null, 2]}, 1 = best, equal = tie, null = not ranked, by standard competition ranking.
"""

from collections.abc import Sequence

from django.utils.translation import gettext_lazy as _
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
from feinschliff.rows import ranking_to_pairs


class Options(BaseOptions):
    partial: bool = Field(default=True, description="Whether answers may be left out of the ranking.")


class Ranking(Rankable):
    name = "ranking"
    label = _("Ranking")
    title = _("Rank the answers from best to worst")
    help = _("Equal numbers are ties.")
    place = "dock"
    fewest, most = 2, 10
    schema = Options
    rows = ("ranking", "pair")

    def read(self, fields: Fields, subject: Subject, options: Options) -> Answer | None:
        ranks: list[int | None] = [None] * subject.count
        for place, position in enumerate(subject.order):
            text = fields.get(f"rank-{place}").strip()
            if text and not (text.isascii() and text.isdigit() and len(text) < 5):
                raise BadAnswer(f"The rank of answer {chr(65 + place)} is a whole number from 1, not “{text[:20]}”.")
            ranks[position] = int(text) if text else None
        if all(rank is None for rank in ranks):
            return None
        if sum(rank is not None for rank in ranks) < 2:
            raise BadAnswer("Rank at least two answers: 1 for the best, 2 for the next. Equal numbers are ties.")
        return self.check({"ranks": ranks}, subject, options)

    def check(self, answer: object, subject: Subject, options: Options) -> Answer:
        return self._checked(answer, subject.count)

    def _checked(self, answer: object, count: int) -> Answer:
        ranks = answer.get("ranks") if isinstance(answer, dict) else None
        if not isinstance(ranks, list):
            raise BadAnswer("a ranking is a list of ranks")
        if len(ranks) != count:
            raise BadAnswer(f"{len(ranks)} ranks for {count} responses")
        for rank in ranks:
            whole = isinstance(rank, int) and not isinstance(rank, bool)
            if rank is not None and not (whole and 1 <= rank <= 1000):
                raise BadAnswer(f"a rank is a whole number from 1 (best) or null, not {rank!r}")
        if all(rank is None for rank in ranks):
            raise BadAnswer("no response has a rank")
        return {"ranks": competition_ranks(ranks)}

    def from_ranks(self, ranks: Sequence[int | None]) -> Answer:
        return self._checked({"ranks": list(ranks)}, len(ranks))

    def fields(self, answer: Answer, subject: Subject, options: Options) -> Entered:
        ranks = [answer["ranks"][position] for position in subject.order]
        return {f"rank-{place}": "" if rank is None else str(rank) for place, rank in enumerate(ranks)}

    def summary(self, answer: Answer, subject: Subject, options: Options) -> str:
        return ladder(answer["ranks"], subject.order)

    def ranks(self, answer: Answer, count: int) -> list[int | None]:
        return list(answer["ranks"])

    def project(self, rows: str, answer: Answer, subject: Subject, options: Options, task: str) -> Projection:
        ranking = {"prompt": subject.prompt, "completions": list(subject.texts), "ranks": answer["ranks"]}
        if rows == "ranking":
            return Projection([ranking], {})
        pairs, ties = ranking_to_pairs(ranking)
        return Projection(pairs, {"ties": ties} if ties else {})
