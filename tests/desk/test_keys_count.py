"""The benchmark of keys a judgement, run as it is: ours takes the fewest, and its figures can be written down."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from benchmarks import desk_keys
from tests import chromium
from tests.desk.browsing import OpenDesk

pytestmark = [*chromium.BROWSER, pytest.mark.slow]


def test_the_desk_takes_the_fewest_keys(open_desk: OpenDesk) -> None:
    items = os.environ.get("DESK_KEYS_ITEMS")
    found = desk_keys.measure(int(items or 3), open_desk)
    for task in {line["task"] for line in found}:
        lines = [line for line in found if line["task"] == task]
        ours = min(line["hand_s"] for line in lines if line["tool"] == "Feinschliff")
        rest = [line for line in lines if line["tool"] != "Feinschliff"]
        # a screen that asks less (which is better, not by how much) may take as many keys as ours, not fewer
        assert all(
            ours <= line["hand_s"] if line.get("note") == desk_keys.WEAK else ours < line["hand_s"] for line in rest
        )
    if items:
        results = Path(desk_keys.ROOT) / "benchmarks" / "results" / "desk_keys.json"
        results.parent.mkdir(exist_ok=True)
        results.write_text("".join(json.dumps(line) + "\n" for line in found), "utf-8")
