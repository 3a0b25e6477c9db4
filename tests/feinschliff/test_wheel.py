"""The wheel that plugin authors install: small, typed, two requirements, and light to import."""

import json
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from tests.feinschliff.environments import Fresh

ALLOWED = {
    "feinschliff",
    "pluggy",
    "pydantic",
    "pydantic_core",
    "annotated_types",
    "typing_extensions",
    "typing_inspection",
}
ASK = """
import json, sys
before = set(sys.modules)
import feinschliff, feinschliff.__main__, feinschliff.checks
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(json.dumps(sorted(name for name in new - set(sys.stdlib_module_names) if not name.startswith("_sysconfigdata"))))
"""


@pytest.fixture(scope="module")
def fresh(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Fresh:
    return Fresh(tmp_path_factory.mktemp("fresh") / "env", wheel)


def test_the_wheel_holds_the_contract_alone_typed_and_requires_pluggy_and_pydantic(wheel: Path) -> None:
    assert wheel.name == "feinschliff-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as held:
        names = held.namelist()
        metadata = Parser().parsestr(held.read("feinschliff-0.1.0.dist-info/METADATA").decode())
    assert {name.partition("/")[0] for name in names} == {"feinschliff", "feinschliff-0.1.0.dist-info"}
    assert "feinschliff/py.typed" in names
    assert "feinschliff/starter/pyproject.toml.txt" in names
    assert not [name for name in names if "__pycache__" in name]
    assert [line for line in metadata.get_all("Requires-Dist") or [] if "extra" not in line] == [
        "pluggy>=1.6",
        "pydantic>=2.10",
    ]
    assert "datasets>=4; extra == 'datasets'" in metadata.get_all("Requires-Dist", [])
    assert wheel.stat().st_size < 200_000


def test_importing_it_loads_pluggy_and_pydantic_and_what_those_bring(fresh: Fresh, tmp_path: Path) -> None:
    asked = fresh.run("-c", ASK, cwd=tmp_path)
    assert asked.returncode == 0, asked.stderr
    assert set(json.loads(asked.stdout)) <= ALLOWED


def test_an_installed_contract_lists_and_helps(fresh: Fresh, tmp_path: Path) -> None:
    listed = json.loads(fresh.run("-m", "feinschliff", "list", cwd=tmp_path).stdout)
    assert (listed["trainers"], listed["refusals"]) == ([], [])
    helped = fresh.run("-m", "feinschliff", "--help", cwd=tmp_path)
    assert all(command in helped.stdout for command in ("list", "train", "score", "new", "try"))
