"""The pages of runs: one run, several beside each other, the log, and starting a run once more."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client

from tests.builders import signed_in
from tests.training import world_of_runs as world
from training import launching, preparing
from training.models import Metric, Model, Run, Sample, Snapshot
from training.reporting import logs
from webapp.people.models import Notice

pytestmark = pytest.mark.django_db


@pytest.fixture
def snapshot(quick: Path) -> Snapshot:
    made = world.frozen(world.planted(4))
    world.member(made.project, "lin")
    return made


@pytest.fixture
def lin(snapshot: Snapshot) -> Client:
    return signed_in(world.person("lin"))


def address(run: Run, rest: str = "") -> str:
    return f"/p/{run.project.slug}/runs/{run.pk}/{rest}"


def ended(snapshot: Snapshot, state: str = Run.SUCCEEDED, **fields: object) -> Run:
    run = world.launch(snapshot)
    Run.objects.filter(pk=run.pk).update(state=state, attempts=1, **fields)
    run.refresh_from_db()
    return run


def test_a_failed_run_shows_its_cause_with_its_last_lines_beside_it(snapshot: Snapshot, lin: Client) -> None:
    run = ended(snapshot, Run.FAILED, error="It ran out of memory.")
    preparing.folder(run).mkdir(parents=True)
    logs.log_path(run).write_text("begun\n<b>Traceback</b>\x1b[0m\n", "utf-8")
    page = lin.get(address(run)).text
    assert "<strong>It ran out of memory.</strong>" in page
    assert "begun\n&lt;b&gt;Traceback&lt;/b&gt;</pre>" in page
    assert "Launch again" in page


def test_what_a_worker_kept_of_the_last_lines_is_shown_rather_than_the_log(snapshot: Snapshot, lin: Client) -> None:
    run = ended(snapshot, Run.FAILED, error="It was killed.\nlast words\nof it")
    page = lin.get(address(run)).text
    assert "<strong>It was killed.</strong>" in page
    assert "last words\nof it</pre>" in page


def test_one_click_launches_the_same_once_more_and_both_say_so(snapshot: Snapshot, lin: Client) -> None:
    run = world.launch(snapshot, steps=7)
    Run.objects.update(state=Run.SUCCEEDED, seed=5)
    answer = lin.post(address(run, "relaunch/"))
    again = Run.objects.exclude(pk=run.pk).get()
    assert answer["Location"] == address(again)
    assert (again.launched_from, again.config, again.seed, again.state) == (run, run.config, 5, Run.QUEUED)
    assert (again.snapshot, again.launched_by) == (snapshot, world.person("lin"))
    assert f"run {run.pk}</a>" in lin.get(address(again)).text
    assert f"run {again.pk}</a>" in lin.get(address(run)).text


def test_what_cannot_be_launched_again_as_it_was_leads_to_its_form_and_says_why(
    snapshot: Snapshot, lin: Client
) -> None:
    run = ended(snapshot)
    Run.objects.filter(pk=run.pk).update(config={"steps": 3, "gone": True})
    answer = lin.post(address(run, "relaunch/"), follow=True)
    assert answer.redirect_chain == [(f"/p/{snapshot.project.slug}/runs/new/?from={run.pk}", 302)]
    assert "gone: this trainer has no such setting" in answer.text
    assert Run.objects.count() == 1


def test_the_live_answer_tells_of_those_laid_over_it_too(snapshot: Snapshot, lin: Client) -> None:
    run, other = world.launch(snapshot), ended(snapshot)
    for of, value in ((run, 1.0), (other, 2.0)):
        Metric.objects.create(run=of, attempt=1, step=1, name="loss", value=value)
    Sample.objects.create(run=run, prompt="p", text="t", step=1)
    Notice.objects.create(user=world.person("lin"), text="x")
    told = lin.get(address(run, f"live/?with={other.pk},")).json()
    assert [(of["id"], of["live"], of["metrics"]) for of in told["runs"]] == [
        (run.pk, True, {"loss": [[1, 1.0]]}), (other.pk, False, {"loss": [[1, 2.0]]}),
    ]  # fmt: skip
    assert (told["live"], told["samples"], told["unread"]) == (True, 1, 1)


def test_ticked_runs_get_an_address_to_share(snapshot: Snapshot, lin: Client) -> None:
    first, second = ended(snapshot), ended(snapshot)
    place = f"/p/{snapshot.project.slug}/runs/compare/"
    answer = lin.get(place, {"runs": [str(second.pk), str(first.pk)]})
    assert answer["Location"] == f"{place}?runs={second.pk},{first.pk}"


def test_beside_each_other_stand_what_differs_and_the_final_numbers(snapshot: Snapshot, lin: Client) -> None:
    runs = [
        ended(snapshot, numbers={"accuracy/model": accuracy}, config={"steps": steps, "pause": 0})
        for steps, accuracy in ((3, 0.25), (9, 0.75))
    ]
    page = lin.get(f"/p/{snapshot.project.slug}/runs/compare/?runs={runs[0].pk},{runs[1].pk},99999").text
    assert '<th scope="row">Steps</th><td><code>3</code></td><td><code>9</code></td>' in page
    assert '<th scope="row">Pause</th>' not in page
    assert 'class="best">0.75' in page
    assert "Not a run of this project: 99999" in page


def test_compared_numbers_stand_under_what_they_mean(snapshot: Snapshot, lin: Client) -> None:
    """The titles and the order of the trainer; what it does not explain comes last, under its bare name."""
    numbers = {"loss/heldout": 0.5, "accuracy/model": 0.7, "accuracy/random": 0.5, "aaa": 1.0}
    runs = [ended(snapshot, numbers=numbers) for _ in range(2)]
    Metric.objects.create(run=runs[1], attempt=1, step=1, name="loss/train", value=1.0)
    page = lin.get(f"/p/{snapshot.project.slug}/runs/compare/?runs={runs[0].pk},{runs[1].pk}")
    assert [(row.title, row.whose, row.name) for row in page.context["numbers"]] == [
        ("Orders it gets right", "this model", "accuracy/model"), ("Orders it gets right", "a coin", "accuracy/random"),
        ("What it counts down", "on held-out rows", "loss/heldout"), ("", "", "aaa"),
    ]  # fmt: skip
    assert [one.title for one in page.context["glossary"]] == ["Orders it gets right", "What it counts down"]
    assert [of.name for of in page.context["glossary"][1].told] == ["loss/heldout", "loss/train"]
    assert (
        'Orders it gets right: <span class="whose">a coin</span> <code class="muted">accuracy/random</code>'
        in page.text
    )


def test_a_run_of_another_project_is_laid_over_nothing(snapshot: Snapshot, lin: Client) -> None:
    mine = ended(snapshot)
    other = world.queued(world.frozen(world.planted(4, name="other", seed=3)))
    Metric.objects.create(run=other, attempt=1, step=1, name="loss", value=1.0)
    place = f"/p/{snapshot.project.slug}/runs/"
    told = lin.get(f"{place}curves/?runs={mine.pk},{other.pk}").json()
    assert [run["id"] for run in told["runs"]] == [mine.pk]
    assert [run["id"] for run in lin.get(address(mine, f"live/?with={other.pk}")).json()["runs"]] == [mine.pk]
    assert f"{other.trainer} {other.pk}" not in lin.get(f"{place}compare/?runs={mine.pk},{other.pk}").text


def test_more_runs_than_one_tells_apart_are_not_drawn(snapshot: Snapshot, lin: Client) -> None:
    ids = ",".join(str(world.queued(snapshot).pk) for _ in range(10))
    place = f"/p/{snapshot.project.slug}/runs/"
    assert len(lin.get(f"{place}curves/?runs={ids}").json()["runs"]) == 8
    assert "the first 8 runs are shown" in lin.get(f"{place}compare/?runs={ids}").text


@pytest.mark.parametrize("odd", ["", "x", "-1", "0", "9" * 40, "²", ",,,", "1;2"])
def test_odd_choices_are_no_fault(snapshot: Snapshot, lin: Client, odd: str) -> None:
    run = ended(snapshot)
    place = f"/p/{snapshot.project.slug}/runs/"
    for page in (
        f"{place}compare/?runs={odd}", f"{place}curves/?runs={odd}", address(run, f"?with={odd}"),
        address(run, f"live/?with={odd}"), address(run, f"log/?line={odd}"), address(run, f"log/?q={odd}&after={odd}"),
    ):  # fmt: skip
        assert lin.get(page).status_code == 200, page


def test_the_log_is_found_in_as_text_and_given_as_a_file(snapshot: Snapshot, lin: Client) -> None:
    run = ended(snapshot)
    preparing.folder(run).mkdir(parents=True)
    logs.log_path(run).write_bytes(b"one\n<img src=x onerror=alert(1)> needle\n\xff\x00three\n")
    page = lin.get(address(run, "log/?q=NEEDLE")).text
    assert "&lt;img src=x onerror=alert(1)&gt; <strong>needle</strong>" in page
    assert '<li id="L2" class="match">' in page
    assert "1 line holds it." in page
    whole = lin.get(address(run, "log/")).text
    assert "From line 1 on, of 3." in whole
    file = lin.get(address(run, "log.txt"))
    assert b"".join(file.streaming_content) == logs.log_path(run).read_bytes()  # type: ignore[attr-defined]
    assert file["Content-Disposition"] == f'attachment; filename="run-{run.pk}.txt"'
    assert file["Content-Type"].startswith("text/plain")


def test_archived_runs_stand_in_no_list_but_have_their_page(snapshot: Snapshot, lin: Client) -> None:
    run = ended(snapshot, archived_at="2026-01-01T00:00Z")
    world.launch(snapshot)
    page = lin.get(f"/p/{snapshot.project.slug}/runs/").text
    assert f"runs/{run.pk}/" not in page
    assert "Archived (1)" in page
    assert lin.get(address(run)).status_code == 200


def test_a_launch_is_cancelled_from_its_page(snapshot: Snapshot, lin: Client) -> None:
    run = world.launch(snapshot)
    asked = lin.post(address(run, "cancel/"))
    assert "It has not begun" in asked.text
    run.refresh_from_db()
    assert run.state == Run.QUEUED
    assert "had not begun" in lin.post(address(run, "cancel/"), {"sure": "yes"}, follow=True).text
    run.refresh_from_db()
    assert run.state == Run.CANCELLED


def test_a_run_that_waits_says_how_many_stand_before_it(snapshot: Snapshot, lin: Client) -> None:
    first, second, third = (world.queued(snapshot) for _ in range(3))
    assert "It is next." in lin.get(address(first)).text
    Run.objects.filter(pk=first.pk).update(state=Run.RUNNING, lease_until="2999-01-01T00:00Z")
    assert "1 run waits before this one. 1 run is at work." in lin.get(address(third)).text
    assert lin.get(address(second, "live/")).json()["progress"]["attempt"] == "1 run is at work."


def test_settings_stand_in_the_order_of_the_form_under_its_names(snapshot: Snapshot, lin: Client) -> None:
    """The database keeps them by the length of their names."""
    run = ended(snapshot, config={"ends": "well", "pause": 0.0, "steps": 7, "zeal": 1, "gone": 2})
    run.refresh_from_db()
    page = lin.get(address(run)).text
    places = [page.index(f"<dt>{name}</dt>") for name in ("Steps", "Pause", "Ends", "gone", "zeal")]
    assert places == sorted(places)


def test_what_single_runs_alone_have_is_folded_when_they_are_compared(snapshot: Snapshot, lin: Client) -> None:
    runs = [
        ended(snapshot, numbers={"accuracy/model": 0.5, name: 1.0}, config={"steps": steps, name: 1})
        for steps, name in ((3, "left"), (9, "right"))
    ]
    for run, name in zip(runs, ("left", "right"), strict=True):
        for metric in ("loss", name):
            Metric.objects.create(run=run, attempt=1, step=1, name=metric, value=1.0)
    place, ids = f"/p/{snapshot.project.slug}/runs/", f"{runs[0].pk},{runs[1].pk}"
    page = lin.get(f"{place}compare/?runs={ids}")
    assert [row.name for row in page.context["numbers"]] == ["accuracy/model"]
    assert [row.name for row in page.context["numbers_of_one"]] == ["left", "right"]
    assert [title for title, _, _ in page.context["differing"]] == ["Steps"]
    assert [title for title, _, _ in page.context["of_some"]] == ["left", "right"]
    assert page.text.index("accuracy/model") < page.text.index("Settings that differ") < page.text.index('id="curves"')

    def drawn(how: str) -> list[set[str]]:
        return [set(run["metrics"]) for run in lin.get(f"{place}curves/?runs={ids}{how}").json()["runs"]]

    assert drawn("&only=shared") == [{"loss"}, {"loss"}]
    assert drawn("") == [{"loss", "left"}, {"loss", "right"}]


def test_numbers_and_curves_stand_under_what_their_trainer_says_of_them(snapshot: Snapshot, lin: Client) -> None:
    numbers = {"accuracy/model": 0.75, "accuracy/longer": 0.5, "loss": 0.1, "steps": 3, "accuracy/model/low": None}
    numbers |= {"loss/low": 0.00002, "loss/high": 0.5}
    run = ended(snapshot, numbers=numbers)
    Metric.objects.create(run=run, attempt=1, step=1, name="loss/heldout", value=1.0)
    Metric.objects.create(run=run, attempt=1, step=1, name="spoons", value=1.0)
    answer = lin.get(address(run))
    told = [(one.title, [number.name for number in one.told]) for one in answer.context["numbers"]]
    assert told == [
        ("Orders it gets right", ["accuracy/longer", "accuracy/model", "accuracy/model/low"]),
        ("What it counts down", ["loss"]),
        ("", ["steps"]),
    ]
    assert "Of two answers each. More is better." in answer.text
    [loss] = answer.context["numbers"][1].told
    assert (loss.low, loss.high) == (0.00002, 0.5)
    Run.objects.update(numbers={"learning-rate": 0.00002})
    assert "2e-05" in lin.get(address(run)).text
    assert [one.title for one in answer.context["glossary"]] == ["What it counts down"]
    gone = ended(snapshot, numbers=numbers, trainer="gone")
    assert [one.title for one in lin.get(address(gone)).context["numbers"]] == [""]


def test_lists_say_what_the_number_of_a_run_is(snapshot: Snapshot, lin: Client) -> None:
    """A judge's accuracy and another trainer's are not one column of like numbers."""
    judge = ended(snapshot, numbers={"loss/heldout": 0.5, "accuracy/model": 0.75})
    ended(snapshot, numbers={"loss/heldout": 0.25})
    ended(snapshot, numbers={"accuracy/model": 0.625}, trainer="gone")
    ended(snapshot, numbers={"spoons": 3, "accuracy/model": None})
    rows = lin.get(f"/p/{snapshot.project.slug}/runs/").context["rows"]
    told = [(0.75, "Orders it gets right"), (0.25, "What it counts down"), (0.625, "Accuracy"), None]
    assert [row["reached"] for row in reversed(rows)] == told
    Model.objects.create(project=snapshot.project, run=judge, name=judge.title, yields=["score"])
    page = lin.get(f"/p/{snapshot.project.slug}/models/").text
    assert "0.750" in page
    assert "Orders it gets right" in page


def test_a_run_and_its_model_are_called_by_the_name_they_were_given(snapshot: Snapshot, lin: Client) -> None:
    run = launching.launch(
        project=snapshot.project, trainer="quick", snapshot=snapshot, config={}, models={}, name="  careful \n start "
    )
    assert run.title == f"careful start · {run.pk}"
    Run.objects.update(state=Run.SUCCEEDED)
    model = Model.objects.create(project=snapshot.project, run=run, name=run.title, yields=["score"])
    lin.post(address(run, "name/"), {"name": "the <b>bold</b> one"})
    run.refresh_from_db()
    model.refresh_from_db()
    assert run.title == model.name == f"the <b>bold</b> one · {run.pk}"
    for page in (address(run), f"/p/{snapshot.project.slug}/runs/", f"/p/{snapshot.project.slug}/models/{model.pk}/"):
        text = lin.get(page).text
        assert f"the &lt;b&gt;bold&lt;/b&gt; one · {run.pk}" in text
        assert "<b>bold</b>" not in text
    assert lin.get(address(run, "live/")).json()["runs"][0]["name"] == run.title
    lin.post(address(run, "relaunch/"))
    assert Run.objects.first().name == run.name
    lin.post(address(run, "name/"), {"name": ""})
    model.refresh_from_db()
    assert model.name == f"quick {run.pk}"


@pytest.mark.parametrize("name", ["x" * 81, "a\u202eb", "a\x07b"])
def test_a_name_that_cannot_be_shown_is_refused_and_changes_nothing(snapshot: Snapshot, lin: Client, name: str) -> None:
    run = ended(snapshot)
    assert "keeps its name" in lin.post(address(run, "name/"), {"name": name}, follow=True).text
    assert not Run.objects.get().name
    with pytest.raises(launching.CannotLaunch) as refused:
        launching.launch(project=snapshot.project, trainer="quick", snapshot=snapshot, config={}, models={}, name=name)
    assert list(refused.value.faults) == ["name"]
