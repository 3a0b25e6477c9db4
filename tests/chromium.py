"""The one Chromium that browser tests drive: where it is, how it starts, and what a page that it shows must never do."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FOUND = next((path for name in NAMES if (path := shutil.which(name))), None)
WITHOUT = pytest.mark.skipif(FOUND is None, reason=f"no Chromium here; looked for {', '.join(NAMES)}")
#: where `look` leaves its screenshots, if this names a folder
SCREENS = "FEINSCHLIFF_SCREENS"
PATIENCE = 15_000  # milliseconds until what is expected of a page must be so: other tests run beside these
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
NOTE_VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (e) => window.violations.push(`${e.violatedDirective} ${e.blockedURI}`));
"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A Chromium without a window. While it is open the test may ask the database: Playwright's own loop never does."""
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        expect.set_options(timeout=PATIENCE)
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        started = playwright.chromium.launch(executable_path=FOUND, args=sandbox)
        yield started
        started.close()


class Watch:
    """Notes what goes wrong on the pages of a context: errors, what the content security policy forbade, lost requests."""

    def __init__(self, context: BrowserContext) -> None:
        self.faults: list[str] = []
        context.add_init_script(NOTE_VIOLATIONS)
        context.on("console", self._said)
        context.on("weberror", lambda error: self.faults.append(f"page error: {error.error}"))
        context.on("requestfailed", self._failed)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(f"console {message.type}: {message.text}")

    def _failed(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # a page that is left ends what it was asking for
            self.faults.append(f"failed: {request.url} {request.failure}")

    def forgive(self, part: str) -> None:
        """Takes away the faults that a test brought about on purpose; there must be one."""
        left = [fault for fault in self.faults if part not in fault]
        assert len(left) < len(self.faults), f"no fault holds “{part}”: {self.faults}"
        self.faults = left


def look(page: Page, name: str, *, within: str = "html") -> None:
    """axe in both themes, no violation of the policy, nothing beyond the edge; a screenshot of each if they are wanted."""
    assert page.evaluate("window.violations") == [], name
    wide, room = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide <= room, f"{name} is {wide} px wide, the screen {room}"
    for theme in THEMES:
        page.emulate_media(color_scheme=theme)
        _keep(page, f"{name} {room} {theme}")
        found = Axe().run(page, context=within).response["violations"]
        told = [f"{v['id']}: {v['help']}: {v['nodes'][0]['html'][:200]}" for v in found]
        assert not told, f"{name}, {theme}: {told}"
    page.emulate_media(color_scheme="light")


def _keep(page: Page, name: str) -> None:
    if folder := os.environ.get(SCREENS):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{re.sub(r'[^a-z0-9]+', '-', name.lower())}.png")


#: what a module of browser tests begins with: `pytestmark = BROWSER`
BROWSER = [pytest.mark.browser, WITHOUT]
