"""The annotator's desk in a real browser: a project, items, somebody signed in, and what the database holds afterwards.

The fixture `open_desk` (conftest.py) makes a `Desk`; a test then speaks in keys, taps and stored judgements:

    desk = open_desk([draft("ranking")], items=2, answers=4)
    desk.type("bd=ac")
    assert desk.save().answers["ranking"] == {"ranks": desk.by_position([3, 1, 4, 2])}
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from django.conf import settings
from django.core.servers.basehttp import ThreadedWSGIServer
from django.core.wsgi import get_wsgi_application
from django.test.testcases import QuietWSGIRequestHandler
from playwright.sync_api import Browser, Error, Locator, Page

from annotation import belonging
from annotation.models import Assignment, Item, Judgement, Project
from tests import chromium
from tests.builders import as_lines, bring_in, join, person, rows, signed_in
from webapp.people.models import User
from webapp.people.permitting import ANNOTATOR

DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
PATIENCE_S = 15
LEAVING = "leaving"


class Site(ThreadedWSGIServer):
    """Answers what was asked before it ends, so that no request of one test is still at work in the next one's database."""

    daemon_threads = False  # so closing waits for them

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), QuietWSGIRequestHandler)
        self.visitors: set[Any] = set()  # sockets

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's own
        self.visitors.add(request)
        super().process_request(request, client_address)

    def close_request(self, request: Any) -> None:  # noqa: ANN401
        self.visitors.discard(request)
        super().close_request(request)

    def server_close(self) -> None:
        """A browser keeps its connections open; from now on nothing more is read from them."""
        for visitor in list(self.visitors):
            with suppress(OSError):  # it has gone by itself
                visitor.shutdown(socket.SHUT_RD)
        super().server_close()


@contextmanager
def site() -> Iterator[str]:
    """The site in this process; yields its address. pytest-django's own server would not find the hashed static files."""
    server = Site()
    server.set_app(get_wsgi_application())
    thread = threading.Thread(target=server.serve_forever, args=[0.02])
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def project_asking(
    questions: Sequence[Mapping[str, Any]],
    *members: User,
    items: int = 1,
    answers: int = 4,
    records: Sequence[Mapping[str, Any]] = (),
    role: str = ANNOTATOR,
    **more: Any,  # noqa: ANN401 - whatever create_project takes
) -> Project:
    """A project with `questions` (asking.draft makes them) and either plain items or `records` in the platform's own shape."""
    words = {"name": "Answers", "guidelines": "Truth first."} | more
    project = belonging.create_project(questions=questions, creator=None, **words)
    for user in members:
        join(project, user, role)
    bring_in(project, as_lines(records or rows(items, answers=answers)))
    return project


def browser_of(user: User, browser: Browser, address: str, *, phone: bool = False, **more: Any) -> Page:  # noqa: ANN401 - Playwright's own
    """A page of somebody's own browser, signed in; `phone` has touch and no mouse."""
    size = {"viewport": PHONE, "has_touch": True, "is_mobile": True} if phone else {"viewport": DESKTOP}
    shape = {"base_url": address, "color_scheme": "light", "reduced_motion": "reduce", "locale": "en-GB"} | size | more
    context = browser.new_context(**shape)
    key = signed_in(user).cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": address}])
    page = context.new_page()
    page.set_default_timeout(PATIENCE_S * 1000)
    return page


