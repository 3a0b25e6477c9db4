"""Every page of the site, in light and dark, on a desktop and a phone, in English and German: nothing for axe to complain of,
nothing beyond the edge, no error in the console, and the language that the page says it is in.

A few pages run with the quick tests; all of them with the slow ones.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from django.conf import settings
from playwright.sync_api import Browser, Page

from tests import chromium
from tests.builders import signed_in
from tests.desk import every_page
from tests.desk.browsing import DESKTOP, PHONE
from tests.desk.every_page import EveryPage, Shown
from tests.webapp.test_routes import DOORS

pytestmark = [*chromium.BROWSER, pytest.mark.django_db]

QUICK = {"login", "home", "desk", "run", "questions"}
LANGUAGES = ("en", "de")
#: where `make screenshots` puts them
SCREENS = "FEINSCHLIFF_DOC_SCREENS"
Theme = Literal["light", "dark"]
SHORTEST, TALLEST = 600, 1200
QUALITY = 32
MOST_BYTES = 3_000_000


@pytest.fixture
def world(transactional_db: None) -> EveryPage:
    return every_page.make()


class Visitor:
    """One browser for each person, which follows them through their pages and notes what goes wrong."""

    def __init__(
        self, browser: Browser, address: str, world: EveryPage, *, phone: bool, language: str, theme: Theme
    ) -> None:
        self.browser, self.address, self.world = browser, address, world
        self.shape: dict[str, Any] = (
            {"viewport": PHONE, "has_touch": True, "is_mobile": True} if phone else {"viewport": DESKTOP}
        )
        self.shape |= {"base_url": address, "locale": language, "reduced_motion": "reduce", "color_scheme": theme}
        self.pages: dict[str, tuple[Page, chromium.Watch]] = {}
        self.faults: list[str] = []

    def goto(self, shown: Shown) -> Page:
        page, watch = self._page(shown.who)
        answer = page.goto(shown.address, wait_until="load")
        page.wait_for_load_state("networkidle")
        if answer and answer.status != shown.status:
            self.faults.append(f"{shown.name}: status {answer.status}")
        expected = "Failed to load resource" if shown.status != 200 else None
        self.faults += [f"{shown.name}: {fault}" for fault in watch.faults if not (expected and expected in fault)]
        watch.faults.clear()
        return page

    def _page(self, who: str) -> tuple[Page, chromium.Watch]:
        if who not in self.pages:
            context = self.browser.new_context(**self.shape)
            if who:
                key = signed_in(self.world.people[who]).cookies[settings.SESSION_COOKIE_NAME].value
                context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": self.address}])
            watch = chromium.Watch(context)
            self.pages[who] = (context.new_page(), watch)
        return self.pages[who]

    def close(self) -> None:
        for page, _ in self.pages.values():
            page.context.close()


def visit(
    browser: Browser, address: str, world: EveryPage, pages: list[Shown], *, phone: bool, language: str
) -> list[str]:
    """Looks at every page; what is wrong with them."""
    visitor = Visitor(browser, address, world, phone=phone, language=language, theme="light")
    faults = []
    for shown in pages:
        page = visitor.goto(shown)
        if page.locator("html").get_attribute("lang") != language:
            faults.append(f"{shown.name}: in another language")
        try:
            chromium.look(page, f"{shown.name} {language}")
        except AssertionError as wrong:
            faults.append(str(wrong).splitlines()[0])
    visitor.close()
    return visitor.faults + faults


def test_every_route_is_among_the_pages_or_known_to_be_none(world: EveryPage) -> None:
    assert set(DOORS) - world.routes() == every_page.NOT_PAGES & set(DOORS)


@pytest.mark.parametrize(("phone", "language"), [(False, "de"), pytest.param(True, "en", marks=pytest.mark.slow)])
def test_a_few_pages_are_open_to_everybody(
    browser: Browser, address: str, world: EveryPage, phone: bool, language: str
) -> None:
    pages = [shown for shown in world.pages if shown.name in QUICK]
    assert visit(browser, address, world, pages, phone=phone, language=language) == []


@pytest.mark.slow
@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_is_open_to_everybody(
    browser: Browser, address: str, world: EveryPage, phone: bool, language: str
) -> None:
    assert visit(browser, address, world, world.pages, phone=phone, language=language) == []


@pytest.mark.slow
@pytest.mark.skipif(SCREENS not in os.environ, reason=f"pictures for the docs: `make screenshots` sets {SCREENS}")
def test_the_pictures_in_the_docs_can_be_taken(browser: Browser, address: str, world: EveryPage) -> None:
    folder = Path(os.environ[SCREENS])
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.webp"):
        old.unlink()
    names = []
    looks: list[tuple[bool, Theme, str]] = [(False, "light", "desktop"), (True, "dark", "phone")]
    for phone, theme, size in looks:
        visitor = Visitor(browser, address, world, phone=phone, language="en", theme=theme)
        for shown in world.pages:
            page = visitor.goto(shown)
            name = shown.name.replace(":", "-")
            (folder / f"{name}-{size}.webp").write_bytes(picture(page))
            page.set_viewport_size(PHONE if phone else DESKTOP)
            names.append(name)
        visitor.close()
    lines = list(listed(list(dict.fromkeys(names))))
    (folder.parent / "screens.md").write_text("\n".join(lines) + "\n", "utf-8")
    assert sum(file.stat().st_size for file in folder.iterdir()) < MOST_BYTES


def picture(page: Page) -> bytes:
    """What somebody would see on a screen as tall as the page, up to TALLEST; WebP, which Playwright itself does not write."""
    height = min(int(page.evaluate("document.documentElement.scrollHeight")), TALLEST)
    width = page.viewport_size["width"] if page.viewport_size else 0
    page.set_viewport_size({"width": width, "height": max(height, SHORTEST)})
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    screen = page.context.new_cdp_session(page)
    taken = screen.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY})
    screen.detach()
    return base64.b64decode(taken["data"])


def listed(names: list[str]) -> Iterator[str]:
    """docs/screens.md."""
    yield "# Every page\n"
    yield "Made by `make screenshots` in a world of the tests: on a desktop in light, on a phone in dark.\n"
    for name in names:
        title = name.replace("_", " ").replace("-", ": ", 1).capitalize()
        yield f"## {title}\n"
        yield f"![{title}, desktop](screens/{name}-desktop.webp)"
        yield f"![{title}, phone](screens/{name}-phone.webp)\n"
