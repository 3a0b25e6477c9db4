"""Comparison: which of two responses is better, and by how much.

Answer: {"winner": 0 | 1 | 2, "strength": 1 | 2 | 3 | 4 | null, "tie": "good" | "bad" | null}; winner 0 is a tie. The strength
is null where it was not asked (imports) and in a tie; `tie` says of a tie whether both are good or both bad, where that was
asked. Answers from before there was a `tie` have none.

An answer makes rows of three kinds. A pair's margin is the strength: steps of this scale, which compare only with steps of the
same scale. Unpaired rows take the better answer for good and the worse for bad, as TRL does when it takes pairs apart, though
the better of two may be bad; only "both good" and "both bad" say it outright.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from pydantic import Field, model_validator

from annotation.kinds.answer import Answer, BadAnswer, Entered, Fields, Projection, Rankable, Subject
from annotation.kinds.answer import Options as BaseOptions
from annotation.kinds.shown import Shown, WrongTogether
from feinschliff.rows import ranking_to_pairs

#: how many strengths a scale has -> the words for each, weakest first; 0 stands for a strength that was not asked
WORDS = {
    1: (gettext_lazy("%(letter)s is better"),),
    2: (gettext_lazy("%(letter)s is better"), gettext_lazy("%(letter)s is much better")),
    3: (
        gettext_lazy("%(letter)s is slightly better"),
        gettext_lazy("%(letter)s is better"),
        gettext_lazy("%(letter)s is much better"),
    ),
    4: (
        gettext_lazy("%(letter)s is barely better"),
        gettext_lazy("%(letter)s is slightly better"),
        gettext_lazy("%(letter)s is better"),
        gettext_lazy("%(letter)s is much better"),
    ),
}
TIES = {
    None: gettext_lazy("Equally good"),
    "good": gettext_lazy("Both good"),
    "bad": gettext_lazy("Both bad"),
}


@dataclass(frozen=True)
class Step:
    """One step of the scale, as the screen shows it: what the form sends, its words, and the keys for it besides its number."""

    value: str
    text: str
    keys: str


class Options(BaseOptions):
    levels: Annotated[
        Literal[2, 3, 4, 5, 6, 7, 8, 9],
        Shown(
            gettext_lazy("Steps of the scale"),
            gettext_lazy("An even number has no middle: nobody can call it a tie."),
            words={
                2: gettext_lazy("2: A or B, no tie"),
                3: gettext_lazy("3: A, a tie, or B"),
                4: gettext_lazy("4: two strengths, no tie"),
                5: gettext_lazy("5: two strengths and a tie"),
                6: gettext_lazy("6: three strengths, no tie"),
                7: gettext_lazy("7: three strengths and a tie"),
                8: gettext_lazy("8: four strengths, no tie"),
                9: gettext_lazy("9: four strengths and a tie"),
            },
        ),
    ] = Field(default=7, description="Steps from A to B; an even number has no middle, so no tie.")
    tie_words: Annotated[
        Literal["one", "both"],
        Shown(
            gettext_lazy("The middle"),
            words={
                "one": gettext_lazy("Equally good"),
                "both": gettext_lazy("Both good, or both bad"),
            },
        ),
    ] = Field(default="one", description="Whether the middle is one step, or both good and both bad apart.")

    @model_validator(mode="after")
    def _a_middle_to_take_apart(self) -> Self:
        if self.tie_words == "both" and not self.tie:
            said = _("“Both good” and “both bad” stand in the middle: take an odd number of steps for them.")
            raise WrongTogether("tie_words", said)
        return self

    @property
    def strengths(self) -> int:
        return self.levels // 2

    @property
    def tie(self) -> bool:
        return self.levels % 2 == 1

    @property
    def ties(self) -> list[str]:
        """What the form sends for the middle; nothing where there is none."""
        return [] if not self.tie else ["good", "bad"] if self.tie_words == "both" else ["0"]

    @property
    def steps(self) -> list[Step]:
        """From the first answer shown much better to the second."""
        words = [str(text) for text in WORDS[self.strengths]]
        strengths = list(range(1, self.strengths + 1))
        first = [Step(str(n), words[n - 1] % {"letter": "A"}, "a" * n) for n in reversed(strengths)]
        second = [Step(str(-n), words[n - 1] % {"letter": "B"}, "b" * n) for n in strengths]
        keys = {"0": "=", "good": "v", "bad": "x"}
        middle = [Step(value, str(TIES[None if value == "0" else value]), keys[value]) for value in self.ties]
        return first + middle + second


class Comparison(Rankable):
    name = "comparison"
    label = gettext_lazy("Comparison")
    title = gettext_lazy("Which answer is better?")
    help = gettext_lazy("Choose the middle if you truly cannot tell.")
    place = "dock"
    fewest, most = 2, 2
    schema = Options
    rows = ("ranking", "pair", "unpaired")

    def read(self, fields: Fields, subject: Subject, options: Options) -> Answer | None:
        """The form's `choice` is one of the steps: a strength, positive if the answer shown first is better, or a tie."""
        text = fields.get("choice").strip()
        if not text:
            return None
        if text not in [step.value for step in options.steps]:
            said = ", ".join(step.value for step in options.steps)
            raise BadAnswer(_("A choice is one of %(steps)s, not “%(text)s”.") % {"steps": said, "text": text[:20]})
        if text in options.ties:
            return {"winner": 0, "strength": None, "tie": None if text == "0" else text}
        choice = int(text) if subject.order[0] == 0 else -int(text)
        return {"winner": 1 if choice > 0 else 2, "strength": abs(choice), "tie": None}

    def check(self, answer: object, subject: Subject, options: Options) -> Answer:
        given = answer if isinstance(answer, dict) else {}
        winner, strength, tie = given.get("winner"), given.get("strength"), given.get("tie")
        if subject.count != 2:
            raise BadAnswer(_("A comparison takes two answers, not %(count)s.") % {"count": subject.count})
        if isinstance(winner, bool) or winner not in (0, 1, 2):
            raise BadAnswer(_("A winner is 1, 2 or 0 (a tie), not %(winner)s.") % {"winner": repr(winner)[:40]})
        if winner == 0 and not options.tie:
            raise BadAnswer(_("This question takes no tie."))
        strengths = range(1, options.strengths + 1) if winner else ()
        if strength is not None and (isinstance(strength, bool) or strength not in strengths):
            raise BadAnswer(
                _("A strength is a whole number from 1 to %(most)s or null, and null in a tie; not %(strength)s.")
                % {"most": options.strengths, "strength": repr(strength)[:40]}
            )
        if tie is not None and (winner or options.tie_words == "one" or tie not in ("good", "bad")):
            raise BadAnswer(
                _("Only a tie is “good” or “bad”, where the question takes them apart; not %(tie)s.")
                % {"tie": repr(tie)[:40]}
            )
        return {"winner": int(winner), "strength": None if strength is None else int(strength), "tie": tie}

    def from_ranks(self, ranks: Sequence[int | None]) -> Answer:
        if len(ranks) != 2 or ranks[0] is None or ranks[1] is None:
            raise BadAnswer(_("a comparison takes two ranks"))
        winner = 0 if ranks[0] == ranks[1] else 1 if ranks[0] < ranks[1] else 2
        return {"winner": winner, "strength": None, "tie": None}

    def fields(self, answer: Answer, subject: Subject, options: Options) -> Entered:
        """Nothing for a tie that does not say which, where the screen has no such step."""
        if answer["winner"] == 0:
            value = answer.get("tie") or "0"
            return {"choice": value} if value in options.ties else {}
        strength = answer["strength"] or (options.strengths + 1) // 2
        return {"choice": str(strength if subject.order[0] == answer["winner"] - 1 else -strength)}

    def summary(self, answer: Answer, subject: Subject, options: Options) -> str:
        if answer["winner"] == 0:
            return str(TIES[answer.get("tie")]) if answer.get("tie") else _("A and B equally good")
        words = WORDS[options.strengths][answer["strength"] - 1] if answer["strength"] else WORDS[1][0]
        return str(words) % {"letter": subject.letter(answer["winner"] - 1)}

    def ranks(self, answer: Answer, count: int) -> list[int | None]:
        return {0: [1, 1], 1: [1, 2], 2: [2, 1]}[answer["winner"]]  # type: ignore[return-value]

    def project(self, rows: str, answer: Answer, subject: Subject, options: Options, task: str) -> Projection:
        ranking = {"prompt": subject.prompt, "completions": list(subject.texts), "ranks": self.ranks(answer, 2)}
        if rows == "ranking":
            return Projection([ranking], {})
        if rows == "unpaired":
            return self._unpaired(answer, subject)
        pairs, ties = ranking_to_pairs(ranking)
        margin = float(answer["strength"]) if answer["strength"] else None
        return Projection([pair | {"margin": margin} for pair in pairs], {"ties": ties} if ties else {})

    def _unpaired(self, answer: Answer, subject: Subject) -> Projection:
        winner, tie = answer["winner"], answer.get("tie")
        if winner == 0 and tie is None:
            return Projection([], {"ties": 1})
        good = [winner == number if winner else tie == "good" for number in (1, 2)]
        told = zip(subject.texts, good, strict=True)
        return Projection([{"prompt": subject.prompt, "completion": text, "label": label} for text, label in told], {})
