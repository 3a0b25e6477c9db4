"""Ten projects to start from: screens that papers have described, put together out of our kinds of question.

Each is data: its questions in the shape that `asking.change` takes, and a first text for the guidelines. One whose kinds
are not all there is not offered. What was published and what differs here stands in docs/projects.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from annotation.kinds import KINDS
from annotation.pictures import Picture, picture

#: a str, or what gettext_lazy gives
Text = Any


@dataclass(frozen=True)
class StartingPoint:
    """`source` is the paper that described such a screen; `answers` says how many answers an item has there."""

    slug: str
    title: Text
    summary: Text
    answers: Text
    source: str
    url: str
    asks: Sequence[Mapping[str, Any]]
    guidelines: Text
    shown: int = 2  # answers in its picture

    @property
    def kinds(self) -> list[str]:
        return [asked["kind"] for asked in self.asks]

    @property
    def drawn(self) -> Picture:
        return picture(self.kinds, self.shown)

    def questions(self) -> list[dict[str, Any]]:
        """As `create_project` takes them, in the language of who asks: from then on they are the project's own words."""
        return [_spoken(asked) for asked in self.asks]


def _spoken(value: Any) -> Any:  # noqa: ANN401 - JSON with lazy texts in it
    if isinstance(value, Mapping):
        return {key: _spoken(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_spoken(one) for one in value]
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _aspect(name: str, title: Text, help: Text) -> dict[str, Any]:
    return {"name": name, "title": title, "help": help}


def _point(value: int, words: Text) -> dict[str, Any]:
    return {"value": value, "words": words}


COMMENT = {
    "kind": "comment", "name": "comment", "title": _("Anything to add?"), "required": False,
    "help": _("Why you decided so, or what was hard. Nobody but the leads reads it."),
}  # fmt: skip

ALL = (
    StartingPoint(
        slug="instructgpt",
        title=_("InstructGPT: rate, flag, rank"),
        summary=_("Rate each answer from 1 to 7, tick what is wrong with it, rank them all, and comment."),
        answers=_("2 to 10; 4 to 9 in the paper"),
        source="Ouyang et al. 2022, Training language models to follow instructions with human feedback",
        url="https://arxiv.org/abs/2203.02155",
        shown=4,
        asks=(
            {
                "kind": "rating", "name": "quality", "title": _("How good is each answer?"),
                "options": {
                    "lowest": 1, "highest": 7,
                    "aspects": [_aspect("overall", _("Overall"), _("All in all, for the person who asked."))],
                    "points": [_point(1, _("useless")), _point(4, _("does the job")), _point(7, _("could not be better"))],
                },
            },
            {
                "kind": "label", "name": "flags", "title": _("What is wrong with it?"), "required": False,
                "help": _("Tick all that apply; none is an answer too."),
                "options": {
                    "of": "answer", "many": True, "least": 0,
                    "labels": _(
                        "misses-task = Misses what was asked\n"
                        "breaks-constraint = Breaks a limit that the prompt sets\n"
                        "made-up = States something made up\n"
                        "unfit-for-assistant = Unfit for an assistant to say\n"
                        "harmful-advice = Gives harmful advice\n"
                        "sexual = Sexual content\n"
                        "violent = Violent content\n"
                        "denigrates = Denigrates a group of people\n"
                        "opinion = Gives an opinion of its own\n"
                        "moralises = Moralises"
                    ),
                },
            },
            {
                "kind": "ranking", "name": "ranking", "title": _("Rank the answers from best to worst"),
                "help": _("Best first. Answers that are equally good may share a place."), "options": {"partial": False},
            },
            COMMENT,
        ),
        guidelines=_(
            "Put yourself in the place of the person who asked.\n\n"
            "1. **Helpful**: it does what was asked, and what was meant.\n"
            "2. **True**: nothing in it is made up. Look up what you do not know.\n"
            "3. **Harmless**: it hurts nobody, the person who asked included.\n\n"
            "For most prompts true and harmless weigh more than helpful."
        ),
    ),
    StartingPoint(
        slug="hh-rlhf",
        title=_("HH-RLHF: eight steps, no tie"),
        summary=_("Two answers to a conversation; say which is better on a scale of eight without a middle."),
        answers=_("2"),
        source="Bai et al. 2022, Training a Helpful and Harmless Assistant with RLHF",
        url="https://arxiv.org/abs/2204.05862",
        asks=(
            {
                "kind": "comparison", "name": "comparison", "title": _("Which answer is more helpful and honest?"),
                "help": _("There is no middle: lean to one side, however slightly."), "options": {"levels": 8},
            },
        ),
        guidelines=_(
            "Choose the answer that you would rather have got.\n\n"
            "There is no tie. If both are alike, choose the one that you would keep, by the smallest step."
        ),
    ),
    StartingPoint(
        slug="llama-2",
        title=_("Llama 2: strength and safety"),
        summary=_("Choose the better of two with one of four strengths, then say whether each of them is safe."),
        answers=_("2"),
        source="Touvron et al. 2023, Llama 2: Open Foundation and Fine-Tuned Chat Models",
        url="https://arxiv.org/abs/2307.09288",
        asks=(
            {
                "kind": "comparison", "name": "comparison", "title": _("Which answer is better, and by how much?"),
                "help": _("Take the smallest step if you are unsure."), "options": {"levels": 8},
            },
            {
                "kind": "label", "name": "safety", "title": _("Are they safe?"),
                "help": _("Safe: it breaks no rule of the guidelines."),
                "options": {
                    "of": "item",
                    "labels": _(
                        "better-safe = The better one is safe, the other is not\n"
                        "both-safe = Both are safe\n"
                        "both-unsafe = Neither is safe\n"
                        "worse-safe = Only the worse one is safe"
                    ),
                },
            },
        ),
        guidelines=_(
            "First decide which answer helps more; then, apart from that, whether each is safe.\n\n"
            "Write down here what counts as unsafe in your project."
        ),
    ),
    StartingPoint(
        slug="helpsteer2",
        title=_("HelpSteer2: five aspects"),
        summary=_("Rate each answer from 0 to 4 on five aspects."),
        answers=_("1 to 10, mostly 2"),
        source="Wang et al. 2024, HelpSteer2: Open-source dataset for training top-performing reward models",
        url="https://arxiv.org/abs/2406.08673",
        asks=(
            {
                "kind": "rating", "name": "rating", "title": _("Rate each answer"),
                "options": {
                    "lowest": 0, "highest": 4,
                    "aspects": [
                        _aspect("helpfulness", _("Helpfulness"), _("How well it does what was asked, all in all.")),
                        _aspect("correctness", _("Correctness"), _("All facts are there, and none is wrong.")),
                        _aspect("coherence", _("Coherence"), _("It is clear and does not contradict itself.")),
                        {
                            **_aspect("complexity", _("Complexity"), _("How much one must know to write it.")),
                            "points": [_point(0, _("anybody could")), _point(4, _("only an expert could"))],
                            "counts": False,
                        },
                        {
                            **_aspect("verbosity", _("Verbosity"), _("How much it says for what was asked.")),
                            "points": [_point(0, _("very short")), _point(4, _("very long"))],
                            "counts": False,
                        },
                    ],
                    "points": [_point(0, _("very poor")), _point(2, _("middling")), _point(4, _("very good"))],
                },
            },
            COMMENT,
        ),
        guidelines=_(
            "Rate every answer by itself, not against the other.\n\n"
            "Complexity and verbosity are no praise and no blame: they only say how it is."
        ),
    ),
    StartingPoint(
        slug="ultrafeedback",
        title=_("UltraFeedback: four aspects"),
        summary=_("Rate each answer from 1 to 5 on following instructions, truth, honesty and help."),
        answers=_("1 to 10; 4 in the paper"),
        source="Cui et al. 2023, UltraFeedback: Boosting Language Models with Scaled AI Feedback",
        url="https://arxiv.org/abs/2310.01377",
        shown=4,
        asks=(
            {
                "kind": "rating", "name": "rating", "title": _("Rate each answer"),
                "options": {
                    "lowest": 1, "highest": 5,
                    "aspects": [
                        _aspect(
                            "instruction_following", _("Follows the instruction"),
                            _("It does all that was asked, within the limits set."),
                        ),
                        _aspect("truthfulness", _("Truthfulness"), _("What it says is so; nothing is made up.")),
                        _aspect(
                            "honesty", _("Honesty"),
                            _("It is as sure as it has reason to be, and says what it does not know."),
                        ),
                        _aspect("helpfulness", _("Helpfulness"), _("It is of use to who asked.")),
                    ],
                    "points": [_point(1, _("not at all")), _point(3, _("partly")), _point(5, _("fully"))],
                },
            },
            COMMENT,
        ),
        guidelines=_("Go through one aspect for all answers, then the next. Look up facts before you rate truthfulness."),
    ),
    StartingPoint(
        slug="summarize-from-feedback",
        title=_("Summaries: choose and rate"),
        summary=_("Which of two summaries is better, and how sure you are; then four aspects of each from 1 to 7."),
        answers=_("2"),
        source="Stiennon et al. 2020, Learning to summarize from human feedback",
        url="https://arxiv.org/abs/2009.01325",
        asks=(
            {
                "kind": "comparison", "name": "comparison", "title": _("Which summary is better?"),
                "help": _("The further from the middle, the surer you are."), "options": {"levels": 9},
            },
            {
                "kind": "rating", "name": "axes", "title": _("Rate each summary"),
                "options": {
                    "lowest": 1, "highest": 7,
                    "aspects": [
                        _aspect("overall", _("Overall"), _("How good it is as a summary of this text.")),
                        _aspect("accuracy", _("Accuracy"), _("It says nothing that the text does not say.")),
                        _aspect("coverage", _("Coverage"), _("What matters in the text is in it.")),
                        _aspect("coherence", _("Coherence"), _("One can read it without the text.")),
                    ],
                    "points": [_point(1, _("terrible")), _point(4, _("all right, with flaws")), _point(7, _("perfect"))],
                },
            },
        ),
        guidelines=_(
            "Read the text before the summaries.\n\n"
            "A good summary tells somebody who has not read the text what matters in it, and nothing that is not there."
        ),
    ),
    StartingPoint(
        slug="critique-and-fix",
        title=_("Mark it and put it right"),
        summary=_("Mark what is wrong in an answer, say what kind of fault it is, and write what should stand there."),
        answers=_("1 to 10"),
        source="Saunders et al. 2022, Self-critiquing models for assisting human evaluators",
        url="https://arxiv.org/abs/2206.05802",
        shown=1,
        asks=(
            {
                "kind": "critique", "name": "critique", "title": _("Mark what is wrong, and put it right"),
                "help": _("Change as little as you can."), "options": {"note": "optional", "fix": "optional"},
            },
            COMMENT,
        ),
        guidelines=_(
            "Mark the shortest stretch that is wrong, and write what should stand in its place.\n\n"
            "Leave style alone unless it makes the answer hard to read. “Nothing wrong with it” is a good answer."
        ),
    ),
    StartingPoint(
        slug="arena",
        title=_("Arena battle"),
        summary=_("Two answers, one vote: A, B, both good, or both bad."),
        answers=_("2"),
        source="Chiang et al. 2024, Chatbot Arena: An Open Platform for Evaluating LLMs by Human Preference",
        url="https://arxiv.org/abs/2403.04132",
        asks=(
            {
                "kind": "comparison", "name": "vote", "title": _("Which answer is better?"),
                "help": "", "options": {"levels": 3, "tie_words": "both"},
            },
        ),
        guidelines=_("Vote as if it had been your question. “Both bad” is for answers that you could not use."),
    ),
    StartingPoint(
        slug="classification",
        title=_("Classification"),
        summary=_("Give each text one label out of a list; labels may stand inside each other."),
        answers=_("none needed"),
        source="Pang, Lee and Vaithyanathan 2002, Thumbs up? Sentiment Classification using Machine Learning Techniques",
        url="https://arxiv.org/abs/cs/0205070",
        shown=0,
        asks=(
            {
                "kind": "label", "name": "label", "title": _("What is it?"), "help": "",
                "options": {
                    "of": "item",
                    "labels": _("positive = Positive\nneutral = Neither\nnegative = Negative"),
                },
            },
            COMMENT,
        ),
        guidelines=_("Say for every label what belongs to it, with an example, and what is just outside."),
    ),
    StartingPoint(
        slug="demonstrations",
        title=_("Demonstrations"),
        summary=_("Write the answer that a model should have given."),
        answers=_("none needed"),
        source="Ouyang et al. 2022, section 3; Köpf et al. 2023, OpenAssistant Conversations",
        url="https://arxiv.org/abs/2304.07327",
        shown=0,
        asks=(
            {
                "kind": "demonstration", "name": "demonstration", "title": _("Write the answer"),
                "help": _("As you would wish to get it."), "options": {"way": "choose"},
            },
        ),
        guidelines=_(
            "Write what you would wish to read if you had asked: right, complete, and no longer than needed.\n\n"
            "Do not copy from elsewhere, and do not let a model write it."
        ),
    ),
)  # fmt: skip

STARTING_POINTS: dict[str, StartingPoint] = {point.slug: point for point in ALL}


def offered() -> list[StartingPoint]:
    """Those whose kinds are all there."""
    return [point for point in ALL if set(point.kinds) <= KINDS.keys()]
