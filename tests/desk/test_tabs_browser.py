"""Several tabs, a page that is left or loaded again, and what the desk says when time passes."""

from __future__ import annotations

import pytest
from playwright.sync_api import Dialog, Page, Request, expect

from annotation.asking import draft
from annotation.models import Assignment, Item, Project
from tests import chromium
from tests.desk.browsing import Desk, OpenDesk

pytestmark = [*chromium.BROWSER, pytest.mark.slow]
RANKING = [draft("ranking")]


def second_tab(desk: Desk) -> Desk:
    return Desk(desk.page.context.new_page(), desk.project, desk.user).open()


def wait_with(desk: Desk, count: int) -> None:
    """Answers so many items while no answer reaches the server."""
    desk.page.context.route("**/submit/", lambda route: route.abort())
    for _ in range(count):
        shown = desk.key
        desk.type("abcd")
        desk.press("Enter")
        desk.wait(lambda shown=shown: desk.key != shown, "the next item does not come")
    expect(desk.page.locator("[data-state]")).to_contain_text(f"Not connected: {count} waiting")


def test_two_tabs_share_what_waits_and_send_each_answer_once(open_desk: OpenDesk) -> None:
    desk = open_desk(RANKING, items=5)
    desk.wait(lambda: Assignment.objects.count() == 3, "nothing is fetched ahead")
    other = second_tab(desk)
    wait_with(desk, 2)
    expect(other.page.locator("[data-state]")).to_contain_text("2 waiting")
    context, sent = desk.page.context, []
    context.unroute("**/submit/")

    def note(request: Request) -> None:
        if request.url.endswith("/submit/"):
            sent.append(request.url)

    context.on("request", note)
    for tab in (desk, other):
        tab.page.evaluate("void dispatchEvent(new Event('online'))")
    desk.wait(lambda: desk.stored().count() == 2, "they do not arrive")
    for tab in (desk, other):
        expect(tab.page.locator("[data-state]")).not_to_contain_text("waiting")
    assert len(sent) == len(set(sent)) == 2
    desk.watch.forgive("net::ERR_FAILED")


def test_a_tab_that_holds_the_lock_for_ever_stops_no_other(open_desk: OpenDesk) -> None:
    desk = open_desk(RANKING, items=3)
    prefix = f"desk/{desk.user.pk}/{desk.project.slug}/out/"
    sleeping = desk.page.context.new_page()
    sleeping.goto(f"/p/{desk.project.slug}/judge/")
    sleeping.evaluate("name => void navigator.locks.request(name, () => new Promise(() => {}))", prefix)
    desk.type("abcd")
    desk.press("Enter")
    desk.page.wait_for_timeout(2000)
    assert desk.stored().count() == 0  # it waits for its turn
    desk.wait(lambda: desk.stored().count() == 1, "it waits for ever")


def leave(page: Page) -> bool:
    """Whether the browser asked before it let go of the page."""
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    page.close(run_before_unload=True)
    for _ in range(100):
        if asked or page.is_closed():
            break
        page.context.pages[0].wait_for_timeout(50)
    assert bool(asked) != page.is_closed()
    return asked == ["beforeunload"]


def test_leaving_asks_only_where_something_would_be_lost(open_desk: OpenDesk) -> None:
    desk = open_desk(RANKING, items=2)
    kept = second_tab(desk)
    kept.type("ab")
    assert not leave(kept.page)  # the draft is on this computer
    lost = second_tab(desk)
    full = "() => { Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); } }"
    lost.page.evaluate(full)
    lost.type("cd")
    assert leave(lost.page)  # at once: after a moment the server has it
    lost.page.close()


def test_after_a_reload_one_writes_on_where_one_was(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("ranking"), draft("comment", required=False)], items=2)
    box = desk.page.locator("[name='comment.text']")
    box.fill("The second names a source.")
    for _ in range(7):
        desk.press("ArrowLeft")
    desk.open()
    expect(box).to_be_focused()
    desk.page.keyboard.type("good ")
    expect(box).to_have_value("The second names a good source.")
    expect(desk.page.locator("[data-step][aria-current]")).to_have_attribute("data-step", "comment")
    desk.press("Escape")
    desk.open()
    assert desk.page.evaluate("document.activeElement === document.body")


