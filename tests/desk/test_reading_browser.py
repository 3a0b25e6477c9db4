"""Reading at the desk: what differs, the passages, formulas, directions, text settings; nothing moves, long texts stay smooth."""

from __future__ import annotations

from typing import Any

import pytest

from annotation.asking import draft
from tests import chromium
from tests.desk.browsing import Desk, OpenDesk

pytestmark = chromium.BROWSER

FIRST = "The sea is salty. Rivers carry salt into it. The salt stays there.\n\n- one\n- two"
SECOND = "The sea is salty. Rivers carry much salt into it. The salt stays there.\n\n- one\n- three"
MATHS = r"""It costs $5 and $6. The root is $x = \frac{-b \pm \sqrt{b^2-4ac}}{2a}$ and

$$
\sum_{i=1}^n i = \frac{n(n+1)}{2}
$$

\[ \begin{aligned} a &= b \\ c &= d \end{aligned} \]

broken: $\frac{1}{$

| a | b |
|---|---|
| $x^2$ | 4 |

```python
def f(x):
    return x  # the same
```
"""
ARABIC = "البحر مالح لأن الأنهار تحمل الملح. See `salt.py`.\n\n- واحد\n- two\n\nThis is English."
PASSAGES = [
    {"title": "Oceans", "text": "Sea water holds about 35 grams of salt in a litre. " * 12},
    {"title": "Rivers", "text": "Rainwater dissolves minerals; rivers carry them to the sea. " * 12},
]


# What moved by itself in the reading area, from the first paint on.
SHIFTS = """
window.moved = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    if (entry.hadRecentInput) continue;
    const moved = entry.sources.map(({ node }) => node).filter((node) => node?.closest?.(".asked, .answers"));
    window.moved.push(...moved.map((node) => [entry.value, node.outerHTML.slice(0, 120)]));
  }
}).observe({ type: "layout-shift", buffered: true });
"""


SELECT = """() => {
  const text = document.querySelector(".answer .rich p").firstChild;
  getSelection().setBaseAndExtent(text, 18, text, 47);
}"""
IN_SIGHT = """(turn) => {
  const [here, box] = [turn, turn.closest(".asked-scroll")].map((element) => element.getBoundingClientRect());
  return here.top >= box.top - 1 && here.top < box.bottom;
}"""


def record(*texts: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of an item
    return {"id": "1", "prompt": "Why is the sea salty?", "responses": list(texts)} | more


def marks(desk: Desk, name: str) -> list[str]:
    return desk.page.evaluate(f"[...(CSS.highlights.get('{name}') || [])].map(String)")


def test_d_marks_what_differs_and_ends_again(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("comparison")], records=[record(FIRST, SECOND)])
    desk.press("d")
    desk.page.get_by_text("sentences differ").wait_for()
    assert sorted(marks(desk, "differs")) == sorted(
        ["Rivers carry salt into it.", "Rivers carry much salt into it.", "two", "three"]
    )
    assert "much" in marks(desk, "differs-word")
    assert "2 of 5 sentences differ" in desk.page.locator("[data-pair-says]").inner_text()
    desk.look("differences")
    desk.press("d")
    assert not marks(desk, "differs")
    assert desk.page.locator("[data-pair]").is_hidden()


@pytest.mark.slow
def test_a_sentence_is_held_against_its_likest_even_when_others_come_between(open_desk: OpenDesk) -> None:
    new = "Nobody drinks that. It hurts. Rivers carry salt into it! The salt stays there."
    desk = open_desk([draft("comparison")], records=[record("Rivers carry salt into it. The salt stays there.", new)])
    desk.press("d")
    desk.page.locator("[data-pair-says]").get_by_text("3 of 4 sentences differ.").wait_for()
    assert sorted(marks(desk, "differs-word")) == ["!", "."]


@pytest.mark.slow
def test_with_more_answers_the_others_step_aside_and_identical_ones_are_said(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("ranking")], records=[record(FIRST, FIRST, FIRST, FIRST)])
    desk.press("Shift+D")
    desk.page.get_by_text("say the same, word for word").wait_for()
    assert desk.page.locator(".answer:visible").count() == 2
    desk.page.get_by_label("Only these two").uncheck()
    assert desk.page.locator(".answer:visible").count() == 4
    assert desk.fields() == {f"ranking.rank-{place}": "" for place in range(4)}
    desk.press("Escape")
    assert desk.page.locator("[data-pair]").is_hidden()


def test_raw_text_and_settings_are_remembered_and_nothing_moves(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("ranking")], items=3, answers=4)
    page = desk.page
    desk.press("+", "+", "r", "\\")
    assert page.locator(".answer .raw").first.is_visible()
    page.evaluate("document.querySelector('.text-menu').open = true")
    page.get_by_label("Serif", exact=True).check()
    desk.look("text menu", within=".text-menu")
    before = page.evaluate("({...document.documentElement.dataset})")
    assert before | {"size": "2", "raw": "yes", "face": "serif"} == before
    page.add_init_script(SHIFTS)
    desk.open()
    assert page.evaluate("({...document.documentElement.dataset})") == before
    assert page.locator(".answer .raw").first.is_visible()
    page.wait_for_timeout(300)
    assert page.evaluate("window.moved") == []
    page.evaluate("document.querySelector('.text-menu').open = false")
    desk.press("r")
    assert page.locator(".answer .rich").first.is_visible()
    assert page.locator(".answer .raw").first.is_hidden()


