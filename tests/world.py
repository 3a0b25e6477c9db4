"""The world the tests live in: a home of their own and a real Postgres in it, for one test session.

A pytest plugin (`-p tests.world` in pyproject.toml) because both must be there before Django's settings are read. With
TEST_DATABASE_URL set, that server is used instead. Neither the developer's home nor DATABASE_URL is ever touched.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PREFIX = "feinschliff-test-"
#: whatever would let a test reach something of the developer's: their database, their site's name, their loggers
TAKEN_AWAY = (
    *("DATABASE_URL", "SECRET_KEY", "HOST", "PORT", "ALLOWED_HOSTS", "EMAIL_URL", "SITE_URL", "FEINSCHLIFF_STORE"),
    *("TENSORBOARD_LOGDIR", "TENSORBOARD_LOGGING_DIR", "MLFLOW_TRACKING_URI", "WANDB_API_KEY", "WANDB_MODE"),
    *(
        "TRACKIO_PROJECT",
        "TRACKIO_SPACE_ID",
        "TRACKIO_SERVER_URL",
        "FEINSCHLIFF_LAUNCHER",
        "FEINSCHLIFF_LAUNCHER_PLUGINS",
    ),
)


def new_home() -> Path:
    """A home that does not exist yet, in a temporary folder that the database server's account can pass through."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    folder.chmod(0o711)
    return folder / "home"


def remove_home(home: Path) -> None:
    """Removes what `new_home` gave, and a database that went elsewhere; ends a server that was left behind."""
    from webapp import postgres
    from webapp.postgres.place import find_place

    if home.is_dir():
        postgres.stop_if_unused(home)
        shutil.rmtree(find_place(home).folder, ignore_errors=True)
    shutil.rmtree(home.parent, ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    for name in TAKEN_AWAY:
        os.environ.pop(name, None)
    for folder in (ROOT, ROOT / "platform"):
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
    from webapp import postgres

    home = new_home()
    os.environ["FEINSCHLIFF_HOME"] = str(home)
    early_config.add_cleanup(lambda: remove_home(home))
    if os.environ.get("TEST_DATABASE_URL"):
        os.environ["DATABASE_URL"] = os.environ["TEST_DATABASE_URL"]
    else:
        server = contextlib.ExitStack()
        server.enter_context(postgres.running(home, lambda line: None))
        early_config.add_cleanup(server.close)
    yield
