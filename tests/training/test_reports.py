"""Tables, pictures and texts before and after: from what a trainer says, through the stream, to the run's page."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from feinschliff.run import Run as ContractRun
from feinschliff.trainer import NoSettings
from tests.builders import signed_in
from tests.training import world_of_runs as world
from training import attempting, bounding
from training.models import Report, Run, Sample, Snapshot
from training.reporting import pairing, picturing
from training.reporting.results import comparisons, stopped, verdict
from training.streaming import Ear, Heard

words = st.lists(st.sampled_from(["a", "b", "c", " ", "\n", "\x1c", "ß\u2028"]), max_size=12).map("".join) | st.text(
    max_size=30
)
numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)


@pytest.fixture
def trainer(tmp_path: Path) -> ContractRun:
    return ContractRun(folder=tmp_path, config=NoSettings(), seed=0, rows={}, kinds=(), opener=lambda _role: None)


def heard(said: str) -> Heard:
    return Ear().hear(said.encode())


def test_what_a_trainer_shows_is_heard_as_it_was_said(trainer: ContractRun, capsys: pytest.CaptureFixture[str]) -> None:
    trainer.table("By length", ["Length", "Accuracy"], [["short", 0.5], ["long", None]], note="Held out.")
    trainer.plot("Frontier", {"seed 0": [(0, 0.1), (4, 1.2)]}, x="KL", y="reward", kind="points")
    trainer.matrix("Animals", ["cat", "dog"], [[3, 1], [0, 4]])
    trainer.sample("p", "new", before="old", won=1.0)
    found = heard(capsys.readouterr().out)
    assert found.reports["By length"] == {
        "kind": "table", "title": "By length", "note": "Held out.",
        "content": {"columns": ["Length", "Accuracy"], "rows": [["short", 0.5], ["long", None]]},
    }  # fmt: skip
    assert found.reports["Frontier"]["content"]["series"] == {"seed 0": [[0.0, 0.1], [4.0, 1.2]]}
    assert found.reports["Animals"]["content"]["counts"] == [[3.0, 1.0], [0.0, 4.0]]
    assert [(one["text"], one["before"]) for one in found.samples] == [("new", "old")]


def test_a_later_report_of_a_title_takes_the_place_of_the_earlier(
    trainer: ContractRun, capsys: pytest.CaptureFixture[str]
) -> None:
    for value in (1.0, 2.0):
        trainer.table("T", ["a"], [[value]])
    assert [one["content"]["rows"] for one in heard(capsys.readouterr().out).reports.values()] == [[[2.0]]]


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (lambda run: run.table("T", ["a", "b"], [["one"]]), "one a column"),
        (lambda run: run.table("T", ["a"], [["x"]] * 201), "at most 200 rows"),
        (lambda run: run.table("T", ["a"], [["x" * 3000]] * 100), "too large to show"),
        (lambda run: run.table(" ", ["a"], []), "needs a title"),
        (lambda run: run.plot("P", {"s": [(0, 0)] * 501}, x="x", y="y"), "500 points"),
        (lambda run: run.plot("P", {str(n): [] for n in range(9)}, x="x", y="y"), "8 series"),
        (lambda run: run.matrix("M", ["a", "b"], [[1, 2]]), "one row and one column a label"),
    ],
)
def test_what_could_not_be_shown_is_refused_where_it_is_made(trainer: ContractRun, made: Any, told: str) -> None:  # noqa: ANN401
    with pytest.raises(ValueError, match=told):
        made(trainer)


@pytest.mark.parametrize(
    "event",
    [
        {}, {"kind": "table"}, {"kind": "table", "title": ""}, {"kind": ["table"], "title": "T", "columns": ["a"], "rows": []},
        {"kind": "table", "title": "T", "columns": [], "rows": []},
        {"kind": "table", "title": "T", "columns": ["a"], "rows": [1]},
        {"kind": "line", "title": "T", "series": [[1, 2]]}, {"kind": "line", "title": "T", "series": {"a": 1}},
        {"kind": "matrix", "title": "T", "labels": ["a"], "counts": [[1, 2]]},
        {"kind": "matrix", "title": "T", "labels": ["a"] * 101, "counts": [[1] * 101] * 101},
        {"kind": "pie", "title": "T"},
    ],
)  # fmt: skip
def test_what_is_no_report_is_dropped(event: dict[str, Any]) -> None:
    assert bounding.report(event) is None


def test_a_report_that_is_too_large_is_cut_and_its_odd_points_left_out() -> None:
    rows = [["x" * 900, math.inf]] * 300
    table = bounding.report({"kind": "table", "title": "T" * 300, "note": 5, "columns": ["a", "b"], "rows": rows})
    assert table is not None
    assert (len(table["title"]), table["note"], len(table["content"]["rows"])) == (120, "", 200)
    assert table["content"]["rows"][0] == ["x" * 500, None]
    points = [[1, 2], [1], "ab", [None, 2], [True, 3], [10**400, 1]] + [[0, 0]] * 600
    plot = bounding.report({"kind": "line", "title": "T", "series": {str(n): points for n in range(12)}})
    assert plot is not None
    assert len(plot["content"]["series"]) == 8
    assert plot["content"]["series"]["0"][0] == [1.0, 2.0]
    assert len(plot["content"]["series"]["0"]) == 495  # of the first 500


@given(words, words)
def test_the_pieces_of_both_texts_are_the_texts_and_equal_words_are_the_unmarked(before: str, after: str) -> None:
    first, second = pairing.marked(before, after)
    assert ("".join(p.text for p in first), "".join(p.text for p in second)) == (before, after)
    if any(piece.differs for piece in (*first, *second)):
        shared = [" ".join(p.text for p in side if not p.differs).split() for side in (first, second)]
        assert shared[0] == shared[1]


def test_the_words_that_differ_are_marked_and_nothing_is_where_all_differs() -> None:
    before, after = pairing.marked("the sky is blue today", "the sky is green today")
    assert [p.text for p in before if p.differs] == ["blue"]
    assert [p.text for p in after if p.differs] == ["green"]
    assert not any(p.differs for p in pairing.marked("one two three", "vier fünf sechs")[0])


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "0"), (3, "3"), (1234567, "1,234,567"), (0.5, "0.500"), (0.01234, "0.0123"), (12.3456, "12.35"), (3e-7, "3e-07")],
)  # fmt: skip
def test_numbers_have_as_many_digits_as_one_reads(value: float, said: str) -> None:
    assert picturing.in_words(value) == said


@given(numbers)
def test_every_number_can_be_said(value: float) -> None:
    assert float(picturing.in_words(value).replace(",", "")) == pytest.approx(value, rel=5e-3, abs=1e-30)


def test_a_judge_that_prefers_the_later_texts_is_told_with_their_length() -> None:
    won = {"winrate/judge": 0.7, "winrate/judge/low": 0.6, "winrate/judge/high": 0.8}
    said = verdict(won | {"length/before": 100.0, "length/after": 180.0})
    assert said.startswith("The judge prefers what it writes now to what it wrote before: 70\N{NO-BREAK SPACE}%")
    assert "1.8 times as long" in said
    [found] = comparisons(won)
    assert [(bar.value, bar.own) for bar in found.bars] == [(0.7, True), (pytest.approx(0.3), False)]


@pytest.mark.parametrize(
    ("low", "high", "said"), [(0.2, 0.4, "prefers what it wrote before"), (0.4, 0.6, "sees no difference")]
)
def test_a_judge_that_prefers_the_earlier_texts_or_none_is_told_too(low: float, high: float, said: str) -> None:
    assert said in verdict({"winrate/judge": (low + high) / 2, "winrate/judge/low": low, "winrate/judge/high": high})


def test_a_rank_correlation_is_drawn_from_minus_one() -> None:
    [found] = comparisons({"tau/model": -0.2, "tau/random": 0.0})
    assert (found.low, found.high) == (-1.0, 1.0)


def test_a_run_that_stopped_itself_says_why_in_words() -> None:
    assert "too long" in stopped({"stopped-by": "length"})
    assert stopped({"stopped-by": "a reason of its own"}) == "a reason of its own"
    assert stopped({"loss": 1.0}) == ""


@pytest.fixture
def snapshot(quick: Path) -> Snapshot:
    made = world.frozen(world.planted(4))
    world.member(made.project, "lin")
    return made


@pytest.fixture
def lin(snapshot: Snapshot) -> Client:
    return signed_in(world.person("lin"))


def page_of(run: Run, rest: str = "") -> str:
    return f"/p/{run.project.slug}/runs/{run.pk}/{rest}"


def made(run: Run, title: str, kind: str = "table", **content: Any) -> Report:  # noqa: ANN401
    return Report.objects.create(run=run, kind=kind, title=title, content=content)


@pytest.mark.django_db
def test_the_page_shows_tables_and_pictures_as_text_whatever_stands_in_them(snapshot: Snapshot, lin: Client) -> None:
    run = world.queued(snapshot)
    odd = "<script>alert('x')</script>"
    made(run, odd, columns=[odd, "b"], rows=[[odd, 0.25]])
    made(run, "Plot", "points", x=odd, y="y", series={odd: [[0, 1]] * 300})
    made(run, "Matrix", "matrix", labels=["cat", odd], counts=[[3, 1], [0, None]])
    page = lin.get(page_of(run)).text
    assert odd not in page
    assert page.count("&lt;script&gt;") > 5
    assert "0.250" in page
    assert "100 points between them are not in this table" in page
    assert 'class="number shade-6"' in page  # three of four cats


@pytest.mark.django_db
def test_before_and_after_stand_side_by_side_once_a_prompt_and_not_among_the_samples(
    snapshot: Snapshot, lin: Client
) -> None:
    run = world.queued(snapshot)
    scores = {"score/before": 0.1, "score/after": 0.9}
    for after in ("the sky is grey", "the sky is blue"):
        Sample.objects.create(run=run, prompt="Sky?", text=after, before="the sky is red", values=scores)
    page = lin.get(page_of(run)).text
    assert "Before and after" in page
    assert "<del>red</del>" in page
    assert "<ins>blue</ins>" in page
    assert "grey" not in page
    assert page.count("higher score") == 1
    assert "Samples over time" not in page


@pytest.mark.django_db
def test_an_alarm_stands_on_top_of_the_page(snapshot: Snapshot, lin: Client) -> None:
    run = world.queued(snapshot)
    Run.objects.filter(pk=run.pk).update(state=Run.SUCCEEDED, numbers={"stopped-by": "kl-budget", "kl/heldout": 9.0})
    page = lin.get(page_of(run)).text
    assert "It stopped itself." in page
    assert "as far from where it started as it was allowed to" in page


@pytest.mark.django_db
def test_the_live_answer_changes_when_a_report_comes_or_changes(snapshot: Snapshot, lin: Client) -> None:
    run = world.queued(snapshot)
    stamps = [lin.get(page_of(run, "live/")).json()["reports"]]
    report = made(run, "One", columns=["a"], rows=[[1]])
    stamps.append(lin.get(page_of(run, "live/")).json()["reports"])
    report.save()
    stamps.append(lin.get(page_of(run, "live/")).json()["reports"])
    assert len(set(stamps)) == 3
    assert stamps[0] == ""


@pytest.mark.django_db
def test_of_a_flood_of_reports_the_first_are_kept_and_known_ones_go_on(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempting.limiting, "MOST_REPORTS", 2)
    run = world.queued(snapshot)
    attempt = attempting.Attempt.__new__(attempting.Attempt)
    attempt.points = attempt.samples = 0
    attempt.titles, attempt.note = {"known"}, ""
    lines = [
        json.dumps({"type": "report", "kind": "table", "title": title, "columns": ["a"], "rows": [[1]]})
        for title in ("new", "known", "one too many")
    ]
    found = heard("\n".join(lines) + "\n")
    attempt._bound(found)
    assert list(found.reports) == ["new", "known"]
    assert "first 2 tables and pictures" in attempt.note
    assert not run.reports.exists()
