"""A browser and a site for the tests of the desk. Mark a module with `pytestmark = chromium.BROWSER`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests import chromium
from tests.builders import collect_static
from tests.desk.browsing import OpenDesk, site


@pytest.fixture(scope="session", autouse=True)
def static_files() -> None:
    """Pages name static files by their hashed names, which collecting makes."""
    collect_static()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium.chromium() as started:
        yield started


@pytest.fixture
def address(transactional_db: None) -> Iterator[str]:
    with site() as started:
        yield started


@pytest.fixture
def open_desk(browser: Browser, address: str) -> Iterator[OpenDesk]:
    opened = OpenDesk(browser, address)
    yield opened
    faults = opened.close()
    assert not faults, faults
