"""What a run looks like in a terminal: the curve, the bar, the time that is left, and plain lines in a pipe."""

import io
import json
import time
from typing import Any

import pytest

from feinschliff.terminal import Screen, curve, labels, span, table


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def told(kind: str, **fields: Any) -> str:  # noqa: ANN401
    return json.dumps({"type": kind, **fields}) + "\n"


def test_a_falling_curve_starts_in_the_upper_left_and_ends_in_the_lower_right() -> None:
    lines = curve([(step, 100.0 - step) for step in range(100)], width=20, rows=4)
    assert lines[0].split()[0] == "100"
    assert lines[3].split()[0] == "1"
    cells = [line[10:] for line in lines[:4]]
    assert cells[0][0] != "\u2800" and cells[0][-1] == "\u2800"
    assert cells[3][-1] != "\u2800" and cells[3][0] == "\u2800"
    assert lines[4].split() == ["0", "99"]
    assert {len(line) for line in lines} == {30}


@pytest.mark.parametrize("values", [[1.0, 1.0, 1.0], [1e9, -1e9], [0.5], [3.0, float(1), 2.0]])
def test_any_values_make_a_curve(values: list[float]) -> None:
    lines = curve(list(enumerate(values)), width=10)
    assert any(character > "\u2800" for line in lines for character in line[10:])
    assert any(character > "\u2800" for line in curve([(5, 1.0), (2, 2.0), (2, 9.0)], width=10) for character in line)


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0 s"), (59, "59 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")])
def test_times_are_words(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_a_terminal_is_drawn_anew_and_log_lines_stay_above() -> None:
    out = Tty()
    screen = Screen(out)
    screen.hear(told("progress", done=1, total=10))
    screen.hear(told("metric", step=1, values={"loss/train": 0.7, "gone": None}))
    screen.hear(told("metric", step=2, values={"loss/train": 0.5}))
    screen.draw(now=True)
    screen.hear("a warning of some library\n")
    screen.draw(now=True)
    shown = out.getvalue()
    assert "training 10 % (1 of 10)" in shown
    assert "\x1b[" in shown
    last = shown.rpartition("\x1b[J")[2]
    assert last.startswith("a warning of some library\n\u2588")
    assert "loss/train 0.5" in last


def test_a_pipe_gets_plain_lines_and_no_control_characters() -> None:
    out = io.StringIO()
    screen = Screen(out)
    screen.hear(told("progress", done=3, total=4))
    screen.hear(told("metric", step=3, values={"loss/train": 0.25}))
    screen.draw(now=True)
    assert out.getvalue().splitlines()[-1] == "training 75 % (3 of 4), loss/train 0.25"
    assert "\x1b" not in out.getvalue()


@pytest.mark.parametrize("line", ['{"type": "metric"}', '{"type":', '{"type": "progress", "done": 1}'])
def test_what_only_looks_like_the_protocol_is_log_text(line: str) -> None:
    out = io.StringIO()
    Screen(out).hear(line + "\n")
    assert out.getvalue() == line + "\n"


def test_a_curve_is_labelled_with_the_highest_and_lowest_value_and_digits_enough_to_tell_them_apart() -> None:
    noisy = [(step, 1.0 + (step % 50 == 7) * 4.0 - (step % 50 == 8) * 0.5) for step in range(1000)]
    lines = curve(noisy, width=10)
    assert (lines[0].split()[0], lines[-2].split()[0]) == ("5", "0.5")
    assert labels(0.6931471, 0.6931380) == ("0.69315", "0.69314")
    assert labels(2.0, 2.0) == ("2", "2")


def test_in_eighty_columns_the_remaining_time_is_there_and_the_bar_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = Tty()
    screen = Screen(out)
    screen.hear(told("progress", done=1, total=1_000_000))
    screen.began = (time.monotonic() - 60, 0)
    screen.hear(told("state", state="training", message="of the whole"))
    screen.hear(told("progress", done=10_000, total=1_000_000))
    screen.draw(now=True)
    last = out.getvalue().rpartition("\x1b[J")[2].splitlines()[0]
    assert last.endswith(" left")
    assert "1 h 39 min" in last
    assert last.startswith("\u2591")
    assert len(last) < 80


def test_curves_of_an_earlier_attempt_are_drawn_on_without_the_steps_that_are_taken_again() -> None:
    screen = Screen(io.StringIO())
    for step in (1, 2, 3, 4):
        screen.recall(told("metric", step=step, values={"loss": 1.0 / step}))
    screen.recall("a warning")
    for step in (3, 4, 5):
        screen.hear(told("metric", step=step, values={"loss": 9.0}))
    assert screen.metrics["loss"] == [(1, 1.0), (2, 0.5), (3, 9.0), (4, 9.0), (5, 9.0)]


def test_the_model_stands_before_what_it_is_compared_with() -> None:
    numbers = {"pairs": 4, "accuracy/random": 0.5, "accuracy/model": 0.9, "accuracy/model/low": 0.8, "tau/model": 0.1}
    names = [line.split()[0] for line in table(numbers)]
    assert names == ["pairs", "accuracy/model", "accuracy/model/low", "accuracy/random", "tau/model"]
    assert table({}) == []


def test_final_numbers_stand_in_columns() -> None:
    assert table({"accuracy/model": 0.87654, "pairs": 40, "tau": None}) == [
        "    accuracy/model  0.8765",
        "    pairs           40",
        "    tau             -",
    ]
