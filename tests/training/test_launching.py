"""Launching: everything that can be known to be wrong is said before anything starts, field by field."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from tests.training.world_of_runs import frozen, launch, person, planted, queued
from training import configuring, freezing, launching
from training.catalogue.listing import listing
from training.models import Model, Run, Snapshot

pytestmark = pytest.mark.django_db


@pytest.fixture
def snapshot(quick: Path) -> Snapshot:
    return frozen(planted())


def faults(snapshot: Snapshot, trainer: str = "reward-model", **given: Any) -> dict[str, str]:  # noqa: ANN401
    """What launching says, which then has queued nothing."""
    whole = {"config": {}, "models": {"base": "tiny:encoder"}, "project": snapshot.project} | given
    with pytest.raises(launching.CannotLaunch) as refusal:
        launching.launch(trainer=trainer, snapshot=snapshot, **whole)
    assert not Run.objects.exists()
    return refusal.value.faults


def test_a_run_keeps_all_that_it_was_launched_with(snapshot: Snapshot) -> None:
    run = launch(snapshot, "reward-model", models={"base": "tiny:encoder"}, epochs=3)
    assert (run.state, run.trainer, run.models_used) == ("queued", "reward-model", {"base": "tiny:encoder"})
    assert run.config == launching.defaults(listing().trainers["reward-model"]["schema"]) | {"epochs": 3}
    assert run.resumable
    assert run.trainer_version


def test_an_unknown_trainer_is_said_with_those_there_are(snapshot: Snapshot) -> None:
    assert "reward-model" in faults(snapshot, "magic")["trainer"]


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("epochs", 0, "minimum"), ("epochs", 51, "maximum"), ("epochs", 1.5, "integer"), ("epochs", "2", "integer"),
        ("epochs", True, "integer"), ("epochs", None, "integer"), ("learning_rate", -1, "minimum"),
        ("prompt_keeps", "middle", "start"), ("spoons", 1, "no such setting"),
    ],
)  # fmt: skip
def test_a_setting_that_does_not_fit_is_named(snapshot: Snapshot, field: str, value: object, said: str) -> None:
    assert said in faults(snapshot, config={field: value})[field]


def test_what_only_the_trainers_own_rules_forbid_stands_at_its_setting(snapshot: Snapshot) -> None:
    """32 episodes and batches of 64 are each within their limits; the rule over both is Python in the plugin."""
    found = faults(snapshot, "ppo", config={"episodes": 32}, models={"base": "tiny:causal", "reward": "run:9"})
    assert found["episodes"] == "episodes (32) must be at least one batch (64)"


def test_all_faults_are_told_at_once(snapshot: Snapshot) -> None:
    found = faults(snapshot, config={"epochs": 0, "dropout": 9}, models={"base": "", "judge": "tiny:encoder"}, seed=-1)
    assert set(found) == {"epochs", "dropout", "base", "judge", "seed"}


@pytest.mark.parametrize(
    ("ref", "said"),
    [
        ("", "choose a model that can embed"), ("tiny", "a model is named"), ("ftp:there", "a model is named"),
        ("run:999999", "no model run:999999 in this project"), ("run:x", "no model run:x"), ("run:٣", "no model"),
        ("run:" + "9" * 40, "no model"),
    ],
)  # fmt: skip
def test_a_model_that_is_not_there_is_named(snapshot: Snapshot, ref: str, said: str) -> None:
    assert said in faults(snapshot, models={"base": ref})["base"]


def test_another_projects_model_is_not_there(snapshot: Snapshot) -> None:
    other = queued(frozen(planted(name="other")))
    Model.objects.create(project=other.project, run=other, name="theirs", yields=["embed", "score"])
    with pytest.raises(launching.CannotLaunch, match="no model run:"):
        launch(snapshot, "reward-model", models={"base": f"run:{other.pk}"})


def test_a_model_without_the_verb_is_refused(snapshot: Snapshot) -> None:
    run = queued(snapshot)
    Model.objects.create(project=run.project, run=run, name="mine", yields=["score"])
    with pytest.raises(launching.CannotLaunch, match="that can embed"):
        launch(snapshot, "reward-model", models={"base": f"run:{run.pk}"})


def test_another_projects_snapshot_is_refused(snapshot: Snapshot) -> None:
    assert "another project" in faults(snapshot, project=planted(2, name="other"))["snapshot"]


def test_rows_of_another_kind_are_refused(snapshot: Snapshot) -> None:
    assert faults(snapshot, "pairs-only", models={})["snapshot"].endswith(
        "learns from pair rows; these are ranking rows"
    )


def test_too_few_rows_are_refused_with_how_many_are_missing(quick: Path) -> None:
    assert "6 more are missing" in faults(frozen(planted(3)))["snapshot"]


@pytest.mark.parametrize("harm", ["change", "remove"])
def test_changed_files_are_noticed_at_launch(snapshot: Snapshot, harm: str) -> None:
    path = freezing.folder(snapshot) / "train.jsonl"
    if harm == "change":
        path.write_text(path.read_text("utf-8").replace("please", "cheers"), "utf-8")
    else:
        path.unlink()
    assert "snapshot" in faults(snapshot)


SCHEMA = {
    "properties": {
        "whole": {"type": "integer", "minimum": 1, "maximum": 9, "default": 2, "title": "Whole", "description": "w"},
        "part": {"anyOf": [{"type": "number", "exclusiveMinimum": 0, "maximum": 1}, {"type": "null"}], "default": None},
        "way": {"$ref": "#/$defs/Way", "default": "up"},
        "on": {"type": "boolean", "default": True},
        "note": {"type": "string", "default": ""},
    },
    "$defs": {"Way": {"type": "string", "enum": ["up", "down"]}},
}


def test_a_schema_becomes_fields_in_its_own_order() -> None:
    made = configuring.fields(SCHEMA, {"whole": 3}, {"part": "wrong"})
    assert [(f.name, f.kind, f.value, f.step) for f in made] == [
        ("whole", "integer", 3, "1"), ("part", "number", None, "any"), ("way", "choice", "up", "any"),
        ("on", "boolean", True, "any"), ("note", "text", "", "any"),
    ]  # fmt: skip
    assert (made[0].minimum, made[0].maximum, made[1].minimum, made[1].maximum) == (1, 9, 0, 1)
    assert made[1].error == "wrong"
    assert made[2].choices == ["up", "down"]


def test_a_form_is_read_by_its_kinds() -> None:
    form = {"config-whole": " 4 ", "config-part": "0,5", "config-way": "down", "config-on": "on", "config-note": "hi"}
    read = configuring.read(SCHEMA, form)
    assert read == ({"whole": 4, "part": 0.5, "way": "down", "on": True, "note": "hi"}, {})
    assert configuring.read(SCHEMA, {}) == ({"on": False}, {})  # an unticked box sends nothing


@pytest.mark.parametrize("text", ["x", "1.5", "1e3", "", "9" * 5000, "NaN"])
def test_what_is_no_whole_number_is_said(text: str) -> None:
    config, found = configuring.read(SCHEMA, {"config-whole": text})
    assert "whole" not in config
    assert bool(found) == bool(text)


@pytest.mark.parametrize("text", ["x", "nan", "inf", "-Infinity", "1e999", "1,2,3"])
def test_what_is_no_finite_number_is_said(text: str) -> None:
    assert set(configuring.read(SCHEMA, {"config-part": text})[1]) == {"part"}


def test_settings_from_the_command_line_are_read_the_same_way() -> None:
    parsed = configuring.parse(SCHEMA, {"whole": "4", "part": "0.5", "on": "no", "other": "x"})
    assert parsed == {"whole": 4, "part": 0.5, "on": False, "other": "x"}
    assert not any(isinstance(value, float) and math.isnan(value) for value in parsed.values())
    with pytest.raises(ValueError, match="whole: a whole number was expected, not “four”"):
        configuring.parse(SCHEMA, {"whole": "four"})


@pytest.fixture
def lin(client: Client) -> Client:
    client.force_login(person("lin"))
    return client


def form(snapshot: Snapshot, more: dict[str, str] | None = None) -> dict[str, str]:
    about = listing().trainers["reward-model"]["schema"]
    config = {f"config-{name}": str(value) for name, value in launching.defaults(about).items()}
    start = {"trainer": "reward-model", "snapshot": snapshot.hash, "model-base": "tiny:encoder", "seed": "0"}
    return start | config | (more or {})


def address(snapshot: Snapshot) -> str:
    return f"/p/{snapshot.project.slug}/runs/new/"


def test_the_form_shows_every_setting_with_its_help_and_limits(lin: Client, snapshot: Snapshot) -> None:
    page = lin.get(address(snapshot), {"trainer": "reward-model"}).content.decode()
    for name, about in listing().trainers["reward-model"]["schema"]["properties"].items():
        assert f'name="config-{name}"' in page
        assert about["description"].replace("'", "&#x27;") in page
    assert 'min="1" max="50"' in page
    assert snapshot.hash in page
    assert "tiny:encoder" in page


def test_the_picker_offers_every_trainer(lin: Client, snapshot: Snapshot) -> None:
    page = lin.get(address(snapshot)).content.decode()
    assert all(f"?trainer={name}" in page for name in listing().trainers)


def test_the_form_launches_what_it_shows(lin: Client, snapshot: Snapshot) -> None:
    answer = lin.post(address(snapshot), form(snapshot, {"config-epochs": "3", "seed": "5", "name": "one"}))
    run = Run.objects.get()
    assert answer.url == f"/p/{snapshot.project.slug}/runs/{run.pk}/"
    assert (run.config["epochs"], run.seed, run.launched_by, run.snapshot) == (3, 5, person("lin"), snapshot)
    assert run.title == f"one · {run.pk}"
    assert lin.get(answer.url).status_code == 200


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("config-epochs", "many"), ("config-epochs", "99"), ("config-dropout", "nan"), ("seed", "-1"), ("seed", "x"),
        ("name", "n" * 81),
        ("other-base", "nonsense"), ("config-prompt_keeps", "middle"),
    ],
)  # fmt: skip
def test_a_refused_form_keeps_what_was_typed_and_says_where_it_is_wrong(
    lin: Client, snapshot: Snapshot, field: str, value: str
) -> None:
    answer = lin.post(address(snapshot), form(snapshot, {"config-batch_rows": "5", field: value}))
    page = answer.content.decode()
    assert answer.status_code == 400
    assert "Nothing was launched." in page
    assert 'name="config-batch_rows" id="config-batch_rows" value="5"' in page
    assert "errorlist" in page
    if field.startswith(("config-epochs", "config-dropout", "other-", "seed", "name")):
        assert f'value="{value}"' in page
    assert not Run.objects.exists()


def test_launching_again_starts_from_the_other_runs_settings(lin: Client, snapshot: Snapshot) -> None:
    run = launch(snapshot, "reward-model", models={"base": "tiny:causal"}, epochs=7)
    page = lin.get(address(snapshot), {"from": run.pk}).content.decode()
    assert 'value="7"' in page
    assert '<option value="tiny:causal" selected>' in page


def test_another_projects_snapshot_is_not_there_for_the_form(lin: Client, snapshot: Snapshot) -> None:
    other = frozen(planted(name="other"))
    assert lin.post(address(snapshot), form(snapshot, {"snapshot": other.hash})).status_code == 404
    assert not Run.objects.exists()
