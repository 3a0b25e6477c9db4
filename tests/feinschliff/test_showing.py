"""What `try` says of tables, pictures and texts before and after."""

import io
import json
from typing import Any

from feinschliff.showing import lines_of, shown
from feinschliff.terminal import Screen

TABLE = {"kind": "table", "title": "By length", "note": "Held out.", "columns": ["Length", "Accuracy"]}


def test_a_table_has_its_words_and_its_numbers_under_each_other() -> None:
    rows = [["short", 0.71234], ["rather\nlong", None], ["x" * 60, 12.0]]
    assert lines_of({**TABLE, "rows": rows}) == [
        "By length:",
        "    Held out.",
        f"    Length{' ' * 34}  Accuracy",
        f"    short{' ' * 35}    0.7123",
        f"    rather long{' ' * 29}         -",
        f"    {'x' * 39}…        12",
    ]


def test_a_long_table_says_how_much_of_it_is_left_out() -> None:
    assert lines_of({**TABLE, "rows": [["a", 1.0]] * 100})[-1] == "    ... and 70 more"


def test_a_line_is_drawn_and_points_are_listed() -> None:
    plot = {"title": "Frontier", "x": "KL", "y": "reward", "series": {"seed 0": [[0.5, 1.0], [2.5, 3.0]], "none": []}}
    drawn = lines_of({**plot, "kind": "line"})
    assert any("\u2800" <= character <= "\u28ff" for line in drawn for character in line)
    assert any(line.strip() == "KL: 0.5 to 2.5" for line in drawn)
    assert "    none: no points" in drawn
    assert lines_of({**plot, "kind": "points"})[1:] == [
        "             KL  reward",
        "    seed 0  0.5       1",
        "    seed 0  2.5       3",
    ]


def test_a_matrix_names_both_sides() -> None:
    lines = lines_of({"kind": "matrix", "title": "M", "labels": ["cat", "dog"], "counts": [[3, 1], [0, 4]]})
    assert lines[1:] == ["    true \\ said  cat  dog", "    cat            3    1", "    dog            0    4"]


def test_the_screen_keeps_the_last_report_of_a_title_and_the_last_pair_of_a_prompt() -> None:
    screen = Screen(io.StringIO())

    def hear(**told: Any) -> None:  # noqa: ANN401
        screen.hear(json.dumps(told) + "\n")

    for value in (1.0, 2.0):
        hear(type="report", **{**TABLE, "rows": [["a", value]]})
        hear(type="sample", prompt="Why?", text=f"after {value}", before="old", values={"score/after": value})
    hear(type="sample", prompt="Why?", text="on the way", values={})
    lines = shown(screen.reports, list(screen.pairs.values()))
    assert [line for line in lines if "a  " in line] == ["    a              2"]
    assert lines[-5:] == [
        "Before and after:", "    Why?", "        before  old", "        after   after 2.0", "                score/after 2",
    ]  # fmt: skip
