"""A comment: kept as it was typed, never a row, and refused in words when it is too long, too short or no text."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation import asking
from annotation.kinds import BadAnswer, Fields, Subject
from annotation.kinds.comment import Comment, Options

COMMENT, SUBJECT, ANY = Comment(), Subject([]), Options()


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200))
def test_a_comment_is_kept_as_it_was_typed(text: str) -> None:
    answer = COMMENT.read(Fields({"q.text": text}, "q"), SUBJECT, ANY)
    if answer is None:
        assert not text.strip()
        return
    assert answer["text"] == text.replace("\r\n", "\n").replace("\r", "\n").strip()
    assert COMMENT.read(Fields({"q.text": COMMENT.fields(answer, SUBJECT, ANY)["text"]}, "q"), SUBJECT, ANY) == answer
    assert "\n" not in COMMENT.summary(answer, SUBJECT, ANY)


@given(st.text(max_size=20), st.integers(0, 6), st.integers(6, 12))
def test_a_hostile_comment_is_a_sentence_or_an_answer(text: str, shortest: int, longest: int) -> None:
    try:
        answer = COMMENT.read(Fields({"q.text": text}, "q"), SUBJECT, Options(shortest=shortest, longest=longest))
    except BadAnswer as wrong:
        assert str(wrong)
    else:
        json.dumps(answer, ensure_ascii=False).encode()  # what Postgres can hold
        assert answer is None or shortest <= len(answer["text"]) <= longest


@pytest.mark.parametrize(
    ("text", "told"), [("hi", "at least 3 characters; it has 2"), ("much too long", "at most 5 characters")]
)
def test_what_is_wrong_with_a_comment_is_said(text: str, told: str) -> None:
    with pytest.raises(BadAnswer, match=told):
        COMMENT.read(Fields({"q.text": text}, "q"), SUBJECT, Options(shortest=3, longest=5))


def test_a_comment_may_be_left_out_unless_a_lead_says_otherwise() -> None:
    assert [q.required for q in asking.checked([asking.draft("comment"), asking.draft("ranking")])] == [False, True]
    assert asking.checked([asking.draft("comment", required=True)])[0].required
