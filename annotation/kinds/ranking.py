"""Ranking: put two to ten responses in order; ties and responses left out are allowed.

Answer: {"ranks": [2, 1, null, 2]}, 1 = best, equal = tie, null = not ranked, by standard competition ranking.
"""

from collections.abc import Mapping, Sequence

from annotation.kinds.answer import Answer, BadAnswer, competition_ranks, ladder


class Ranking:
    name = "ranking"
    title = "Rank the answers from best to worst"
    help = "Equal numbers are ties."
    fewest, most = 2, 10

    def read(self, form: Mapping[str, str], order: Sequence[int]) -> Answer:
        ranks: list[int | None] = [None] * len(order)
        for place, position in enumerate(order):
            text = form.get(f"rank-{place}", "").strip()
            if text and not (text.isascii() and text.isdigit() and len(text) < 5):
                raise BadAnswer(f"The rank of answer {chr(65 + place)} is a whole number from 1, not “{text[:20]}”.")
            ranks[position] = int(text) if text else None
        if sum(rank is not None for rank in ranks) < 2:
            raise BadAnswer("Rank at least two answers: 1 for the best, 2 for the next. Equal numbers are ties.")
        return self.check({"ranks": ranks}, len(order))

    def check(self, answer: object, count: int) -> Answer:
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
        return self.check({"ranks": list(ranks)}, len(ranks))

    def shown(self, answer: Answer, order: Sequence[int]) -> Answer:
        return {"ranks": [answer["ranks"][position] for position in order]}

    def summary(self, answer: Answer, order: Sequence[int]) -> str:
        return ladder(answer["ranks"], order)

    def ranks(self, answer: Answer, count: int) -> list[int | None]:
        return list(answer["ranks"])

    def strength(self, answer: Answer) -> float | None:
        return None
