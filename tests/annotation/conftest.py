"""Every page needs the static files' names."""

import pytest

from tests.builders import collect_static


@pytest.fixture(scope="session", autouse=True)
def static_files() -> None:
    collect_static()
