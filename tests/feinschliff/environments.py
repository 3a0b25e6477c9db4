"""Fresh Python environments that hold what a plugin author has: the wheel, what it requires, and nothing else.

What is required is linked from this environment's own packages, so nothing is fetched and a new one takes half a second.
"""

import importlib.metadata
import os
import re
import subprocess
import sys
import sysconfig
import venv
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTEST = ("pytest", "iniconfig", "packaging", "pygments")


def build(source: Path, into: Path) -> Path:
    """The wheel of a project, built by pip; hatchling comes from the package index where it is not installed here."""
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--disable-pip-version-check"]
    here = ["--no-build-isolation"] if find_spec("hatchling") else []
    done = subprocess.run([*pip, *here, "-w", str(into), str(source)], capture_output=True, text=True, check=False)
    if "hatchling" in done.stderr and ("No matching distribution" in done.stderr or "connection" in done.stderr):
        pytest.skip("no package index within reach to fetch hatchling from")
    assert done.returncode == 0, done.stderr
    return next(into.glob("*.whl"))


class Fresh:
    """An environment of its own, with these wheels installed and what they require linked in."""

    def __init__(self, folder: Path, *wheels: Path, also: tuple[str, ...] = ()) -> None:
        venv.create(folder, with_pip=False, symlinks=True)
        self.python = folder / "bin" / "python"
        version = f"python{sysconfig.get_python_version()}"
        self.packages = folder / "lib" / version / "site-packages"
        self.install(*wheels)
        for name in required(importlib.metadata.distributions(path=[str(self.packages)])) | set(also):
            self._link(name)

    def install(self, *wheels: Path) -> None:
        pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", "--python", str(self.python)]
        subprocess.run([*pip, "install", "--no-deps", "--no-index", *map(str, wheels)], check=True)

    def _link(self, name: str) -> None:
        """Link a distribution's top-level packages and its metadata; idle where it is installed already."""
        about = importlib.metadata.distribution(name)
        tops = {path.parts[0] for path in about.files or [] if path.parts[0] not in ("..", "__pycache__")}
        for top in tops:
            target = self.packages / top
            if not target.exists():
                target.symlink_to(Path(str(about.locate_file(top))))

    def run(self, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], "HOME": str(cwd), "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(
            [str(self.python), *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
        )


def required(distributions: object) -> set[str]:
    """The names of all that these distributions require, and what that requires, without extras."""
    found: set[str] = set()
    ahead = [line for about in distributions for line in about.requires or []]  # type: ignore[attr-defined]
    while ahead:
        line = ahead.pop()
        name = re.split(r"[\s<>=!~;\[(]", line, maxsplit=1)[0]
        if "extra ==" in line or name in found or name == "feinschliff":
            continue
        found.add(name)
        ahead += importlib.metadata.requires(name) or []
    return found
