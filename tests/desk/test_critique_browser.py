"""The critique in a browser: what is marked on the screen is the same stretch of the stored text, whatever script it is in."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playwright.sync_api import expect

from annotation.asking import draft
from annotation.models import Project
from tests import chromium
from tests.desk.browsing import Desk, OpenDesk
from training import freezing

pytestmark = chromium.BROWSER

#: line ends of three kinds, emoji of several code points, combining marks, right to left, zero-width joiners
ODD = "Fi\u0301rst 👩‍👩‍👧 family.\r\nΔεύτερη πρόταση, שלום עולם. Third\tone 🏳️‍🌈 ends here."
PLAIN = "The moon pulls the sea. The sea rises. It falls again."


def mark(desk: Desk, category: str = "Wrong") -> None:
    """Fills the form that stands open."""
    desk.page.locator("[data-mark]").get_by_text(category, exact=True).click()


def spans(desk: Desk) -> list[dict[str, object]]:
    return json.loads(desk.page.locator("[data-spans]").input_value() or "[]")


def test_a_sentence_marked_and_put_right_by_keyboard_alone_yields_a_minimal_pair(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("critique")], guidelines="", records=[{"id": "a", "prompt": "p", "responses": [PLAIN]}])
    desk.press("m", "2", "Enter", "1", "Tab", "Tab")
    desk.look("critique, marking")
    fixes = desk.page.locator("[data-fixes]")
    fixes.focus()
    desk.press("Space")
    desk.page.keyboard.type("The sea sinks.")
    desk.press("Control+Enter")
    assert [(s["start"], s["end"], s["fix"]) for s in spans(desk)] == [(24, 38, "The sea sinks.")]
    desk.look("critique, marked")
    desk.press("Escape")
    stored = desk.save().answers["critique"]["spans"]
    assert [s["text"] for s in stored] == ["The sea rises."]
    snapshot = freezing.freeze(project=desk.project, rows="pair")
    folder = freezing.folder(snapshot)
    (row,) = [json.loads(line) for split in freezing.SPLITS for line in (folder / f"{split}.jsonl").open()]
    assert (row["chosen"], row["rejected"]) == (PLAIN.replace("rises", "sinks"), PLAIN)


@pytest.mark.slow
def test_words_grow_and_shrink_with_shift_and_the_mark_is_the_stored_text(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("critique")], guidelines="", records=[{"id": "a", "prompt": "p", "responses": [ODD]}])
    desk.press("m")
    desk.press("ArrowRight", "Shift+ArrowRight", "Shift+ArrowRight", "Shift+ArrowLeft", "Enter")
    mark(desk, "Unclear")
    desk.page.get_by_role("button", name="Keep the mark").click()
    (span,) = spans(desk)
    assert span["text"] == ODD[span["start"] : span["end"]] == "Fi\u0301rst 👩‍👩‍👧"  # type: ignore[misc]
    assert desk.save().answers["critique"]["spans"][0]["text"] == "Fi\u0301rst 👩‍👩‍👧"


def test_the_mouse_selects_marks_and_undo_brings_back_what_was_removed(open_desk: OpenDesk) -> None:
    desk = open_desk(
        [draft("critique")], guidelines="", records=[{"id": "a", "prompt": "p", "responses": [PLAIN]}], items=1
    )
    first = desk.page.locator("[data-surface] span").first
    box = first.bounding_box()
    assert box
    desk.page.mouse.dblclick(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(desk.page.locator("[data-quote]")).not_to_be_empty()
    word = desk.page.locator("[data-quote]").inner_text()
    assert word in PLAIN.split(".")[0].split()
    mark(desk, "Style")
    desk.page.get_by_role("button", name="Keep the mark").click()
    assert [s["text"] for s in spans(desk)] == [word]
    desk.page.get_by_role("button", name="Remove mark 1").click()
    assert spans(desk) == []
    desk.page.get_by_role("button", name="Undo").click()
    desk.page.locator("[data-under]").click()
    expect(desk.page.locator("[data-quote]")).to_have_text(word)
    desk.press("Escape")
    desk.page.get_by_text("Nothing is wrong with it").click()
    assert desk.save(lambda: desk.page.locator("[data-save]").click()).answers["critique"] == {"spans": []}


def test_on_a_phone_a_held_word_is_marked_by_touch(open_desk: OpenDesk) -> None:
    records = [{"id": "a", "prompt": "p", "responses": [PLAIN, ODD]}]
    desk = open_desk([draft("critique")], guidelines="", records=records, phone=True)
    desk.page.get_by_role("button", name="Answer B").tap()
    # what a long press and pulled handles leave behind is a selection
    desk.page.evaluate(
        "() => { const s = document.querySelector('[data-surface]').children[1].firstChild;"
        " getSelection().setBaseAndExtent(s, 0, s, 7); }"
    )
    expect(desk.page.locator("[data-quote]")).not_to_be_empty()
    desk.page.locator("[data-mark]").get_by_text("Harmful", exact=True).tap()
    desk.look("critique, phone")
    desk.page.get_by_role("button", name="Keep the mark").tap()
    expect(desk.page.locator("[data-marks] li")).to_have_count(1)
    position = desk.assignment.order[1]
    text = records[0]["responses"][position]
    (span,) = desk.save(lambda: desk.page.locator("[data-save]").tap()).answers["critique"]["spans"]
    assert span["response"] == position
    assert text[span["start"] : span["end"]] == span["text"]


@pytest.mark.slow
def test_any_selection_is_stored_as_the_same_stretch_of_text(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("critique")], guidelines="", records=[{"id": "a", "prompt": "p", "responses": [ODD]}])
    assert desk.page.locator("[data-surface]").evaluate("e => [...e.children].map(s => s.textContent).join('')") == ODD

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, len(ODD) - 1), st.integers(1, 20))
    def holds(start: int, length: int) -> None:
        wanted = ODD[start : start + length]
        if not wanted.strip():
            return
        before = len(ODD[:start].encode("utf-16-le")) // 2
        units = len(wanted.encode("utf-16-le")) // 2
        found = desk.page.evaluate(
            """([from, to]) => {
              const spans = [...document.querySelectorAll('[data-surface] > span')].map(s => [s, +s.dataset.start]);
              const holds = ([s, n], place, end) => (end ? place > n : place >= n) && place < n + s.textContent.length + end;
              const here = (place, end) => spans.filter(one => holds(one, place, end));
              const at = (place, end) => here(place, end).map(([s, n]) => [s.firstChild, place - n])[0];
              getSelection().setBaseAndExtent(...at(from, false), ...at(to, true));
              return new Promise(done => setTimeout(() => {
                document.querySelector('[data-category]').click();
                document.querySelector('[data-add]').click();
                const field = document.querySelector('[data-spans]');
                const all = JSON.parse(field.value);
                document.querySelector('[data-undo]').click();
                done(all);
              }, 300));
            }""",
            [before, before + units],
        )
        (span,) = found
        assert ODD[span["start"] : span["end"]] == span["text"] == wanted.strip()

    holds()


@pytest.mark.slow
def test_what_stands_behind_a_hidden_name_is_counted_right_and_the_name_itself_cannot_be_marked(
    open_desk: OpenDesk,
) -> None:
    text = "😀 I am ChatGPT, made by OpenAI. The sea\u202e rises."
    desk = open_desk([draft("critique")], guidelines="", records=[{"id": "a", "prompt": "p", "responses": [text]}])
    Project.objects.update(mask_names=True)
    desk.open()
    shown = desk.page.locator("[data-surface]").text_content()
    assert shown is not None and "ChatGPT" not in shown and "202E" in shown
    desk.press("m", "1", "Enter")
    expect(desk.page.locator("[data-mark-error]")).to_contain_text("hidden")
    desk.press("Escape", "m", "ArrowUp", "ArrowDown", "ArrowDown")
    desk.page.evaluate(
        "() => { const s = [...document.querySelectorAll('[data-surface] > span')].at(-1).firstChild;"
        " const at = s.textContent.indexOf('rises'); getSelection().setBaseAndExtent(s, at, s, at + 5); }"
    )
    expect(desk.page.locator("[data-quote]")).to_have_text("rises")
    mark(desk)
    desk.page.get_by_role("button", name="Keep the mark").click()
    (span,) = spans(desk)
    assert text[span["start"] : span["end"]] == "rises"  # type: ignore[misc]
