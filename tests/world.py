"""The world the tests live in: a home of their own and a real Postgres in it, for one test session.

A pytest plugin (`-p tests.world` in pyproject.toml) because both must be there before Django's settings are read. With
TEST_DATABASE_URL set, that server is used instead. Neither the developer's home nor DATABASE_URL is ever touched.

Where pytest-xdist spreads the tests over several processes (`make test` does), each of them has a world of its own, and
the process that only hands out the tests has none.
"""

from __future__ import annotations

import argparse
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
#: what one testing process needs with torch, a trainer's process and a browser beside it, in bytes
MEMORY_OF_ONE = 3 * 1024**3
MOST_WORKERS = 8
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


def sensible_workers(asked: argparse.Namespace) -> int:
    """How many processes `-n auto` means here: as many as there are cores and memory for, and none for one file alone."""
    files = {str(name).partition("::")[0] for name in asked.file_or_dir}
    if asked.usepdb or asked.collectonly or (len(files) == 1 and Path(*files).is_file()):
        return 0
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    workers = min(_cores(), memory // MEMORY_OF_ONE, MOST_WORKERS)
    return workers if workers > 1 else 0


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    return sensible_workers(config.option)


@pytest.hookimpl(tryfirst=True)
def pytest_configure() -> None:
    """No example is too slow for Hypothesis: how long one takes says what else the machine does."""
    from hypothesis import HealthCheck, settings

    settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("untimed")


def only_hands_out(asked: argparse.Namespace) -> bool:
    """Whether this process gives the tests to others and runs none itself."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        return False
    workers = getattr(asked, "numprocesses", None)
    return bool(sensible_workers(asked) if workers in ("auto", "logical") else workers)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    for name in TAKEN_AWAY:
        os.environ.pop(name, None)
    if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 0)):
        # torch takes a thread for every core unless told; several processes of it would only wait for one another
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, _cores() // workers)))
    for folder in (ROOT, ROOT / "platform"):
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
    from webapp import postgres

    home = new_home()
    os.environ["FEINSCHLIFF_HOME"] = str(home)
    early_config.add_cleanup(lambda: remove_home(home))
    if only_hands_out(early_config.known_args_namespace):
        pass
    elif os.environ.get("TEST_DATABASE_URL"):
        os.environ["DATABASE_URL"] = os.environ["TEST_DATABASE_URL"]
    else:
        server = contextlib.ExitStack()
        server.enter_context(postgres.running(home, lambda line: None))
        early_config.add_cleanup(server.close)
    yield
