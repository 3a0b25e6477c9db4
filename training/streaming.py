"""Reads what a run prints: protocol lines become metrics, samples, reports and progress; the rest is log text."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from training.bounding import Report, number, report, storable

MAX_LINE = 256 * 1024  # bytes; a longer one is thrown away
MAX_NAME = 120
MAX_TEXT = 20_000  # characters of a sample that are kept, and of its prompt
MAX_VALUES = 100  # numbers of one sample
KINDS = ("metric", "progress", "sample", "report", "state")


@dataclass
class Heard:
    """What some output said."""

    metrics: list[tuple[int, str, float | None]] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    reports: dict[str, Report] = field(default_factory=dict)  # by title: a later one takes an earlier one's place
    progress: tuple[int, int] | None = None
    message: str | None = None
    step: int | None = None  # the last one that was reported


class Ear:
    """Cuts a stream into lines and reads each; keeps an unfinished line for the next piece."""

    def __init__(self) -> None:
        self._rest = b""
        self._step: int | None = None  # the last that was reported; samples carry it

    @property
    def unread(self) -> int:
        """Bytes of an unfinished line at the end. An ear that starts so much earlier hears that line whole."""
        return len(self._rest)

    def copy(self) -> Ear:
        other = Ear()
        other._rest, other._step = self._rest, self._step
        return other

    def hear(self, piece: bytes) -> Heard:
        heard = Heard(step=self._step)
        *lines, self._rest = (self._rest + piece).split(b"\n")
        self._rest = self._rest[-MAX_LINE - 1 :]  # still too long, so that its end is never read as a line
        for line in lines:
            if len(line) <= MAX_LINE:
                read_line(line, heard)
        self._step = heard.step
        return heard


def read_line(line: bytes, heard: Heard) -> None:
    """Adds one line to `heard`. A line that is no event of the protocol is log text, and left alone.

    A progress bar that ends without a newline may stand before an event on the same line.
    """
    start = 0 if line.startswith(b"{") else line.find(b'{"type"')
    if start < 0:
        return
    try:
        event = storable(json.loads(line[start:]))
    except (ValueError, RecursionError):
        return
    if isinstance(event, dict) and event.get("type") in KINDS:
        _take(event, heard)


def _take(event: dict[str, Any], heard: Heard) -> None:
    match event["type"]:
        case "metric" if isinstance(event.get("values"), dict) and isinstance(event.get("step"), int):
            step = min(max(event["step"], 0), 2**62)
            heard.step = step
            heard.metrics += [(step, name[:MAX_NAME], number(value)) for name, value in event["values"].items()]
        case "progress" if isinstance(event.get("done"), int) and isinstance(event.get("total"), int):
            heard.progress = (min(max(event["done"], 0), 2**62), min(max(event["total"], 0), 2**62))
        case "sample" if isinstance(event.get("text"), str):
            values, prompt, before = event.get("values"), event.get("prompt") or "", event.get("before")
            pairs = list(values.items())[:MAX_VALUES] if isinstance(values, dict) else []
            heard.samples.append(
                {
                    "prompt": prompt if len(json.dumps(prompt)) <= MAX_TEXT else str(prompt)[:MAX_TEXT],
                    "text": event["text"][:MAX_TEXT],
                    "before": before[:MAX_TEXT] if isinstance(before, str) else None,
                    "values": {name[:MAX_NAME]: number(value) for name, value in pairs},
                    "step": heard.step,
                }
            )
        case "report" if (kept := report(event)) is not None:
            heard.reports.pop(kept["title"], None)
            heard.reports[kept["title"]] = kept
        case "state":
            heard.message = (
                "" if event.get("state") == "done" else str(event.get("message") or event.get("state") or "")[:200]
            )
