"""Roles of a trainer: who could play them, which may stay empty, and what is said where nobody can yet."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client

from tests.builders import person, signed_in
from tests.training import world_of_runs as world
from training import casting, launching, preflighting, working
from training.catalogue.listing import listing
from training.models import Model, Run, Snapshot

pytestmark = pytest.mark.django_db
NEW, CHECK = "/p/planted/runs/new/", "/p/planted/runs/new/check/"


@pytest.fixture
def snapshot(quick: Path) -> Snapshot:
    made = world.frozen(world.planted(4))
    world.member(made.project, "lin")
    return made


@pytest.fixture
def lin(snapshot: Snapshot) -> Client:
    return signed_in(world.person("lin"))


def scorer(snapshot: Snapshot, **numbers: float) -> Model:
    """A model that the quick trainer left, files and all."""
    run = world.launch(snapshot)
    working.Worker().work_one(run.pk)
    Run.objects.filter(pk=run.pk).update(numbers=numbers)
    return Model.objects.get(run=run)


def form(snapshot: Snapshot, trainer: str, **more: str) -> dict[str, str]:
    return {"trainer": trainer, "snapshot": snapshot.hash, "config-steps": "1", "config-ends": "well", **more}


def test_an_optional_role_begins_empty_and_stays_so_unless_somebody_is_named(lin: Client, snapshot: Snapshot) -> None:
    page = lin.get(NEW, {"trainer": "judged"}).text
    assert '<option value="none" selected>' in page
    assert "Scores texts written before and after training" in page
    for sent in ({}, {"model-judge": "none"}, {"model-judge": ""}):
        lin.post(NEW, form(snapshot, "judged", **sent))
    assert [run.models_used for run in Run.objects.all()] == [{}, {}, {}]


def test_a_trained_model_plays_the_optional_role_and_the_run_shows_what_it_said(
    lin: Client, snapshot: Snapshot
) -> None:
    model = scorer(snapshot, **{"accuracy/model": 0.7})
    page = lin.get(NEW, {"trainer": "judged"}).text
    assert f"{model.ref}: {model.name}, accuracy 0.700<" in page
    Run.objects.filter(pk=model.run_id).update(config={"max_length": 1024})
    page = lin.get(NEW, {"trainer": "judged"}).text
    assert f"{model.ref}: {model.name}, accuracy 0.700, reads at most 1,024 tokens<" in page
    lin.post(NEW, form(snapshot, "judged", **{"model-judge": model.ref}))
    run = Run.objects.get(trainer="judged")
    assert run.models_used == {"judge": model.ref}
    working.Worker().work_one(run.pk)
    run.refresh_from_db()
    assert (run.state, run.numbers["score/after"]) == (Run.SUCCEEDED, 26.0)
    shown = lin.get(f"/p/planted/runs/{run.pk}/").text
    assert "Before and after" in shown
    assert "rather longer" in shown
    again = lin.get(NEW, {"from": run.pk}).text
    assert f'<option value="{model.ref}" selected>' in again


def test_a_role_that_must_score_offers_trained_models_first_and_is_filled_with_the_newest(
    lin: Client, snapshot: Snapshot
) -> None:
    old, new = scorer(snapshot), scorer(snapshot)
    [role] = casting.cast(listing().trainers["scored"], snapshot.project, None, {}, listing().trainers)
    assert [choice.ref for choice in role.choices][:2] == [new.ref, old.ref]
    assert role.value == new.ref


def test_where_no_model_can_score_the_form_and_the_checks_say_what_to_train_first(
    lin: Client, snapshot: Snapshot
) -> None:
    page = lin.get(NEW, {"trainer": "scored"}).text
    assert "No model here can score yet." in page
    assert 'href="/p/planted/runs/new/?trainer=reward-model"' in page
    said = lin.post(CHECK, form(snapshot, "scored")).text
    assert "train one first, with" in said
    with pytest.raises(launching.CannotLaunch, match="Reward model"):
        world.launch(snapshot, "scored")


def test_a_role_is_offered_no_base_model_that_lacks_its_verb(snapshot: Snapshot) -> None:
    about = listing().trainers["reward-model"]
    [base] = [role for role in casting.cast(about, snapshot.project, None, {}, {}) if role.name == "base"]
    assert "tiny:encoder" in [choice.ref for choice in base.choices]
    [judge] = casting.cast(listing().trainers["judged"], snapshot.project, None, {}, {})
    assert judge.choices == []


@pytest.mark.parametrize("odd", ["run:999999", "tiny:encoder", "nonsense"])
def test_an_optional_role_is_looked_at_like_any_other(snapshot: Snapshot, odd: str) -> None:
    checks = preflighting.check(
        project=snapshot.project, trainer=listing().trainers["judged"], snapshot=snapshot, config={}, models={"judge": odd}
    )  # fmt: skip
    assert "judge" in preflighting.faults(checks)


def test_a_role_that_asks_another_verb_of_other_rows_is_offered_who_can_play_it_with_those_that_are_chosen(
    lin: Client, snapshot: Snapshot
) -> None:
    about = listing().trainers["by-kind"]
    [role] = casting.cast(about, snapshot.project, None, {}, {}, rows="label", others=["ranking", "label"])
    assert role.follows_rows
    assert role.value in {choice.ref for choice in role.choices if "label" in choice.rows}
    fits = {choice.ref: choice.rows for choice in role.choices}
    assert (fits["tiny:encoder"], set(fits["tiny:causal"])) == (("label",), {"label", "ranking"})
    page = lin.get(NEW, {"trainer": "by-kind"}).text
    assert "tiny:encoder" not in page  # the project has frozen rankings alone
    checks = preflighting.check(
        project=snapshot.project, trainer=about, snapshot=snapshot, config={}, models={"base": "tiny:encoder"}
    )
    assert (
        "by-kind needs one that can generate".replace("by-kind", "A by-kind one") in preflighting.faults(checks)["base"]
    )


def test_plugins_page_tells_what_follows_from_the_kind_of_rows(quick: Path) -> None:
    page = signed_in(person("root", is_superuser=True)).get("/plugins/").text
    assert "with label rows a base model that can embed" in page
    assert "from label rows: classify" in page


def test_rows_that_name_too_few_tasks_are_told_before_the_launch(snapshot: Snapshot) -> None:
    about = listing().trainers["quick"]
    several = {**about, "needs": {**about["needs"], "tasks": 2}}
    asked = {"project": snapshot.project, "snapshot": snapshot, "config": {}, "models": {}}
    assert (
        "at least 2 tasks; these name one"
        in preflighting.faults(preflighting.check(trainer=several, **asked))["snapshot"]
    )
    snapshot.counts["tasks"] = ["first", "second"]
    assert "snapshot" not in preflighting.faults(preflighting.check(trainer=several, **asked))
