"""A package by somebody who read the docs alone: it keeps the contract, and a site installs, trains and asks it.

Its wheel is built and installed as any third party's; nothing of this project but `feinschliff` is imported in it.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import Client

from tests.builders import collect_static
from tests.feinschliff.environments import PYTEST, ROOT, Fresh, build
from tests.training.world_of_runs import frozen, launch, person, planted
from training import answering
from training.models import Model, Run
from training.working import Worker

PACKAGE = Path(__file__).with_name("word-tilt")


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wheels of the contract and of the package, built from a copy: building leaves nothing in the tree."""
    folder = tmp_path_factory.mktemp("wheels")
    copy = shutil.copytree(PACKAGE, tmp_path_factory.mktemp("source") / "word-tilt")
    build(ROOT, folder)
    build(copy, folder)
    return folder


@pytest.fixture
def warm(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    made = answering.WarmModels()
    monkeypatch.setattr(answering, "warm_models", made)
    yield
    made._end()


def said(*words: str) -> str:
    out = io.StringIO()
    call_command(*words, stdout=out)
    return out.getvalue().strip()


def test_it_is_as_short_as_a_first_plugin_should_be() -> None:
    code = [line for path in PACKAGE.glob("src/**/*.py") for line in path.read_text("utf-8").splitlines()]
    assert len([line for line in code if line.strip() and not line.strip().startswith('"""')]) <= 60


def test_its_own_tests_pass_where_it_is_installed_and_it_is_listed_by_version_and_author(
    shelf: Path, tmp_path: Path
) -> None:
    fresh = Fresh(tmp_path / "env", *sorted(shelf.glob("*.whl")), also=PYTEST)
    mine = shutil.copytree(PACKAGE / "tests", tmp_path / "tests")
    tested = fresh.run("-m", "pytest", "-q", str(mine), cwd=tmp_path)
    assert "13 passed" in tested.stdout, tested.stdout
    for how in ([], ["--plugin", "word_tilt"]):
        listed = json.loads(fresh.run("-m", "feinschliff", "list", *how, cwd=tmp_path).stdout)
        assert listed["refusals"] == []
        assert listed["plugins"] == [
            {"name": "word-tilt", "version": "1.4.0", "author": "The outsider", "builtin": False}
        ]


@pytest.mark.django_db
def test_a_site_installs_it_trains_it_in_its_own_environment_and_its_model_scores_on_the_page(
    shelf: Path, tmp_path: Path, settings: object, warm: None, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.HOME = tmp_path  # type: ignore[attr-defined]
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert "Installed word-tilt 1.4.0 in the environment word-tilt" in said("plugin", "install", "word-tilt", "--share")
    project = planted(12)
    said("plugin", "on", "word-tilt", "--project", project.slug)
    run = launch(frozen(project, rows="pair"), "word-tilt", epochs=60)
    assert (run.environment, run.trainer_version) == ("word-tilt", "1.4.0")
    assert Worker().work_one(run.pk)
    run.refresh_from_db()
    assert run.state == Run.SUCCEEDED, run.error
    assert run.config == {"epochs": 60, "learning_rate": 1.0, "l2": 0.01}
    assert run.numbers["accuracy/model"] > 0.8

    collect_static()
    client.force_login(person("lin"))
    model = Model.objects.get(run=run)
    sent = {"prompt": "Write.", "completion": ["river please please", "river"]}
    answer = client.post(f"/p/{project.slug}/models/{model.pk}/", sent)
    assert answer.status_code == 200
    assert [row["text"] for row in answer.context["results"]] == ["river", "river please please"]
    plugins = client.get(f"/p/{project.slug}/plugins/").content.decode()
    assert "The outsider" in plugins
    assert "1.4.0" in plugins
