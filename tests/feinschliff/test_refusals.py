"""Broken plugins of many kinds: each is refused by name with its reason, and the sound one beside it works on."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from feinschliff.manager import Refusal, listing, load
from tests.world import ROOT

SOUND = """
from feinschliff import Needs, Trainer, hookimpl
from pydantic import BaseModel, Field

class Config(BaseModel):
    steps: int = Field(default=3, ge=1, le=9, description="How many steps.")

def record(**changes):
    whole = dict(api=1, name="{name}", title="T", summary="S", family="supervised", needs=Needs(rows=("text",)),
                 config=Config, train="a:b", opens="a:b", yields=("score",))
    return Trainer(**{{**whole, **changes}})

@hookimpl
def feinschliff_trainers():
    yield record()
"""
BROKEN = {
    "import-error": ("import nothing_of_this_name", "nothing_of_this_name"),
    "syntax-error": ("def broken(:", "SyntaxError"),
    "exit-at-import": ("raise SystemExit(3)", "SystemExit 3"),
    "raising-hook": (
        "{sound}\n@hookimpl\ndef feinschliff_launchers():\n    raise OSError('no disk')",
        "OSError: no disk",
    ),
    "misspelt-hook": ("{sound}\n@hookimpl\ndef feinschliff_trainer():\n    yield record()", "feinschliff_trainer"),
    "unmarked-hook": ("{sound}\ndef feinschliff_models():\n    return []", "lacks the @hookimpl mark"),
    "unknown-argument": ("{sound}\n@hookimpl\ndef feinschliff_models(session):\n    return []", "session"),
    "future-api": (
        "{sound}\n@hookimpl(specname='feinschliff_trainers')\ndef more():\n    yield record(api=2, speed='high')",
        "speaks API 2, this Feinschliff speaks API 1; it was written for another Feinschliff than this",
    ),
    "old-api": (
        "{sound}\n@hookimpl(specname='feinschliff_trainers')\ndef more():\n    yield record(api=0)",
        "install a newer version, or ask its author for one",
    ),
    "future-import": ("from feinschliff import Orchestra", "update Feinschliff, or install a version"),
    "name-clash": ("{clash}", "already taken by sound"),
    "bad-slug": (
        "{sound}\n@hookimpl(specname='feinschliff_trainers')\ndef more():\n    yield record(name='Big Name')",
        "not a slug",
    ),
    "no-help": (
        "{sound}\nclass Silent(BaseModel):\n    steps: int = 3\n"
        "@hookimpl(specname='feinschliff_trainers')\ndef more():\n    yield record(config=Silent)",
        "no description",
    ),
    "no-limits": (
        "{sound}\nclass Endless(BaseModel):\n    steps: int = Field(default=3, description='Steps.')\n"
        "@hookimpl(specname='feinschliff_trainers')\ndef more():\n    yield record(config=Endless)",
        "'steps' is a number without a lower and an upper limit",
    ),
    "not-a-record": (
        "{sound}\n@hookimpl(specname='feinschliff_trainers')\ndef more():\n    yield {{'name': 'x'}}",
        "yields dict",
    ),
    "not-a-list": ("{sound}\n@hookimpl(specname='feinschliff_trainers')\ndef more():\n    return 7", "TypeError"),
    "heavy": ("import transformers\n{sound}", "loads transformers"),
}
#: what only a process of its own can survive
DEADLY = {
    "ends-the-process": ("import os; os._exit(7)", "ends the process while being loaded (exit 7)"),
    "ends-it-well": ("import os; os._exit(0)", "ends the process while being loaded (exit 0)"),
    "segfault": (
        "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
        "crashes the process that loads it (SIGSEGV)",
    ),
    "hangs": (
        "import time\ntime.sleep(600)",
        "hangs while being loaded: after 2 s it was not done, but at line 2 of hangs.py",
    ),
    "no-json": (
        "{sound}\nclass Odd(BaseModel):\n    share: float = Field(default=float('nan'), ge=0, le=1, description='x')\n"
        "@hookimpl(specname='feinschliff_trainers')\ndef more():\n    yield record(name='odd', config=Odd)",
        "JSON",
    ),
}


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the import path; what was imported from it is forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(shelf: Path, name: str, code: str) -> str:
    module = name.replace("-", "_")
    sound, clash = SOUND.format(name=name), SOUND.format(name="sound")
    (shelf / f"{module}.py").write_text(code.format(sound=sound, clash=clash), encoding="utf-8")
    return module


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_a_broken_plugin_is_refused_by_name_and_the_sound_one_works_on(name: str, shelf: Path) -> None:
    code, told = BROKEN[name]
    (shelf / "transformers.py").write_text("", encoding="utf-8")  # stands in for the real one, which takes seconds
    held_back = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "transformers"}
    modules = [write(shelf, "sound", "{sound}"), write(shelf, name, code)]
    try:
        registry = load(modules, entry_points=False)
    finally:
        sys.modules.update(held_back)
    assert list(registry.trainers) == ["sound"], "the refused plugin must leave nothing behind"
    [refusal] = registry.refusals
    assert refusal == Refusal(name, refusal.reason, refusal.author)
    assert told in refusal.reason
    assert refusal.author


def test_two_plugins_with_one_name_keep_the_first_and_name_both(shelf: Path) -> None:
    registry = load([write(shelf, "sound", "{sound}"), write(shelf, "name-clash", "{clash}")], entry_points=False)
    assert registry.owner("sound").name == "sound"
    assert registry.refusals[0].plugin == "name-clash"
    assert "sound" in registry.refusals[0].reason


def test_an_installed_package_is_found_by_its_entry_point_and_its_author_is_named(shelf: Path) -> None:
    lay_out(shelf, "outsider", "{sound}", author="Kim Example")
    lay_out(shelf, "outsider-broken", "raise ValueError('half finished')", author="Kim Example")
    registry = load()
    assert registry.owner("outsider").version == "1.2"
    assert (
        Refusal("outsider-broken", "it cannot be loaded: ValueError: half finished", "Kim Example") in registry.refusals
    )


def test_an_installed_plugin_that_is_named_by_its_module_is_the_same_one(shelf: Path) -> None:
    lay_out(shelf, "outsider", "{sound}", author="Kim Example")
    registry = load(["outsider"])
    assert registry.refusals == []
    [plugin] = listing(registry)["plugins"]
    assert plugin == {"name": "outsider", "version": "1.2", "author": "Kim Example", "builtin": False}


def lay_out(shelf: Path, name: str, code: str, *, author: str = "", requires: str = "") -> None:
    """An installed distribution: its module, its metadata, its entry point."""
    module = write(shelf, name, code)
    about = shelf / f"{module}-1.2.dist-info"
    about.mkdir()
    lines = [f"Author: {author}"] * bool(author) + [f"Requires-Dist: {requires}"] * bool(requires)
    (about / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.2", *lines, ""]))
    (about / "entry_points.txt").write_text(f"[feinschliff]\n{name} = {module}\n")


LIST = "import feinschliff.listing as step, json; step.SECONDS = 2; print(json.dumps(step.listed()))"


def test_a_plugin_that_takes_its_process_with_it_or_hangs_is_refused_alone(tmp_path: Path) -> None:
    lay_out(tmp_path, "sound", "{sound}")
    for name, (code, _) in DEADLY.items():
        lay_out(tmp_path, name, code, author=f"Kim of {name}")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'platform'}:{tmp_path}"}
    answer = subprocess.run(
        [sys.executable, "-c", LIST], env=environment, capture_output=True, text=True, timeout=30, check=True
    )
    found = json.loads(answer.stdout)
    assert "sound" in [trainer["name"] for trainer in found["trainers"]]
    refused = {refusal["plugin"]: refusal for refusal in found["refusals"]}
    assert set(refused) == set(DEADLY)
    for name, (_, told) in DEADLY.items():
        assert told in refused[name]["reason"], refused[name]
        assert refused[name]["author"] == f"Kim of {name}"


def test_only_the_installed_plugins_that_a_run_needs_are_loaded(shelf: Path) -> None:
    lay_out(shelf, "sound", "{sound}")
    lay_out(shelf, "deadly", "import os; os._exit(7)")
    assert list(load(entry_points=["sound"]).trainers) == ["sound"]


def test_a_plugin_of_another_feinschliff_says_what_it_asks_for(shelf: Path) -> None:
    lay_out(
        shelf,
        "early",
        "{sound}\n@hookimpl\ndef feinschliff_models():\n    yield record(api=7)",
        requires="feinschliff>=9",
    )
    [refusal] = [refusal for refusal in load().refusals if refusal.plugin == "early"]
    assert "it asks for feinschliff>=9" in refusal.reason


def test_a_damaged_distribution_costs_no_other_its_listing(shelf: Path) -> None:
    lay_out(shelf, "sound", "{sound}")
    for name, content in (("garbled", b"\xff\xfe\x00"), ("unclosed", b"[feinschliff\nx = y")):
        about = shelf / f"{name}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_bytes(b"")
        (about / "entry_points.txt").write_bytes(content)
    assert list(load().trainers) == ["sound"]
