"""Comments in a real browser: what is typed is what is stored, with nothing lost to keys of the desk."""

from __future__ import annotations

import pytest

from annotation.asking import draft
from tests import chromium
from tests.desk.browsing import OpenDesk
from tests.desk.frozen import frozen

pytestmark = chromium.BROWSER
HOSTILE = '<script>alert(1)</script> & "it\'s" s?ug\nשלום **x** 🦉'


def test_what_is_typed_is_stored_and_comes_back(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("comparison"), draft("comment")], answers=2, items=2)
    desk.type("3")
    box = desk.page.locator("textarea[name='comment.text']")
    box.click()
    desk.page.keyboard.type(HOSTILE)
    assert box.input_value() == HOSTILE
    desk.look("comment")
    stored = desk.save(lambda: desk.page.locator("[data-save]").click())
    assert stored.answers["comment"] == {"text": HOSTILE}
    desk.page.locator("[data-key-last]").click()
    desk.page.wait_for_selector("[data-correcting]")
    desk.ready()
    assert desk.page.locator("textarea[name='comment.text']").input_value() == HOSTILE
    assert len(frozen(desk.project, "pair")) == 1


@pytest.mark.slow
def test_a_comment_may_be_left_out(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("comparison"), draft("comment")], answers=2, items=2)
    desk.page.locator("input[name='comparison.choice'][value='1']").click()
    desk.page.get_by_role("button", name="Next question").click()
    assert set(desk.save(lambda: desk.page.locator("[data-save]").click()).answers) == {"comparison"}


@pytest.mark.slow
def test_a_comment_that_is_too_short_says_so_and_stays(open_desk: OpenDesk) -> None:
    desk = open_desk(
        [draft("comment", options={"shortest": 10, "placeholder": "What struck you?"})], items=2, phone=True
    )
    box = desk.page.locator("textarea[name='comment.text']")
    box.tap()
    desk.page.keyboard.type("Too short")
    desk.page.locator("[data-save]").tap()
    assert desk.readout == "The comment is too short: at least 10 characters."
    assert box.input_value() == "Too short"
    desk.look("comment")
    desk.page.keyboard.type(", but now it is not.")
    assert desk.save(lambda: desk.page.locator("[data-save]").tap()).answers["comment"]["text"].endswith("it is not.")
