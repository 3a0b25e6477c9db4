"""Ranking in a real browser: what is on the screen, what is stored and what is exported are the same.

Random rankings come from Hypothesis, by mouse, keyboard and touch; a few in the quick suite, more of them under `slow`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from playwright.sync_api import expect

from annotation.asking import draft
from annotation.kinds.answer import competition_ranks
from annotation.models import Judgement, Project
from tests import chromium
from tests.desk.browsing import Desk, OpenDesk
from training import freezing

pytestmark = chromium.BROWSER
LETTERS = "abcdefghij"


def patient(examples: int) -> Callable[..., Any]:
    """No shrinking: an example costs seconds, and the page goes on from where the last one left it."""
    return settings(
        max_examples=examples, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )  # fmt: skip


def tiers_of(ranks: Sequence[int | None]) -> list[list[int]]:
    """Places by tier, best first; what has no rank is in none."""
    given = sorted({rank for rank in ranks if rank is not None})
    return [[place for place, one in enumerate(ranks) if one == rank] for rank in given]


def ranks_as_shown(count: int, *, partial: bool = True) -> st.SearchStrategy[list[int | None]]:
    one: st.SearchStrategy[int | None] = st.integers(1, count)
    ranks = st.lists(one | st.none() if partial else one, min_size=count, max_size=count)
    return ranks.filter(lambda found: sum(rank is not None for rank in found) > 1)


def on_screen(desk: Desk) -> list[list[int]]:
    """The ladder as the page shows it: places by tier, best first."""
    found: list[list[int]] = []
    for rung in desk.page.locator("[data-ladder] .rung").all():
        place = int(rung.get_attribute("data-index") or "")
        if found and rung.locator(".joint.tied").is_visible():
            found[-1].append(place)
        else:
            found.append([place])
    return found


def frozen(project: Project, home: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - pytest-django's settings
    """The ranking rows that a trainer would get, newest judgement last."""
    snapshot = freezing.freeze(project=project, rows="ranking")
    lines = [(freezing.folder(snapshot) / f"{side}.jsonl").read_text("utf-8") for side in freezing.SPLITS]
    return [json.loads(line) for line in "".join(lines).splitlines()]


@pytest.fixture
def store(tmp_path: Any, settings: Any) -> Any:  # noqa: ANN401 - pytest-django's settings
    """Snapshots go to a home of this test."""
    settings.HOME = tmp_path
    return settings


def by_keyboard(desk: Desk, tiers: list[list[int]]) -> None:
    desk.type("".join("=".join(LETTERS[place] for place in tier) for tier in tiers))


def two_at_a_time(desk: Desk, tiers: list[list[int]]) -> int:
    """Answers every question of the desk as the ranking wants it; returns how many there were."""
    rank = {place: number for number, tier in enumerate(tiers) for place in tier}
    asked, question = 0, desk.page.locator("[data-versus-question]")
    if not question.is_visible():
        desk.press("i")
    while desk.page.locator(".answer.placing").count():
        placing, beside = _asked_about(desk)
        if placing not in rank:
            desk.press("x")
        elif beside not in rank or rank[placing] == rank[beside]:
            # the first of all stands there without a question; leave it out by putting the other in its place
            desk.press("=")
        else:
            better = placing if rank[placing] < rank[beside] else beside
            desk.press(["ArrowLeft", "ArrowRight"][better == max(placing, beside)] if asked % 2 else LETTERS[better])
        asked += 1
    return asked


def _asked_about(desk: Desk) -> tuple[int, int]:
    placing = int(desk.page.locator(".answer.placing").get_attribute("data-answer") or "")
    shown = [int(card.get_attribute("data-answer") or "") for card in desk.page.locator(".answer:visible").all()]
    assert len(shown) == 2, "only the two that are asked about stand on the page"
    return placing, next(place for place in shown if place != placing)


def by_buttons(desk: Desk, tiers: list[list[int]]) -> None:
    """With the mouse: the button in an answer's head ranks it next, the sign between two ties them."""
    page = desk.page
    for place in (place for tier in tiers for place in tier):
        page.locator(f"[data-rank-next={LETTERS[place].upper()}]").click()
    for place in (place for tier in tiers for place in tier[1:]):
        page.locator(f"[data-ladder] [data-index='{place}'] .joint").click()


