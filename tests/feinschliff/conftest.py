"""The wheel of the contract, built once for all tests that install it."""

from pathlib import Path

import pytest

from tests.feinschliff.environments import ROOT, build


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, tmp_path_factory.mktemp("wheel"))
