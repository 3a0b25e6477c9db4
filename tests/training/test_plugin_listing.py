"""What is installed is known without importing it: no torch in the site or its worker, and no crash reaches them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from tests.training.world_of_runs import person
from tests.world import ROOT
from training import listing as step
from training.listing import ListingFailed, listing

Install = Callable[[str], None]
UNWANTED = ("torch", "transformers", "numpy", "plugins.reward_model", "plugins.base_models")

LIKE_THE_WEB_PROCESS = """
import os, sys
sys.path[:0] = [".", "platform"]
os.environ["DJANGO_SETTINGS_MODULE"] = "webapp.settings"
import django
django.setup()
from django.urls import get_resolver
def views(patterns):
    for pattern in patterns:
        if hasattr(pattern, "url_patterns"):
            yield from views(pattern.url_patterns)
        else:
            yield pattern.callback
assert len(list(views(get_resolver().url_patterns))) > 25
import webapp.wsgi, training.working, training.answering, training.management.commands.train
from training.working import open_launcher
from training.listing import listing
from django.template.loader import render_to_string
open_launcher()
assert "Reward model" in render_to_string("training/plugins.html", {"listing": listing()})
print([name for name in %r if name in sys.modules])
"""


def test_neither_the_site_nor_its_worker_loads_torch_or_a_trainer() -> None:
    script = LIKE_THE_WEB_PROCESS % (UNWANTED,)
    answer = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert answer.stdout.strip() == "[]", answer.stdout + answer.stderr


def test_the_listing_says_what_a_form_needs() -> None:
    found = listing()
    trainer = found.trainers["reward-model"]
    needs = trainer["needs"]
    assert (needs["rows"], needs["at_least"], needs["models"]) == (["ranking", "pair"], 8, {"base": "embed"})
    assert trainer["schema"]["properties"]["epochs"]["maximum"] == 50
    assert {"tiny:encoder", "tiny:causal"} <= set(found.model_strings())
    assert found.refusals == []


class Counted:
    """Counts how often a child was asked; asks it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.times, ask = 0, step._ask_child

        def counting() -> dict[str, Any]:
            self.times += 1
            return ask()

        monkeypatch.setattr(step, "_ask_child", counting)


@pytest.fixture
def own_home(tmp_path: Path, settings: Any) -> Iterator[Path]:  # noqa: ANN401
    settings.HOME = tmp_path
    step._cached.cache_clear()
    yield tmp_path
    step._cached.cache_clear()


def test_a_child_is_asked_once_until_what_is_installed_changes(
    own_home: Path,
    settings: Any,  # noqa: ANN401
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = Counted(monkeypatch)
    listing()
    listing()
    step._cached.cache_clear()  # another process of the same site
    listing()
    assert asked.times == 1
    settings.BUILTIN_PLUGINS = [*settings.BUILTIN_PLUGINS, "tests.training.quick_trainers"]
    assert "quick" in listing().trainers
    assert asked.times == 2


def test_a_damaged_cache_is_asked_for_again(own_home: Path) -> None:
    (own_home / "cache").mkdir()
    (own_home / "cache" / "plugins.json").write_text('{"fingerprint": ', "utf-8")
    assert "reward-model" in listing().trainers


@pytest.fixture
def plugin(own_home: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Install:  # noqa: ANN401
    """Installs a plugin of the given source beside the built-ins."""

    def install(source: str) -> None:
        (own_home / "their_plugin.py").write_text(source, "utf-8")
        outer = step.child_environment
        monkeypatch.setattr(
            step, "child_environment", lambda: {**outer(), "PYTHONPATH": f"{outer()['PYTHONPATH']}:{own_home}"}
        )
        settings.BUILTIN_PLUGINS = [*settings.BUILTIN_PLUGINS, "their_plugin"]

    return install


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import os; os.kill(os.getpid(), 11)", "exit -11"),
        ("import os; os._exit(7)", "exit 7"),
    ],
)
def test_a_plugin_that_takes_the_child_with_it_is_told_and_the_site_lives(
    plugin: Install,
    source: str,
    said: str,
    client: Client,
    db: None,
) -> None:
    plugin(source)
    with pytest.raises(ListingFailed, match=said):
        listing()
    admin = person("lin")
    admin.is_superuser = True
    admin.save()
    client.force_login(admin)
    page = client.get("/plugins/")
    assert page.status_code == 200
    assert said in page.content.decode()
    assert client.get("/").status_code == 200


def test_a_plugin_that_hangs_is_given_up(plugin: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "TIMEOUT", 3)
    plugin("import time; time.sleep(60)")
    with pytest.raises(ListingFailed, match="longer than 3 s"):
        listing()


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("1 / 0", "division by zero"),
        ("import sys; print('noise'); sys.exit(3)", "ends the process"),
        ("print('only noise')\ndef feinschliff_trainers(): ...", "lacks the @hookimpl mark"),
    ],
)
def test_a_plugin_that_cannot_be_used_is_named_on_the_page_and_the_others_work_on(
    plugin: Install,
    source: str,
    reason: str,
    client: Client,
    db: None,
) -> None:
    plugin(source)
    admin = person("lin")
    admin.is_superuser = True
    admin.save()
    client.force_login(admin)
    page = client.get("/plugins/").content.decode()
    assert "their-plugin" in page
    assert reason in page
    assert "reward-model" in page