def by_touch(desk: Desk, tiers: list[list[int]]) -> None:
    page = desk.page
    for place in (place for tier in tiers for place in tier):
        page.locator(f"[data-rank-next={LETTERS[place].upper()}]").tap()
    for place in (place for tier in tiers for place in tier[1:]):
        page.locator(f"[data-ladder] [data-index='{place}'] .joint").tap()


def by_dragging(desk: Desk, tiers: list[list[int]]) -> None:
    """From the bin to the end of the ladder, grip by grip."""
    page = desk.page
    for place in (place for tier in tiers for place in tier):
        grip = page.locator(f"[data-pool] [data-index='{place}'] .grip")
        last = page.locator("[data-ladder] .rung").last
        start = grip.bounding_box()
        target = last if last.count() else page.locator("[data-ladder]")
        end = target.bounding_box()
        assert start and end
        page.mouse.move(start["x"] + 12, start["y"] + 12)
        page.mouse.down()
        page.mouse.move(start["x"] + 30, start["y"] - 6, steps=4)
        page.mouse.move(end["x"] + end["width"] - 6, end["y"] + end["height"] / 2, steps=8)
        page.wait_for_timeout(120)  # the library looks where the pointer is twenty times a second
        page.mouse.up()
        expect(page.locator(f"[data-ladder] [data-index='{place}']")).to_be_visible()
    _mend_order(desk, [place for tier in tiers for place in tier])
    for place in (place for tier in tiers for place in tier[1:]):
        page.locator(f"[data-ladder] [data-index='{place}'] .joint").click()


def _mend_order(desk: Desk, wanted: list[int]) -> None:
    """Where a drop fell one place off, the buttons put it right, as somebody would."""
    for at, place in enumerate(wanted):
        while [tier[0] for tier in on_screen(desk)].index(place) > at:
            desk.page.locator(f"[data-ladder] [data-index='{place}'] .better").click()


WAYS = {"keyboard": by_keyboard, "buttons": by_buttons, "dragging": by_dragging, "touch": by_touch}


def said_and_kept(desk: Desk, ranks: list[int | None], how: Callable[[Desk, list[list[int]]], object]) -> None:
    """Ranks the item on the screen and goes on: screen, database and rows for a trainer agree."""
    tiers, wanted = tiers_of(ranks), desk.by_position(competition_ranks(ranks))
    texts = [response.text for response in desk.item.responses.order_by("position")]
    how(desk, tiers)
    assert [sorted(tier) for tier in on_screen(desk)] == tiers
    stored = _save(desk)
    assert stored.answers["ranking"] == {"ranks": wanted}
    (row,) = [row for row in frozen(desk.project, None) if row["item"] == stored.item.key]
    assert (row["completions"], row["ranks"]) == (texts, wanted)


def _save(desk: Desk) -> Judgement:
    """By the button where there is no keyboard; once more where the desk asks whether something is left out."""
    press = desk.page.locator("[data-save]")
    left = desk.page.locator("[data-pool] .rung").count() > 0

    def save() -> None:
        for _ in range(2 if left else 1):
            press.tap() if desk.phone else press.click()

    return desk.save(save)


@pytest.mark.parametrize("way", ["keyboard", "dragging"])
def test_a_ranking_on_the_screen_is_the_one_stored_and_exported(open_desk: OpenDesk, store: Any, way: str) -> None:  # noqa: ANN401
    desk = open_desk([draft("ranking")], items=3, answers=4)

    @patient(1 if way == "dragging" else 2)
    @given(ranks_as_shown(4))
    def check(ranks: list[int | None]) -> None:
        said_and_kept(desk, ranks, WAYS[way])

    check()


def test_a_ranking_by_touch_is_the_one_stored_and_exported(open_desk: OpenDesk, store: Any) -> None:  # noqa: ANN401
    desk = open_desk([draft("ranking")], items=3, answers=4, phone=True)

    @patient(2)
    @given(ranks_as_shown(4))
    def check(ranks: list[int | None]) -> None:
        said_and_kept(desk, ranks, by_touch)

    check()


