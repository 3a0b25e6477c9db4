"""Flags from the desk in a browser: without leaving the item, by key and by touch, and what a lead sees of them."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from annotation.asking import draft
from annotation.models import Assignment, Flag
from tests import chromium
from tests.builders import person
from tests.desk.browsing import Desk, OpenDesk
from webapp.people.permitting import LEAD

pytestmark = chromium.BROWSER


def flags(desk: Desk) -> list[tuple[str, str]]:
    return list(Flag.objects.filter(item__project=desk.project).order_by("id").values_list("reason", "note"))


def test_a_flag_goes_out_in_the_background_and_the_item_stays(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("ranking")], guidelines="", items=2)
    item = desk.item
    desk.type("ab")
    desk.press("!")
    expect(desk.page.locator("#flag")).to_be_visible()
    desk.look("flag", within="#flag")
    expect(desk.page.locator("#flag :checked")).to_have_count(0)
    desk.page.keyboard.press("2")
    expect(desk.page.get_by_label("Holds personal data")).to_be_checked()
    desk.page.locator("#flag-note").fill("A name in B.")
    desk.page.get_by_role("button", name="Flag it").click()
    desk.wait(lambda: flags(desk) == [("personal data", "A name in B.")], "no flag was stored")
    expect(desk.page.locator("#flag")).to_be_hidden()
    expect(desk.page.locator("[data-state]")).to_have_text("Flagged. A lead looks at it.")
    expect(desk.page.locator("[data-flagged]")).to_be_visible()
    assert desk.item == item
    assert desk.readout == "A > B"


@pytest.mark.slow
def test_one_that_is_flagged_can_be_skipped_at_once(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("ranking")], guidelines="", items=2, phone=True)
    assignment = desk.assignment
    desk.page.locator("[data-key-flag]").tap()
    desk.page.get_by_label("Harmful").tap()
    desk.page.get_by_text("Skip it too").tap()
    desk.look("flag, phone", within="#flag")
    desk.page.get_by_role("button", name="Flag it").tap()
    desk.wait(lambda: flags(desk) == [("harmful", "")], "no flag was stored")
    desk.wait(lambda: Assignment.objects.get(pk=assignment.pk).state == Assignment.SKIPPED, "it was not skipped")
    desk.wait(lambda: desk.assignment != assignment, "the next item does not come")


@pytest.mark.slow
def test_a_lead_sees_the_flags_and_settles_one(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("ranking")], guidelines="", items=2)
    Flag.objects.create(
        item=desk.item, member=desk.project.memberships.get(user=desk.user), reason="harmful", note="Look at B."
    )
    lin = person("lin")
    desk.project.memberships.create(user=lin, role=LEAD, pseudonym="p-lin")
    leading = open_desk.another(desk.project, lin).open(f"/p/{desk.project.slug}/flags/")
    page = leading.page
    leading.look("flags")
    page.get_by_role("textbox").fill("Taken out of the project.")
    page.get_by_role("button", name="Settle the flag").click()
    expect(page.get_by_text("No open flags")).to_be_visible()
    page.goto(f"/p/{desk.project.slug}/items/{desk.item.pk}/")
    page.get_by_text("Topic and warning").click()
    leading.look("item, topic and warning")
