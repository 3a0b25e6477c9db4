"""Demonstrations: what is an answer and what is refused, in words; and what they become for trainers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from annotation.kinds import BadAnswer, Fields, Subject
from annotation.kinds.demonstration import Demonstration, Options

KIND = Demonstration()
SUBJECT = Subject([2, 0, 1], ["one", "two\r\nlines", "three 😀"], "What?")
PLAIN = Options()


def read(fields: dict[str, str], options: Options = PLAIN, subject: Subject = SUBJECT) -> Any:  # noqa: ANN401 - an answer, or None
    return KIND.read(Fields({f"d.{name}": value for name, value in fields.items()}, "d"), subject, options)


def test_an_edit_names_the_answer_by_position_and_comes_back_by_the_place_it_was_shown_at() -> None:
    answer = read({"text": "three 😀 and more", "from": "0"})
    assert answer == {"text": "three 😀 and more", "edited_from": 2}
    assert KIND.fields(answer, SUBJECT, PLAIN) == {"text": "three 😀 and more", "from": "0"}
    assert KIND.summary(answer, SUBJECT, PLAIN) == "edited A: “three 😀 and more”"


def test_nothing_written_is_no_answer() -> None:
    assert read({}) is None
    assert read({"text": " \n ", "from": "1"}) is None


@pytest.mark.parametrize(
    ("fields", "options", "words"),
    [
        ({"text": "two\nlines ", "from": "2"}, {}, "still the same as answer C"),
        ({"text": "x", "from": "3"}, {}, "no such answer"),
        ({"text": "x", "from": "-1"}, {}, "no such answer"),
        ({"text": "x", "from": "0"}, {"way": "write"}, "written from nothing"),
        ({"text": "x"}, {"way": "edit"}, "Choose the answer"),
        ({"text": "  ab  "}, {"min_length": 4}, "2 characters too short"),
        ({"text": "abcdef"}, {"max_length": 5}, "1 character too long"),
        ({"text": "a\x00b"}, {}, "NUL"),
        ({"text": "abc", "check-0": "1"}, {"checklist": ["Facts hold.", "No names."]}, "No names."),
    ],
)
def test_what_is_no_demonstration_is_refused_with_what_to_change(
    fields: dict[str, str], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(BadAnswer, match=words):
        read(fields, Options(**options))


def test_where_there_is_nothing_to_edit_people_write() -> None:
    assert read({"text": "x"}, Options(way="edit"), Subject([], [], "What?")) == {"text": "x", "edited_from": None}


def test_an_edit_is_a_pair_and_a_ranking_above_its_original_and_a_text_from_nothing_is_neither() -> None:
    edit, new = {"text": "better", "edited_from": 1}, {"text": "new", "edited_from": None}
    (pair,) = KIND.project("pair", edit, SUBJECT, PLAIN, "d").rows
    assert pair == {"prompt": "What?", "chosen": "better", "rejected": "two\r\nlines", "margin": None}
    (ranking,) = KIND.project("ranking", edit, SUBJECT, PLAIN, "d").rows
    assert (ranking["completions"], ranking["ranks"]) == (["better", "two\r\nlines"], [1, 2])
    assert KIND.project("demonstration", new, SUBJECT, PLAIN, "d").rows == [{"prompt": "What?", "completion": "new"}]
    assert KIND.project("pair", new, SUBJECT, PLAIN, "d") == ([], {"texts written from nothing": 1})


def test_lengths_that_leave_no_room_are_refused() -> None:
    with pytest.raises(ValidationError, match="Lower the first or raise the second"):
        Options(min_length=10, max_length=9)


@given(st.text(), st.text(max_size=4), st.sampled_from(["choose", "write", "edit"]))
def test_whatever_is_sent_is_an_answer_that_comes_back_the_same_or_refused(text: str, start: str, way: str) -> None:
    options = Options(way=way)  # type: ignore[arg-type]
    try:
        answer = read({"text": text, "from": start}, options)
    except BadAnswer as wrong:
        assert str(wrong)
        return
    if answer is not None:
        assert KIND.check(answer, SUBJECT, options) == answer
        assert read(KIND.fields(answer, SUBJECT, options), options) == answer  # type: ignore[arg-type]
        assert answer["text"].encode()