def test_two_at_a_time_ends_with_the_ranking_that_was_meant(open_desk: OpenDesk, store: Any) -> None:  # noqa: ANN401
    desk = open_desk([draft("ranking", options={"way": "insertion"})], items=4, answers=5)

    @patient(2)
    @given(ranks_as_shown(5, partial=False))
    def check(ranks: list[int | None]) -> None:
        said_and_kept(desk, ranks, lambda desk, tiers: _few_enough(two_at_a_time(desk, tiers), 5))

    check()


def _few_enough(asked: int, count: int) -> None:
    assert asked <= sum(math.ceil(math.log2(n)) for n in range(2, count + 1)), f"{asked} questions for {count} answers"


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("answers", [2, 7, 10])
def test_many_rankings_are_stored_as_they_stand(open_desk: OpenDesk, store: Any, way: str, answers: int) -> None:  # noqa: ANN401
    desk = open_desk([draft("ranking")], items=9, answers=answers, phone=way == "touch")

    @patient(8)
    @given(ranks_as_shown(answers))
    def check(ranks: list[int | None]) -> None:
        said_and_kept(desk, ranks, WAYS[way])

    check()


@pytest.mark.slow
@pytest.mark.parametrize("answers", [2, 4, 7, 10])
def test_many_rankings_two_at_a_time(open_desk: OpenDesk, store: Any, answers: int) -> None:  # noqa: ANN401
    desk = open_desk([draft("ranking", options={"way": "insertion"})], items=9, answers=answers)

    @patient(8)
    @given(ranks_as_shown(answers, partial=False))
    def check(ranks: list[int | None]) -> None:
        said_and_kept(desk, ranks, lambda desk, tiers: _few_enough(two_at_a_time(desk, tiers), answers))

    check()


@pytest.mark.slow
def test_a_decision_is_taken_back_step_by_step(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("ranking")], answers=4)
    question = desk.page.locator("[data-versus-question]")
    desk.press("i")
    expect(question).to_have_text("Which is better, A or B?")
    desk.press("b", "=")
    assert desk.readout == "B > A = C"
    expect(question).to_have_text("Is D better than #2 (A = C)?")
    tops = desk.page.locator(".answer:visible").evaluate_all("all => all.map((one) => one.getBoundingClientRect().top)")
    assert len(tops) == 2
    assert tops[0] == tops[1], "side by side"
    desk.press("Backspace")
    assert desk.readout == "B > A"
    expect(question).to_have_text("Is C better than #2 (A)?")
    desk.press("Backspace", "Backspace")
    assert desk.readout == ""
    expect(question).to_have_text("Which is better, A or B?")
    expect(desk.page.get_by_role("button", name="Back")).to_be_disabled()


@pytest.mark.slow
def test_an_answer_is_left_out_two_at_a_time(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("ranking")], items=2, answers=3)
    wanted = desk.by_position([2, None, 1])
    desk.press("i", "x", "c")
    assert desk.readout == "C > A"
    desk.press("Enter")
    assert "without B" in desk.readout
    assert desk.save().answers["ranking"]["ranks"] == wanted


@pytest.mark.slow
def test_the_way_of_ranking_is_remembered(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("ranking")], items=2)
    desk.press("i")
    desk.open()
    expect(desk.page.locator("[data-versus-question]")).to_be_visible()
    desk.press("i")
    desk.open()
    expect(desk.page.locator("[data-versus-question]")).to_be_hidden()
    expect(desk.page.locator(".answer:visible")).to_have_count(4)


@pytest.mark.slow
def test_the_focus_is_never_lost_where_answers_step_aside(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("ranking")])
    desk.answer("D").focus()
    desk.press("i")
    assert desk.page.evaluate("document.activeElement !== document.body")
    button = desk.page.locator("[data-verdict=first]")
    button.focus()
    for _ in range(6):
        if button.is_visible():
            button.press("Enter")
    assert desk.page.evaluate("document.activeElement.matches('[data-versus-question]')")


@pytest.mark.slow
def test_two_big_buttons_do_on_a_phone(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("ranking", options={"way": "insertion"})], items=2, answers=3, phone=True)
    wanted = desk.by_position([2, 3, 1])
    assert "Which is better, A or B?" in desk.readout
    desk.page.locator("[data-rank-next=A]").tap()
    desk.page.get_by_role("button", name="C is better").last.tap()
    desk.page.get_by_role("button", name="C is better").first.tap()
    assert desk.readout == "C > A > B"
    assert desk.save(lambda: desk.page.locator("[data-save]").tap()).answers["ranking"]["ranks"] == wanted


