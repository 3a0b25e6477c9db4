"""Talking with a model in a real browser: two answers, a choice by key, mouse or touch, and what happens when it cannot."""

from __future__ import annotations

import threading

import pytest
from django.conf import settings

from annotation.asking import draft
from annotation.models import Item, Judgement, Project
from annotation.talking import NoReply
from tests import chromium
from tests.desk.browsing import Desk, OpenDesk

pytestmark = chromium.BROWSER
HERE = "tests.desk.test_talk_browser"
GO_ON = threading.Event()


def two_answers(project: Project, ref: str, prompt: list[dict[str, str]]) -> list[tuple[str, str]]:
    """A model that answers at once; that waits if it is asked to think; that fails if it is asked to."""
    last = prompt[-1]["content"]
    if "think" in last:
        GO_ON.wait(20)
    if "fail" in last:
        raise NoReply("The model did not answer within 120 s.")
    return [(f"**One** word on {last}", f"{ref} seed=1"), (f"Other words on {last}\n\n- a\n- b", f"{ref} seed=2")]


@pytest.fixture
def talk(open_desk: OpenDesk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return start(open_desk, monkeypatch)


def start(open_desk: OpenDesk, monkeypatch: pytest.MonkeyPatch, *, phone: bool = False) -> Desk:
    monkeypatch.setattr(settings, "LIVE_ANSWERS", f"{HERE}.two_answers")
    GO_ON.clear()
    desk = open_desk([draft("comparison")], answers=2, phone=phone)
    Project.objects.filter(pk=desk.project.pk).update(live_model="tiny:causal")
    desk.page.goto("/p/answers/talk/")
    return desk


@pytest.mark.slow
def test_a_conversation_by_keys(talk: Desk) -> None:
    page = talk.page
    talk.look("talk empty")
    page.locator("#say-text").fill("Tides?")
    page.locator("#say-text").press("Control+Enter")
    page.wait_for_selector("[data-desk] .answer")
    talk.look("talk choose")
    talk.type("1")
    talk.press("Enter")
    page.wait_for_selector("text=The answer you chose")
    assert Judgement.objects.get().answers["comparison"]["winner"] == 1
    talk.look("talk next")
    page.locator("#say-text").fill("And then?")
    page.locator("#say-text").press("Control+Enter")
    page.wait_for_selector("[data-desk] .answer")
    assert [m["content"] for m in Item.objects.latest("id").prompt] == ["Tides?", "**One** word on Tides?", "And then?"]


@pytest.mark.slow
def test_a_conversation_by_touch(open_desk: OpenDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = start(open_desk, monkeypatch, phone=True)
    page = desk.page
    page.locator("#say-text").fill("Tides?")
    page.locator("[data-send]").tap()
    page.wait_for_selector("[data-desk] .answer")
    page.locator("[data-question] label:has(input[type=radio])").last.tap()
    desk.look("talk choose")
    page.locator("[data-save]").tap()
    page.wait_for_selector("text=The answer you chose")
    assert Judgement.objects.get().answers["comparison"]["winner"] == 2


@pytest.mark.slow
def test_a_model_that_is_slow_can_be_cancelled_and_nothing_typed_is_lost(talk: Desk) -> None:
    page, box = talk.page, talk.page.locator("#say-text")
    box.fill("think about tides")
    page.locator("[data-send]").click()
    page.wait_for_selector("text=The model is writing … 1 s")
    talk.look("talk waiting")
    page.locator("[data-cancel]").click()
    assert box.input_value() == "think about tides"
    assert box.evaluate("box => box === document.activeElement && !box.readOnly")
    GO_ON.set()
    talk.wait(lambda: Item.objects.filter(key__startswith="talk:").exists(), "the model still thinks")


@pytest.mark.slow
def test_a_model_that_fails_says_so_and_nothing_typed_is_lost(talk: Desk) -> None:
    page, box = talk.page, talk.page.locator("#say-text")
    box.fill("fail at tides")
    page.locator("[data-send]").click()
    page.wait_for_selector("text=The model did not answer within 120 s.")
    assert box.input_value() == "fail at tides"
    talk.look("talk failed")
    page.reload()
    assert page.url.endswith("/talk/")
    assert page.locator("#say-text").input_value() == "fail at tides"
    talk.watch.forgive("409")
