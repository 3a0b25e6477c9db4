"""What a run prints is read by ears that nothing hurts: noise, cut lines, NaN, NULs, half characters, endless lines."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.training.world_of_runs import frozen, planted, queued
from training.models import Metric, Report, Run, Sample
from training.streaming import MAX_LINE, Ear, Heard

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=[]))
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12)
events = st.fixed_dictionaries(
    {"type": st.sampled_from(["metric", "progress", "sample", "state", "other"])},
    optional=dict.fromkeys(("step", "values", "done", "total", "text", "before", "prompt", "state", "message"), values),
)  # fmt: skip
cells = st.lists(st.lists(scalars, min_size=2, max_size=2), max_size=3)
reports = st.fixed_dictionaries(
    {
        "type": st.just("report"),
        "kind": st.sampled_from(["table", "line", "points", "matrix"]),
        "title": st.text(st.characters(exclude_categories=[]), min_size=1),
    },
    optional={
        "note": values, "columns": st.lists(scalars, min_size=2, max_size=2), "rows": cells | values, "x": values, "y": values,
        "series": st.dictionaries(st.text(), cells) | values, "labels": st.lists(scalars, max_size=2), "counts": cells,
    },
)  # fmt: skip


def metric(step: int, **numbers: float) -> bytes:
    return json.dumps({"type": "metric", "step": step, "values": numbers}).encode()


def heard_in(pieces: list[bytes]) -> list[Heard]:
    ear = Ear()
    return [ear.hear(piece) for piece in pieces]


def all_metrics(found: list[Heard]) -> list[tuple[int, str, float | None]]:
    return [one for heard in found for one in heard.metrics]


@given(st.lists(st.integers(0, 400), max_size=12))
def test_wherever_the_stream_is_cut_the_same_is_heard(cuts: list[int]) -> None:
    stream = b"\n".join([b"noise", metric(1, loss=0.5), "ümläut".encode(), metric(2, loss=0.25), b"\xff\xfe", b""])
    places = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    pieces = [stream[start:end] for start, end in itertools.pairwise(places)]
    assert all_metrics(heard_in(pieces)) == [(1, "loss", 0.5), (2, "loss", 0.25)]


@given(st.binary(max_size=300))
def test_noise_before_and_after_never_costs_an_event_on_a_line_of_its_own(noise: bytes) -> None:
    found = all_metrics(heard_in([noise + b"\n" + metric(3, loss=1) + b"\n" + noise]))
    assert (3, "loss", 1.0) in found


def test_a_progress_bar_without_a_newline_before_an_event_does_not_swallow_it() -> None:
    line = "\r 50%|█████     | 1/2".encode() + metric(1, loss=0.5) + b"\n"
    assert all_metrics(heard_in([line])) == [(1, "loss", 0.5)]


def test_a_line_that_never_ends_is_thrown_away_and_the_next_is_heard() -> None:
    ear = Ear()
    for _ in range(40):
        assert ear.hear(b"x" * 100_000) == Heard()
        assert len(ear._rest) <= MAX_LINE + 1
    assert ear.hear(b"\n" + metric(1, loss=1) + b"\n").metrics == [(1, "loss", 1.0)]


def test_the_end_of_a_line_that_is_too_long_is_not_read_as_a_line() -> None:
    forged = metric(1, loss=1)
    forged = forged[:-1] + b" " * (MAX_LINE - len(forged)) + b"}"
    assert len(forged) == MAX_LINE
    assert heard_in([b"x" + forged, b"\n"]) == [Heard(), Heard()]


@pytest.mark.parametrize(
    "text",
    ['{"a": NaN, "b": Infinity, "c": -Infinity, "d": 1e999}', '{"a": true, "b": "3", "c": null, "d": [1]}'],
)
def test_what_is_no_finite_number_is_kept_as_none(text: str) -> None:
    [heard] = heard_in([b'{"type": "metric", "step": 1, "values": ' + text.encode() + b"}\n"])
    assert heard.metrics == [(1, name, None) for name in "abcd"]


@pytest.mark.parametrize(
    "line",
    [
        b"", b"{", b"{}", b"[]", b"null", b'{"type": "metric"}', b'{"type": "metric", "step": "1", "values": {}}',
        b'{"type": "progress", "done": 1}', b'{"type": "sample"}', b'{"type": ["metric"]}', b'{"type": {}}',
        b'{"type": "metric", "step": 1, "values": [1]}', b'{"type": "progress", "done": 1.5, "total": 2}',
        b"[" * 100_000, b'{"type": "sample", "text": ' + b"[" * 100_000, b'{"type": ' + b"9" * 5000 + b"}",
    ],
)  # fmt: skip
def test_a_line_that_is_no_event_is_log_text(line: bytes) -> None:
    assert heard_in([line + b"\n"]) == [Heard()]


@pytest.fixture
def run(home: Any) -> Run:  # noqa: ANN401
    return queued(frozen(planted(4)))


@pytest.mark.django_db
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(events | reports)
@example({"type": "sample", "text": "a\x00b\ud800", "prompt": ["\\u0000", math.inf, {"\x00": "\udfff"}]})
@example({"type": "sample", "text": "", "values": {"\x00": 1, "\ud800": 2, "": math.nan}})
@example({"type": "metric", "step": 10**30, "values": {"x\x00" * 100: 1e308, "": 10**400}})
@example({"type": "progress", "done": -5, "total": 10**40})
def test_whatever_an_event_holds_the_database_takes_it(run: Run, event: dict[str, Any]) -> None:
    [heard] = heard_in([json.dumps(event).encode() + b"\n"])
    Metric.objects.bulk_create(
        Metric(run=run, attempt=1, step=step, name=name, value=value) for step, name, value in heard.metrics
    )
    Sample.objects.bulk_create(Sample(run=run, **sample) for sample in heard.samples)
    for title, report in heard.reports.items():
        Report.objects.update_or_create(run=run, title=title, defaults=report)
    done, total = heard.progress or (0, 0)
    Run.objects.filter(pk=run.pk).update(done=done, total=total, message=heard.message or "")
    connection.check_constraints()


def test_a_copied_ear_hears_for_itself() -> None:
    """The worker listens with a copy, and keeps it only when what it heard is stored."""
    ear = Ear()
    ear.hear(metric(1, loss=1)[:10])
    other = ear.copy()
    assert other.hear(metric(1, loss=1)[10:] + b"\n").metrics == [(1, "loss", 1.0)]
    assert ear.hear(metric(1, loss=1)[10:] + b"\n").metrics == [(1, "loss", 1.0)]
