"""Comparison in a real browser: every scale, by keyboard, mouse and touch; screen, database and rows agree."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import expect

from annotation.asking import draft
from annotation.kinds.comparison import Options
from annotation.models import Judgement, Project
from tests import chromium
from tests.desk.browsing import Desk, OpenDesk
from tests.desk.test_ranking_browser import patient, store
from training import freezing

pytestmark = chromium.BROWSER
__all__ = ["store"]
SCALES = [(7, "both")]
MORE = [(7, "one"), (3, "both"), (8, "one"), (2, "one"), (3, "one"), (4, "one"), (5, "both"), (6, "one")]


def wanted_of(value: str, order: list[int]) -> dict[str, Any]:
    """The answer that a step of the scale stands for, worked out apart from the code that reads it."""
    if value in ("0", "good", "bad"):
        return {"winner": 0, "strength": None, "tie": None if value == "0" else value}
    better = order[0] if int(value) > 0 else order[1]
    return {"winner": better + 1, "strength": abs(int(value)), "tie": None}


def press(desk: Desk, way: str, at: int, keys: str) -> None:
    step = desk.page.locator(".step").nth(at)
    if way == "number":
        desk.press(str(at + 1))
    elif way == "letters":
        desk.type(keys)
    elif way == "touch":
        step.tap()
    else:
        step.click()


def pairs_of(project: Project) -> list[dict[str, Any]]:
    snapshot = freezing.freeze(project=project, rows="pair")
    text = "".join((freezing.folder(snapshot) / f"{side}.jsonl").read_text("utf-8") for side in freezing.SPLITS)
    return [json.loads(line) for line in text.splitlines()]


def said_and_kept(desk: Desk, options: Options, at: int, way: str) -> None:
    step, order = options.steps[at], desk.order
    texts = [response.text for response in desk.item.responses.order_by("position")]
    press(desk, way, at, step.keys)
    assert desk.readout == step.text
    save = desk.page.locator("[data-save]")
    stored: Judgement = desk.save((lambda: save.tap()) if desk.phone else None)
    wanted = wanted_of(step.value, order)
    assert stored.answers["comparison"] == wanted
    if wanted["winner"]:
        (row,) = [row for row in pairs_of(desk.project) if row["item"] == stored.item.key]
        better = wanted["winner"] - 1
        said = (texts[better], texts[1 - better], float(wanted["strength"]))
        assert (row["chosen"], row["rejected"], row["margin"]) == said


def every_step(open_desk: OpenDesk, levels: int, tie_words: str, examples: int, phone: bool = False) -> None:
    given_options = {"levels": levels, "tie_words": tie_words}
    options = Options.model_validate(given_options)
    desk = open_desk([draft("comparison", options=given_options)], items=examples + 1, answers=2, phone=phone)
    ways = ["touch"] if phone else ["number", "letters", "mouse"]

    @patient(examples)
    @given(st.integers(0, len(options.steps) - 1), st.sampled_from(ways))
    def check(at: int, way: str) -> None:
        said_and_kept(desk, options, at, way)

    check()


@pytest.mark.parametrize(("levels", "tie_words"), SCALES)
def test_a_step_on_the_screen_is_the_one_stored_and_exported(
    open_desk: OpenDesk, store: Any, levels: int, tie_words: str  # noqa: ANN401
) -> None:  # fmt: skip
    every_step(open_desk, levels, tie_words, 2)


@pytest.mark.slow
@pytest.mark.parametrize(("levels", "tie_words"), SCALES + MORE)
@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
def test_many_steps_are_stored_as_they_stand(
    open_desk: OpenDesk, store: Any, levels: int, tie_words: str, phone: bool  # noqa: ANN401
) -> None:  # fmt: skip
    every_step(open_desk, levels, tie_words, 8, phone)


def test_a_letter_again_is_a_stronger_step_and_the_other_letter_the_other_side(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("comparison")], answers=2)
    said = []
    for key in "aaaabb=":
        desk.press(key)
        said.append(desk.readout)
    slightly, better, much = "A is slightly better", "A is better", "A is much better"
    assert said == [slightly, better, much, much, "B is slightly better", "B is better", "Equally good"]


@pytest.mark.slow
def test_the_arrows_go_from_the_middle_to_the_ends(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("comparison")], answers=2)
    said = []
    for key in ("ArrowLeft", "ArrowLeft", "ArrowLeft", "ArrowRight"):
        desk.press(key)
        said.append(desk.readout)
    assert said == ["Equally good", "A is slightly better", "A is better", "A is slightly better"]


@pytest.mark.slow
def test_nothing_is_saved_before_a_step_is_chosen(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("comparison")], answers=2)
    desk.press("Enter")
    assert desk.readout == "Choose a step between A and B first."
    assert not desk.stored().exists()


@pytest.mark.slow
def test_without_a_middle_no_key_makes_a_tie(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("comparison", options={"levels": 8})], answers=2)
    desk.type("=vx")
    expect(desk.page.locator(".step :checked")).to_have_count(0)
    expect(desk.page.locator(".step")).to_have_count(8)


@pytest.mark.slow
def test_of_several_questions_the_strength_is_still_open_to_a_second_press(open_desk: OpenDesk) -> None:
    """Nothing goes on by itself: the same key would mean something else there."""
    desk = open_desk([draft("comparison"), draft("ranking", required=False)], answers=2)
    desk.type("bb")
    assert desk.fields()["comparison.choice"] == "-2"
    desk.press("b")
    assert desk.fields()["comparison.choice"] == "-3"
    desk.press("Enter")
    expect(desk.page.locator("[data-step=ranking]")).to_have_attribute("aria-current", "step")


@pytest.mark.slow
@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
@pytest.mark.parametrize(("levels", "tie_words"), [(7, "both"), (8, "one")])
def test_every_scale_is_clean(open_desk: OpenDesk, levels: int, tie_words: str, phone: bool) -> None:
    desk = open_desk([draft("comparison", options={"levels": levels, "tie_words": tie_words})], answers=2, phone=phone)
    desk.press("b")
    desk.look(f"comparison of {levels}")