@pytest.mark.slow
def test_a_finger_scrolls_over_answers_and_ladder_and_moves_only_what_it_grips(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("ranking")], answers=6, phone=True)
    page = desk.page
    for letter in "ABCDEF":
        page.locator(f"[data-rank-next={letter}]").tap()
    page.evaluate("scrollTo(0, 0)")
    for start in (page.locator(".answer[data-letter=B] .prose"), page.locator("[data-ladder] [data-index='2'] .out")):
        start.scroll_into_view_if_needed()
        before = page.evaluate("scrollY")
        _swipe(desk, start, 0, -180 if before < 200 else 180)
        assert page.evaluate("scrollY") != before
        assert desk.readout == "A > B > C > D > E > F"
    grip, target = page.locator("[data-ladder] [data-index='3'] .grip"), page.locator("[data-ladder] [data-index='1']")
    page.locator("[data-ladder] [data-index='2']").scroll_into_view_if_needed()
    end, start_box = target.bounding_box(), grip.bounding_box()
    assert end and start_box
    before = page.evaluate("scrollY")
    _swipe(desk, grip, 0, end["y"] - start_box["y"] - 20, hold_ms=250)
    assert page.evaluate("scrollY") == before
    order = [tier[0] for tier in on_screen(desk)]
    assert order.index(3) < 3, order
    assert sorted(order) == list(range(6))


def _swipe(desk: Desk, start: Any, dx: float, dy: float, hold_ms: int = 0) -> None:  # noqa: ANN401 - a Locator
    """A real touch, by the browser's own protocol: down, perhaps held, moved in steps, up."""
    box = start.bounding_box()
    x, y = box["x"] + min(12, box["width"] / 2), box["y"] + min(12, box["height"] / 2)
    touch = desk.page.context.new_cdp_session(desk.page)
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    desk.page.wait_for_timeout(hold_ms)
    for step in range(1, 13):
        at = {"x": x + dx * step / 12, "y": y + dy * step / 12}
        touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [at]})
        desk.page.wait_for_timeout(16)
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    desk.page.wait_for_timeout(300)
    touch.detach()


def test_none_of_them_is_acceptable_with_and_without_an_order(open_desk: OpenDesk, store: Any) -> None:  # noqa: ANN401
    desk = open_desk([draft("ranking", options={"none": True})], items=3, answers=3)
    wanted = desk.by_position([2, 1, 2])
    desk.type("ba=cn")
    assert desk.readout == "B > A = C · none is acceptable"
    assert desk.save().answers["ranking"] == {"ranks": wanted, "none_acceptable": True}
    desk.press("n")
    assert desk.save().answers["ranking"] == {"ranks": [None] * 3, "none_acceptable": True}
    snapshot = freezing.freeze(project=desk.project, rows="unpaired")
    rows = "".join((freezing.folder(snapshot) / f"{side}.jsonl").read_text("utf-8") for side in freezing.SPLITS)
    assert [json.loads(line)["label"] for line in rows.splitlines()] == [False] * 6


@pytest.mark.slow
def test_where_all_must_be_ranked_without_ties_the_desk_sees_to_it(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("ranking", options={"partial": False, "ties": False})], items=2, answers=3)
    wanted = desk.by_position([3, 1, 2])
    desk.type("b=c")
    assert desk.readout == "B > C"
    desk.press("Enter", "Enter")
    assert desk.readout == "Still to rank: A."
    assert not desk.stored().exists()
    desk.press("a")
    expect(desk.page.locator("[data-ladder] .joint").last).to_be_disabled()
    assert desk.save().answers["ranking"]["ranks"] == wanted


@pytest.mark.slow
@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
def test_every_state_of_a_ranking_is_clean(open_desk: OpenDesk, phone: bool) -> None:
    desk = open_desk([draft("ranking", options={"none": True})], answers=4, phone=phone)
    desk.type("b")
    desk.look("ranking, one ranked")
    desk.press("i", "ArrowLeft")
    desk.look("two at a time")
