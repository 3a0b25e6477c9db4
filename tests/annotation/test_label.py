"""A label: what was chosen is what is kept, shown again and frozen; a tree is read from its indentation."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from annotation.kinds import BadAnswer, Fields, Subject
from annotation.kinds.label import Label, Options, parse

LABEL = Label()
TREE = "Animal\n  Dog | man's best friend\n  Cat\nplant = Green things\n\n  Oak\n    Red oak\nStone"
SUBJECT = Subject([1, 0], ["a", "b"], [{"role": "user", "content": "p"}])


@st.composite
def cases(draw: st.DrawFn) -> tuple[Options, Subject, dict[str, Any]]:
    """Options, an item, and labels of it."""
    many = draw(st.booleans())
    least = draw(st.integers(0, 2)) if many else 0
    chosen = Options(
        labels=TREE, many=many, least=least, most=draw(st.integers(max(least, 1), 6)), inner=draw(st.booleans()),
        of=draw(st.sampled_from(["answer", "item"])),
    )  # fmt: skip
    order = draw(st.integers(0, 10).flatmap(lambda count: st.permutations(range(count))))
    subject = Subject(order, [f"text {n}" for n in order], "p")
    names = [choice.name for choice in chosen.choosable]
    least, most = chosen.bounds
    sets = st.sets(st.sampled_from(names), min_size=least, max_size=most)
    labels = [sorted(draw(sets), key=names.index) for _ in chosen.labelled(subject)]
    return chosen, subject, {"labels": labels}


def form_of(entered: dict[str, Any]) -> Fields:
    return Fields({f"q.{name}": value for name, value in entered.items()}, "q")


@given(cases())
def test_labels_that_fill_a_form_are_read_from_it_again(case: tuple[Options, Subject, dict[str, Any]]) -> None:
    chosen, subject, answer = case
    assert LABEL.check(answer, subject, chosen) == answer
    entered = LABEL.fields(answer, subject, chosen)
    assert LABEL.read(form_of(entered), subject, chosen) == answer
    for place, position in enumerate(chosen.labelled(subject)):
        assert entered[f"label-{place}"] == answer["labels"][position or 0]
    assert LABEL.summary(answer, subject, chosen)


@given(cases())
def test_there_is_a_row_for_every_label(case: tuple[Options, Subject, dict[str, Any]]) -> None:
    chosen, subject, answer = case
    rows, _ = LABEL.project("label", answer, subject, chosen, "topic")
    assert [row["label"] for row in rows] == [name for names in answer["labels"] for name in names]
    assert {row["task"] for row in rows} <= {"topic"}
    if chosen.of == "answer" and subject.count:
        said = [text for text, names in zip(subject.texts, answer["labels"], strict=True) for _ in names]
        assert [row["prompt"][-1] for row in rows] == [{"role": "assistant", "content": text} for text in said]


HOSTILE = st.lists(st.text(max_size=5) | st.sampled_from(["stone", "animal/dog", "animal"]), max_size=3)


@given(cases(), st.dictionaries(st.sampled_from(["q.label-0", "q.label-1", "q.asked"]), HOSTILE))
def test_a_hostile_form_is_a_sentence_or_an_answer(
    case: tuple[Options, Subject, dict[str, Any]], form: dict[str, list[str]]
) -> None:
    try:
        answer = LABEL.read(Fields(form, "q"), SUBJECT, case[0])
    except BadAnswer as wrong:
        assert str(wrong)
    else:
        assert answer is None or LABEL.check(answer, SUBJECT, case[0]) == answer


def test_indentation_makes_a_tree() -> None:
    assert [(c.name, c.title, c.depth, c.inner) for c in parse(TREE)] == [
        ("animal", "Animal", 0, True), ("animal/dog", "Dog", 1, False), ("animal/cat", "Cat", 1, False),
        ("plant", "Green things", 0, True), ("plant/oak", "Oak", 1, True), ("plant/oak/red-oak", "Red oak", 2, False),
        ("stone", "Stone", 0, False),
    ]  # fmt: skip
    assert parse(TREE)[1].help == "man's best friend"
    assert [c.name for c in parse("Ärger\n\tSehr großer")] == ["ärger", "ärger/sehr-großer"]


@given(st.text(alphabet="ab |=\n\t/<&", max_size=60))
def test_any_text_of_labels_is_a_tree_or_a_sentence(text: str) -> None:
    try:
        found = parse(text)
    except ValueError as wrong:
        assert "Line" in str(wrong)
    else:
        names = {choice.name for choice in found}
        assert len(names) == len(found)
        assert all(not choice.parent or choice.parent in names for choice in found)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"labels": "One"}, "2 to 200 labels; these are 1"),
        ({"labels": "Same\nsame"}, "Line 2"),
        ({"labels": "a\n b\n  c\n   d\n    e\n     f"}, "Line 6"),
        ({"labels": "Animal\n  Dog"}, "Only one label"),
        ({"many": True, "least": 3}, "3 labels are asked for, but only 2"),
        ({"good": "yes"}, "one of two labels that each answer"),
        ({"good": "maybe", "of": "answer"}, "yes, no"),
    ],
)
def test_options_that_make_no_sense_are_refused_in_words(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Options.model_validate(wrong)


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"q.label-0": ["yes"]}, "Choose a label for answer B."),
        ({"q.label-0": ["yes"], "q.label-1": ["yes", "no"]}, "Choose one label only for answer B."),
        ({"q.label-0": ["yes"], "q.label-1": ["perhaps"]}, "no label “perhaps”"),
    ],
)
def test_what_is_wrong_with_labels_is_said(form: dict[str, list[str]], told: str) -> None:
    with pytest.raises(BadAnswer, match=told):
        LABEL.read(Fields(form, "q"), SUBJECT, Options(of="answer"))


def test_no_flag_at_all_is_an_answer_of_a_page_that_asked() -> None:
    flags = Options(labels="Harmful\nOff topic", of="answer", many=True)
    assert LABEL.read(Fields({}, "q"), SUBJECT, flags) is None
    assert LABEL.read(Fields({"q.asked": "1"}, "q"), SUBJECT, flags) == {"labels": [[], []]}
    assert LABEL.summary({"labels": [[], ["harmful"]]}, SUBJECT, flags) == "A Harmful"


def test_two_labels_of_which_one_is_good_make_unpaired_rows() -> None:
    chosen = Options(of="answer", good="yes")
    rows, _ = LABEL.project("unpaired", {"labels": [["no"], ["yes"]]}, SUBJECT, chosen, "q")
    assert [(row["completion"], row["label"]) for row in rows] == [("a", False), ("b", True)]
    assert LABEL.project("unpaired", {"labels": [["no"]]}, SUBJECT, Options(), "q").rows == []
