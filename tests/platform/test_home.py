"""The home and its secret key."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.world import ROOT, new_home, remove_home
from webapp.home import CannotStart, ensure_home, home, secret_key


@pytest.fixture
def empty_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = new_home()
    monkeypatch.setenv("FEINSCHLIFF_HOME", str(folder))
    monkeypatch.delenv("SECRET_KEY", raising=False)
    yield folder
    remove_home(folder)


def test_without_a_setting_the_home_is_var_in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FEINSCHLIFF_HOME")
    assert home() == ROOT / "var"


def test_a_new_home_is_closed_to_others(empty_home: Path) -> None:
    ensure_home()
    assert empty_home.stat().st_mode & 0o067 == 0


def test_a_folder_that_was_there_keeps_its_mode(empty_home: Path) -> None:
    empty_home.mkdir()
    empty_home.chmod(0o755)
    ensure_home()
    assert empty_home.stat().st_mode & 0o777 == 0o755


def test_a_file_in_the_place_of_the_home_is_refused_in_a_sentence(empty_home: Path) -> None:
    empty_home.write_text("")
    with pytest.raises(CannotStart, match="it is a file"):
        ensure_home()


def test_the_key_is_made_once_and_only_its_owner_reads_it(empty_home: Path) -> None:
    key = secret_key()
    assert len(key) >= 50
    assert secret_key() == key
    assert (empty_home / "secret_key").stat().st_mode & 0o777 == 0o600


def test_processes_that_start_together_agree_on_one_key(empty_home: Path) -> None:
    code = "import sys; sys.path.append('platform'); from webapp.home import secret_key; print(secret_key())"
    started = [subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE) for _ in range(8)]
    assert len({process.communicate(timeout=60)[0] for process in started}) == 1
    assert [path.name for path in empty_home.iterdir()] == ["secret_key"]


def test_a_key_that_others_can_read_is_refused(empty_home: Path) -> None:
    secret_key()
    (empty_home / "secret_key").chmod(0o644)
    with pytest.raises(CannotStart, match="chmod 600"):
        secret_key()


@pytest.mark.parametrize("weak", ["short", "a" * 60, "django-insecure-" + "x9!kQ" * 10, "changeme" * 8])
def test_short_repeated_and_well_known_keys_are_refused(
    weak: str, empty_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", weak)
    with pytest.raises(CannotStart, match="SECRET_KEY"):
        secret_key()


def test_a_good_key_from_the_environment_wins(empty_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "k7Zp2Vw9Lq4Xr8Tn1Bs6Yd3Mf5Hj0Gc-ueaOI")
    assert secret_key() == "k7Zp2Vw9Lq4Xr8Tn1Bs6Yd3Mf5Hj0Gc-ueaOI"
    assert not empty_home.exists()
