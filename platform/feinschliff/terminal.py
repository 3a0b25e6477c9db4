"""How a run looks in a terminal: a bar with the remaining time, a curve in braille dots, plain lines where it is piped.

Fed with the lines of a run's stream by `try`. A terminal that is no terminal (a file, a pipe, CI) gets a line now and then.
"""

import json
import shutil
import time
from collections.abc import Sequence
from typing import Any, TextIO

DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # of a braille cell, by row and column
ROWS = 8
REDRAW_S = 0.1
PLAIN_S = 5.0
STOPPING = "stopping"
Point = tuple[int, float]


def curve(points: Sequence[Point], width: int, rows: int = ROWS) -> list[str]:
    """Lines of a chart: the mean value at each dot column, joined; labels of the highest and lowest value on the left."""
    points = sorted(points)
    first, last = points[0][0], max(points[-1][0], points[0][0] + 1)
    columns: dict[int, list[float]] = {}
    for step, value in points:
        columns.setdefault((step - first) * (width * 2 - 1) // (last - first), []).append(value)
    means = {column: sum(values) / len(values) for column, values in columns.items()}
    low, high = min(means.values()), max(means.values())
    flat = high - low <= 1e-6 * max(abs(low), abs(high))
    cells = [[0] * width for _ in range(rows)]
    previous: int | None = None
    for column, mean in sorted(means.items()):
        share = 0.5 if flat else (mean - low) / (high - low)
        row = round((1 - share) * (rows * 4 - 1))
        for dot in range(min(row, row if previous is None else previous), max(row, previous or 0) + 1):
            if previous is None and dot != row:
                continue
            cells[dot // 4][column // 2] |= DOTS[dot % 4][column % 2]
        previous = row
    names = [f"{high:.4g}", *[""] * (rows - 2), f"{low:.4g}"]
    lines = [
        f"{name:>9} {''.join(chr(0x2800 + cell) for cell in line)}" for name, line in zip(names, cells, strict=True)
    ]
    return [*lines, f"{'':9} {first:<{width - len(str(last))}}{last}"]


def span(seconds: float) -> str:
    """A time that people can read: 42 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


class Screen:
    """What a person sees of a run while it works."""

    def __init__(self, out: TextIO) -> None:
        self.out, self.live = out, out.isatty()
        self.metrics: dict[str, list[Point]] = {}
        self.state, self.done, self.total = "starting", 0, 0
        self.began: tuple[float, int] | None = None  # when progress was first heard of, and how far it was
        self.drawn, self.last = 0, 0.0

    def hear(self, line: str) -> None:
        """One line of the run's stream: of the protocol, or log text."""
        try:
            told = line.startswith('{"type": ') and self._take(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError):  # looks like the protocol and is none
            told = False
        if not told and line.strip() and not line.startswith("feinschliff: "):  # those come again, in the result
            self.say(line.rstrip())
        self.draw()

    def _take(self, told: dict[str, Any]) -> bool:
        match told.get("type"):
            case "metric":
                for name, value in told["values"].items():
                    if value is not None:
                        self.metrics.setdefault(name, []).append((told["step"], value))
            case "progress":
                self.done, self.total = told["done"], told["total"]
                self.began = self.began or (time.monotonic(), self.done)
                self.state = "training" if self.state in ("starting", "loading") else self.state
            case "state" if told["state"] != "done":
                self.state = told["state"] + (f", {told['message']}" if told.get("message") else "")
        return True

    def say(self, line: str) -> None:
        """A line that stays, above the bar and the curve."""
        self._clear()
        self.out.write(line + "\n")

    def draw(self, *, now: bool = False) -> None:
        moment = time.monotonic()
        if not now and moment - self.last < (REDRAW_S if self.live else PLAIN_S):
            return
        if self.live:
            self._clear()
            block = self._block(shutil.get_terminal_size().columns)
            self.out.write("".join(line + "\n" for line in block))
            self.drawn = len(block)
        elif self.total:
            self.out.write(self._words() + "\n")
        self.last = moment
        self.out.flush()

    def _clear(self) -> None:
        if self.drawn:
            self.out.write(f"\x1b[{self.drawn}F\x1b[J")
            self.drawn = 0

    def _block(self, columns: int) -> list[str]:
        share = self.done / self.total if self.total else 0.0
        size = max(10, min(40, columns - 45))
        filled = round(share * size)
        bar = "\u2588" * filled + "\u2591" * (size - filled)
        lines = [f"{bar} {self._words()}"[: columns - 1]]
        shown = next((name for name in self.metrics if name.startswith("loss")), next(iter(self.metrics), None))
        if shown and len(self.metrics[shown]) > 1:
            lines += ["", *curve(self.metrics[shown], max(10, min(60, columns - 12)))]
        return [*lines, *(line[: columns - 1] for line in self._latest())]

    def _words(self) -> str:
        """How far it is: `training 40 % (4 of 10), 12 s left`."""
        if not self.total:
            return self.state
        left = self.remaining()
        told = f"{self.state} {self.done * 100 // self.total} % ({self.done} of {self.total})"
        told += f", about {span(left)} left" if left and self.state != STOPPING else ""
        return told if self.live else ", ".join([told, *self._latest()])

    def _latest(self) -> list[str]:
        return [f"{name} {points[-1][1]:.4g}" for name, points in self.metrics.items()]

    def remaining(self) -> float | None:
        """Seconds that the rest takes at the pace since progress was first heard of."""
        if self.began is None or self.done <= self.began[1]:
            return None
        return (time.monotonic() - self.began[0]) / (self.done - self.began[1]) * (self.total - self.done)


def table(numbers: dict[str, Any]) -> list[str]:
    """Final numbers, one a line, in the order in which the trainer gave them."""
    width = max((len(name) for name in numbers), default=0)
    return [f"    {name:<{width}}  {_shown(value)}" for name, value in numbers.items()]


def _shown(value: object) -> str:
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
