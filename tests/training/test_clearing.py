"""Making room: shown before it is done, what others need stays, and a crash in between is finished or undone."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from tests.training.world_of_runs import frozen, launch, person, planted, queued
from training import clearing, launching, preparing
from training.clearing import DELETE, SPACE
from training.machine import disk
from training.models import Metric, Model, Run, Sample, Snapshot
from webapp.people.models import AuditEntry

pytestmark = pytest.mark.django_db


@pytest.fixture
def snapshot(quick: Path) -> Snapshot:
    return frozen(planted())


def ended(snapshot: Snapshot, state: str = Run.SUCCEEDED, **fields: Any) -> Run:  # noqa: ANN401
    """A run with all that one leaves: 100 kB of model, 200 kB of checkpoints, a log, numbers."""
    run = queued(snapshot)
    Run.objects.filter(pk=run.pk).update(state=state, ended_at=timezone.now(), **fields)
    folder = preparing.folder(run)
    for name, size in (("model/w.safetensors", 100_000), ("checkpoints/000001/s", 200_000), ("output.log", 9_000)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x" * size)
    (folder / "job.json").write_text("{}", "utf-8")
    Metric.objects.create(run=run, attempt=1, step=1, name="loss", value=1.0)
    Sample.objects.create(run=run, prompt="p", text="t")
    if state == Run.SUCCEEDED:
        Model.objects.create(project=run.project, run=run, name="m", yields=["score"])
    run.refresh_from_db()
    return run


def gone(project_of: Snapshot, *runs: Run, way: str = DELETE) -> clearing.Preview:
    return clearing.clear(
        project=project_of.project, runs=[run.pk for run in runs], way=way, actor=person("lin")
    )  # fmt: skip


def test_archiving_deletes_nothing_and_can_be_undone(snapshot: Snapshot) -> None:
    run, live = ended(snapshot), queued(snapshot)
    asked: dict[str, Any] = {"project": snapshot.project, "runs": [run.pk, live.pk], "actor": person("lin")}
    before = disk.folder_size(preparing.folder(run))
    assert clearing.archive(**asked) == 1  # the live one is not touched
    assert list(snapshot.project.runs.exclude(archived_at=None)) == [run]
    assert (disk.folder_size(preparing.folder(run)), run.metrics.count()) == (before, 1)
    assert clearing.archive(**asked, restore=True) == 1
    assert not snapshot.project.runs.exclude(archived_at=None).exists()
    assert [entry.action for entry in AuditEntry.objects.filter(action__contains="runs")] == [
        "restore runs",
        "archive runs",
    ]


def test_a_preview_says_every_part_and_changes_nothing(snapshot: Snapshot) -> None:
    run = ended(snapshot)
    shown = clearing.preview(project=snapshot.project, runs=[run.pk], way=DELETE)
    sizes = shown.goes[0].sizes
    assert set(sizes) == {"model", "checkpoints", "log", "other"}
    assert 100_000 <= sizes["model"] < 120_000
    assert 200_000 <= sizes["checkpoints"] < 230_000
    assert shown.bytes == sum(sizes.values()) == disk.folder_size(preparing.folder(run))
    assert Run.objects.filter(pk=run.pk).exists()
    assert (preparing.folder(run) / "model" / "w.safetensors").is_file()


def test_deleting_takes_rows_and_folder_and_leaves_the_trail(snapshot: Snapshot) -> None:
    run, other = ended(snapshot), ended(snapshot)
    done = gone(snapshot, run)
    assert [one.run.pk for one in done.goes] == [run.pk]
    assert not preparing.folder(run).exists()
    assert list(Run.objects.all()) == [other]
    assert (Metric.objects.count(), Sample.objects.count(), Model.objects.count()) == (1, 1, 1)
    entry = AuditEntry.objects.get(action="delete runs")
    assert (entry.actor, entry.subject) == (person("lin"), snapshot.project.slug)
    assert (entry.detail["runs"][0]["run"], entry.detail["bytes"]) == (run.pk, done.bytes)


@pytest.mark.parametrize("way", [DELETE, SPACE])
def test_a_run_at_work_stays_with_the_reason(snapshot: Snapshot, way: str) -> None:
    live = ended(snapshot, Run.RUNNING)
    done = gone(snapshot, live, way=way)
    assert [(one.run.pk, one.why) for one in done.stays] == [(live.pk, "it is still at work: cancel it first")]
    assert (preparing.folder(live) / "checkpoints" / "000001").is_dir()


def test_a_model_that_another_run_uses_stays_until_both_go(snapshot: Snapshot) -> None:
    first = ended(snapshot)
    second = ended(snapshot, models_used={"base": f"run:{first.pk}"})
    third = ended(snapshot, models_used={"base": f"run:{second.pk}"})
    done = gone(snapshot, first, second)  # the third stays, so does what it uses, and what that uses
    assert {one.run.pk: one.why for one in done.stays} == {
        first.pk: f"its model is used by run {second.pk}", second.pk: f"its model is used by run {third.pk}",
    }  # fmt: skip
    assert Run.objects.count() == 3
    assert len(gone(snapshot, first, second, third).goes) == 3
    assert not Run.objects.exists()


def test_dropping_space_keeps_model_and_numbers(snapshot: Snapshot) -> None:
    run = ended(snapshot)
    done = gone(snapshot, run, way=SPACE)
    folder = preparing.folder(run)
    assert sorted(path.name for path in folder.iterdir()) == ["job.json", "model"]
    assert (run.metrics.count(), Model.objects.count()) == (1, 1)
    assert done.bytes >= 209_000
    assert gone(snapshot, run, way=SPACE).stays[0].why == "it holds neither checkpoints nor a log any more"


def test_another_projects_runs_are_not_there(snapshot: Snapshot) -> None:
    theirs = ended(frozen(planted(name="other")))
    done = gone(snapshot, theirs)
    assert (done.goes, done.stays) == ([], [])
    assert preparing.folder(theirs).is_dir()


def test_links_in_a_folder_are_removed_and_never_followed(snapshot: Snapshot, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept", "utf-8")
    run = ended(snapshot)
    (preparing.folder(run) / "link").symlink_to(outside)
    (preparing.folder(run) / "checkpoints" / "link").symlink_to(outside)
    (preparing.folder(run) / "closed").mkdir(mode=0o000)
    gone(snapshot, run, way=SPACE)
    gone(snapshot, run)
    assert (outside / "kept").read_text("utf-8") == "kept"
    assert not preparing.folder(run).exists()


def test_a_deletion_cut_off_before_its_end_is_undone_and_one_cut_off_after_it_is_finished(snapshot: Snapshot) -> None:
    undone, finished = ended(snapshot), ended(snapshot)
    for run in (undone, finished):
        folder = preparing.folder(run)
        folder.rename(folder.with_name(f"{clearing.TRASH}{run.pk}"))
    clearing._delete([finished.pk])  # its rows went, and then the power
    clearing.finish_deletions()
    assert (preparing.folder(undone) / "model" / "w.safetensors").is_file()
    assert not list(preparing.folder(undone).parent.glob(f"{clearing.TRASH}*"))
    assert not preparing.folder(finished).exists()


@pytest.mark.django_db(transaction=True)
def test_a_fault_in_the_middle_puts_everything_back(snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    run = ended(snapshot)

    def full(**_fields: Any) -> None:  # noqa: ANN401
        raise OSError("no space left")

    monkeypatch.setattr(clearing.auditing, "record", full)
    with pytest.raises(OSError, match="no space"):
        gone(snapshot, run)
    assert Run.objects.filter(pk=run.pk).exists()
    assert (preparing.folder(run) / "model" / "w.safetensors").is_file()


@pytest.mark.django_db(transaction=True)
def test_a_launch_that_takes_a_model_while_it_is_deleted_is_refused_and_never_left_without(snapshot: Snapshot) -> None:
    first = ended(snapshot)
    wrong: list[Exception] = []

    def take() -> None:
        try:
            with transaction.atomic():
                launching._hold_models({"base": f"run:{first.pk}"})
        except launching.CannotLaunch as refusal:
            wrong.append(refusal)
        finally:
            connection.close()

    with transaction.atomic():
        clearing._clear(Run.objects.filter(pk=first.pk), DELETE)
        thread = threading.Thread(target=take)
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()  # it waits for the deletion
    thread.join(10)
    assert "was deleted just now" in str(wrong[0])


def test_a_run_does_not_start_on_a_full_disk_and_says_why(snapshot: Snapshot, settings: Any) -> None:  # noqa: ANN401
    fresh = launch(snapshot)
    settings.RUN_DISK_RESERVE_BYTES = disk.free() + 10**12
    with pytest.raises(launching.CannotLaunch, match="No run starts until there is room"):
        launch(snapshot)
    with pytest.raises(preparing.CannotPrepare, match="No run starts until there is room"):
        preparing.prepare(fresh)
    assert not preparing.folder(fresh).exists()
    fresh.attempts = 2  # one that was begun goes on: it would lose more than it takes
    assert preparing.prepare(fresh).is_dir()


def test_what_uses_the_disk_is_told_by_part_and_project(snapshot: Snapshot) -> None:
    run = ended(snapshot)
    parts = {part.name: part.bytes for part in disk.parts()}
    assert parts["Runs: models, checkpoints, logs"] >= disk.folder_size(preparing.folder(run))
    assert parts["Database"] > 1_000_000
    assert [(part.project, part.bytes) for part in disk.runs_by_project()] == [
        (snapshot.project, disk.folder_size(preparing.folder(run)))
    ]
    assert [disk.in_words(n) for n in (999, 1500, 2_560_000, 123e6, 4.2e9, 5e12)] == [
        "999 bytes", "2 kB", "2.6 MB", "123 MB", "4.2 GB", "5.0 TB",
    ]  # fmt: skip


def said(*words: str) -> str:
    out = io.StringIO()
    call_command("clear_runs", *words, stdout=out)
    return out.getvalue()


def test_the_command_shows_first_and_does_it_with_yes(snapshot: Snapshot) -> None:
    old, new = ended(snapshot, Run.FAILED), ended(snapshot)
    Run.objects.filter(pk=old.pk).update(ended_at=timezone.now() - timezone.timedelta(days=40))
    assert "Nothing was changed; --yes does it." in said("planted", "--older-than", "30d")
    assert json.loads(said("planted", "--state", "failed", "--json")) == {
        "done": False, "bytes": disk.folder_size(preparing.folder(old)), "runs": [old.pk], "stays": {},
    }  # fmt: skip
    assert Run.objects.count() == 2
    assert "Gone: 1 × the run" in said("planted", "--older-than", "30d", "--yes")
    assert list(Run.objects.all()) == [new]
    assert "Gone: 1 × its checkpoints and log" in said("planted", "--run", str(new.pk), "--space-only", "--yes")


@pytest.mark.parametrize(
    ("words", "why"),
    [([], "Say which runs"), (["--older-than", "soon"], "30d, 12h or 8w"), (["--run", "999999"], "has no run 999999")],
)
def test_the_command_refuses_in_a_sentence(snapshot: Snapshot, words: list[str], why: str) -> None:
    with pytest.raises(CommandError, match=why):
        said("planted", *words)


@pytest.fixture
def lin(client: Client) -> Client:
    client.force_login(person("lin"))
    return client


def test_the_page_asks_before_it_deletes(lin: Client, snapshot: Snapshot) -> None:
    run = ended(snapshot)
    user = ended(snapshot, Run.RUNNING, models_used={"base": f"run:{run.pk}"})
    free_one = ended(snapshot)
    address = "/p/planted/runs/archive/"
    assert f'value="{user.pk}"' not in lin.get(address).text  # what lives cannot be ticked
    form = {"run": [run.pk, free_one.pk], "action": "delete"}
    asked = lin.post(address, form).text
    assert "Nothing has been done yet." in asked
    assert f"its model is used by run {user.pk}" in asked
    assert Run.objects.count() == 3
    answer = lin.post(address, form | {"sure": "yes"}, follow=True).text
    assert "1 run was deleted" in answer
    assert f"Run {run.pk} stays" in answer
    assert set(Run.objects.all()) == {run, user}


@pytest.mark.parametrize(
    "form", [{}, {"action": "delete"}, {"action": "odd", "run": "1"}, {"action": "archive", "run": ["x", "9" * 40]}]
)
def test_the_page_takes_odd_forms_without_harm(lin: Client, snapshot: Snapshot, form: dict[str, Any]) -> None:
    run = ended(snapshot)
    assert lin.post("/p/planted/runs/archive/", form).status_code == 302
    assert Run.objects.filter(pk=run.pk, archived_at=None).exists()


def test_archived_runs_leave_the_list_and_come_back(lin: Client, snapshot: Snapshot) -> None:
    run, address = ended(snapshot), "/p/planted/runs/archive/"
    lin.post(address, {"action": "archive", "run": run.pk})
    listed = f'href="/p/planted/runs/{run.pk}/"'
    assert listed not in lin.get("/p/planted/runs/").text
    assert listed in lin.get(address, {"show": "archived"}).text
    lin.post(address, {"action": "restore", "run": run.pk, "show": "archived"})
    assert listed in lin.get("/p/planted/runs/").text


def test_a_filling_disk_is_said_to_those_who_can_make_room(
    client: Client, snapshot: Snapshot, settings: Any  # noqa: ANN401
) -> None:  # fmt: skip
    settings.RUN_DISK_RESERVE_BYTES = round(disk.free() / 1.5)
    sees: Callable[[str, str], bool] = lambda who, page: (  # noqa: E731
        client.force_login(person(who)) or "are free on the disk of the data folder" in client.get(page).text
    )
    assert sees("lin", "/p/planted/")
    assert not sees("ada", "/p/planted/")


def test_the_disk_page_names_projects_only_to_those_who_have_them(client: Client, snapshot: Snapshot) -> None:
    ended(snapshot)
    operator = person("root")
    operator.is_staff = True
    operator.save()
    client.force_login(operator)
    page = client.get("/disk/").text
    assert "planted" not in page
    assert "Other projects" in page
    operator.is_superuser = True
    operator.save()
    assert "planted" in client.get("/disk/").text
