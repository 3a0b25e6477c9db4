"""What forms and pages say of the built-in trainers: every setting and every number in words."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from feinschliff import Explained, Trainer
from feinschliff.manager import load
from feinschliff.trainer import explanation
from tests.plugins.small_world import ROOT

PLUGINS = (
    "comparative_ranking", "ppo", "preference", "reward_model", "self_supervised", "supervised",
)  # fmt: skip
TRAINERS = load([f"plugins.{name}" for name in PLUGINS], entry_points=False).trainers
BY_NAME = pytest.mark.parametrize("trainer", TRAINERS.values(), ids=list(TRAINERS))
KINDS = {"accuracy", "auc", "ece", "gain", "kl", "loss", "mrr", "perplexity", "reward", "tau"}  # of numbers, surely


@BY_NAME
def test_every_setting_has_a_title_of_its_own(trainer: Trainer) -> None:
    fields = trainer.config.model_fields
    assert [name for name, field in fields.items() if not field.title] == []
    titles = [field.title for field in fields.values()]
    assert len(set(titles)) == len(titles)


@BY_NAME
def test_numbers_are_explained_in_a_sentence_and_by_different_titles(trainer: Trainer) -> None:
    assert trainer.explains
    titles = [one.title for one in trainer.explains.values()]
    assert len(set(titles)) == len(titles)
    assert all(one.description.endswith((".", ")")) for one in trainer.explains.values())


@pytest.mark.parametrize("plugin", PLUGINS)
def test_numbers_that_a_plugin_names_in_its_code_are_explained(plugin: str) -> None:
    """Of names like `loss/heldout`; whoever adds another kind of number explains it."""
    explained = [
        set(trainer.explains) for trainer in TRAINERS.values() if trainer.train.startswith(f"plugins.{plugin}.")
    ]
    named = {name for name in _slashed(ROOT / "plugins" / plugin) if name.partition("/")[0] in KINDS}
    assert named
    assert {name for name in named if not any(explanation(dict.fromkeys(one), name) for one in explained)} == set()


def test_a_name_is_explained_by_its_longest_beginning() -> None:
    one = Explained(title="one")
    explains = {"kl": one, "kl/reference": one}
    names = ("kl", "kl/beta", "kl/reference", "kl/reference/low", "klaxon", "x/kl", "")
    assert [explanation(explains, name) for name in names] == ["kl", "kl", "kl/reference", "kl/reference", "", "", ""]


def _slashed(folder: Path) -> Iterator[str]:
    """Texts in the code that look like names of numbers; those with a part to be filled in too, up to it."""
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "/" in node.value:
                name = node.value.rstrip("/")
                if name.replace("/", "").replace("-", "").isalnum():
                    yield name
