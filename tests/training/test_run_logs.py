"""A run's log as people read it: its end, all of it, a word in it. What a trainer prints does nothing but be read."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.training import world_of_runs as world
from training import preparing
from training.models import Run
from training.reporting import logs

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(home: Path) -> Run:
    snapshot = world.frozen(world.planted(4))
    made = world.queued(snapshot)
    preparing.folder(made).mkdir(parents=True)
    return made


def prints(run: Run, *lines: bytes) -> None:
    logs.log_path(run).write_bytes(b"".join(line + b"\n" for line in lines))


def test_escapes_controls_and_drawn_over_lines_are_read_as_plain_text(run: Run) -> None:
    prints(
        run,
        b"\x1b[31mred\x1b[0m \x1b]0;title\x07and \x1b]8;;http://x\x1b\\link\x1b(B",
        b"10%\r50%\r100%\r",
        b"nul \x00 bell \x07 back\x08 \xff \xe2\x80\xae evil",
        b"<script>alert(1)</script>",
        b"\x1b]0;never ended " + b"x" * 50,
    )
    assert logs.log_tail(run).split("\n") == [
        "red and link", "100%", "nul \ufffd bell \ufffd back\ufffd \ufffd \ufffd evil", "<script>alert(1)</script>",
    ]  # fmt: skip


def test_a_line_of_a_megabyte_is_cut_and_says_so(run: Run) -> None:
    prints(run, b"begins " + b"x" * 1_000_000 + b" needle " + b"y" * 1_000_000, b"after it")
    shown, last = logs.stretch(run)
    assert (last, [line.number for line in shown]) == (2, [1, 2])
    assert shown[0].text.startswith("begins xxx")
    assert len(shown[0].text) < logs.SHOWN + 200
    assert "bytes]" in shown[0].text
    found = logs.search(run, "needle")
    assert [[line.number for line in group] for group in found.groups] == [[1, 2]]
    assert "needle" in found.groups[0][0].parts


def test_the_whole_log_is_searched_and_every_match_stands_among_its_neighbours(run: Run) -> None:
    prints(run, *[b"line %d" % n + (b" NaN Here" if n in (3, 5, 900) else b"") for n in range(1, 1001)])
    found = logs.search(run, "nan here")
    assert [[line.number for line in group] for group in found.groups] == [
        [1, 2, 3, 4, 5, 6, 7], [898, 899, 900, 901, 902],
    ]  # fmt: skip
    assert [line.number for group in found.groups for line in group if line.is_match] == [3, 5, 900]
    assert found.groups[0][2].parts == ("line 3 ", "NaN Here", "")
    assert (found.count, found.after) == (3, None)


def test_protocol_lines_are_no_log_text_but_count_as_lines_of_the_file(run: Run) -> None:
    prints(run, b"first", b'{"type": "metric", "step": 1, "values": {"first": 1}}', b"second first")
    assert [line.number for group in logs.search(run, "first").groups for line in group] == [1, 3]
    assert logs.log_tail(run) == "first\nsecond first"


def test_many_matches_come_page_by_page_and_none_is_lost(run: Run) -> None:
    prints(run, *[b"hit %d" % n for n in range(1, 131)])
    seen, after, pages = [], 0, 0
    while True:
        found = logs.search(run, "hit", after)
        seen += [line.number for group in found.groups for line in group if line.is_match]
        pages += 1
        if found.after is None:
            break
        after = found.after
    assert (seen, pages) == (list(range(1, 131)), 3)


def test_a_query_is_no_pattern(run: Run) -> None:
    prints(run, b"a.b", b"axb", b"(((")
    assert logs.search(run, "a.b").count == 1
    assert logs.search(run, "(((").count == 1


def test_a_log_of_ten_megabytes_is_searched_in_a_moment(run: Run) -> None:
    prints(
        run, *[b"step %d loss 0.5 and some more words that make it longer" % n for n in range(160_000)], b"last word"
    )
    began = time.perf_counter()
    assert logs.search(run, "last word").count == 1
    assert time.perf_counter() - began < 5  # about 0.4 s on a quiet machine
    assert len(logs.stretch(run, around=80_000)[0]) == logs.STRETCH


def test_the_lines_around_a_line_are_shown_and_it_is_marked(run: Run) -> None:
    prints(run, *[b"line %d" % n for n in range(1, 1001)])
    shown, last = logs.stretch(run, around=500)
    assert last == 1000
    assert len(shown) == logs.STRETCH
    assert [line.text for line in shown if line.is_match] == ["line 500"]


def test_without_a_log_there_is_nothing_to_read(run: Run) -> None:
    assert (logs.log_tail(run), logs.last_lines(run), logs.stretch(run)) == ("", "", ([], 0))
    assert logs.search(run, "x").groups == []
