"""What is installed is known without importing it: no torch in the site or its worker, and no crash reaches them."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from tests.feinschliff.test_refusals import BROKEN, DEADLY, lay_out
from tests.training.world_of_runs import person
from tests.world import ROOT
from training.catalogue import listing as step
from training.catalogue.listing import ListingFailed, listing

UNWANTED = ("torch", "transformers", "numpy", "plugins.reward_model", "plugins.base_models")
#: every kind of broken plugin but the one that hangs, which costs 20 s: the contract's own tests try that one
KINDS = {name: told for name, (_, told) in (BROKEN | DEADLY).items() if name != "hangs"}

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
from training.catalogue.listing import listing
from django.template.loader import render_to_string
open_launcher()
assert "Reward model" in render_to_string("training/plugins.html", {"listing": listing()})
print([name for name in %r if name in sys.modules])
"""


def test_neither_the_site_nor_its_worker_loads_torch_or_a_trainer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(tmp_path, "deadly", "import os; os._exit(7)")  # installed, and imported by nobody but the listing's child
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    script = LIKE_THE_WEB_PROCESS % (UNWANTED,)
    answer = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert answer.stdout.strip() == "[]", answer.stdout + answer.stderr


def test_the_listing_says_what_a_form_needs() -> None:
    found = listing()
    trainer = found.trainers["reward-model"]
    needs = trainer["needs"]
    assert (needs["rows"], needs["at_least"], needs["models"]) == (["ranking", "pair", "rating"], 8, {"base": "embed"})
    assert trainer["schema"]["properties"]["epochs"]["maximum"] == 50
    assert {"tiny:encoder", "tiny:causal"} <= set(found.model_strings())
    assert found.refusals == []


class Counted:
    """Counts how often a child was asked; asks it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.times, ask = 0, step._ask_child

        def counting(python: str, builtins: list[str]) -> dict[str, Any]:
            self.times += 1
            return ask(python, builtins)

        monkeypatch.setattr(step, "_ask_child", counting)


@pytest.fixture
def own_home(tmp_path: Path, settings: Any) -> Path:  # noqa: ANN401
    settings.HOME = tmp_path / "home"
    return tmp_path / "home"


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_home: Path) -> Path:
    """A folder that the interpreter finds installed packages in."""
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


@pytest.fixture
def lin(client: Client, db: None) -> Client:
    admin = person("lin")
    admin.is_superuser = True
    admin.save()
    client.force_login(admin)
    return client


def test_a_child_is_asked_once_until_what_is_installed_changes(
    own_home: Path,
    settings: Any,  # noqa: ANN401
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = Counted(monkeypatch)
    listing()
    listing()
    step._answers.clear()  # another process of the same site
    listing()
    assert asked.times == 1
    settings.BUILTIN_PLUGINS = [*settings.BUILTIN_PLUGINS, "tests.training.quick_trainers"]
    assert "quick" in listing().trainers
    assert asked.times == 2


def test_what_is_installed_while_the_site_runs_is_on_the_next_page(packages: Path, lin: Client) -> None:
    assert "sound-words" not in lin.get("/plugins/").text
    lay_out(packages, "sound-words", "{sound}", author="Kim")
    assert "sound-words" in lin.get("/plugins/").text
    lay_out(packages, "another", "raise OSError('no such thing')", author="Pat")
    page = lin.get("/plugins/").text
    assert "OSError: no such thing" in page
    assert "sound-words" in page


def test_a_plugin_mended_in_its_place_is_seen_when_one_looks_again(packages: Path, lin: Client) -> None:
    lay_out(packages, "mending", "1 / 0")
    assert "division by zero" in lin.get("/plugins/").text
    (packages / "mending.py").write_text("", "utf-8")
    assert "division by zero" in lin.get("/plugins/").text
    assert lin.post("/plugins/").status_code == 302
    assert "division by zero" not in lin.get("/plugins/").text


def test_a_damaged_cache_is_asked_for_again(own_home: Path) -> None:
    (own_home / "cache").mkdir(parents=True)
    (own_home / "cache" / "plugins.json").write_text('{"fingerprint": ', "utf-8")
    assert "reward-model" in listing().trainers


@pytest.fixture(scope="module")
def broken_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One broken plugin of each kind, installed beside the sound one."""
    folder = tmp_path_factory.mktemp("broken")
    (folder / "transformers.py").write_text("", encoding="utf-8")  # stands in for the real one, which takes seconds
    lay_out(folder, "sound", "{sound}")
    for name, (code, _) in (BROKEN | DEADLY).items():
        if name in KINDS:  # the x: names are taken in the order of the plugins' names
            lay_out(folder, f"x-{name}", code, author=f"Kim of {name}")
    return folder


@pytest.fixture
def said(broken_packages: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the command says of them; the first time costs a listing."""
    monkeypatch.setenv("PYTHONPATH", str(broken_packages))
    out = io.StringIO()
    call_command("plugins", "--json", stdout=out)
    return dict(json.loads(out.getvalue()))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_of_broken_plugin_is_named_with_reason_and_author_while_the_others_work(
    kind: str, said: dict[str, Any], lin: Client
) -> None:
    [refusal] = [refusal for refusal in said["refusals"] if refusal["plugin"] == f"x-{kind}"]
    assert KINDS[kind] in refusal["reason"]
    assert refusal["author"] == f"Kim of {kind}"
    assert {"reward-model", "sound"} <= set(said["trainers"])
    assert not any(trainer["plugin"].startswith("x-") for trainer in said["trainers"].values())
    page = lin.get("/plugins/")
    assert page.status_code == 200
    assert f"x-{kind}" in page.text
    assert f"Kim of {kind}" in page.text
    assert "<code>sound</code>" in page.text


def test_the_command_names_the_refused_for_people_too(packages: Path, db: None) -> None:
    lay_out(packages, "broken", "1 / 0", author="Kim Example")
    out = io.StringIO()
    call_command("plugins", stdout=out)
    assert (
        "REFUSED broken: it cannot be loaded: ZeroDivisionError: division by zero (tell Kim Example)" in out.getvalue()
    )


def test_noise_at_import_does_not_stand_between_the_answers(packages: Path) -> None:
    lay_out(packages, "noisy", "import os\nprint('noise')\nos.write(1, b'more noise')\n{sound}")
    assert "noisy" in listing().trainers


def test_a_child_that_cannot_answer_is_told_and_the_site_lives(
    own_home: Path, monkeypatch: pytest.MonkeyPatch, lin: Client
) -> None:
    monkeypatch.setattr(step, "child_environment", lambda: {"PYTHONHOME": "/nowhere"})
    with pytest.raises(ListingFailed, match="exit 1"):
        listing()
    page = lin.get("/plugins/")
    assert page.status_code == 200
    assert "Listing the plugins failed" in page.text
    assert lin.get("/").status_code == 200
