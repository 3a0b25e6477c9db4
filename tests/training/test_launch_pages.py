"""The launch form: what was looked at stands beside it, nothing is launched by looking, and long forms fold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from tests.training.world_of_runs import frozen, person, planted
from training import launching
from training.catalogue.listing import listing
from training.models import Run, Snapshot
from training.views import launch

pytestmark = pytest.mark.django_db
NEW, CHECK = "/p/planted/runs/new/", "/p/planted/runs/new/check/"


@pytest.fixture
def snapshot(quick: Path) -> Snapshot:
    return frozen(planted())


@pytest.fixture
def lin(client: Client) -> Client:
    client.force_login(person("lin"))
    return client


def form(snapshot: Snapshot, **more: str) -> dict[str, str]:
    config = launching.defaults(listing().trainers["reward-model"]["schema"])
    given = {f"config-{name}": str(value) for name, value in config.items()}
    return {"trainer": "reward-model", "snapshot": snapshot.hash, "model-base": "tiny:encoder", **given, **more}


def test_looking_launches_nothing_and_lists_every_check(lin: Client, snapshot: Snapshot) -> None:
    page = lin.post(CHECK, form(snapshot)).text
    for title in ("Rows", "Base model", "Memory", "Disk", "Device", "Queue"):
        assert f"{title}</strong>" in page
    assert "It can be launched." in page
    assert not Run.objects.exists()


def test_faults_are_told_in_words_beside_their_mark(lin: Client, snapshot: Snapshot) -> None:
    page = lin.post(CHECK, form(snapshot, **{"config-epochs": "ninety", "other-base": "tiny:giant", "seed": "-1"})).text
    assert "It cannot be launched yet." in page
    assert page.count("Fault: ") == 3
    assert "there is no tiny:giant here" in page.lower()


def test_without_scripts_a_button_looks_and_keeps_what_was_typed(lin: Client, snapshot: Snapshot) -> None:
    page = lin.post(NEW, form(snapshot, only="check", seed="41", **{"other-base": "hub:them/theirs"})).text
    assert 'name="only" value="check"' in page
    assert "Warning: Base model" in page
    assert 'value="41"' in page
    assert 'value="hub:them/theirs"' in page
    assert not Run.objects.exists()


def test_a_hostile_model_name_is_shown_as_text(lin: Client, snapshot: Snapshot) -> None:
    page = lin.post(CHECK, form(snapshot, **{"other-base": "hub:<script>alert(1)</script>"})).text
    assert "<script>" not in page


@pytest.mark.parametrize("odd", [{}, {"trainer": "magic"}, {"trainer": "quick", "snapshot": "x", "ranks": "9" * 30}])
def test_odd_forms_are_looked_at_without_harm(lin: Client, snapshot: Snapshot, odd: dict[str, str]) -> None:
    assert lin.post(CHECK, odd).status_code in (200, 400)
    assert lin.get(CHECK).status_code == 405


def test_a_run_launched_from_another_remembers_it(lin: Client, snapshot: Snapshot) -> None:
    lin.post(NEW, form(snapshot))
    first = Run.objects.get()
    page = lin.get(NEW, {"from": first.pk}).text
    assert f'action="{NEW}?from={first.pk}"' in page
    lin.post(f"{NEW}?from={first.pk}", form(snapshot, seed="2"))
    assert Run.objects.latest("pk").launched_from == first


def test_the_processes_are_asked_for_only_where_a_trainer_has_several(
    lin: Client, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 'name="ranks"' not in lin.get(NEW, {"trainer": "quick"}).text
    offered = {name: about | {"ranks": 4} for name, about in listing().trainers.items()}
    monkeypatch.setattr(launch.switching, "offered", lambda _project, _listing: offered)
    assert 'name="ranks" id="ranks" min="1" max="4"' in lin.get(NEW, {"trainer": "quick"}).text


def test_a_long_form_folds_its_later_settings_and_opens_them_where_one_is_wrong(
    lin: Client, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "SHOWN_SETTINGS", 2)
    settings = listing().trainers["reward-model"]["schema"]["properties"]
    names = [name for name, about in settings.items() if "group" not in about]
    page = lin.get(NEW, {"trainer": "reward-model"}).text
    shown, folded, *groups = page.split("<details><summary>")
    assert f'name="config-{names[1]}"' in shown
    assert all(f'name="config-{name}"' in folded for name in names[2:])
    assert f"{len(names) - 2} more settings" in folded
    assert len(groups) == len({about["group"] for about in settings.values() if "group" in about})
    wrong = lin.post(NEW, form(snapshot, **{f"config-{names[-1]}": "what"})).text
    assert "<details open><summary>" in wrong


def test_settings_of_a_group_are_folded_under_its_name(lin: Client, snapshot: Snapshot) -> None:
    page = lin.get(NEW, {"trainer": "reward-model"}).text
    _, group = page.split("<details><summary>Optimiser</summary>")
    group = group.partition("</details>")[0]
    assert "Longest gradient</label>" in group
    assert "<code>max_grad_norm</code>" in group  # what the command line calls it
    assert 'name="config-learning_rate"' not in group
    wrong = lin.post(NEW, form(snapshot, **{"config-max_grad_norm": "what"})).text
    assert "<details open><summary>Optimiser</summary>" in wrong
    assert wrong.count("<details open>") == 1


def test_the_picker_groups_by_family_and_says_what_is_missing(lin: Client, snapshot: Snapshot) -> None:
    page = lin.get(NEW).text
    assert "From what people prefer" in page
    assert "10 ranking rows are frozen." in page
    assert "none are frozen yet." in page  # pairs-only


def test_the_snapshot_that_was_chosen_is_kept_through_the_trainers_to_the_form(lin: Client, snapshot: Snapshot) -> None:
    pairs = frozen(snapshot.project, "pair")
    for chosen in (snapshot, pairs):
        page = lin.get(NEW, {"snapshot": chosen.hash}).text
        assert f"To learn from snapshot <code>{chosen.hash[:12]}</code>" in page
        assert f'href="?trainer=reward-model&amp;snapshot={chosen.hash}"' in page
        form = lin.get(NEW, {"trainer": "reward-model", "snapshot": chosen.hash}).text
        assert f'<option value="{chosen.hash}" selected' in form
        assert f'/runs/new/?snapshot={chosen.hash}">Another trainer' in form
    page = lin.get(NEW, {"snapshot": pairs.hash}).text  # the quick one "once" learns from rankings alone
    assert 'href="?trainer=once"' in page
    assert "this snapshot holds pair rows" in page
    assert "does not fit this trainer" in lin.get(NEW, {"trainer": "once", "snapshot": pairs.hash}).text


def test_a_rule_over_several_settings_is_told_before_the_launch(lin: Client, snapshot: Snapshot) -> None:
    sent = {"trainer": "ppo", "snapshot": snapshot.hash, "model-base": "tiny:causal", "config-episodes": "32"}
    checked = lin.post(CHECK, sent).text
    assert "Episodes (32) must be at least one batch (64)" in checked
    launched = lin.post(NEW, sent)
    assert launched.status_code == 400
    assert '<ul class="errorlist"><li>episodes (32) must be at least one batch (64)</li></ul>' in launched.text


def test_faults_of_checks_block_the_form_too(lin: Client, snapshot: Snapshot, settings: Any) -> None:  # noqa: ANN401
    settings.RUN_DISK_RESERVE_BYTES = 10**18
    answer = lin.post(NEW, form(snapshot))
    assert answer.status_code == 400
    assert "No run starts until there is room" in answer.text
    assert not Run.objects.exists()
