"""What can be set, called and written stands in the docs: compared with the code."""

import re
from pathlib import Path

import pytest
from django.core.management import get_commands
from django.urls import get_resolver

from annotation.mapping import WORDS
from feinschliff import (
    Job,
    JobStatus,
    Launcher,
    Launches,
    ModelAbout,
    ModelSource,
    Needs,
    Opening,
    Run,
    Trainer,
    child,
    hookspecs,
)
from feinschliff.checks import CHECKS
from feinschliff.rows import ROW_KINDS, Row
from feinschliff.trainer import VERBS
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
        assert f"`{hook}()`" in page("docs/plugins/reference.md"), hook
    for word in WORDS:
        assert f"`{word}`" in page("docs/importing.md"), word
    api = [p for p in get_resolver().url_patterns if str(p.pattern) == "api/v1/"]
    assert len(api) == 2
    for endpoint in (route for part in api for route in part.url_patterns):
        shown = re.sub(r"<slug:(\w+)>", r"<\1>", str(endpoint.pattern))
        assert f"/api/v1/{shown}`" in page("docs/api.md"), shown


@pytest.mark.parametrize("rows", OFFERED)
def test_rows_that_can_be_frozen_are_rows_of_the_contract(rows: str) -> None:
    assert rows in ROW_KINDS
    assert rows in page("docs/commands.md")


RECORDS = [Trainer, Needs, ModelSource, Launcher]
PUBLIC = [Run, Job, JobStatus, Launches, Opening, ModelAbout]


@pytest.mark.parametrize("thing", [*RECORDS, *PUBLIC], ids=lambda thing: thing.__name__)
def test_every_field_of_the_contract_stands_in_its_reference(thing: type) -> None:
    reference = page("docs/plugins/reference.md")
    _, _, section = reference.partition(f"`{thing.__name__}`")
    fields = getattr(thing, "model_fields", None) or getattr(thing, "__dataclass_fields__", None) or vars(thing)
    names = [name for name in fields if not name.startswith("_")]
    assert names
    for name in names:
        assert re.search(rf"`{name}[`(]", section), f"{thing.__name__}.{name}"


def test_every_row_kind_verb_exit_status_and_public_name_stands_in_the_reference() -> None:
    reference = page("docs/plugins/reference.md")
    for kind, model in ROW_KINDS.items():
        line = next(line for line in reference.splitlines() if line.startswith(f"| `{kind}` |"))
        own = model.model_fields.keys() - Row.model_fields.keys()
        assert own == set(re.findall(r"`(\w+)`", line.partition("|")[2].partition("|")[2])), kind
    for name in (*Row.model_fields, *VERBS, *child.JobFile.model_fields, *child.EXIT):
        assert f"`{name}`" in reference, name
    for name, asks in CHECKS.items():
        assert f"| `{name}` | {asks} |" in reference, name
    for status in child.EXIT.values():
        assert f"| {status} |" in reference, status


def test_links_between_the_docs_lead_somewhere() -> None:
    for place in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for link, _, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(#([^)]*))?\)", place.read_text("utf-8")):
            target = place.parent / link if link else place
            assert target.exists(), f"{place.name}: {link}"
            if anchor:
                titles = [
                    re.sub(r"[^\w -]", "", line.lstrip("# ").lower())
                    for line in target.read_text().splitlines()
                    if line.startswith("#")
                ]
                assert anchor in [title.strip().replace(" ", "-") for title in titles], f"{place.name}: {link}#{anchor}"


def test_the_readme_names_only_what_is_there() -> None:
    readme = page("README.md")
    tree = readme.partition("## The tree")[2].partition("A file belongs")[0]
    for line in tree.splitlines():
        for name in re.findall(r"^ {4}(\w[\w.]*)/? ", line):
            assert (ROOT / name).exists(), name
