"""What the form says, what the database keeps and what the page shows again are one and the same answer."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from annotation.kinds import KINDS, Fields, Subject, comparison, ranking
from annotation.kinds.answer import BadAnswer, competition_ranks
from annotation.models import Assignment, Judgement
from tests.annotation.test_judging import entered, selected
from tests.builders import add_items, claim, person, project_of, signed_in
from tests.webapp.page_reading import Page

RANKING, COMPARISON = ranking.Ranking(), comparison.Comparison()
PATIENT = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

orders = st.integers(2, 10).flatmap(lambda count: st.permutations(range(count)))
choices = st.sampled_from(["-3", "-2", "-1", "0", "1", "2", "3"])


@st.composite
def rankings(draw: st.DrawFn) -> tuple[list[int], list[int | None]]:
    """An order, and ranks as they were typed from the first answer shown to the last; at least two of them."""
    order = draw(orders)
    ranks = draw(st.lists(st.none() | st.integers(1, len(order)), min_size=len(order), max_size=len(order)))
    if sum(rank is not None for rank in ranks) < 2:
        ranks[0], ranks[1] = 1, 2
    return list(order), ranks


def form_of(ranks: list[int | None]) -> dict[str, str]:
    return {f"ranking.rank-{place}": "" if rank is None else str(rank) for place, rank in enumerate(ranks)}


def as_form(question: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{question}.{name}": value for name, value in fields.items()}


@given(rankings())
def test_a_ranking_is_read_kept_and_shown_as_it_was_meant(case: tuple[list[int], list[int | None]]) -> None:
    order, typed = case
    subject, options = Subject(order), ranking.Options()
    answer = RANKING.read(Fields(form_of(typed), "ranking"), subject, options)
    assert answer is not None
    assert RANKING.check(answer, subject, options) == answer
    for place, position in enumerate(order):
        for other_place, other in enumerate(order):
            one, two = typed[place], typed[other_place]
            kept, other_kept = answer["ranks"][position], answer["ranks"][other]
            assert (kept is None) == (one is None)
            if one is not None and two is not None:
                assert (one < two) == (kept < other_kept)
    shown = RANKING.fields(answer, subject, options)
    assert shown == {f"rank-{n}": "" if rank is None else str(rank) for n, rank in enumerate(competition_ranks(typed))}
    assert RANKING.read(Fields(as_form("ranking", shown), "ranking"), subject, options) == answer
    assert RANKING.ranks(answer, len(order)) == answer["ranks"]
    assert RANKING.from_ranks(answer["ranks"]) == answer


@given(rankings())
def test_the_summary_of_a_ranking_speaks_of_the_letters_that_were_shown(
    case: tuple[list[int], list[int | None]],
) -> None:
    order, typed = case
    subject, options = Subject(order), ranking.Options()
    answer = RANKING.read(Fields(form_of(typed), "ranking"), subject, options)
    assert answer is not None
    summary = RANKING.summary(answer, subject, options)
    ranked, _, left = summary.partition(" (not ranked: ")
    tiers = [set(tier.split(" = ")) for tier in ranked.split(" > ")]
    expected = {rank: {chr(65 + place) for place, one in enumerate(typed) if one == rank} for rank in typed if rank}
    assert tiers == [expected[rank] for rank in sorted(expected)]
    assert set(left.rstrip(")").split(", ")) - {""} == {
        chr(65 + place) for place, one in enumerate(typed) if one is None
    }


@st.composite
def scales(draw: st.DrawFn) -> comparison.Options:
    levels = draw(st.integers(2, 9))
    words = draw(st.sampled_from(["one", "both"])) if levels % 2 else "one"
    return comparison.Options.model_validate({"levels": levels, "tie_words": words})


@given(st.data(), scales(), st.permutations(range(2)))
def test_a_comparison_is_read_kept_and_shown_as_it_was_meant(
    data: st.DataObject, options: comparison.Options, order: list[int]
) -> None:
    subject = Subject(order, ["one", "two"])
    step = data.draw(st.sampled_from(options.steps))
    answer = COMPARISON.read(Fields({"comparison.choice": step.value}, "comparison"), subject, options)
    assert answer is not None
    assert COMPARISON.check(answer, subject, options) == answer
    assert COMPARISON.fields(answer, subject, options) == {"choice": step.value}
    ranks = COMPARISON.ranks(answer, 2)
    pairs, unpaired = (
        COMPARISON.project(kind, answer, subject, options, "comparison") for kind in ("pair", "unpaired")
    )
    if step.value in options.ties:
        assert (answer["winner"], answer["strength"], ranks, pairs.rows) == (0, None, [1, 1], [])
        said = {"0": [], "good": [True, True], "bad": [False, False]}[step.value]
        assert [row["label"] for row in unpaired.rows] == said
        assert pairs.dropped == {"ties": 1}
        return
    better = order[0 if int(step.value) > 0 else 1]
    assert (answer["winner"], answer["strength"], answer["tie"]) == (better + 1, abs(int(step.value)), None)
    assert ranks[better] == 1
    assert ranks[1 - better] == 2
    (pair,) = pairs.rows
    assert (pair["chosen"], pair["margin"]) == (subject.texts[better], abs(int(step.value)))
    assert {row["completion"]: row["label"] for row in unpaired.rows}[pair["chosen"]] is True
    assert COMPARISON.summary(answer, subject, options) == step.text


def test_every_scale_has_its_steps_from_one_end_to_the_other() -> None:
    values = {
        (2, "one"): "1 -1", (3, "one"): "1 0 -1", (3, "both"): "1 good bad -1", (4, "one"): "2 1 -1 -2",
        (7, "one"): "3 2 1 0 -1 -2 -3", (8, "one"): "4 3 2 1 -1 -2 -3 -4",
    }  # fmt: skip
    for (levels, words), said in values.items():
        options = comparison.Options.model_validate({"levels": levels, "tie_words": words})
        assert " ".join(step.value for step in options.steps) == said
        assert (
            len({step.text for step in options.steps})
            == len({step.keys for step in options.steps})
            == len(said.split())
        )


@pytest.mark.parametrize("wrong", [{"levels": 1}, {"levels": 10}, {"levels": 8, "tie_words": "both"}, {"steps": 3}])
def test_a_scale_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        comparison.Options.model_validate(wrong)


@pytest.mark.parametrize(
    ("options", "choice"),
    [({}, "good"), ({}, "4"), ({"levels": 3}, "2"), ({"levels": 8}, "0"), ({"tie_words": "both"}, "0"), ({}, "²")],
)
def test_a_forged_choice_that_the_screen_does_not_offer_is_refused(options: dict[str, Any], choice: str) -> None:
    scale = comparison.Options.model_validate(options)
    with pytest.raises(BadAnswer, match="A choice is one of"):
        COMPARISON.read(Fields({"comparison.choice": choice}, "comparison"), Subject([1, 0]), scale)


def test_a_comparison_from_before_there_was_a_tie_word_is_still_an_answer() -> None:
    subject, options = Subject([1, 0], ["one", "two"]), comparison.Options()
    for old in ({"winner": 0, "strength": None}, {"winner": 2, "strength": 3}):
        assert COMPARISON.check(old, subject, options) == old | {"tie": None}
        assert COMPARISON.summary(old, subject, options) in ("A and B equally good", "A is much better")
        assert COMPARISON.fields(old, subject, options) in ({"choice": "0"}, {"choice": "3"})
        assert COMPARISON.project("unpaired", old, subject, options, "q").dropped in ({"ties": 1}, {})


@given(rankings(), st.booleans(), st.booleans())
def test_a_ranking_that_its_options_do_not_take_is_refused(
    case: tuple[list[int], list[int | None]], partial: bool, ties: bool
) -> None:
    order, typed = case
    options = ranking.Options(partial=partial, ties=ties)
    given_ranks = [rank for rank in typed if rank is not None]
    fits = (partial or None not in typed) and (ties or len(set(given_ranks)) == len(given_ranks))
    try:
        answer = RANKING.read(Fields(form_of(typed), "ranking"), Subject(order), options)
    except BadAnswer as wrong:
        assert not fits
        assert "Rank every answer" in str(wrong) or "no ties" in str(wrong)
    else:
        assert fits
        assert answer is not None


@given(rankings(), st.booleans())
def test_none_acceptable_is_kept_beside_an_order_or_alone(
    case: tuple[list[int], list[int | None]], with_order: bool
) -> None:
    order, typed = case
    subject, options = Subject(order, [f"text {n}" for n in range(len(order))]), ranking.Options(none=True)
    form = (form_of(typed) if with_order else {}) | {"ranking.none": "yes"}
    answer = RANKING.read(Fields(form, "ranking"), subject, options)
    assert answer is not None
    assert answer["none_acceptable"] is True
    assert RANKING.check(answer, subject, options) == answer
    assert (
        RANKING.read(Fields(as_form("ranking", RANKING.fields(answer, subject, options)), "ranking"), subject, options)
        == answer
    )
    assert "none is acceptable" in RANKING.summary(answer, subject, options)
    rows = RANKING.project("unpaired", answer, subject, options, "ranking").rows
    assert [(row["completion"], row["label"]) for row in rows] == [(text, False) for text in subject.texts]
    assert len(RANKING.project("ranking", answer, subject, options, "ranking").rows) == with_order
    with pytest.raises(BadAnswer, match="does not take"):
        RANKING.read(Fields(form, "ranking"), subject, ranking.Options())


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["ranks", "winner", "strength", "tie", "none_acceptable"]), inner, max_size=3)
    ),
)


@given(answer=ANYTHING, count=st.integers(0, 11))
def test_a_stored_shape_is_checked_and_never_a_fault(answer: object, count: int) -> None:
    subject = Subject(range(count), ["some text"] * count)
    for kind in KINDS.values():
        try:
            checked = kind.check(answer, subject, kind.schema())
            assert kind.check(checked, subject, kind.schema()) == checked
        except BadAnswer as wrong:
            assert str(wrong)


@pytest.fixture
def desk(db: None) -> tuple[Client, Assignment]:
    ada = person("ada")
    project = project_of(None, ada)
    add_items(project, 1)
    return signed_in(ada), claim(project, ada)


@PATIENT
@given(
    order=st.permutations(range(4)),
    typed=st.lists(st.none() | st.integers(1, 4), min_size=4, max_size=4).filter(
        lambda r: sum(x is not None for x in r) > 1
    ),
)
def test_a_ranking_over_http_is_stored_and_comes_back_on_the_page(
    desk: tuple[Client, Assignment], order: list[int], typed: list[int | None]
) -> None:
    client, assignment = desk
    Assignment.objects.update(order=order)
    page = f"/p/answers/judge/{assignment.pk}/"
    texts = Page(client.get(page).text).text
    assert sorted(range(4), key=lambda position: texts.index(f"Answer 0.{position}")) == list(order)
    assert client.post(f"{page}submit/", {"key": str(uuid.uuid4()), **form_of(typed)}).status_code == 302
    stored = Judgement.objects.latest("id")
    assert stored.order == list(order)
    assert [stored.answers["ranking"]["ranks"][position] for position in order] == competition_ranks(typed)
    assert selected(client.get(page)) == ["" if rank is None else str(rank) for rank in competition_ranks(typed)]


@pytest.fixture
def scale(db: None) -> tuple[Client, Assignment]:
    ada = person("ada")
    project = project_of(None, ada, question="comparison")
    add_items(project, 1)
    return signed_in(ada), claim(project, ada)


@PATIENT
@given(order=st.permutations(range(2)), choice=choices)
def test_a_comparison_over_http_is_stored_and_comes_back_on_the_page(
    scale: tuple[Client, Assignment], order: list[int], choice: str
) -> None:
    client, assignment = scale
    Assignment.objects.update(order=order)
    page = f"/p/answers/judge/{assignment.pk}/"
    assert client.post(f"{page}submit/", {"key": str(uuid.uuid4()), "comparison.choice": choice}).status_code == 302
    stored = Judgement.objects.latest("id").answers["comparison"]
    better = order[0] if int(choice) > 0 else order[1]
    winner = 0 if choice == "0" else better + 1
    assert stored == {"winner": winner, "strength": abs(int(choice)) or None, "tie": None}
    assert entered(client.get(page)) == {"comparison.choice": choice}
