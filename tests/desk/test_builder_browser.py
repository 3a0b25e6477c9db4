"""The project builder in a real browser: put together, moved, undone, previewed, saved; by mouse and by keyboard alone."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import FrameLocator, Page, expect

from annotation import asking, building
from annotation.models import Project
from tests import chromium
from tests.builders import person
from tests.desk.browsing import Desk, OpenDesk, project_asking
from webapp.people.permitting import LEAD

pytestmark = chromium.BROWSER


def builder(open_desk: OpenDesk, *kinds: str, phone: bool = False, items: int = 1) -> Desk:
    lin = person("lin", is_staff=True)
    project = project_asking([asking.draft(kind) for kind in kinds], lin, items=items, role=LEAD)
    desk = open_desk.another(project, lin, phone=phone)
    desk.page.goto(f"/p/{project.slug}/questions/")
    expect(preview(desk.page).locator("[data-judgement]")).to_be_visible()
    return desk


def preview(page: Page) -> FrameLocator:
    return page.frame_locator("[data-stage] iframe")


def asked_now(project: Project) -> list[str]:
    project.refresh_from_db()
    drafts = building.drafts_of(list(project.questions.filter(version=project.schema_version).order_by("position")))
    return [draft["title"] for draft in drafts]


def titles(page: Page) -> list[str]:
    return [field.input_value() for field in page.get_by_label("Question", exact=True).all()]


def test_questions_are_put_together_and_the_preview_follows(open_desk: OpenDesk) -> None:
    desk = builder(open_desk, "ranking")
    page = desk.page
    page.get_by_label("Question", exact=True).fill("Which do you like best?")
    expect(preview(page).locator("#question-ranking")).to_contain_text("Which do you like best?")
    page.get_by_role("button", name="Comment").click()
    expect(page.locator("[name='q.1.title']")).to_be_focused()
    page.locator("[name='q.1.title']").fill("Why?")
    expect(preview(page).locator("#question-comment")).to_contain_text("Why?")
    assert titles(page) == ["Which do you like best?", "Why?"]
    desk.look("builder", within="main")
    page.get_by_role("button", name="Move up: Why?").click()
    page.get_by_role("button", name="Save as a new version").click()
    expect(page.locator(".notice.success")).to_contain_text("version 2 is asked from now on")
    assert asked_now(desk.project) == ["Why?", "Which do you like best?"]


@pytest.mark.slow
def test_the_preview_answers_to_keys_and_sends_nothing(open_desk: OpenDesk) -> None:
    desk = builder(open_desk, "ranking")
    frame = preview(desk.page)
    frame.locator("[data-answer]").first.click()
    desk.type("badc")
    expect(frame.locator("[data-readout]")).to_have_text("B > A > D > C")
    desk.press("Enter")
    expect(frame.locator("[data-outcome]")).to_contain_text("B > A > D > C")
    assert desk.stored().count() == 0
    desk.page.get_by_role("button", name="Phone").click()
    assert frame.locator("html").evaluate("() => innerWidth") == 390


def test_what_is_wrong_is_said_while_typing_and_undo_takes_back(open_desk: OpenDesk) -> None:
    desk = builder(open_desk, "ranking")
    page = desk.page
    page.get_by_role("button", name="Rating").click()
    highest = page.locator("[name='q.1.options.highest']")
    highest.fill("99")
    problem = page.locator("[data-problem='q.1.options.highest']")
    expect(problem).to_contain_text("At most 20")
    expect(highest).to_have_attribute("aria-invalid", "true")
    highest.fill("7")
    expect(problem).to_be_hidden()
    highest.blur()
    page.get_by_role("button", name="Remove: Rank the answers").click()
    expect(page.locator("[data-question]")).to_have_count(1)
    undo = page.get_by_role("button", name="Undo")
    undo.click()
    expect(page.locator("[data-question]")).to_have_count(2)
    expect(page.locator("[name='q.1.options.highest']")).to_have_value("7")
    expect(undo).to_be_focused()
    undo.click()
    expect(page.locator("[name='q.1.options.highest']")).to_have_value("5")
    undo.click()
    expect(page.locator("[data-question]")).to_have_count(1)
    expect(undo).to_be_hidden()
    expect(page.locator("[data-state]")).to_have_text("")


def test_a_refused_form_leads_to_its_first_mistake_and_shows_what_is_asked_now(open_desk: OpenDesk) -> None:
    desk = builder(open_desk, "ranking")
    page = desk.page
    page.get_by_role("button", name="Rating").click()
    page.get_by_role("button", name="Add: aspect").click()
    name = page.locator("[name='q.1.options.aspects.1.name']")
    expect(name).to_be_focused()
    expect(name).to_have_value("quality-2")
    name.fill("Not so")
    page.locator("[name='q.1.options.highest']").fill("0")
    page.get_by_role("button", name="Save as a new version").click()
    expect(page.get_by_text("Not saved. Mend this first:")).to_be_visible()
    expect(name).to_be_focused()
    expect(name).to_be_in_viewport()
    expect(name).to_have_accessible_description(re.compile("“Not so” cannot be a name"))
    expect(preview(page).locator("#question-ranking")).to_be_visible()
    expect(page.locator("[data-mistake]")).to_have_count(2)
    desk.look("builder, refused", within="main")
    desk.watch.forgive("status of 400")
    page.get_by_role("link", name="Highest point").click()
    expect(page.locator("[name='q.1.options.highest']")).to_be_focused()
    name.fill("clarity")
    expect(page.locator("[data-mistake]")).to_have_count(1)
    page.locator("[name='q.1.options.highest']").fill("5")
    expect(page.locator("[data-problem-of-all]")).to_be_hidden()
    undo = page.get_by_role("button", name="Undo")
    for _ in range(50):  # what was done before it was refused is undone too; typing's pace decides in how many steps
        page.wait_for_timeout(200)  # an undo brings the form anew
        if undo.is_hidden():
            break
        undo.click()
    expect(page.locator("[data-question]")).to_have_count(1)
    expect(page.locator("[data-state]")).to_have_text("")


def test_by_keyboard_alone(open_desk: OpenDesk) -> None:
    desk = builder(open_desk, "ranking", "comment")
    page = desk.page
    page.get_by_role("button", name="Move down: Rank the answers").focus()
    desk.press("Enter")
    expect(page.get_by_role("button", name="Move up: Rank the answers")).to_be_focused()
    page.get_by_label("Question", exact=True).first.focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("Say something")
    desk.press("Enter")  # in a field, Enter saves
    expect(page.locator(".notice.success")).to_contain_text("version 2")
    assert asked_now(desk.project)[0] == "Say something"


@pytest.mark.slow
def test_rows_are_dragged_by_their_handle(open_desk: OpenDesk) -> None:
    desk = builder(open_desk, "ranking", "comment")
    page = desk.page
    handle = page.locator("[data-question] > div > [data-handle]").first
    box = handle.bounding_box()
    assert box
    page.mouse.move(box["x"] + 10, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + 12, box["y"] + 40, steps=4)
    page.mouse.move(box["x"] + 12, box["y"] + 160, steps=12)  # all cards are small now
    page.mouse.up()
    expect(page.locator("[data-state]")).to_have_text("Not saved yet.")
    assert page.locator("[data-question] input[name$='.kind']").first.input_value() == "comment"


@pytest.mark.slow
def test_unsaved_changes_are_guarded(open_desk: OpenDesk) -> None:
    desk = builder(open_desk, "ranking")
    page = desk.page
    page.get_by_label("Question", exact=True).fill("Changed")
    asked: list[str] = []
    page.once("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    page.get_by_role("link", name="Overview").click()
    page.wait_for_url("**/p/answers/")
    assert asked == ["beforeunload"]


@pytest.mark.slow
def test_on_the_phone_and_the_pages_around_it(open_desk: OpenDesk) -> None:
    desk = builder(open_desk, "ranking", "rating", phone=True)
    desk.look("builder-phone", within="main")
    for path in ("/projects/new/", f"/p/{desk.project.slug}/settings/", f"/p/{desk.project.slug}/import/"):
        desk.page.goto(path)
        desk.look(f"phone{path.replace('/', '-')}")


@pytest.mark.slow
def test_a_project_begins_with_a_card(open_desk: OpenDesk) -> None:
    desk = builder(open_desk, "ranking")
    page = desk.page
    page.goto("/projects/new/")
    desk.look("new-project")
    page.get_by_label("Name", exact=True).fill("Tides")
    page.get_by_text("Arena battle").click()
    page.get_by_role("button", name="Make it").click()
    page.wait_for_url("**/p/tides/import/")
    assert asked_now(Project.objects.get(slug="tides")) == ["Which answer is better?"]
