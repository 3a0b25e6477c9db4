"""The contract is light, and its records refuse what a form or a picker could not be made of."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field, ValidationError

import feinschliff
from feinschliff import API_VERSION, Needs, NeedsNotMet, Trainer
from feinschliff.checks import worlds
from feinschliff.child import _check_rows
from feinschliff.manager import schema_of
from feinschliff.trainer import config_faults, roles_from, verbs_from

ROOT = Path(__file__).resolve().parents[2]
PLATFORM = Path(feinschliff.__file__).resolve().parents[1]
HEAVY = ("torch", "django", "transformers", "numpy")
BUILT_INS = (
    "plugins.base_models",
    "plugins.reward_model",
    "plugins.comparative_ranking",
    "plugins.ppo",
    "plugins.preference",
    "plugins.supervised",
    "plugins.self_supervised",
    "plugins.local_launcher",
)


class Settings(BaseModel):
    steps: int = Field(default=3, ge=1, le=9, description="How many steps.")


def record(**changes: Any) -> dict[str, Any]:  # noqa: ANN401
    whole = {
        "api": API_VERSION,
        "name": "mine",
        "title": "Mine",
        "summary": "Does something.",
        "family": "supervised",
        "needs": Needs(rows=("text",)),
        "config": Settings,
        "train": "a.b:train",
        "opens": "a.b:opens",
        "yields": ("score",),
    }
    return whole | changes


def fresh(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PYTHONPATH": str(PLATFORM)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_importing_the_contract_loads_nothing_heavy() -> None:
    names = fresh(
        "import feinschliff, feinschliff.child, feinschliff.serving, sys; print(' '.join(sys.modules))"
    ).split()
    assert not [name for name in HEAVY if name in names]


def test_listing_the_built_ins_loads_nothing_heavy_and_refuses_none() -> None:
    code = f"""
import json, sys
from feinschliff.manager import listing, load
answer = listing(load({BUILT_INS!r}))
print(json.dumps([answer, [name for name in {HEAVY!r} if name in sys.modules]]))
"""
    answer, loaded = json.loads(fresh(code))
    assert loaded == []
    assert answer["refusals"] == []
    assert answer["api"] == API_VERSION
    assert "reward-model" in {trainer["name"] for trainer in answer["trainers"]}
    assert [launcher["name"] for launcher in answer["launchers"]] == ["local"]
    assert {"tiny:encoder", "tiny:causal"} <= {name for source in answer["models"] for name in source["suggests"]}


def test_all_public_names_can_be_imported_from_the_contract() -> None:
    assert [name for name in feinschliff.__all__ if not hasattr(feinschliff, name)] == []


def test_a_whole_record_is_accepted_and_frozen() -> None:
    trainer = Trainer(**record())
    with pytest.raises(ValidationError):
        trainer.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": "My Trainer"}, "slug"),
        ({"summary": "two\nlines"}, "one line"),
        ({"api": API_VERSION + 1}, "speaks API"),
        ({"train": "no_colon"}, "package.module:function"),
        ({"yields": ("fly",)}, "verbs"),
        ({"family": "magic"}, "family"),
        ({"colour": "red"}, "colour"),
        ({"yields_from": {"text": ("fly",)}}, "verbs"),
        ({"yields_from": {"label": ("score",)}}, "yields_from names \\['label'\\], which it does not learn from"),
    ],
)
def test_a_bad_record_is_refused_with_the_reason(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Trainer(**record(**change))


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"label": {"base": "embed"}}, "models_from names \\['label'\\], which it does not learn from"),
        ({"text": {"judge": "score"}}, "stand neither in models nor in may_use"),
        ({"text": {"base": "fly"}}, "role 'base' asks for 'fly'"),
    ],
)
def test_what_a_role_is_asked_for_by_kind_of_rows_is_checked(asked: dict[str, dict[str, str]], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Needs(rows=("text",), models={"base": "generate"}, models_from=asked)


def test_verbs_and_roles_follow_the_kind_of_rows() -> None:
    needs = Needs(
        rows=("demonstration", "label"),
        models={"base": "generate"},
        may_use={"judge": "score"},
        models_from={"label": {"base": "embed"}},
    )
    trainer = Trainer(**record(needs=needs, yields=("generate", "embed"), yields_from={"label": ("classify", "embed")}))
    listed = json.loads(trainer.model_dump_json(include={"needs", "yields", "yields_from"}))
    assert verbs_from(listed, "demonstration") == ["generate", "embed"]
    assert verbs_from(listed, "label") == ["classify", "embed"]
    assert verbs_from(listed) == ["generate", "embed", "classify"]
    assert roles_from(listed["needs"], "label") == {"base": "embed", "judge": "score"}
    assert roles_from(listed["needs"], "demonstration", optional=False) == {"base": "generate"}


def test_a_run_refuses_rows_that_name_too_few_tasks(tmp_path: Path) -> None:
    trainer = Trainer(**record(needs=Needs(rows=("label",), tasks=2)))
    rows = tmp_path / "train.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in worlds.rows("label", 4, 1)), "utf-8")
    with pytest.raises(NeedsNotMet, match="rows of at least 2 tasks; the training rows name none"):
        _check_rows(trainer, {"train": rows})
    rows.write_text("".join(json.dumps(row) + "\n" for row in worlds.rows("label", 4, 1, tasks=2)), "utf-8")
    assert _check_rows(trainer, {"train": rows}) == ["label"]


def test_a_record_without_an_api_version_is_refused() -> None:
    whole = record()
    del whole["api"]
    with pytest.raises(ValidationError, match="api"):
        Trainer(**whole)


def test_every_config_field_needs_a_default_help_and_limits() -> None:
    class Bare(BaseModel):
        steps: int
        rate: float | None = Field(default=None, description="The rate.", ge=0)

    faults = " ".join(config_faults(Bare))
    assert "'steps' has no default" in faults
    assert "'steps' has no description" in faults
    assert "'rate' is a number without" in faults


@pytest.mark.parametrize(
    "needs", [{"rows": ("pairs",)}, {"rows": ()}, {"rows": ("pair",), "models": {"base": "think"}}]
)
def test_needs_name_known_rows_and_verbs(needs: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Needs(**needs)


def test_a_form_begins_with_a_trainers_own_settings_and_ends_with_what_all_share() -> None:
    class Shared(BaseModel):
        rate: float = Field(default=0.1, ge=0, le=1, description="A rate.")

    class Family(Settings, Shared):
        rows: int = Field(default=1, ge=1, le=9, description="How many rows.")

    class Own(Family):
        other: str = Field(default="", alias="loss", description="Which loss.")
        rate: float = Field(default=0.5, ge=0, le=1, description="A rate of its own.")

    schema = schema_of(Own)
    assert list(schema["properties"]) == ["loss", "rate", "rows", "steps"]
    assert schema["properties"] == Own.model_json_schema()["properties"]
