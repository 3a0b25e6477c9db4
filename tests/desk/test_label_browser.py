"""Labels in a real browser: what is on the screen, what is stored and what is frozen are the same."""

from __future__ import annotations

import random

import pytest

from annotation.asking import draft
from tests import chromium
from tests.desk.browsing import OpenDesk
from tests.desk.frozen import frozen

pytestmark = chromium.BROWSER
TOPICS = "Animal\n  Dog | Man's best friend\n  Cat\nPlant\n  Oak\nStone"
FLAGS = draft("label", options={"labels": "Harmful\nOff topic\nMade up", "of": "answer", "many": True})
MANY = "\n".join(["Fruit", *(f"  Fruit {n}" for n in range(40)), "Root", *(f"  Root {n}" for n in range(40))])


def test_a_key_chooses_a_label_of_a_tree(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("label", options={"labels": TOPICS})], answers=1, items=2)
    desk.look("label tree")
    desk.type("14")
    assert desk.readout == "Stone"
    desk.type("2")
    assert desk.fields()["label.label-0"] == "animal/cat"
    assert desk.save().answers == {"label": {"labels": [["animal/cat"]]}}
    [row] = frozen(desk.project, "label")
    assert (row["label"], row["task"]) == ("animal/cat", "label")


@pytest.mark.slow
def test_arrows_open_a_tree_and_walk_in_it(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("label", options={"labels": TOPICS})], answers=1)
    desk.press(
        "ArrowDown", "ArrowLeft", "ArrowDown"
    )  # the first of the tree, closed; so the next is the second of the top
    assert desk.page.locator("[data-label='animal/dog']").is_hidden()
    assert desk.page.evaluate("document.activeElement.textContent.trim()") == "Plant"
    desk.press("ArrowUp", "ArrowRight", "ArrowDown", "Space")
    assert desk.readout == "Dog"
    assert desk.save().answers["label"]["labels"] == [["animal/dog"]]


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_flags_of_every_answer_are_shown_stored_and_frozen(open_desk: OpenDesk, seed: int) -> None:
    draw = random.Random(seed)
    names = ["harmful", "off-topic", "made-up"]
    desk = open_desk([FLAGS], answers=3, items=2)
    wanted = [[name for name in names if draw.random() < 0.4] for _ in range(3)]
    for place, flags in enumerate(wanted):
        for name in flags:
            desk.page.locator(f"input[name='label.label-{place}'][value='{name}']").click()
    stored = desk.by_position(wanted)
    assert desk.save().answers["label"] == {"labels": stored}
    rows = frozen(desk.project, "label") if any(wanted) else []
    said = [(row["prompt"][-1]["content"], row["label"]) for row in rows]
    assert sorted(said) == sorted((f"Answer 0.{n}", name) for n, flags in enumerate(stored) for name in flags)


@pytest.mark.slow
def test_keys_flag_answer_after_answer(open_desk: OpenDesk) -> None:
    desk = open_desk([FLAGS], answers=2, items=2)
    desk.type("13")
    desk.press("ArrowRight")
    desk.type("22")  # and taken back
    desk.look("label flags")
    assert desk.readout == "A: Harmful, Made up · B: –"
    wanted = desk.by_position([["harmful", "made-up"], []])
    assert desk.save().answers["label"]["labels"] == wanted


@pytest.mark.slow
def test_nothing_flagged_can_be_saved_at_once(open_desk: OpenDesk) -> None:
    desk = open_desk([FLAGS], answers=2, items=2)
    assert desk.save().answers["label"] == {"labels": [[], []]}


@pytest.mark.slow
def test_yes_and_no_become_good_and_bad_answers(open_desk: OpenDesk) -> None:
    desk = open_desk([draft("label", options={"of": "answer", "good": "yes"})], answers=2, items=2, phone=True)
    desk.page.locator("input[name='label.label-0'][value=yes]").tap()
    desk.press("Enter")
    assert desk.readout == "Choose a label for answer B."
    desk.page.locator("input[name='label.label-1'][value=no]").tap()
    desk.look("label yes no")
    wanted = desk.by_position([True, False])
    desk.save(lambda: desk.page.locator("[data-save]").tap())
    rows = {row["completion"]: row["label"] for row in frozen(desk.project, "unpaired")}
    assert rows == {f"Answer 0.{n}": good for n, good in enumerate(wanted)}


@pytest.mark.slow
def test_a_long_list_is_found_by_typing(open_desk: OpenDesk) -> None:
    desk = open_desk(
        [draft("label", options={"labels": MANY, "many": True, "least": 1, "most": 2})], answers=1, items=2
    )
    assert desk.page.locator("[data-label='root/root-7']").is_hidden()
    desk.press("/")
    desk.page.keyboard.type("Root 7")
    desk.look("label long")
    desk.press("Enter")
    assert desk.readout == "Root 7"
    desk.page.locator("[data-filter]").fill("fruit 3")
    desk.press("ArrowDown", "ArrowDown", "Space")
    assert desk.readout == "Fruit 3, Root 7"
    desk.page.locator("[data-label='fruit/fruit-4'] input").evaluate("box => box.click()")
    assert desk.readout == "Fruit 3, Root 7"  # two at most
    assert desk.save().answers["label"]["labels"] == [["fruit/fruit-3", "root/root-7"]]
