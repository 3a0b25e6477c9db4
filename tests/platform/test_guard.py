"""`platform/` must never hide Python's own module of that name. Only a fresh process in the project root can tell."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def fresh(code: str) -> str:
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_a_fresh_process_in_the_project_root_gets_pythons_own_platform_module() -> None:
    code = "import sys; sys.path.append('platform'); import platform, uuid, django; print(platform.__file__)"
    assert Path(fresh(code).strip()).name == "platform.py"
    assert ROOT not in Path(fresh(code).strip()).parents


def test_manage_py_starts_although_a_folder_is_named_platform() -> None:
    command = [sys.executable, "manage.py", "version"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("5.")


def test_the_source_root_is_no_package() -> None:
    assert not (ROOT / "platform" / "__init__.py").exists()


def test_nothing_of_ours_is_named_like_a_standard_module() -> None:
    in_platform = {path.stem for path in (ROOT / "platform").iterdir()}
    in_root = {path.stem for path in ROOT.iterdir()} - {"platform"}
    assert not in_platform & sys.stdlib_module_names
    assert not in_root & sys.stdlib_module_names


def test_no_folder_of_ours_is_named_like_a_library_we_use() -> None:
    folders = {path.name for path in ROOT.iterdir() if path.is_dir()}
    assert not folders & {"datasets", "trl", "evaluate", "tokenizers", "transformers", "accelerate", "ray", "django"}
