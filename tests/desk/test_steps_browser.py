"""Several questions about one item: whose turn it is, what Enter does, and where one looks."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from annotation import starting_points
from annotation.asking import draft
from tests import chromium
from tests.desk.browsing import DESKTOP, Desk, OpenDesk

pytestmark = chromium.BROWSER
WORDS = "The sky is blue because the air scatters short waves more than long ones, in all directions. " * 9
RATING = draft("rating", options={"lowest": 1, "highest": 7})
FLAGS = draft(
    "label", required=False, options={"labels": "Harmful\nOff topic\nMade up", "of": "answer", "many": True, "least": 0}
)


def long_answers(items: int = 2, answers: int = 4) -> list[dict[str, Any]]:
    return [
        {"id": f"{n}", "prompt": f"Why is the sky blue? ({n})", "responses": [f"{m}. {WORDS}" for m in range(answers)]}
        for n in range(items)
    ]


def instructgpt(open_desk: OpenDesk, **more: Any) -> Desk:  # noqa: ANN401 - whatever open_desk takes
    (point,) = [one for one in starting_points.offered() if one.slug == "instructgpt"]
    return open_desk(point.questions(), records=long_answers(), items=0, **more)


def on_screen(desk: Desk, selector: str) -> bool:
    """Whether the top of something is to be seen, above the dock."""
    return desk.page.locator(selector).first.evaluate(
        """element => {
          const { top } = element.getBoundingClientRect();
          return top >= 0 && top < innerHeight - document.querySelector("[data-dock]").clientHeight;
        }"""
    )


def turn(desk: Desk) -> str | None:
    return desk.page.locator("[data-step][aria-current]").get_attribute("data-step")


def button(desk: Desk) -> str:
    return " ".join(desk.page.locator("[data-save]").inner_text().split())


def test_four_questions_are_answered_one_after_the_other(open_desk: OpenDesk) -> None:
    desk = instructgpt(open_desk)
    steps = desk.page.locator("[data-step]")
    names = [step.get_attribute("data-step") for step in steps.all()]
    assert (turn(desk), button(desk)) == ("quality", "Next question Enter")
    assert desk.page.locator("[data-step].answered").count() == 0
    expect(desk.page.locator("[data-rank-next]:visible")).to_have_count(0)
    desk.look("steps, the first question")

    desk.type("3542")
    assert (turn(desk), desk.readout) == ("quality", "All rated")
    desk.type("6")  # the last one again
    assert desk.fields()["quality.score-3-overall"] == "6"
    desk.press("Enter")
    assert turn(desk) == "flags"
    assert on_screen(desk, ".piece.turn-now")
    assert desk.page.locator("[data-step].answered").count() == 1
    desk.type("1")
    desk.look("steps, the second question")

    desk.press("Enter")
    assert turn(desk) == "ranking"
    assert on_screen(desk, ".answer[data-letter=A]")
    assert desk.page.evaluate("document.activeElement.dataset.letter") == "A"
    expect(desk.page.locator("[data-rank-next]:visible")).to_have_count(4)
    desk.type("abcd")
    desk.look("steps, the third question")

    desk.press("Enter")
    assert (turn(desk), button(desk)) == ("comment", "Save and next Ctrl Enter")
    assert desk.page.locator("[data-step].answered").count() == 3
    desk.page.keyboard.type("Fine.")
    desk.look("steps, the fourth question")
    stored = desk.save(lambda: desk.press("Control+Enter")).answers
    assert set(stored) == set(names)
    assert stored["quality"]["scores"] == desk_scores(stored)


def desk_scores(stored: dict[str, Any]) -> list[dict[str, int]]:
    """A is ranked first and was given 3 points, and so on."""
    points = [3, 5, 4, 6]
    return [{"overall": points[rank - 1]} for rank in stored["ranking"]["ranks"]]


@pytest.mark.slow
def test_what_was_said_stays_to_be_seen_and_leads_back(open_desk: OpenDesk) -> None:
    desk = open_desk([RATING, FLAGS, draft("ranking")], records=long_answers(), items=0)
    desk.type("7654")
    desk.press("Enter", "2", "Enter")
    expect(desk.page.locator(".answer .point:visible")).to_have_text(["7", "6", "5", "4"])
    expect(desk.page.locator(".answer .tag:visible")).to_have_count(1)
    desk.page.locator("[data-piece=label]:visible").click()
    assert turn(desk) == "label"
    assert desk.page.locator(".answer :checked").count() == 5, "the press takes nothing back"
    expect(desk.page.locator("[data-rank-next]:visible")).to_have_count(0)


@pytest.mark.slow
def test_two_at_a_time_hides_nothing_while_something_else_is_asked(open_desk: OpenDesk) -> None:
    desk = open_desk([RATING, draft("ranking", options={"way": "insertion"})], records=long_answers(), items=0)
    expect(desk.page.locator(".answer:visible")).to_have_count(4)
    desk.press("D")
    expect(desk.page.locator(".answer:visible")).to_have_count(2)
    desk.type("1234")
    assert desk.readout == "All rated"
    desk.press("D", "Enter")
    expect(desk.page.locator("[data-versus-question]")).to_have_text("Which is better, A or B?")
    expect(desk.page.locator(".answer:visible")).to_have_count(2)
    desk.look("steps, two at a time")


@pytest.mark.slow
def test_escape_leaves_a_text_and_single_keys_work_again(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("comparison"), draft("comment")], answers=2)
    desk.press("1", "Enter")
    desk.page.keyboard.type("u?")
    assert button(desk) == "Save and next Ctrl Enter"
    desk.press("Escape")
    assert button(desk) == "Save and next Enter"
    assert desk.page.evaluate("document.activeElement.dataset.question") == "comment"
    desk.press("?")
    expect(desk.page.locator("#keys")).to_be_visible()


@pytest.mark.slow
def test_a_correction_is_saved_from_where_one_is(open_desk: OpenDesk) -> None:
    desk = open_desk([RATING, FLAGS, draft("comment", required=False)], items=2, answers=2)
    desk.type("12")
    desk.press("Enter", "Enter")
    desk.save(lambda: desk.press("Control+Enter"))
    desk.press("u")
    expect(desk.page.get_by_text("You are correcting an answer you gave")).to_be_visible()
    assert button(desk) == "Save the correction Enter"
    wanted = desk.by_position([{"quality": 7}, {"quality": 2}])
    desk.type("7")
    assert desk.save().answers["rating"]["scores"] == wanted


@pytest.mark.slow
def test_on_a_phone_each_answer_is_rated_and_flagged_where_it_is_read(open_desk: OpenDesk) -> None:
    desk = instructgpt(open_desk, phone=True)
    for place in range(4):
        desk.page.locator(f"input[name='quality.score-{place}-overall'][value='{place + 2}']").tap()
        desk.page.locator(f"input[name='flags.label-{place}'][value=made-up]").tap()
    assert turn(desk) == "flags"
    desk.look("steps, phone")
    desk.page.get_by_role("button", name="Next question").tap()
    assert turn(desk) == "ranking"
    assert on_screen(desk, ".answer[data-letter=A]")
    for letter in "CABD":
        desk.page.locator(f"[data-rank-next={letter}]").tap()
    assert desk.readout == "C > A > B > D"
    desk.look("steps, phone ranking")
    desk.page.get_by_role("button", name="Next question").tap()
    assert desk.save(lambda: desk.page.get_by_role("button", name="Save and next").tap()).answers["ranking"]


@pytest.mark.slow
def test_on_a_phone_questions_stand_as_they_are_asked_and_the_steps_in_the_bar(open_desk: OpenDesk) -> None:
    questions = [draft("ranking"), draft("comment", required=False), draft("rating", options={"of": "item"})]
    desk = open_desk(questions, records=long_answers(), items=0, phone=True)

    def tops() -> list[float]:
        script = "all => all.map(one => one.getBoundingClientRect().top)"
        return [top for name in ("ranking", "comment", "rating") for top in desk.question(name).evaluate_all(script)]

    assert tops() == sorted(tops())
    expect(desk.page.locator("[data-steps]")).to_be_in_viewport(ratio=1)
    expect(desk.page.locator("[data-save]")).to_be_in_viewport(ratio=1)
    desk.page.locator("[data-step=comment]").tap()
    assert turn(desk) == "comment"
    box = desk.page.locator("[name='comment.text']")
    expect(box).to_be_focused()
    expect(box).to_be_in_viewport(ratio=1)
    edges = box.evaluate(
        "box => [box.getBoundingClientRect().bottom, document.querySelector('[data-steps]').getBoundingClientRect().top]"
    )
    assert edges[0] <= edges[1]
    desk.look("steps, phone in order")
    desk.page.set_viewport_size(DESKTOP)  # turned, or another screen: the ranking is docked again
    desk.page.locator("[data-step=ranking]").click()
    assert desk.page.locator("[data-dock] [data-question=ranking]").count() == 1
    expect(desk.question("ranking")).to_be_in_viewport()
