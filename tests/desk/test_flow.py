"""The flow of the desk: the next item at once, nothing lost, the way back, two tabs, drafts."""

from __future__ import annotations

import pytest
from playwright.sync_api import Route, expect

from annotation import belonging
from annotation.asking import draft
from annotation.models import Assignment, Draft, Item, Judgement
from tests import chromium
from tests.builders import person
from tests.desk.browsing import Desk, OpenDesk
from webapp.people.models import User

pytestmark = chromium.BROWSER

RANKING = [draft("ranking")]


def state(desk: Desk) -> str:
    return desk.page.locator("[data-state]").inner_text()


def answer(desk: Desk) -> None:
    """Ranks what is shown, and sends it."""
    shown = desk.key
    desk.type("abcd")
    desk.press("Enter")
    desk.wait(lambda: desk.key != shown, "the next item does not come")


def cut(desk: Desk) -> None:
    """The network is gone."""
    desk.page.route("**/judge/**", lambda route: route.abort())


def mend(desk: Desk) -> None:
    desk.page.unroute("**/judge/**")
    desk.page.evaluate("dispatchEvent(new Event('online'))")
    desk.wait(lambda: "Not connected" not in state(desk), "it stays away")
    desk.watch.forgive("net::ERR_FAILED")


def all_stored(desk: Desk, count: int) -> None:
    desk.wait(lambda: desk.stored().count() == count, f"not {count} stored")
    assert Judgement.objects.filter(version=1).count() == count


def test_the_next_item_stands_at_once_and_the_page_is_never_left(open_desk: OpenDesk) -> None:
    desk = open_desk(RANKING, items=5)
    desk.page.evaluate("window.stayed = true")
    for _ in range(4):
        answer(desk)
        assert desk.page.evaluate("document.activeElement.matches('[data-desk]')")
        assert desk.page.locator("[data-say]").inner_text().startswith("Next item: Question")
    all_stored(desk, 4)
    assert desk.page.evaluate("window.stayed")
    expect(desk.page.locator("[data-progress=mine]")).to_have_text("4 of 5 judged by you")
    expect(desk.page.locator("[data-state]")).to_contain_text("Saved")
    desk.look("flow, after four")
    desk.type("abcd")
    desk.press("Enter")
    expect(desk.page.get_by_role("heading", name="You are through")).to_be_visible()
    all_stored(desk, 5)


@pytest.mark.slow
def test_the_items_that_were_fetched_ahead_stand_before_the_network_is_asked(open_desk: OpenDesk) -> None:
    desk = open_desk(RANKING, items=6)
    desk.wait(lambda: Assignment.objects.count() == 3, "nothing is fetched ahead")
    cut(desk)
    answer(desk)
    answer(desk)
    desk.wait(lambda: "2 waiting, kept on this computer" in state(desk), "it is not said")
    desk.look("flow, not connected")
    desk.type("abcd")
    desk.press("Enter")
    expect(desk.page.locator("[data-unsaved]")).to_contain_text("kept on this computer")
    desk.look("flow, nothing more to show")
    assert Judgement.objects.count() == 0
    mend(desk)
    all_stored(desk, 3)
    expect(desk.page.locator("[data-progress=mine]")).to_have_text("3 of 6 judged by you")
    answer(desk)
    all_stored(desk, 4)
    expect(desk.page.locator("[data-state]")).to_contain_text("Saved")


@pytest.mark.slow
def test_an_answer_that_waits_survives_a_reload(open_desk: OpenDesk) -> None:
    desk = open_desk(RANKING, items=3)
    desk.wait(lambda: Assignment.objects.count() == 3, "nothing is fetched ahead")
    first = desk.item
    desk.page.route("**/submit/", lambda route: route.abort())
    answer(desk)
    desk.wait(lambda: "1 waiting" in state(desk), "it is not said")
    desk.page.unroute("**/submit/")
    desk.open()
    all_stored(desk, 1)
    assert desk.stored().get().item == first
    desk.wait(lambda: desk.item != first, "the item that was answered is asked again")
    desk.watch.forgive("net::ERR_FAILED")


