"""What the tests of training share: a home of their own, and the trainers that need no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as site_settings

from tests.builders import collect_static
from training import working
from training.catalogue import listing

QUICK = "tests.training.quick_trainers"


@pytest.fixture
def home(tmp_path: Path, settings: Any) -> Path:  # noqa: ANN401 - pytest-django's fixture
    """Snapshots and runs of one test; the listing's cache of the whole session serves it."""
    settings.HOME = tmp_path
    (tmp_path / "cache").symlink_to(_shared_cache())
    return tmp_path


@pytest.fixture
def quick(home: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Path:  # noqa: ANN401
    """The home, where the quick trainers are installed and a worker looks often."""
    settings.BUILTIN_PLUGINS = [*settings.BUILTIN_PLUGINS, QUICK]
    monkeypatch.setattr(working, "POLL", 0.05)
    listing.listing()
    return home


_FIRST_HOME = Path(site_settings.HOME)


def _shared_cache() -> Path:
    folder = _FIRST_HOME / "cache"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session", autouse=True)
def static_files() -> None:
    """Pages name static files by their hashed names, which collecting makes."""
    collect_static()
