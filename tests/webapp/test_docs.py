"""What can be set, called and written stands in the docs: compared with the code."""

import re
from pathlib import Path

import pytest
from django.core.management import get_commands
from django.urls import get_resolver

from annotation.mapping import WORDS
from feinschliff import hookspecs
from feinschliff.rows import ROW_KINDS
from training.freezing import OFFERED

ROOT = Path(__file__).resolve().parents[2]


def page(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def test_every_command_of_ours_is_documented() -> None:
    ours = {name for name, app in get_commands().items() if str(app).startswith(("annotation", "training", "webapp"))}
    assert "train" in ours
    for command in ours:
        assert f"`{command}" in page("docs/commands.md"), command


def test_every_environment_variable_is_documented() -> None:
    read = set()
    for path in (ROOT / "platform" / "webapp").rglob("*.py"):
        text = path.read_text("utf-8")
        read |= set(re.findall(r'env(?:\.\w+)?\("([A-Z_]+)"', text))
        read |= set(re.findall(r'environ(?:\.get\(|\[)"([A-Z_]+)"', text))
    assert {"DATABASE_URL", "PORT", "ASSIGNMENT_MINUTES"} <= read
    for name in read - {"DJANGO_SETTINGS_MODULE", "FEINSCHLIFF_PARENT", "PATH", "HOME", "ICU_DATA"}:
        assert f"`{name}`" in page("docs/running.md"), name


def test_every_hook_mapping_word_and_endpoint_is_documented() -> None:
    for hook in (name for name in vars(hookspecs) if name.startswith("feinschliff_")):
        assert f"`{hook}()`" in page("docs/plugins.md"), hook
    for word in WORDS:
        assert f"`{word}`" in page("docs/importing.md"), word
    api = next(p for p in get_resolver().url_patterns if str(p.pattern) == "api/v1/")
    for endpoint in api.url_patterns:
        shown = re.sub(r"<slug:(\w+)>", r"<\1>", str(endpoint.pattern))
        assert f"/api/v1/{shown}`" in page("docs/api.md"), shown


@pytest.mark.parametrize("rows", OFFERED)
def test_rows_that_can_be_frozen_are_rows_of_the_contract(rows: str) -> None:
    assert rows in ROW_KINDS
    assert rows in page("docs/commands.md")


def test_the_readme_names_only_what_is_there() -> None:
    readme = page("README.md")
    for link in re.findall(r"\]\(([^)#]+)\)", readme):
        assert (ROOT / link).exists(), link
    tree = readme.partition("## The tree")[2].partition("A file belongs")[0]
    for line in tree.splitlines():
        for name in re.findall(r"^ {4}(\w[\w.]*)/? ", line):
            assert (ROOT / name).exists(), name