def test_u_takes_back_what_is_still_on_its_way(open_desk: OpenDesk) -> None:
    desk = open_desk(RANKING, items=3)
    desk.wait(lambda: Assignment.objects.count() == 3, "nothing is fetched ahead")
    first, second = desk.item, None
    cut(desk)
    desk.type("abcd")
    ranks = desk.by_position([4, 3, 2, 1])
    desk.press("Enter")
    desk.wait(lambda: desk.item != first, "the next item does not come")
    second = desk.item
    desk.wait(lambda: "1 waiting" in state(desk), "it is not said")
    desk.press("u")
    desk.wait(lambda: desk.item == first, "the last one does not come back")
    assert desk.readout == "A > B > C > D"
    desk.press("0")
    desk.type("dcba")
    mend(desk)
    desk.press("Enter")
    all_stored(desk, 1)
    assert desk.stored().get().answers["ranking"]["ranks"] == ranks
    desk.wait(lambda: desk.item == second, "the one that was set aside does not come next")


@pytest.mark.slow
def test_an_answer_that_arrived_unheard_is_corrected_when_it_was_taken_back(open_desk: OpenDesk) -> None:
    desk = open_desk(RANKING, items=2)
    desk.wait(lambda: Assignment.objects.count() == 2, "nothing is fetched ahead")

    def swallow(route: Route) -> None:
        route.fetch()  # it arrives
        route.abort()  # nobody hears of it

    desk.page.route("**/submit/", swallow)
    answer(desk)
    all_stored(desk, 1)
    desk.wait(lambda: "Not connected: 1 waiting" in state(desk), "it is not said")  # earlier it is still on its way
    desk.press("u")
    desk.wait(lambda: desk.readout == "A > B > C > D", "it does not come back")
    desk.page.unroute("**/submit/")
    desk.press("0")
    desk.type("dcba")
    desk.press("Enter")
    desk.wait(lambda: desk.stored().count() == 2, "the correction is not stored")
    assert [j.version for j in desk.stored()] == [1, 2]
    desk.watch.forgive("net::ERR_FAILED")


@pytest.mark.slow
def test_u_opens_the_last_one_saved_and_escape_leaves_it(open_desk: OpenDesk) -> None:
    desk = open_desk(RANKING, items=3)
    first = desk.item
    answer(desk)
    all_stored(desk, 1)
    expect(desk.page.locator("[data-state]")).to_contain_text("Saved")
    second = desk.item
    desk.press("u")
    desk.wait(lambda: desk.item == first, "the last one does not come")
    expect(desk.page.get_by_text("You are correcting an answer you gave")).to_be_visible()
    assert desk.page.title().startswith("Correct")
    desk.look("flow, correcting")
    desk.press("Escape")
    desk.wait(lambda: desk.item == second, "the way back does not lead back")
    desk.press("u")
    desk.wait(lambda: desk.item == first, "the last one does not come again")
    desk.type("dcba")
    desk.press("Enter")
    desk.wait(lambda: desk.stored().count() == 2, "the correction is not stored")
    desk.wait(lambda: desk.item == second, "the next item does not come")


@pytest.mark.slow
def test_a_skip_takes_a_reason_and_can_be_undone(open_desk: OpenDesk) -> None:
    desk = open_desk(RANKING, items=3)
    first = desk.item
    desk.press("s")
    expect(desk.page.locator("#skip :checked")).to_have_count(0)
    desk.page.keyboard.press("2")
    desk.page.get_by_label("A note").fill("no question")
    desk.look("flow, skip")
    desk.page.keyboard.press("Enter")
    desk.wait(lambda: desk.item != first, "the next item does not come")
    skipped = Assignment.objects.filter(state="skipped")
    desk.wait(skipped.exists, "the skip is not stored")
    assert (skipped.get().skip_reason, Item.objects.get(pk=first.pk).free) == ("unclear or broken: no question", 1)
    expect(desk.page.locator("[data-state]")).to_contain_text("Skipped")
    desk.press("u")
    desk.wait(lambda: desk.item == first, "the skipped one does not come back")
    expect(desk.page.locator("[data-state]")).to_have_text("Taken back")
    assert not skipped.exists()
    answer(desk)
    all_stored(desk, 1)


