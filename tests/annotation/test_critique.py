"""Critiques: marks are compared with the stored text sign by sign; fixes yield the least different better answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from annotation.kinds import BadAnswer, Fields, Subject
from annotation.kinds.critique import Critique, Options, put_right

KIND = Critique()
TEXTS = ["The 😀 sea rïses. It falls.\r\nEnd", "שלום עולם"]
SUBJECT = Subject([1, 0], TEXTS, "Why?")
PLAIN = Options()


def a_mark(response: int = 0, start: int = 4, end: int = 5, **more: object) -> dict[str, Any]:
    """As the form has it, truthful unless `more` says otherwise."""
    place = SUBJECT.order.index(response)
    return {
        "answer": place, "start": start, "end": end, "text": TEXTS[response][start:end], "category": "wrong",
        "severity": None, "note": "", "fix": None,
    } | more  # fmt: skip


def read(marks: object, options: Options = PLAIN, **fields: str) -> Any:  # noqa: ANN401 - an answer, or None
    form = {
        "c.spans": marks if isinstance(marks, str) else json.dumps(marks),
        **{f"c.{k}": v for k, v in fields.items()},
    }
    return KIND.read(Fields(form, "c"), SUBJECT, options)


def test_a_mark_counts_code_points_of_the_stored_text() -> None:
    answer = read([a_mark(), a_mark(1, 5, 9, note=" greeting\r\n", fix="")])
    assert [(s["response"], s["text"], s["note"], s["fix"]) for s in answer["spans"]] == [
        (0, "😀", "", None),
        (1, "עולם", "greeting", ""),
    ]
    assert KIND.check(answer, SUBJECT, PLAIN) == answer
    again = KIND.fields(answer, SUBJECT, PLAIN)
    assert read(again["spans"]) == answer
    assert KIND.summary(answer, SUBJECT, PLAIN) == "2 marks, 1 put right: B “😀” Wrong, A “עולם” Wrong"


def test_nothing_wrong_is_said_and_not_merely_left_empty() -> None:
    assert read("") is None
    answer = read("", fine="1")
    assert answer == {"spans": []}
    assert KIND.fields(answer, SUBJECT, PLAIN) == {"spans": "", "fine": "1"}
    assert KIND.summary(answer, SUBJECT, PLAIN) == "nothing wrong"
    assert KIND.project("pair", answer, SUBJECT, PLAIN, "c") == ([], {})


@pytest.mark.parametrize(
    ("marks", "options", "words"),
    [
        ("{", {}, "cannot be read"),
        ("[" * 5000, {}, "cannot be read"),
        ('[{"answer": 0}]', {}, "cannot be read"),
        ([a_mark() | {"start": "4"}], {}, "cannot be read"),
        ([a_mark() | {"more": 1}], {}, "cannot be read"),
        ([a_mark(answer=2)], {}, "not on the page"),
        ([a_mark(text="😁")], {}, "does not stand where it was marked"),
        ([a_mark(start=5, end=4, text="")], {}, "a critique is a list of marks"),
        ([a_mark(start=-3, end=-1)], {}, "a critique is a list of marks"),
        ([a_mark(category="odd")], {}, "Choose what is wrong"),
        ([a_mark(severity="grave")], {}, "no such level"),
        ([a_mark()], {"severities": [{"name": "grave", "title": "Grave"}]}, "Choose how bad"),
        ([a_mark()], {"note": "required"}, "Say in a note"),
        ([a_mark(note="x")], {"note": "none"}, "Notes are not asked"),
        ([a_mark()], {"fix": "required"}, "what should stand"),
        ([a_mark(fix="x")], {"fix": "none"}, "Corrections are not asked"),
        ([a_mark(fix="😀")], {}, "says the same"),
        ([a_mark(note="a\x00")], {}, "NUL"),
        (json.dumps([a_mark(fix="x")]).replace('"x"', '"\\ud800"'), {}, "cannot be"),
        ([a_mark(0, 0, 8, fix="x"), a_mark(fix="y")], {}, "two corrections overlap"),
        ([a_mark()] * 201, {}, "more than 200 marks"),
    ],
)
def test_marks_that_are_none_are_refused_with_what_to_do(marks: object, options: dict[str, Any], words: str) -> None:
    with pytest.raises(BadAnswer, match=words):
        read(marks, Options(**options))


def test_marks_may_overlap_where_only_one_of_them_is_put_right() -> None:
    assert len(read([a_mark(0, 0, 8, fix="x"), a_mark(), a_mark(0, 2, 12)])["spans"]) == 3


def test_marks_and_nothing_wrong_at_once_are_refused() -> None:
    with pytest.raises(BadAnswer, match="Remove one or the other"):
        read([a_mark()], fine="1")


def test_fixes_make_the_least_different_better_answer_and_marks_without_one_are_counted() -> None:
    answer = read([a_mark(fix="wide"), a_mark(0, 10, 15, fix="sinks"), a_mark(0, 0, 3), a_mark(1, 0, 4)])
    fixed = "The wide sea sinks. It falls.\r\nEnd"
    pairs = KIND.project("pair", answer, SUBJECT, PLAIN, "c")
    assert pairs.rows == [{"prompt": "Why?", "chosen": fixed, "rejected": TEXTS[0], "margin": None}]
    assert pairs.dropped == {"marks without a correction": 2}
    assert KIND.project("demonstration", answer, SUBJECT, PLAIN, "c").rows == [{"prompt": "Why?", "completion": fixed}]


def test_an_answer_that_was_removed_whole_is_no_better_answer() -> None:
    answer = read([a_mark(1, 0, len(TEXTS[1]), fix="")])
    assert KIND.project("pair", answer, SUBJECT, PLAIN, "c") == ([], {"emptied answers": 1})


def test_categories_have_names_of_their_own() -> None:
    with pytest.raises(ValidationError, match="stands there twice"):
        Options(categories=[{"name": "a", "title": "A"}, {"name": "a", "title": "B"}])  # type: ignore[list-item]


@st.composite
def texts_with_fixes(draw: st.DrawFn) -> tuple[str, list[dict[str, Any]]]:
    """A text, and fixes in it that do not overlap."""
    text = draw(st.text(min_size=1, max_size=40))
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=8)))
    ranges = list(zip(cuts[::2], cuts[1::2], strict=False))
    return text, [{"start": start, "end": end, "fix": draw(st.none() | st.text(max_size=5))} for start, end in ranges]


@given(texts_with_fixes())
def test_outside_the_fixes_not_a_sign_changes(case: tuple[str, list[dict[str, Any]]]) -> None:
    text, spans = case
    letters = list(text)
    for span in reversed(spans):
        if span["fix"] is not None:
            letters[span["start"] : span["end"]] = list(span["fix"])
    assert put_right(text, spans) == "".join(letters)