class Desk:
    """Somebody at the desk of one project."""

    def __init__(self, page: Page, project: Project, user: User, *, phone: bool = False) -> None:
        self.page, self.project, self.user, self.phone = page, project, user, phone
        self.watch = chromium.Watch(page.context)

    def open(self, path: str = "") -> Desk:
        """The queue, or another path of the site; returns when the desk listens."""
        self.page.goto(path or f"/p/{self.project.slug}/judge/")
        self.ready()
        return self

    def ready(self) -> None:
        """Until the script has taken over: what needs it is shown then."""
        if self.page.locator("[data-judgement]").count():
            self.page.wait_for_selector("[data-key-keys]:not([hidden])")

    # what is on the screen

    @property
    def assignment(self) -> Assignment:
        """The one whose form is shown."""
        action = self.page.locator("[data-judgement]").get_attribute("action") or ""
        found = re.search(r"/judge/(\d+)/", action)
        assert found, action
        return Assignment.objects.select_related("item").get(pk=int(found[1]))

    @property
    def item(self) -> Item:
        return self.assignment.item

    @property
    def order(self) -> list[int]:
        """Positions of the item's responses, in the order in which the page shows them."""
        texts = [response.text for response in self.item.responses.order_by("position")]
        return [texts.index(shown) for shown in self.page.locator(".answer .raw").all_text_contents()]

    def by_position(self, shown: Sequence[Any]) -> list[Any]:
        """Values from the first answer shown to the last, as the item knows its responses."""
        stored: list[Any] = [None] * len(shown)
        for place, position in enumerate(self.order):
            stored[position] = shown[place]
        return stored

    def answer(self, letter: str) -> Locator:
        return self.page.locator(f".answer[data-letter={letter}]")

    def question(self, name: str) -> Locator:
        return self.page.locator(f"[data-question='{name}']")

    @property
    def readout(self) -> str:
        return self.page.locator("[data-readout]").inner_text()

    def fields(self) -> dict[str, Any]:
        """What the form would send for its questions."""
        script = "form => [...new FormData(form)].filter(([name]) => name.includes('.'))"
        found: dict[str, Any] = {}
        for name, value in self.page.locator("[data-judgement]").evaluate(script):
            found[name] = value if name not in found else [*_list(found[name]), value]
        return found

    # what somebody does

    def press(self, *keys: str) -> None:
        """Key by key, by Playwright's names: "a", "Enter", "Shift+G"."""
        for key in keys:
            self.page.keyboard.press(key)

    def type(self, signs: str) -> None:
        """One key a sign; spaces only help to read."""
        self.press(*signs.replace(" ", ""))

    def save(self, how: Callable[[], None] | None = None) -> Judgement:
        """Enter (or `how`), and what the database then holds: the newest judgement. The next item is on the screen."""
        before, key = self.stored().count(), self.key
        (how or (lambda: self.press("Enter")))()
        self.wait(lambda: self.stored().count() > before, "nothing was stored")
        self.wait(lambda: self.key not in (key, LEAVING), "the next item does not come")
        self.ready()
        self.wait(lambda: not self.waits, "the page does not hear of it")
        newest = self.stored().last()
        assert newest is not None
        return newest

    def stored(self) -> Any:  # noqa: ANN401 - a queryset
        """This person's judgements here, oldest first."""
        return Judgement.objects.filter(item__project=self.project, member__user=self.user).order_by("id")

    def wait(self, until: Callable[[], bool], otherwise: str) -> None:
        """Until something holds that Playwright cannot wait for."""
        end = time.monotonic() + PATIENCE_S
        while not until():
            assert time.monotonic() < end, f"{otherwise}: {self.page.locator('main').inner_text()[:800]}"
            self.page.wait_for_timeout(20)

    def look(self, name: str, *, within: str = "html") -> None:
        """axe, policy and width, in light and dark; screenshots where FEINSCHLIFF_SCREENS says."""
        chromium.look(self.page, name, within=within)

    @property
    def waits(self) -> bool:
        """Whether the page still has something to send, or has not heard yet that it arrived."""
        try:
            return self.page.evaluate(
                "document.querySelector('[data-state]')?.textContent.includes('waiting') ?? false"
            )
        except Error:
            return True

    @property
    def key(self) -> str | None:
        """The key of the form on the screen; None on another page, LEAVING while one gives way to the next."""
        try:
            return self.page.evaluate("document.querySelector('[data-judgement] [name=key]')?.value ?? null")
        except Error:  # the page went while it was asked
            return LEAVING


def _list(value: Any) -> list[Any]:  # noqa: ANN401 - a form's values
    return value if isinstance(value, list) else [value]


class OpenDesk:
    """Makes the project and opens its desk; the fixture's teardown fails on whatever a page complained about."""

    def __init__(self, browser: Browser, address: str) -> None:
        self._browser, self.address = browser, address
        self.desks: list[Desk] = []

    def __call__(
        self,
        questions: Sequence[Mapping[str, Any]],
        *,
        items: int = 1,
        answers: int = 4,
        records: Sequence[Mapping[str, Any]] = (),
        who: str = "ada",
        phone: bool = False,
        browser: Mapping[str, Any] | None = None,
        **more: Any,  # noqa: ANN401 - whatever create_project takes
    ) -> Desk:
        """`browser` is what Playwright's new_context takes besides: a locale, a theme, java_script_enabled."""
        user = User.objects.filter(username=who).first() or person(who)
        project = project_asking(questions, user, items=items, answers=answers, records=records, **more)
        return self.another(project, user, phone=phone, browser=browser).open()

    def another(
        self, project: Project, user: User, *, phone: bool = False, browser: Mapping[str, Any] | None = None
    ) -> Desk:
        """One more browser at a project that is there already, not yet at its desk."""
        page = browser_of(user, self._browser, self.address, phone=phone, **(browser or {}))
        self.desks.append(Desk(page, project, user, phone=phone))
        return self.desks[-1]

    def close(self) -> list[str]:
        """Ends the browsers; returns what went wrong in them."""
        faults: list[str] = []
        for desk in self.desks:
            faults += desk.watch.faults
            desk.page.wait_for_load_state()
            faults += [f"policy: {v}" for v in desk.page.evaluate("window.violations || []")]
            desk.page.context.close()
        return faults
