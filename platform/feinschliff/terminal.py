"""How a run looks in a terminal: a bar with the remaining time, a curve in braille dots, plain lines where it is piped.

Fed with the lines of a run's stream by `try`. A terminal that is no terminal (a file, a pipe, CI) gets a line now and then.
"""

import json
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TextIO

DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # of a braille cell, by row and column
ROWS = 8
REDRAW_S = 0.1
PLAIN_S = 5.0
STOPPING = "stopping"
Point = tuple[int, float]


def curve(points: Sequence[Point], width: int, rows: int = ROWS) -> list[str]:
    """Lines of a chart: at each dot column the mean, joined, and dots for the highest and lowest value, labelled on the left."""
    points = sorted(points)
    first, last = points[0][0], max(points[-1][0], points[0][0] + 1)
    columns: dict[int, list[float]] = {}
    for step, value in points:
        columns.setdefault((step - first) * (width * 2 - 1) // (last - first), []).append(value)
    means = {column: sum(values) / len(values) for column, values in columns.items()}
    low, high = min(value for _, value in points), max(value for _, value in points)
    flat = high - low <= 1e-6 * max(abs(low), abs(high))
    cells = [[0] * width for _ in range(rows)]
    previous: int | None = None

    def place(value: float) -> int:
        return round((1 - (0.5 if flat else (value - low) / (high - low))) * (rows * 4 - 1))

    for column, mean in sorted(means.items()):
        row = place(mean)
        last_row = row if previous is None else previous
        joined = set(range(min(row, last_row), max(row, last_row) + 1))
        for dot in joined | {place(max(columns[column])), place(min(columns[column]))}:
            cells[dot // 4][column // 2] |= DOTS[dot % 4][column % 2]
        previous = row
    top, bottom = labels(high, low)
    names, wide = [top, *[""] * (rows - 2), bottom], max(9, len(top), len(bottom))
    dots = ["".join(chr(0x2800 + cell) for cell in line) for line in cells]
    lines = [f"{name:>{wide}} {line}" for name, line in zip(names, dots, strict=True)]
    return [*lines, f"{'':{wide}} {first:<{width - len(str(last))}}{last}"]


def labels(high: float, low: float) -> tuple[str, str]:
    """Two numbers with as many digits as tell them apart, four at least."""
    for digits in range(4, 17):
        shown = f"{high:.{digits}g}", f"{low:.{digits}g}"
        if shown[0] != shown[1] or high == low:
            break
    return shown


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
        self.recalled: set[str] = set()  # metrics whose points are all of an earlier attempt
        self.reports: dict[str, dict[str, Any]] = {}  # by title; shown when it has ended
        self.pairs: dict[str, dict[str, Any]] = {}  # samples with a text from before, by prompt
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

    def recall(self, line: str) -> None:
        """A line of an earlier attempt that this one goes on from: its curves are drawn on."""
        with suppress(ValueError, KeyError, TypeError, AttributeError):
            told = json.loads(line)
            if told["type"] == "metric":
                self._note(told)
                self.recalled |= set(self.metrics)

    def _note(self, told: dict[str, Any]) -> None:
        step = told["step"]
        for name, value in told["values"].items():
            if value is None:
                continue
            points = self.metrics.setdefault(name, [])
            if name in self.recalled and points[-1][0] >= step:  # taken again from the last checkpoint
                points[:] = [point for point in points if point[0] < step]
            points.append((step, value))

    def _take(self, told: dict[str, Any]) -> bool:
        match told.get("type"):
            case "metric":
                self._note(told)
                self.recalled -= set(told["values"])
            case "progress":
                self.done, self.total = told["done"], told["total"]
                self.began = self.began or (time.monotonic(), self.done)
                self.state = "training" if self.state in ("starting", "loading") else self.state
            case "report":
                self.reports[told["title"]] = told
            case "sample" if told.get("before") is not None:
                self.pairs[json.dumps(told.get("prompt"))] = told
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
        words = self._words()
        size = max(0, min(40, columns - 2 - len(words)))  # the words say more: the bar gives way
        filled = round(share * size)
        bar = "\u2588" * filled + "\u2591" * (size - filled)
        lines = [f"{bar} {words}".strip()[: columns - 1]]
        shown = next((name for name in self.metrics if name.startswith("loss")), next(iter(self.metrics), None))
        if shown and len(self.metrics[shown]) > 1:
            lines += ["", *curve(self.metrics[shown], max(10, min(60, columns - 12)))]
        return [line[: columns - 1] for line in [*lines, *self._latest()]]

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
    """Final numbers, one a line: by metric in the order in which the trainer gave them, the model before its baselines."""
    width = max((len(name) for name in numbers), default=0)
    metrics = list(dict.fromkeys(name.partition("/")[0] for name in numbers))
    ordered = sorted(numbers, key=lambda name: (metrics.index(name.partition("/")[0]), "/model" not in name))
    return [f"    {name:<{width}}  {_shown(numbers[name])}" for name in ordered]


def _shown(value: object) -> str:
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def offers(listing: dict[str, Any]) -> list[str]:
    """What plugins offer, for people: a plugin a paragraph, then who was refused."""
    lines = []
    for plugin in listing["plugins"]:
        lines.append(" ".join(filter(None, [plugin["name"], plugin["version"]])) + f", by {plugin['author']}")
        for one in (one for one in listing["trainers"] if one["plugin"] == plugin["name"]):
            lines.append(f"    {one['name']}: {one['summary']}")
            takes = [f"{' or '.join(one['needs']['rows'])} rows"]
            takes += [f"a model that can {verb} ({role})" for role, verb in one["needs"]["models"].items()]
            takes += [
                f"if you like, a model that can {verb} ({role})" for role, verb in one["needs"]["may_use"].items()
            ]
            lines.append(f"        from {', '.join(takes)}; makes a model that can {', '.join(one['yields'])}")
            lines += [f"        {told}" for told in _by_kind(one)]
            lines += [
                f"        {name}: {_setting(about)}" for name, about in one["schema"].get("properties", {}).items()
            ]
        brought = [one for one in listing["models"] if one["plugin"] == plugin["name"]]
        if schemes := [f"{scheme}:" for one in brought for scheme in one["schemes"]]:
            lines.append(f"    models: {', '.join(schemes)}")
        for one in (one for one in listing["launchers"] if one["plugin"] == plugin["name"]):
            lines.append(f"    launcher {one['name']}: {one['summary']}")
    for one in listing["refusals"]:
        lines.append(f"refused: {one['plugin']}: {one['reason']} (tell {one['author']})")
    return lines or ["No plugin is installed; --plugin MODULE names one that is not."]


def _by_kind(trainer: dict[str, Any]) -> list[str]:
    """What is different for a kind of rows: the verb that it asks of a model, and those that it gives."""
    asked, given = trainer["needs"].get("models_from") or {}, trainer.get("yields_from") or {}
    lines = []
    for kind in dict.fromkeys([*asked, *given]):
        parts = [f"a model that can {verb} ({role})" for role, verb in asked.get(kind, {}).items()]
        parts += [f"makes one that can {', '.join(given[kind])}"] if kind in given else []
        lines.append(f"with {kind} rows: {'; '.join(parts)}")
    return lines


def _setting(about: dict[str, Any]) -> str:
    default = f" ({json.dumps(about['default'])})" if "default" in about else ""
    return f"{about.get('description', '')}{default}"