def test_starting_over_asks_and_a_ranking_comes_back(open_desk: OpenDesk) -> None:
    desk = open_desk(RANKING, items=1)
    desk.type("bd=a")
    desk.press("0")
    expect(desk.page.locator("[data-say]")).to_have_text("Started over; Backspace brings it back.")
    assert desk.readout == ""
    desk.press("Backspace")
    assert desk.readout == "B > D = A"
    desk.press("0", "c", "Backspace", "Backspace")
    assert desk.readout == ""  # what came after it was new
    desk.type("bd")
    desk.open()
    note = desk.page.locator("[data-draft-note]")
    note.get_by_role("button", name="Start over").click()
    expect(note.get_by_role("button", name="Keep it")).to_be_focused()
    desk.look("flow, start over?")
    desk.press("Enter")
    expect(note.get_by_role("button", name="Start over")).to_be_focused()
    assert desk.readout == "B > D"
    note.get_by_role("button", name="Start over").click()
    note.get_by_role("button", name="Throw the draft away").click()
    expect(note).to_be_hidden()
    assert desk.readout == ""


def test_a_correction_leads_back_to_the_search_it_came_from(open_desk: OpenDesk) -> None:
    desk = open_desk(RANKING, items=2)
    first = desk.item
    desk.type("abcd")
    desk.save()
    words = first.prompt[0]["content"]
    search = f"/p/{desk.project.slug}/mine/?words={words.split()[1]}"
    for leave_it in (True, False):
        desk.page.goto(search)
        desk.page.get_by_role("link", name="Correct").click()
        desk.ready()
        assert desk.item == first
        if leave_it:
            desk.press("Escape")
        else:
            desk.type("dcba")
            desk.press("Enter")
        desk.page.wait_for_url("**/mine/?words=*")
        expect(desk.page.get_by_label("Words")).to_have_value(words.split()[1])
        assert desk.stored().count() == (1 if leave_it else 2)


def pass_time(desk: Desk, *steps: str) -> None:
    """Time of the page's own clock, with a sign of work before each step."""
    for step in steps:
        desk.page.mouse.move(300 + len(step), 300)
        desk.page.mouse.move(310, 310)
        desk.page.clock.fast_forward(step)


def test_a_break_is_suggested_after_work_and_not_after_waiting(open_desk: OpenDesk) -> None:
    desk = open_desk(RANKING, items=2)
    Project.objects.update(break_minutes=3)
    desk.page.clock.install()
    desk.open()
    hint = desk.page.get_by_text("A short break keeps your eye sharp")
    desk.page.clock.fast_forward("10:00")  # nobody was there
    expect(hint).to_be_hidden()
    pass_time(desk, *["00:25"] * 4)
    expect(hint).to_be_hidden()
    pass_time(desk, *["00:25"] * 4)
    expect(hint).to_be_visible()
    desk.look("flow, break")
    desk.page.get_by_role("button", name="All right").click()
    expect(hint).to_be_hidden()
    assert desk.page.evaluate("document.activeElement.matches('[data-desk]')")


def test_a_lease_that_runs_out_is_said_and_work_renews_it(open_desk: OpenDesk) -> None:
    desk = open_desk(RANKING, items=2)
    desk.page.clock.install()
    desk.open()
    notice = desk.page.get_by_text("This item is kept for you only a little longer")
    desk.page.clock.fast_forward("56:00")
    expect(notice).to_be_hidden()
    desk.page.clock.fast_forward("02:00")
    expect(notice).to_be_visible()
    desk.look("flow, lease")
    pass_time(desk, "00:10", "00:10")
    expect(notice).to_be_hidden()
    Assignment.objects.update(state=Assignment.EXPIRED, slot=None)
    desk.page.clock.fast_forward("57:30")
    pass_time(desk, "00:20", "00:20")
    expect(notice).to_be_visible()  # it is not theirs any more
    Item.objects.update(free=1)
    desk.type("abcd")
    desk.save()  # and the work is taken all the same, where nobody else did it
