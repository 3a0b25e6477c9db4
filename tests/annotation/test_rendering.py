"""Text for the screen: formulas and what is none, directions, signs that nobody sees, and what is kept."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation import showing
from annotation.rendering import render
from annotation.rendering.direction import direction_of
from annotation.rendering.keeping import Kept
from annotation.rendering.maths import LONGEST, to_mathml
from annotation.rendering.visible import hidden_signs
from tests.webapp.page_reading import Page, dangers

FORMULAS = [
    "$x^2$", "$$E = mc^2$$", r"\(a_1 + b\)", r"\[ \int_0^1 x\,dx \]", "$$\n\\frac{a}{b}\n$$", "$n$", "$k-1$", "$10^{-3}$",
    "\\begin{align*}\na &= b \\\\\nc &= d\n\\end{align*}", "\\[\n\\begin{pmatrix} 1 & 2 \\end{pmatrix}\n\\]", "- $a+b$",
    "> $$x = 1$$", "| a |\n|---|\n| $x^2$ |", r"$\text{if } x > 0$", r"($\alpha$)", r"$\mathbb{R}^n$,",
]  # fmt: skip
NONE = [
    "It costs $5 and $6.", "$5-$6", "US$5 and CA$6", "from 5$ to 6$", "$5 for apples, 3$ for pears", "$100 million$",
    "echo $HOME/$USER ${x}", r"\[see the link\] and \(optional\)", r"\[1\]", r"\$x$ and \$y$", "`$x$`", "```\n$x$\n```",
    "    $x$", "a $ b $ c", "$ x$", "$x $", "$$", "$$$$",
]  # fmt: skip


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_become_mathml(text: str) -> None:
    assert len(Page(render(text)).all("math")) == 1, render(text)


@pytest.mark.parametrize("text", NONE)
def test_prices_variables_code_and_brackets_are_no_formulas(text: str) -> None:
    assert "<math" not in render(text), render(text)


def test_words_around_a_formula_stay() -> None:
    assert (
        Page(render("It costs $5, and $x$ is **more** than $6.")).text.strip() == "It costs $5, and x is more than $6."
    )


BROKEN = [r"$\frac{a}{$", r"$\nosuchcommand{x}$", r"\(a_{\)", "$$\n\\begin{matrix} a\n$$", r"$\hspace{9999em}x$"]


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_formula_shows_its_source(broken: str) -> None:
    page = Page(render(broken))
    assert not page.all("math")
    assert page.text.strip().replace("\n", "") == broken.replace("\n", "")


def test_a_formula_too_long_or_too_deep_for_the_converter_is_not_given_to_it() -> None:
    assert to_mathml("{" * 30_000 + "x" + "}" * 30_000, display=False) is None
    deepest = "\\sqrt{" * (LONGEST // 7 - 1) + "x" + "}" * (LONGEST // 7 - 1)
    made: list[str | None] = []
    thread = threading.Thread(target=lambda: made.append(to_mathml(deepest, display=False)))
    thread.start()
    thread.join()
    assert made[0] is not None


def test_what_a_converter_would_style_is_said_by_classes() -> None:
    html = render("$$\n\\begin{aligned} a &= b \\end{aligned}\n$$")
    assert ' style="' not in html
    assert 'class="to-right"' in html
    assert 'class="to-left"' in html


def test_each_block_has_the_direction_of_its_first_letter() -> None:
    html = render("مرحبا *x*\n\n- سلام\n- two\n\nEnglish with שלום\n\n> 12 שלום")
    assert '<p dir="rtl">مرحبا' in html
    assert '<li dir="ltr">two' in html
    assert '<p dir="ltr">English' in html
    assert '<blockquote dir="rtl">' in html
    assert "dir=" not in render("Nothing of that here.\n\n- one")


@pytest.mark.parametrize(("text", "direction"), [("12, שלום", "rtl"), ("abc", "ltr"), ("123", None), ("", None)])
def test_direction_of(text: str, direction: str | None) -> None:
    assert direction_of(text) == direction


def test_signs_that_nobody_sees_are_shown_by_name() -> None:
    shown = showing.shown("safe\u202eexe.txt\u2066 a\u200bb \ufeff\x07")
    assert shown.raw == "safe⟨U+202E⟩exe.txt⟨U+2066⟩ a⟨U+200B⟩b ⟨U+FEFF⟩⟨U+0007⟩"
    assert "U+202E" in shown.html
    assert not set(shown.html) & set("\u202e\u2066\u200b\ufeff\x07")


JOINED = [
    "👩\u200d👩\u200d👧", "می\u200cخواهم", "क्\u200dष", "tab\tline\r\nend", "soft\u00adhyphen",
    "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
]  # fmt: skip


@pytest.mark.parametrize("text", JOINED)
def test_joiners_that_belong_to_letters_and_emoji_stay(text: str) -> None:
    assert hidden_signs(text) == []


def test_where_something_was_replaced_can_be_counted_back() -> None:
    text = "😀 I'm Claude.\u202e Yes, Claude Monet."
    shown = showing.shown(text, mask=True)
    rebuilt, at = "", 0
    for start, end, instead in shown.replaced:
        rebuilt += text[at:start] + instead
        at = end
    assert rebuilt + text[at:] == shown.raw
    assert [text[start:end] for start, end, _ in shown.replaced] == ["Claude", "\u202e"]
    assert shown.masked == 1


def test_what_was_made_is_kept_up_to_an_amount_of_characters() -> None:
    made: list[str] = []

    def make(text: str) -> str:
        made.append(text)
        return text * 2

    kept = Kept(make, characters=40)
    assert [kept("abc"), kept("abc"), kept("x" * 8)] == ["abcabc", "abcabc", "x" * 16]
    assert made == ["abc", "x" * 8]
    kept("y" * 8)
    kept("abc")
    assert made == ["abc", "x" * 8, "y" * 8, "abc"]


PIECES = st.sampled_from(
    ["$", "$$", "\\(", "\\)", "\\[", "\\]", "\\frac", "{", "}", "^", "_", "\\text{", "<", ">", "&", '"', "'", "\n", "\n\n", "> ",
     "- ", "|", "`", "```", "\\begin{align}", "\\end{align}", "\\\\", "x", "5", "ש", "\u202e", "\u200b", "\x00", "\x85", "\ud7ff",
     "<script>", "javascript:alert(1)", "](", "[", "!", "style=", "onload=", "\\href{javascript:alert(1)}{x}"]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES | st.text(max_size=4), max_size=24).map("".join))
def test_whatever_is_rendered_nothing_raises_and_nothing_runs(text: str) -> None:
    for shown in (showing.shown(text), showing.shown(text, mask=True)):
        assert dangers(shown.html) == []
        assert not set(shown.html) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b")
