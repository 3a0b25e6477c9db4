"""Fixtures of the plugin tests: run folders of the small world, and one finished run."""

from pathlib import Path

import pytest

from tests.plugins.small_world import Make, finish, make_run, start


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


@pytest.fixture
def run_folder(tmp_path: Path, weights: Path) -> Make:
    """Makes run folders by name: run_folder("mine", "tiny:causal", rows=20, epochs=1)."""
    return lambda name, *arguments, **config: make_run(tmp_path / name, weights, *arguments, **config)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Path:
    """A run that nobody disturbed, finished."""
    folder = make_run(tmp_path_factory.mktemp("runs") / "undisturbed", weights, batch_rows=4)
    code, _, log = finish(start(folder))
    assert code == 0, log
    return folder
