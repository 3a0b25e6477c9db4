"""Broken plugins of many kinds: each is refused by name with its reason, and the sound one beside it works on."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from feinschliff.manager import Refusal, load

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
    "other-api": (
        "{sound}\n@hookimpl(specname='feinschliff_trainers')\ndef more():\n    yield record(api=2)",
        "speaks API 2",
    ),
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
    "not-a-record": (
        "{sound}\n@hookimpl(specname='feinschliff_trainers')\ndef more():\n    yield {{'name': 'x'}}",
        "yields dict",
    ),
    "not-a-list": ("{sound}\n@hookimpl(specname='feinschliff_trainers')\ndef more():\n    return 7", "TypeError"),
    "heavy": ("import transformers\n{sound}", "loads transformers"),
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
    write(shelf, "outsider", "{sound}")
    write(shelf, "outsider-broken", "raise ValueError('half finished')")
    for name, module in (("outsider", "outsider"), ("outsider-broken", "outsider_broken")):
        about = shelf / f"{module}-1.2.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\nAuthor: Kim Example\n")
        (about / "entry_points.txt").write_text(f"[feinschliff]\n{name} = {module}\n")
    registry = load()
    assert registry.owner("outsider").version == "1.2"
    assert (
        Refusal("outsider-broken", "it cannot be loaded: ValueError: half finished", "Kim Example") in registry.refusals
    )