@pytest.mark.slow
def test_words_of_an_answer_are_found_in_the_passages(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("comparison")], records=[record(FIRST, SECOND, context=PASSAGES)])
    page = desk.page
    page.evaluate(SELECT)
    desk.press("f")
    assert {word.lower() for word in marks(desk, "found")} >= {"rivers", "carry", "salt"}
    assert "words found" in page.locator("[data-found]").inner_text()
    desk.look("passages found")
    desk.press("p")
    assert page.locator(".passages-body").is_hidden()
    desk.open()
    assert page.locator(".passages-body").is_hidden()


def test_formulas_tables_code_and_right_to_left_text(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("comparison")], records=[record(MATHS, ARABIC)])
    page = desk.page
    assert page.locator(".answer .rich math").count() == 4
    assert "It costs $5 and $6." in page.locator(".answers").inner_text()
    arabic = page.locator(".answer .rich", has_text="البحر")
    assert arabic.locator("p").first.evaluate("e => getComputedStyle(e).direction") == "rtl"
    assert arabic.locator("p").last.evaluate("e => getComputedStyle(e).direction") == "ltr"
    assert arabic.locator("code").first.evaluate("e => getComputedStyle(e).direction") == "ltr"
    desk.look("formulas")


@pytest.mark.slow
def test_two_answers_can_be_chosen_and_the_next_item_starts_without_marks(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("comparison")], records=[record(FIRST, SECOND), record(FIRST, SECOND) | {"id": "2"}])
    page = desk.page
    page.locator("[data-pair-toggle]").click()
    page.locator("[data-pair-left]").select_option(label="B")
    assert page.locator("[data-pair-right]").input_value() == "0"
    page.get_by_text("As a list").click()
    assert page.locator("[data-pair-list] li").count() == 2
    page.locator(".answer").first.click()
    desk.press("1")
    desk.save()
    assert page.locator("[data-pair]").is_hidden()
    assert not marks(desk, "differs")


@pytest.mark.slow
def test_a_long_conversation_shows_its_last_turn(open_desk: OpenDesk) -> None:
    turns = [{"role": "system", "content": "Be brief. " * 60}]
    turns += [{"role": ("user", "assistant")[at % 2], "content": f"Turn {at}. " + "Words. " * 120} for at in range(5)]
    desk = open_desk([draft("comparison")], records=[record(FIRST, SECOND, prompt=turns)])
    assert desk.page.locator(".turn").last.evaluate(IN_SIGHT)
    desk.look("conversation")


def test_masked_names_are_hidden_in_both_views_and_stored_as_they_were(open_desk: OpenDesk) -> None:
    desk = open_desk(
        [draft("comparison")], records=[record("I'm Claude, made by Anthropic.", "Claude Monet painted it.")]
    )
    desk.project.mask_names = True
    desk.project.save()
    desk.open()
    text = desk.page.locator(".answers").text_content() or ""
    assert "Anthropic" not in text
    assert text.count("⟨the model⟩") == 2
    assert text.count("Claude Monet") == 2
    assert desk.item.responses.filter(text="I'm Claude, made by Anthropic.").exists()


@pytest.mark.slow
def test_on_the_phone_the_passages_fold_and_nothing_is_wider_than_the_screen(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("comparison")], records=[record(MATHS, ARABIC, context=PASSAGES)], phone=True)
    assert desk.page.locator(".passages-body").is_hidden()
    desk.page.locator("[data-passages-toggle]").tap()
    assert desk.page.locator(".passages-body").is_visible()
    desk.page.locator("[data-pair-toggle]").tap()
    desk.page.locator("[data-pair-says]").get_by_text("share no sentence").wait_for()
    desk.look("reading on the phone")


@pytest.mark.slow
def test_ten_answers_of_64_kb_scroll_smoothly(open_desk: OpenDesk) -> None:
    paragraph = "Why the **sea** is salty: rivers carry `salt` into it, and $x^2$ grows. " * 6 + "\n\n"
    long = (paragraph * 200)[:63_000]
    desk = open_desk([draft("ranking")], records=[record(*[f"Answer {at}. {long}" for at in range(10)])])
    page = desk.page
    engine = page.context.new_cdp_session(page)
    # The page's own time on the processor, not the clock's: what else the machine does is no fault of the page.
    engine.send("Performance.enable", {"timeDomain": "threadTicks"})

    def worked() -> float:
        """Milliseconds that the page has worked: scripts, styles, layout, painting."""
        found = {metric["name"]: metric["value"] for metric in engine.send("Performance.getMetrics")["metrics"]}
        return float(found["TaskDuration"]) * 1000

    frames = []
    for _ in range(60):
        before = worked()
        page.evaluate("scrollBy(0, 400); new Promise(requestAnimationFrame)")
        frames.append(worked() - before)
    frames.sort()
    print("ms of work a frame: median", frames[30], "p95", frames[56], "max", frames[-1])
    assert frames[56] < 100
    began = desk.page.evaluate("performance.now()")
    desk.press("r")
    desk.page.evaluate("new Promise(requestAnimationFrame)")
    print("raw toggle ms", desk.page.evaluate("performance.now()") - began)