@pytest.mark.slow
def test_a_draft_survives_a_reload_and_another_browser(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("ranking"), draft("comment", required=False)], items=2)
    desk.type("bd")
    desk.page.locator("[name='comment.text']").fill("half a thought")
    desk.wait(Draft.objects.exists, "the server has no draft")
    desk.open()
    assert desk.page.locator("[name='comment.text']").input_value() == "half a thought"
    expect(desk.page.get_by_text("Your draft from")).to_be_visible()
    desk.look("flow, draft")
    elsewhere = open_desk.another(desk.project, desk.user).open()
    assert elsewhere.page.locator("[name='comment.text']").input_value() == "half a thought"
    assert elsewhere.fields() == desk.fields()
    elsewhere.page.locator("[name='comment.text']").fill("a whole thought")
    elsewhere.wait(lambda: "a whole thought" in str(Draft.objects.get().fields), "the newer draft is not kept")
    desk.open()
    assert desk.page.locator("[name='comment.text']").input_value() == "a whole thought"
    desk.page.get_by_role("button", name="Start over", exact=True).first.click()
    assert desk.page.locator("[name='comment.text']").input_value() == ""
    desk.wait(lambda: not Draft.objects.exists(), "the draft stays on the server")


def test_a_draft_ends_with_its_answer(open_desk: OpenDesk) -> None:
    desk = open_desk(RANKING, items=2)
    desk.type("b")
    desk.wait(Draft.objects.exists, "the server has no draft")
    desk.type("acd")
    desk.save()
    desk.wait(lambda: not Draft.objects.exists(), "the draft stays")
    assert desk.page.evaluate("Object.keys(localStorage).filter(name => name.startsWith('desk/'))") == []


def test_two_tabs_with_one_item_do_not_overwrite_each_other(open_desk: OpenDesk) -> None:
    desk = open_desk(RANKING, items=2)
    other = Desk(desk.page.context.new_page(), desk.project, desk.user).open()
    assert other.item == desk.item
    answer(other)
    all_stored(desk, 1)
    desk.type("dcba")
    desk.press("Enter")
    told = desk.page.locator("[data-returned]")
    expect(told).to_contain_text("You answered this item in another tab at")
    expect(told).to_contain_text("D > C > B > A")
    desk.look("flow, two tabs")
    told.get_by_role("button", name="Open it again").click()
    expect(desk.page.get_by_text("You are correcting an answer you gave")).to_be_visible()
    assert desk.readout == "D > C > B > A"
    expect(told).to_be_hidden()
    desk.press("Enter")
    desk.wait(lambda: desk.stored().count() == 2, "the correction is not stored")
    desk.watch.forgive("409")


@pytest.mark.slow
def test_an_item_with_a_warning_is_covered_and_can_be_declined(open_desk: OpenDesk) -> None:
    records = [{"id": str(n), "prompt": f"Prompt {n}", "responses": ["a", "b", "c", "d"]} for n in range(3)]
    desk = open_desk(RANKING, records=records, items=0)
    Assignment.objects.all().delete()
    Item.objects.update(warning="Speaks of a fall.", free=1)
    desk.open()
    assert not desk.page.locator(".asked").is_visible()
    desk.look("flow, covered")
    desk.press("Enter")
    assert desk.page.locator(".asked").is_visible()
    answer(desk)
    all_stored(desk, 1)
    desk.page.get_by_role("button", name="I would rather not").click()
    desk.wait(lambda: Assignment.objects.filter(skip_reason="I would rather not judge this").exists(), "not declined")


