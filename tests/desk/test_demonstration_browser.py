"""The demonstration in a browser: what was written, or edited, is what is stored and frozen, to the letter."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from annotation.asking import draft
from tests import chromium
from tests.desk.browsing import OpenDesk
from training import freezing

pytestmark = chromium.BROWSER

ANSWERS = ["The tide follows the moon.\r\nIt comes twice a day.", "Tides are wind. 🌬️ Really.", "المد والجزر"]
RECORDS = [{"id": f"t{n}", "prompt": "What are tides?", "responses": ANSWERS} for n in range(3)]
LF = [text.replace("\r\n", "\n") for text in ANSWERS]


def test_an_answer_edited_by_keyboard_is_stored_and_frozen_as_a_pair_above_its_original(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("demonstration")], guidelines="", records=RECORDS)
    order, editor = desk.item and list(desk.assignment.order), desk.page.locator("[data-editor]")
    desk.press("b")
    expect(editor).to_have_value(LF[order[1]])
    expect(editor).to_be_focused()
    desk.press("Control+Enter")
    expect(desk.page.locator("[data-readout]")).to_contain_text("still says what answer B says")
    editor.press("Control+End")
    desk.page.keyboard.type(" Added 🦀 “here”.")
    expect(desk.page.locator("[data-changes] ins")).to_contain_text("Added 🦀 “here”.")
    desk.look("demonstration, edited")
    desk.press("Escape")
    expect(editor).not_to_be_focused()
    wanted = LF[order[1]] + " Added 🦀 “here”."
    said = desk.save().answers["demonstration"]
    assert said == {"text": wanted, "edited_from": order[1]}
    snapshot = freezing.freeze(project=desk.project, rows="pair")
    (row,) = [line for split in freezing.SPLITS for line in lines(snapshot, split)]
    assert (row["chosen"], row["rejected"]) == (wanted, ANSWERS[order[1]])


def lines(snapshot: object, split: str) -> list[dict[str, str]]:
    import json

    text = (freezing.folder(snapshot) / f"{split}.jsonl").read_text("utf-8")  # type: ignore[arg-type]
    return [json.loads(line) for line in text.splitlines()]


def test_a_text_from_nothing_on_a_phone_by_touch(open_desk: OpenDesk) -> None:
    options = {"min_length": 8, "checklist": ["I checked every number."]}
    desk = open_desk([draft("demonstration", options=options)], guidelines="", records=RECORDS, phone=True)
    editor, save = desk.page.locator("[data-editor]"), desk.page.locator("[data-save]")
    editor.tap()
    desk.page.keyboard.type("Moon.\nهلال")
    desk.look("demonstration, phone")
    save.tap()
    expect(desk.page.locator("[data-readout]")).to_contain_text("Tick what you have checked")
    desk.page.get_by_text("I checked every number.").tap()
    assert desk.save(save.tap).answers["demonstration"] == {"text": "Moon.\nهلال", "edited_from": None}


@pytest.mark.slow
def test_what_was_typed_is_not_lost_when_another_answer_is_chosen(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("demonstration")], guidelines="", records=RECORDS)
    order, editor = list(desk.assignment.order), desk.page.locator("[data-editor]")
    desk.press("w")
    desk.page.keyboard.type("mine")
    desk.page.get_by_role("radio", name="Answer C").check()
    expect(editor).to_have_value("mine")
    desk.page.get_by_role("button", name="Take the text of answer C instead").click()
    expect(editor).to_have_value(LF[order[2]])
    desk.page.get_by_role("button", name="Bring my text back").click()
    expect(editor).to_have_value("mine")


@pytest.mark.slow
def test_control_enter_goes_on_and_a_correction_shows_what_was_written(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("demonstration", options={"way": "write"})], guidelines="", records=RECORDS)
    desk.press("w")
    desk.page.keyboard.type("First line\nsecond")
    stored = desk.save(lambda: desk.press("Control+Enter"))
    assert stored.answers["demonstration"] == {"text": "First line\nsecond", "edited_from": None}
    desk.press("u")
    expect(desk.page.locator("[data-editor]")).to_have_value("First line\nsecond")


@pytest.mark.slow
def test_typing_into_64_kb_stays_smooth(open_desk: OpenDesk) -> None:
    long = " ".join(f"word{n} and then some." for n in range(3000))[:65_536]
    desk = open_desk([draft("demonstration")], guidelines="", records=[{"id": "x", "prompt": "p", "responses": [long]}])
    desk.press("a")
    desk.page.evaluate(
        "window.long = []; new PerformanceObserver(l => long.push(...l.getEntries().map(e => e.duration)))"
        ".observe({entryTypes: ['longtask']})"
    )
    editor = desk.page.locator("[data-editor]")
    editor.evaluate("e => e.setSelectionRange(30000, 30000)")
    desk.page.keyboard.type("some new words here", delay=30)
    expect(desk.page.locator("[data-changes] ins").first).to_be_visible()
    worst = max(desk.page.evaluate("long") or [0])
    print(f"longest task while typing into 64 kB: {worst:.0f} ms")
    assert worst < 300
