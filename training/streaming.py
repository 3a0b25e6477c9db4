"""Reads what a run prints: protocol lines become metrics, samples and progress; the rest is log text."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any

MAX_LINE = 256 * 1024  # bytes; a longer one is cut
KINDS = ("metric", "progress", "sample", "state")


@dataclass
class Heard:
    """What some output said."""

    metrics: list[tuple[int, str, float | None]] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    progress: tuple[int, int] | None = None
    message: str | None = None


class Ear:
    """Cuts a stream into lines and reads each; keeps an unfinished line for the next piece."""

    def __init__(self) -> None:
        self._rest = b""

    def copy(self) -> Ear:
        other = Ear()
        other._rest = self._rest
        return other

    def hear(self, piece: bytes) -> Heard:
        heard = Heard()
        *lines, self._rest = (self._rest + piece).split(b"\n")
        self._rest = self._rest[-MAX_LINE:]
        for line in lines:
            if line.startswith(b"{") and len(line) <= MAX_LINE:
                read_line(line, heard)
        return heard


def read_line(line: bytes, heard: Heard) -> None:
    """Adds one line to `heard`. A line that is no event of the protocol is log text, and left alone."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return
    if not isinstance(event, dict) or event.get("type") not in KINDS:
        return
    match event["type"]:
        case "metric" if isinstance(event.get("values"), dict) and isinstance(event.get("step"), int):
            step = min(max(event["step"], 0), 2**62)
            heard.metrics += [(step, clean(str(name))[:120], number(value)) for name, value in event["values"].items()]
        case "progress" if isinstance(event.get("done"), int) and isinstance(event.get("total"), int):
            heard.progress = (min(max(event["done"], 0), 2**62), min(max(event["total"], 0), 2**62))
        case "sample" if isinstance(event.get("text"), str):
            values = event.get("values")
            heard.samples.append(
                {
                    "prompt": json.loads(clean(json.dumps(event.get("prompt"), ensure_ascii=False))),
                    "text": clean(event["text"])[:20_000],
                    "values": {str(k): number(v) for k, v in values.items()} if isinstance(values, dict) else {},
                }
            )
        case "state":
            said = clean(str(event.get("message") or event.get("state") or ""))
            heard.message = said[:200]


def number(value: object) -> float | None:
    """A finite float, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def clean(text: str) -> str:
    """Text that Postgres can keep: no NUL, no half surrogate pairs."""
    return text.replace("\\u0000", "").replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