@pytest.mark.slow
def test_several_questions_are_stepped_through_by_keyboard(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("comparison"), draft("comment", required=False)], items=2, answers=2)
    now = "[data-step][aria-current]"
    assert desk.page.locator(now).get_attribute("data-step") == "comparison"
    desk.press("]")
    assert desk.page.locator(now).get_attribute("data-step") == "comment"
    desk.press("Alt+1")
    assert desk.page.locator(now).get_attribute("data-step") == "comparison"
    desk.press("Alt+2")
    desk.page.keyboard.type("well [said]")
    desk.press("Alt+1", "1", "Control+Enter")
    desk.press("Control+Enter")
    all_stored(desk, 1)
    assert desk.stored().get().answers["comment"] == {"text": "well [said]"}


@pytest.mark.slow
def test_a_session_that_ended_is_said_and_the_work_goes_on_after_signing_in(open_desk: OpenDesk) -> None:
    desk = open_desk(RANKING, items=4)
    desk.wait(lambda: Assignment.objects.count() == 3, "nothing is fetched ahead")
    context = desk.page.context
    before = context.cookies()
    context.clear_cookies()
    answer(desk)
    desk.wait(lambda: "Signed out: 1 waiting" in state(desk), "it is not said")
    expect(desk.page.get_by_role("link", name="Sign in in another tab")).to_be_visible()
    desk.look("flow, signed out")
    context.add_cookies(
        [cookie for cookie in before if "session" in cookie["name"]]
    )  # with a token that is none any more
    desk.page.evaluate("dispatchEvent(new Event('focus'))")
    all_stored(desk, 1)
    answer(desk)
    all_stored(desk, 2)


@pytest.mark.slow
def test_nothing_is_sent_in_somebody_elses_name(open_desk: OpenDesk) -> None:
    desk = open_desk(RANKING, items=4)
    desk.wait(lambda: Assignment.objects.count() == 3, "nothing is fetched ahead")
    ada = desk.page.context.cookies()
    bo = open_desk.another(desk.project, belong(desk, "bo")).page.context.cookies()
    desk.page.context.clear_cookies()
    desk.page.context.add_cookies(bo)
    answer(desk)
    desk.wait(lambda: "Somebody else is signed in: 1 of yours waiting" in state(desk), "it is not said")
    assert not Judgement.objects.exists()
    desk.page.context.clear_cookies()
    desk.page.context.add_cookies(ada)
    desk.page.evaluate("dispatchEvent(new Event('focus'))")
    all_stored(desk, 1)
    desk.watch.faults = [fault for fault in desk.watch.faults if "40" not in fault]


def belong(desk: Desk, name: str) -> User:
    """Somebody else in the project."""
    user = person(name)
    belonging.join(project=desk.project, user=user)
    return user


@pytest.mark.slow
def test_without_a_place_to_keep_it_the_answer_is_stored_before_the_next_item(open_desk: OpenDesk) -> None:
    broken = "() => { Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); } }"
    desk = open_desk(RANKING, items=3)
    desk.page.evaluate(broken)
    first = desk.item
    cut(desk)
    desk.type("abcd")
    desk.press("Enter")
    expect(desk.page.locator("[data-unsaved]")).to_contain_text("Your answer is still here")
    assert (desk.item, desk.readout) == (first, "A > B > C > D")
    mend(desk)
    answer(desk)
    all_stored(desk, 1)


@pytest.mark.slow
def test_the_frame_fits_a_phone_in_every_state(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("ranking"), draft("comment", required=False)], items=4, phone=True)
    desk.wait(lambda: Assignment.objects.count() == 3, "nothing is fetched ahead")
    cut(desk)
    answer_on_two_pages(desk)
    desk.wait(lambda: "1 waiting" in state(desk), "it is not said")
    desk.look("flow, not connected")
    mend(desk)
    expect(desk.page.locator("[data-state]")).to_contain_text("Saved")
    desk.press("u")
    expect(desk.page.get_by_text("You are correcting an answer you gave")).to_be_visible()
    desk.look("flow, correcting")


def answer_on_two_pages(desk: Desk) -> None:
    """Ranks, passes the comment by, and sends."""
    shown = desk.key
    desk.type("abcd")
    desk.press("Control+Enter", "Control+Enter")
    desk.wait(lambda: desk.key != shown, "the next item does not come")
