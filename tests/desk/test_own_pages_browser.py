"""Guidelines, feedback and one's own page in a real browser: from what a lead changes to what an annotator says again."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from annotation import belonging, concurring, guiding, reviewing
from annotation.asking import draft
from annotation.models import Feedback, Project
from tests import chromium
from tests.builders import join, judge, person
from tests.desk.browsing import OpenDesk
from webapp.people.permitting import LEAD

pytestmark = chromium.BROWSER
TEXT = "# What counts\n\nTruth first. Then brevity.\n\nNever mind style."
EXAMPLE = {
    "prompt": "Why is the sea salty?",
    "answers": [{"text": "Rivers carry **salt**.", "verdict": "good"}, {"text": "Because.", "verdict": "bad"}],
    "why": "An answer gives a reason.",
}


@pytest.mark.slow
def test_a_lead_changes_the_guidelines_and_an_annotator_reads_and_judges_again(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("ranking")], items=3, answers=4, guidelines=TEXT)
    project, lin = desk.project, person("lin")
    join(project, lin, LEAD)
    desk.type("abcd")
    desk.save()
    leading = open_desk.another(project, lin).open(f"/p/{project.slug}/guidelines/write/").page
    leading.get_by_label("Text", exact=True).fill(TEXT.replace("Then brevity.", "Then kindness."))
    expect(leading.locator("[data-preview-box]")).to_contain_text("Then kindness.")
    leading.get_by_role("button", name="Add an example").click()
    prompt = leading.get_by_label("Prompt")
    expect(prompt).to_be_focused()
    prompt.fill("Why is the sky blue?")
    leading.get_by_label("Answer 1", exact=True).fill("Air scatters blue light.")
    leading.get_by_label("Verdict on answer 1").fill("good")
    leading.get_by_label("What is new").fill("Brevity no longer counts.")
    chromium.look(leading, "guidelines, written")
    leading.get_by_role("button", name="Save as a new version").click()
    expect(leading.get_by_text("Saved as version 2.")).to_be_visible()
    chromium.look(leading, "guidelines, changed")
    leading.get_by_role("link", name="Look through them").click()
    chromium.look(leading, "judgements")
    leading.get_by_role("button", name="Ask for the one that is listed").click()
    expect(leading.get_by_text("1 judgement is asked for again.")).to_be_visible()
    page = desk.page
    page.goto(f"/p/{project.slug}/judge/")
    expect(page.get_by_role("heading", name="The guidelines have changed")).to_be_visible()
    expect(page.locator("ins")).to_have_text("added: Then kindness.")
    chromium.look(page, "guidelines, what changed")
    page.get_by_role("button", name="I have read it").click()
    desk.ready()
    page.goto(f"/p/{project.slug}/mine/")
    chromium.look(page, "own page, asked again")
    page.get_by_role("link", name="Begin with the first").click()
    desk.ready()
    expect(page.get_by_text("A lead asks you to look at this again.")).to_be_visible()
    desk.press("Enter")
    expect(page.get_by_text("A lead asks you to look at this again.")).to_be_hidden()
    expect(page.locator("[data-state]")).to_contain_text("Saved")
    assert not reviewing.again(project.memberships.get(user=desk.user)).exists()
    assert Feedback.objects.get().settled_at is not None


@pytest.mark.slow
def test_the_first_time_the_guidelines_stand_before_the_desk_on_the_phone_too(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("ranking")], items=2, answers=2, overlap=2)
    guiding.write(project=desk.project, text=TEXT, examples=[EXAMPLE], actor=None)
    bo = person("bo")
    belonging.join(project=desk.project, user=bo)
    page = open_desk.another(desk.project, bo, phone=True).open().page
    expect(page.get_by_text("Rivers carry salt.")).to_be_visible()
    chromium.look(page, "guidelines, first time, phone")
    page.get_by_role("button", name="Start judging").tap()
    expect(page.locator("[data-judgement]")).to_be_visible()
    page.goto(f"/p/{desk.project.slug}/mine/")
    chromium.look(page, "own page, phone")


@pytest.mark.slow
def test_feedback_is_read_and_answered_by_keyboard(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("ranking")], items=2, answers=4)
    project, lin = desk.project, person("lin")
    join(project, lin, LEAD)
    judgement = judge(project, desk.user)
    leading = open_desk.another(project, lin).open(f"/p/{project.slug}/items/{judgement.item_id}/").page
    leading.get_by_text("Comment", exact=False).first.click()
    leading.get_by_label("To p-").fill("Why is A the best?")
    leading.get_by_label("Please look at it again").check()
    chromium.look(leading, "item, comment")
    leading.get_by_role("button", name="Send").click()
    expect(leading.get_by_text("Why is A the best?")).to_be_visible()
    page = desk.page
    page.goto(f"/p/{project.slug}/mine/")
    page.locator(".answer-it summary").focus()
    desk.press("Enter", "Tab")
    expect(page.get_by_label("Your answer")).to_be_focused()
    page.keyboard.type("It is the only true one.")
    desk.press("Tab", "Enter")
    expect(page.get_by_text("It is the only true one.")).to_be_visible()
    chromium.look(page, "own page, answered")
    assert concurring.of_project(Project.objects.get()) == []
