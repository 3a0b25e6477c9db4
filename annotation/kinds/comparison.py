"""Comparison: which of two responses is better, and by how much.

Answer: {"winner": 0 | 1 | 2, "strength": 1 | 2 | 3 | null}; 0 is a tie, strength is null where it was not asked (imports).
"""

from collections.abc import Sequence

from django.utils.translation import gettext_lazy as _

from annotation.kinds.answer import Answer, BadAnswer, Entered, Fields, Projection, Rankable, Subject
from annotation.kinds.answer import Options as BaseOptions
from feinschliff.rows import ranking_to_pairs

WORDS = {None: "better", 1: "slightly better", 2: "better", 3: "much better"}


class Options(BaseOptions):
    pass


class Comparison(Rankable):
    name = "comparison"
    label = _("Comparison")
    title = _("Which answer is better?")
    help = _("Choose the middle if you truly cannot tell.")
    place = "dock"
    fewest, most = 2, 2
    schema = Options
    rows = ("ranking", "pair")

    def read(self, fields: Fields, subject: Subject, options: Options) -> Answer | None:
        """The form's `choice` runs from 3, the one shown first is much better, over 0 to -3."""
        text = fields.get("choice").strip()
        if not text:
            return None
        if text not in ("-3", "-2", "-1", "0", "1", "2", "3"):
            raise BadAnswer(f"A choice is a whole number from -3 to 3, not “{text[:20]}”.")
        choice = int(text) if subject.order[0] == 0 else -int(text)
        return {"winner": 0 if choice == 0 else 1 if choice > 0 else 2, "strength": abs(choice) or None}

    def check(self, answer: object, subject: Subject, options: Options) -> Answer:
        winner, strength = (answer.get("winner"), answer.get("strength")) if isinstance(answer, dict) else (None, None)
        if subject.count != 2:
            raise BadAnswer(f"a comparison takes two responses, not {subject.count}")
        if isinstance(winner, bool) or winner not in (0, 1, 2):
            raise BadAnswer(f"a winner is 1, 2 or 0 (tie), not {winner!r}")
        if strength not in (None, 1, 2, 3) or (winner == 0 and strength):
            raise BadAnswer(f"a strength is 1, 2, 3 or null, not {strength!r}, and a tie has none")
        return {"winner": winner, "strength": strength}

    def from_ranks(self, ranks: Sequence[int | None]) -> Answer:
        if len(ranks) != 2 or ranks[0] is None or ranks[1] is None:
            raise BadAnswer("a comparison takes two ranks")
        return {"winner": 0 if ranks[0] == ranks[1] else 1 if ranks[0] < ranks[1] else 2, "strength": None}

    def fields(self, answer: Answer, subject: Subject, options: Options) -> Entered:
        signed = {0: 0, 1: 1, 2: -1}[answer["winner"]] * (answer["strength"] or 2)
        return {"choice": str(signed if subject.order[0] == 0 else -signed)}

    def summary(self, answer: Answer, subject: Subject, options: Options) -> str:
        if answer["winner"] == 0:
            return "A and B equally good"
        return f"{subject.letter(answer['winner'] - 1)} {WORDS[answer['strength']]}"

    def ranks(self, answer: Answer, count: int) -> list[int | None]:
        return {0: [1, 1], 1: [1, 2], 2: [2, 1]}[answer["winner"]]  # type: ignore[return-value]

    def project(self, rows: str, answer: Answer, subject: Subject, options: Options, task: str) -> Projection:
        ranking = {"prompt": subject.prompt, "completions": list(subject.texts), "ranks": self.ranks(answer, 2)}
        if rows == "ranking":
            return Projection([ranking], {})
        pairs, ties = ranking_to_pairs(ranking)
        margin = float(answer["strength"]) if answer["strength"] else None
        return Projection([pair | {"margin": margin} for pair in pairs], {"ties": ties} if ties else {})
