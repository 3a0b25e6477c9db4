"""What the form says, what the database keeps and what the page shows again are one and the same answer."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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


@given(order=st.permutations(range(2)), choice=choices)
def test_a_comparison_is_read_kept_and_shown_as_it_was_meant(order: list[int], choice: str) -> None:
    subject, options = Subject(order), comparison.Options()
    answer = COMPARISON.read(Fields({"comparison.choice": choice}, "comparison"), subject, options)
    assert answer is not None
    assert COMPARISON.check(answer, subject, options) == answer
    assert COMPARISON.fields(answer, subject, options) == {"choice": choice}
    first_shown_wins = answer["winner"] == order[0] + 1
    assert (int(choice) > 0) == first_shown_wins
    ranks = COMPARISON.ranks(answer, 2)
    assert (int(choice) == 0) == (ranks[0] == ranks[1])
    if int(choice):
        assert ranks[order[0 if int(choice) > 0 else 1]] == 1
    assert COMPARISON.summary(answer, subject, options)[0] == ("A" if int(choice) >= 0 else "B")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["ranks", "winner", "strength"]), inner, max_size=3)
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
    assert stored == {"winner": 0 if choice == "0" else better + 1, "strength": abs(int(choice)) or None}
    assert entered(client.get(page)) == {"comparison.choice": choice}
