"""Fifty judgements while the network goes, the server is killed, the page is frozen and the session ends: each stored once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import suppress

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from playwright.sync_api import Browser

from annotation.asking import draft
from annotation.models import Assignment, Draft, Judgement
from tests import chromium
from tests.builders import child_environment, person, signed_in
from tests.desk.browsing import Desk, browser_of, project_asking
from tests.loop.running_site import wait_for
from tests.world import ROOT

pytestmark = [*chromium.BROWSER, pytest.mark.slow, pytest.mark.django_db(transaction=True)]
JUDGEMENTS = 50


class Server:
    """gunicorn as `manage.py run` starts it, on the tests' database, at an address that survives it."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.address = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        command = ["gunicorn", "-c", "platform/webapp/gunicorn_settings.py", "webapp.wsgi:application"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=ROOT, start_new_session=True,
            env=child_environment() | {"PORT": str(self.port), "WEB_WORKERS": "1"},
        )  # fmt: skip
        wait_for(self.answers, 60)

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.address}/healthz", timeout=2) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except OSError:
            return False

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)


@pytest.fixture
def server() -> Iterator[Server]:
    started = Server()
    yield started
    started.kill()


def state(desk: Desk) -> str:
    return desk.page.locator("[data-state]").inner_text()


def send(desk: Desk) -> str | None:
    """Ranks and sends; the key that was sent. A sheet whose answer is on its way takes none."""
    wait_for(lambda: desk.page.locator("[data-judgement]:not([aria-busy=true])").count(), 60)
    key = desk.key
    desk.type("abcd")
    desk.press("Enter")
    return key


def go_on(desk: Desk, sent: str | None) -> None:
    wait_for(lambda: desk.page.wait_for_timeout(20) or desk.key != sent, 90, lambda: desk.page.inner_text("main"))


def stalls(desk: Desk) -> bool:
    return "kept on this computer" in desk.page.locator("[data-unsaved]").inner_text()


class Work:
    """Somebody who judges one item after the other, and how many were sent so far."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.sent = desk, 0

    def send(self) -> str | None:
        self.sent += 1
        return send(self.desk)

    def judge(self, until: int) -> None:
        while self.sent < until:
            go_on(self.desk, self.send())

    def until_it_stalls(self) -> str | None:
        """Works on with what was fetched ahead, until there is nothing more on this computer."""
        while True:
            key = self.send()
            self.desk.page.wait_for_timeout(300)
            if self.desk.key == key:
                wait_for(lambda: self.desk.page.wait_for_timeout(50) or stalls(self.desk), 30)
                return key

    def lose_the_network(self, seconds: float) -> None:
        page = self.desk.page
        page.context.set_offline(True)
        sent = self.until_it_stalls()
        page.wait_for_timeout(seconds * 1000)
        assert "waiting, kept on this computer" in state(self.desk)
        page.context.set_offline(False)
        go_on(self.desk, sent)


def at_work(browser: Browser, server: Server) -> Work:
    ada = person("ada")
    project = project_asking([draft("ranking")], ada, items=JUDGEMENTS + 10)
    return Work(Desk(browser_of(ada, browser, server.address), project, ada).open())


def all_once(desk: Desk) -> None:
    """Fifty items, one judgement each, as it was made."""
    kept = "JSON.stringify(Object.fromEntries(Object.entries(localStorage)))"
    wait_for(
        lambda: desk.page.wait_for_timeout(50) or Judgement.objects.count() >= JUDGEMENTS, 60,
        lambda: (Judgement.objects.count(), state(desk), desk.page.evaluate(kept)),
    )  # fmt: skip
    stored = Judgement.objects.all()
    assert (stored.count(), stored.filter(version=1).count()) == (JUDGEMENTS, JUDGEMENTS)
    assert len(set(stored.values_list("item_id", flat=True))) == JUDGEMENTS
    assert Assignment.objects.filter(state="done").count() == JUDGEMENTS
    assert not Draft.objects.filter(assignment__state="done").exists()
    for judgement in stored:
        ranks = [0] * 4
        for place, position in enumerate(judgement.order):
            ranks[position] = place + 1
        assert judgement.answers["ranking"]["ranks"] == ranks


def test_ten_minutes_without_network_lose_nothing(browser: Browser, server: Server) -> None:
    """Takes as long as it says: retries, leases and the session's check are those of real time."""
    work = at_work(browser, server)
    work.judge(24)
    work.lose_the_network(600)
    work.judge(JUDGEMENTS)
    all_once(work.desk)
    work.desk.page.context.close()


def test_fifty_judgements_are_stored_once_each_whatever_happens_on_the_way(browser: Browser, server: Server) -> None:
    work = at_work(browser, server)
    desk, judge = work.desk, work.judge
    context, page = desk.page.context, desk.page
    lifecycle = context.new_cdp_session(page)
    judge(8)
    work.lose_the_network(4)
    judge(20)

    server.kill()
    sent = work.until_it_stalls()
    server.start()
    go_on(desk, sent)
    judge(30)

    sent = work.send()  # the lid is closed while one is on its way
    lifecycle.send("Page.setWebLifecycleState", {"state": "frozen"})
    page.wait_for_timeout(3000)
    lifecycle.send("Page.setWebLifecycleState", {"state": "active"})
    go_on(desk, sent)
    judge(38)

    Session.objects.all().delete()
    sent = work.send()
    wait_for(lambda: page.wait_for_timeout(50) or "Signed out" in state(desk), 30, lambda: state(desk))
    fresh = signed_in(desk.user).cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": fresh, "url": server.address}])
    page.evaluate("dispatchEvent(new Event('focus'))")
    go_on(desk, sent)
    judge(44)

    server.kill()  # and the page is closed and opened again with answers that nobody has seen
    sent = work.send()
    wait_for(lambda: page.wait_for_timeout(50) or "waiting" in state(desk), 30)
    page.close()
    server.start()
    desk.page = context.new_page()
    desk.open()
    wait_for(lambda: desk.page.wait_for_timeout(50) or desk.stored().count() >= work.sent, 60)
    wait_for(lambda: desk.page.wait_for_timeout(50) or desk.assignment.state == Assignment.OPEN, 60)
    judge(JUDGEMENTS)
    all_once(desk)
    context.close()
