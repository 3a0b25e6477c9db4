"""Conversations that come as two whole transcripts, the better and the worse one, as in HH-RLHF.

What both say up to the last turn of the assistant that they share the beginning of is the prompt; the rest of each is its answer.
A transcript is a text with `Human:` and `Assistant:` after blank lines, or a list of {role, content}.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any, NamedTuple

from django.utils.translation import gettext

MARK = re.compile(r"(?:^|\n\n)(Human|User|Assistant):[ \t]*")
ANSWERS = re.compile(r"(?:^|\n\n)Assistant:[ \t]*")
ROLES = {"Human": "user", "User": "user", "Assistant": "assistant"}
Messages = list[dict[str, str]]


class NoTranscript(ValueError):
    """Why two texts are no two ends of one conversation."""


class Ends(NamedTuple):
    """One conversation and how it goes on in the first and in the second transcript.

    What stands in lists of messages is as the file has it, for whoever reads on to check.
    """

    prompt: list[Any]
    answers: tuple[Any, Any]


def ends_of(first: object, second: object) -> Ends:
    """What two transcripts share, and what each says then. Raises NoTranscript."""
    if isinstance(first, str) and isinstance(second, str):
        return _of_texts(first, second)
    if isinstance(first, list) and isinstance(second, list):
        return _of_messages(first, second)
    raise NoTranscript(gettext("two texts or two lists of {role, content} were expected"))


def _of_texts(first: str, second: str) -> Ends:
    shared = sum(1 for _ in takewhile(lambda both: both[0] == both[1], zip(first, second, strict=False)))
    # The first difference may lie inside the mark or the blanks after it: the answer begins where the mark ends in each.
    turns = [turn.start() for turn in ANSWERS.finditer(first) if turn.start() <= shared]
    starts = [start for start in turns if ANSWERS.match(second, start)]
    if not starts:
        raise NoTranscript(
            gettext("the two do not share a beginning up to “Assistant:”; they are no two ends of one conversation")
        )
    begin = starts[-1]
    after = [ANSWERS.match(text, begin) for text in (first, second)]
    answers = [text[mark.end() :].strip() for text, mark in zip((first, second), after, strict=True) if mark]
    prompt = _turns(first[:begin])
    if not prompt:
        raise NoTranscript(gettext("nobody says anything before the answer"))
    return Ends(prompt, (answers[0], answers[1]))


def _turns(text: str) -> Messages:
    """A transcript as messages. What stands before the first mark is what the assistant is told beforehand."""
    parts = MARK.split(text)
    messages = [{"role": "system", "content": parts[0].strip()}] if parts[0].strip() else []
    messages += [
        {"role": ROLES[who], "content": said.strip()} for who, said in zip(parts[1::2], parts[2::2], strict=True)
    ]
    return [message for message in messages if message["content"]]


def _of_messages(first: Sequence[object], second: Sequence[object]) -> Ends:
    shared = [one for one, _ in takewhile(lambda both: both[0] == both[1], zip(first, second, strict=False))]
    rest = [list(whole[len(shared) :]) for whole in (first, second)]
    if not all(
        len(turns) == 1 and isinstance(turns[0], Mapping) and turns[0].get("role") == "assistant" for turns in rest
    ):
        raise NoTranscript(gettext("the two conversations differ in more than their last answer"))
    if not shared:
        raise NoTranscript(gettext("nobody says anything before the answer"))
    answers = [turns[0].get("content") for turns in rest]  # type: ignore[attr-defined] # mappings, as was just seen
    return Ends(shared, (answers[0], answers[1]))
