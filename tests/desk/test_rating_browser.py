"""Rating in a real browser: what is on the screen, what is stored and what is frozen are the same."""

from __future__ import annotations

import random
from typing import Any

import pytest

from annotation.asking import draft
from tests import chromium
from tests.desk.browsing import Desk, OpenDesk
from tests.desk.frozen import frozen

pytestmark = chromium.BROWSER
ASPECTS = [
    {
        "name": "help", "title": "Helpfulness", "help": "Does it answer what was asked?",
        "points": [{"value": 1, "words": "Of no use"}, {"value": 5, "words": "All that was asked"}],
    },
    {"name": "truth", "title": "Truth", "unsure": True},
]  # fmt: skip
RATING = draft("rating", options={"aspects": ASPECTS})


def on_screen(desk: Desk) -> list[dict[str, Any]]:
    """What the radios show, from the first answer to the last."""
    given = desk.fields()
    cells = [
        {a["name"]: given[f"rating.score-{place}-{a['name']}"] for a in ASPECTS} for place in range(len(desk.order))
    ]
    return [{name: None if value == "-" else int(value) for name, value in cell.items()} for cell in cells]


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_what_is_typed_is_shown_stored_and_frozen(open_desk: OpenDesk, seed: int) -> None:
    draw = random.Random(seed)
    desk = open_desk([RATING], answers=3, items=2)
    wanted = [{"help": draw.randint(1, 5), "truth": draw.choice([None, 1, 2, 3, 4, 5])} for _ in range(3)]
    desk.type("".join(f"{one['help']}{one['truth'] or '-'}" for one in wanted))
    assert desk.readout == "All rated"
    assert on_screen(desk) == wanted
    stored = desk.by_position(wanted)
    texts = [f"Answer 0.{n}" for n in range(3)]
    assert desk.save().answers == {"rating": {"scores": stored}}
    rows = {row["completion"]: row["scores"] for row in frozen(desk.project, "rating")}
    assert rows == {
        text: {n: s for n, s in one.items() if s is not None} for text, one in zip(texts, stored, strict=True)
    }


@pytest.mark.slow
def test_keys_move_clear_and_say_what_is_missing(open_desk: OpenDesk) -> None:
    desk = open_desk([RATING], answers=2, items=2)
    desk.type("43")
    desk.press("Backspace")  # the current one is empty: takes back the one before
    desk.press("Enter")
    assert desk.readout == "3 ratings are missing. Next: A, Truth."
    desk.type("2")
    desk.press("ArrowUp", "ArrowUp", "ArrowRight")  # back to A, Helpfulness, one point more
    desk.press("ArrowDown", "ArrowDown")
    desk.type("1-")
    assert on_screen(desk) == [{"help": 5, "truth": 2}, {"help": 1, "truth": None}]
    assert desk.page.locator(".anchor.current h3").inner_text() == "Truth"
    desk.look("rating")
    desk.save()


def test_a_mouse_rates_and_a_correction_shows_what_was_said(open_desk: OpenDesk) -> None:
    desk = open_desk([RATING], answers=2, items=2)
    order = desk.order
    for name, value in (("0-help", 5), ("0-truth", 1), ("1-help", 2), ("1-truth", 3)):
        desk.page.locator(f"input[name='rating.score-{name}'][value='{value}']").click()
    shown = on_screen(desk)
    desk.save(lambda: desk.page.locator("[data-save]").click())
    desk.page.locator("[data-key-last]").click()
    desk.page.wait_for_selector("[data-correcting]")
    desk.ready()
    assert desk.order == order
    assert on_screen(desk) == shown


def test_touch_rates_one_answer_after_the_other(open_desk: OpenDesk) -> None:
    desk = open_desk([RATING], answers=2, phone=True, items=2)
    for name, value in (("0-help", 1), ("0-truth", "-"), ("1-help", 5), ("1-truth", 5)):
        desk.page.locator(f"input[name='rating.score-{name}'][value='{value}']").tap()
    desk.look("rating")
    wanted = desk.by_position([{"help": 1, "truth": None}, {"help": 5, "truth": 5}])
    assert desk.save(lambda: desk.page.locator("[data-save]").tap()).answers["rating"]["scores"] == wanted


@pytest.mark.slow
def test_a_wide_scale_of_many_answers_fits(open_desk: OpenDesk) -> None:
    names = ["helpfulness", "correctness", "verbosity"]
    words = [{"value": 0, "words": "Worst of all, by far"}, {"value": 10, "words": "As good as it can be"}]
    options = {"aspects": [{"name": n} for n in names], "lowest": 0, "highest": 10, "points": words}
    for phone in (False, True):
        desk = open_desk(
            [draft("rating", options=options)], answers=3, phone=phone, name=f"ada-{phone}", slug=f"wide-{phone}"
        )
        desk.page.locator(".marks-of").first.scroll_into_view_if_needed()
        desk.look("rating wide")
        if not phone:
            desk.type("x09")
            assert desk.fields()["rating.score-0-helpfulness"] == "10"


@pytest.mark.slow
def test_the_item_as_a_whole_is_rated(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("rating", options={"of": "item"})], answers=2)
    desk.type("4")
    assert desk.save().answers["rating"] == {"scores": [{"quality": 4}]}
