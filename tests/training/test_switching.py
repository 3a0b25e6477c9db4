"""Plugins are switched on per project: built-ins are on, others are off until whoever may train there says so."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from annotation.models import Project
from tests.builders import signed_in
from tests.feinschliff.test_refusals import lay_out
from tests.training.world_of_runs import frozen, launch, person, planted
from training import launching
from training.catalogue import listing, switching
from training.models import PluginSwitch, Run
from training.working import Worker
from webapp.people.models import AuditEntry

pytestmark = pytest.mark.django_db


@pytest.fixture
def guest(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A third party's plugin, installed beside the site."""
    packages = tmp_path / "packages"
    packages.mkdir()
    lay_out(packages, "guest", "{sound}", author="Kim Example")
    monkeypatch.setenv("PYTHONPATH", str(packages))
    return "guest"


@pytest.fixture
def project(quick: Path) -> Project:
    return planted(6)


def names(project: Project) -> set[str]:
    return set(switching.offered(project, listing.listing()))


def turn(project: Project, plugin: str, on: bool) -> None:
    switching.switch(project=project, plugin=plugin, on=on, listing=listing.listing(), actor=person("lin"))


def lin() -> Client:
    return signed_in(person("lin"))


def test_built_ins_are_on_and_others_off_until_somebody_says_otherwise(guest: str, project: Project) -> None:
    assert {"reward-model", "quick"} <= names(project)
    assert "guest" not in names(project)
    assert [trainer["name"] for trainer in switching.off(project, listing.listing())] == ["guest"]
    turn(project, "guest", True)
    turn(project, "reward-model", False)
    assert "guest" in names(project)
    assert "reward-model" not in names(project)
    entry = AuditEntry.objects.filter(action="switch_plugin").latest("pk")
    assert (entry.subject, entry.detail) == (project.slug, {"plugin": "reward-model", "on": False})


def test_a_switch_in_one_project_is_none_in_another(guest: str, project: Project) -> None:
    other = planted(6, name="other")
    turn(project, "guest", True)
    turn(project, "quick-trainers", False)
    assert "guest" not in names(other)
    assert "quick" in names(other)
    counted = switching.projects_with(listing.listing())
    assert (counted.pop("guest"), counted.pop("quick-trainers")) == (1, 1)
    assert {"base-models", "reward-model"} <= counted.keys()
    assert set(counted.values()) == {2}, "built-ins are on in both"


def test_a_trainer_that_is_off_cannot_be_launched_and_the_reason_says_how_to_switch_it_on(project: Project) -> None:
    snapshot = frozen(project)
    turn(project, "quick-trainers", False)
    with pytest.raises(launching.CannotLaunch) as refused:
        launch(snapshot)
    assert refused.value.faults["trainer"] == (
        "A quick one comes from the plugin “quick-trainers”, which is off in this project. Switch it on under Plugins, or: "
        "manage.py plugin on quick-trainers --project planted"
    )
    assert not Run.objects.exists()
    turn(project, "quick-trainers", True)
    launch(snapshot)


def test_a_run_that_waits_already_goes_on_when_its_plugin_is_switched_off(project: Project) -> None:
    run = launch(frozen(project))
    turn(project, "quick-trainers", False)
    assert Worker().work_one(run.pk)
    run.refresh_from_db()
    assert run.state == Run.SUCCEEDED, run.error


def test_a_lead_switches_a_plugin_by_one_click(guest: str, project: Project) -> None:
    address = f"/p/{project.slug}/plugins/"
    page = lin().get(address).text
    assert 'Switch on <span class="sr-only">guest</span>' in page
    assert "Kim Example" in page
    answer = lin().post(address, {"plugin": "guest", "on": "1"}, follow=True)
    assert "guest is on in this project." in answer.text
    assert 'Switch off <span class="sr-only">guest</span>' in answer.text
    switch = PluginSwitch.objects.get()
    assert (switch.plugin, switch.on, switch.changed_by) == ("guest", True, person("lin"))
    assert "guest is off in this project." in lin().post(address, {"plugin": "guest", "on": "0"}, follow=True).text
    assert PluginSwitch.objects.count() == 1


def test_an_unknown_plugin_is_refused_with_those_there_are(project: Project) -> None:
    answer = lin().post(f"/p/{project.slug}/plugins/", {"plugin": "<b>nobody\x01", "on": "1"}, follow=True)
    assert "No trainer comes from a plugin" in answer.text
    assert "<b>nobody" not in answer.text
    assert not PluginSwitch.objects.exists()


def test_an_annotator_neither_sees_nor_switches(project: Project) -> None:
    ada = signed_in(person("ada"))
    assert ada.get(f"/p/{project.slug}/plugins/").status_code == 403
    assert ada.post(f"/p/{project.slug}/plugins/", {"plugin": "quick-trainers", "on": "0"}).status_code == 403
    assert not PluginSwitch.objects.exists()


def test_the_launch_page_offers_what_is_on_and_says_that_there_is_more(guest: str, project: Project) -> None:
    page = lin().get(f"/p/{project.slug}/runs/new/").text
    assert "?trainer=quick" in page
    assert "?trainer=guest" not in page
    assert f'href="/p/{project.slug}/plugins/"' in page
    turn(project, "guest", True)
    assert "?trainer=guest" in lin().get(f"/p/{project.slug}/runs/new/").text


def test_the_form_of_a_trainer_that_is_off_is_not_shown(guest: str, project: Project) -> None:
    page = lin().get(f"/p/{project.slug}/runs/new/?trainer=guest").text
    assert 'name="trainer" value="guest"' not in page


def test_the_command_switches_and_refuses_in_a_sentence(guest: str, project: Project) -> None:
    out = io.StringIO()
    call_command("plugin", "on", "guest", "--project", project.slug, stdout=out)
    assert out.getvalue().strip() == "guest is on in planted."
    before = names(project)
    call_command("plugin", "off", "quick-trainers", "--project", project.slug, "--json", stdout=out)
    assert {"guest", "reward-model", "quick"} <= before
    assert {"guest", "reward-model"} <= names(project) < before
    assert "quick" not in names(project)
    with pytest.raises(
        CommandError, match=r"There are: .*reward-model, .*quick-trainers, guest\.\nNothing was changed"
    ):
        call_command("plugin", "on", "nobody", "--project", project.slug)
    with pytest.raises(CommandError, match="There is no project “nowhere”"):
        call_command("plugin", "on", "guest", "--project", "nowhere")
