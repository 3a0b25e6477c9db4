"""A rating: what was typed is what is kept, shown again and frozen; options say what is wrong with them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from annotation.kinds import BadAnswer, Fields, Subject
from annotation.kinds.rating import Options, Rating

RATING = Rating()
SHORT = {"max_size": 8}


@st.composite
def options(draw: st.DrawFn) -> Options:
    lowest = draw(st.integers(-10, 9))
    highest = lowest + draw(st.integers(1, 10))
    count = draw(st.integers(1, 8))
    unsure = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    aspects = [{"name": f"aspect-{n}", "unsure": unsure[n]} for n in range(count)]
    return Options.model_validate(
        {"aspects": aspects, "lowest": lowest, "highest": highest, "of": draw(st.sampled_from(["answer", "item"]))}
    )


@st.composite
def cases(draw: st.DrawFn) -> tuple[Options, Subject, dict[str, Any]]:
    """Options, an item, and a rating of it."""
    chosen = draw(options())
    order = draw(st.integers(0, 10).flatmap(lambda count: st.permutations(range(count))))
    subject = Subject(order, [f"text {n}" for n in order], "p")
    number = st.integers(chosen.lowest, chosen.highest)
    scores = [
        {a.name: draw(st.none() | number if a.unsure else number) for a in chosen.aspects}
        for _ in chosen.rated(subject)
    ]
    return chosen, subject, {"scores": scores}


def form_of(entered: dict[str, Any]) -> Fields:
    return Fields({f"q.{name}": value for name, value in entered.items()}, "q")


@given(cases())
def test_a_rating_that_fills_a_form_is_read_from_it_again(case: tuple[Options, Subject, dict[str, Any]]) -> None:
    chosen, subject, answer = case
    assert RATING.check(answer, subject, chosen) == answer
    entered = RATING.fields(answer, subject, chosen)
    assert RATING.read(form_of(entered), subject, chosen) == answer
    assert RATING.summary(answer, subject, chosen)
    for field, value in entered.items():  # what stands in a field is what the answer says of the response shown there
        place, name = field.removeprefix("score-").split("-", 1)
        position = chosen.rated(subject)[int(place)] or 0
        assert value == ("-" if answer["scores"][position][name] is None else str(answer["scores"][position][name]))


@given(cases(), st.sampled_from(["rating", "ranking", "pair"]))
def test_rows_say_what_the_rating_says(case: tuple[Options, Subject, dict[str, Any]], kind: str) -> None:
    chosen, subject, answer = case
    rows, _ = RATING.project(kind, answer, subject, chosen, "q")
    if chosen.of == "item" or not subject.count:
        assert rows == []
    elif kind == "rating":
        given_scores = [{n: s for n, s in one.items() if s is not None} for one in answer["scores"]]
        expected = [(text, s) for text, s in zip(subject.texts, given_scores, strict=True) if s]
        assert [(row["completion"], row["scores"]) for row in rows] == expected
    elif kind == "ranking" and rows:
        shared = [a.name for a in chosen.aspects if all(s[a.name] is not None for s in answer["scores"])]
        means = [sum(s[name] for name in shared) for s in answer["scores"]]
        for one, rank in zip(means, rows[0]["ranks"], strict=True):
            for other, other_rank in zip(means, rows[0]["ranks"], strict=True):
                assert (one > other) == (rank < other_rank)


@given(options(), st.dictionaries(st.sampled_from(["q.score-0-aspect-0", "q.score-1-aspect-0"]), st.text(**SHORT)))
def test_a_hostile_form_is_a_sentence_or_an_answer(chosen: Options, form: dict[str, str]) -> None:
    try:
        answer = RATING.read(Fields(form, "q"), Subject([1, 0], ["a", "b"], "p"), chosen)
    except BadAnswer as wrong:
        assert str(wrong)
    else:
        assert answer is None or RATING.check(answer, Subject([1, 0], ["a", "b"], "p"), chosen) == answer


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"q.score-0-help": "3"}, "Rate answer B on “Help” too."),
        ({"q.score-0-help": "3", "q.score-1-help": "six"}, "whole number, not “six”"),
        ({"q.score-0-help": "3", "q.score-1-help": "6"}, "from 1 to 5, not 6"),
        ({"q.score-0-help": "3", "q.score-1-help": "-"}, "takes a number"),
    ],
)
def test_what_is_wrong_with_a_rating_is_said(form: dict[str, str], told: str) -> None:
    chosen = Options.model_validate({"aspects": [{"name": "help"}]})
    with pytest.raises(BadAnswer, match=told):
        RATING.read(Fields(form, "q"), Subject([1, 0], ["a", "b"], "p"), chosen)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"lowest": 5, "highest": 5}, "2 to 11 points"),
        ({"lowest": 0, "highest": 11}, "it has 12"),
        ({"points": [{"value": 9, "words": "best"}]}, "words for 9"),
        ({"aspects": [{"name": "a"}, {"name": "a"}]}, "Two aspects"),
        ({"aspects": []}, "at least 1"),
        ({"aspects": [{"name": "A b"}]}, "small letters"),
    ],
)
def test_options_that_make_no_sense_are_refused_in_words(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Options.model_validate(wrong)


def test_an_aspect_where_more_is_not_better_stays_out_of_rankings() -> None:
    chosen = Options.model_validate({"aspects": [{"name": "truth"}, {"name": "length", "counts": False}]})
    answer = {"scores": [{"truth": 4, "length": 1}, {"truth": 3, "length": 5}]}
    subject = Subject([0, 1], ["a", "b"], "p")
    assert RATING.project("ranking", answer, subject, chosen, "q").rows[0]["ranks"] == [1, 2]
    [pair] = RATING.project("pair", answer, subject, chosen, "q").rows
    assert (pair["chosen"], pair["rejected"]) == ("a", "b")


@given(st.integers(-10, 9), st.integers(1, 10))
def test_every_point_has_a_key_of_its_own(lowest: int, more: int) -> None:
    chosen = Options(lowest=lowest, highest=lowest + more)
    keys = [chosen.key(value) for value in chosen.scale]
    assert len(set(keys)) == len(keys)
    assert all(len(key) == 1 for key in keys)
