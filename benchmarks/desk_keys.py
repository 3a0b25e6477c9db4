"""How many keys a judgement takes at the desk, and how long: a scripted annotator on the real pages, beside two other tools.

    make bench NAME=desk_keys ARGS="--items 12"

For a pair (which is better, and by how much), a ranking of four and one of seven, the annotator knows what they want to say (a
random order, the same for every way and tool) and says it as quickly as the screen allows. Ours is counted while a Chromium
does it: every key that is pressed, checked against what the database then holds. The other two are counted by hand: what their
code and documentation (`source`) make somebody do at the least for the same random orders, always the kinder reading where it
is open. Time is the keystroke-level model of Card, Moran and Newell (1980) without its thinking pauses, which are the same
everywhere: 0.25 s a key (four a second), 1.1 s to point at something, 0.1 s for a button of the mouse to go down and as much to
come up. That is `hand_s`, which is compared. What our site took from Enter to the next item (median, on the machine that ran
this) stands beside it as `site_s`; the others were not run, so they have none.
Prints one JSON line a task and way, and writes them all to benchmarks/results/desk_keys.json.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "platform")]

KEY_S, POINT_S, BUTTON_S = 0.25, 1.1, 0.1
CLICK_S = POINT_S + 2 * BUTTON_S
DRAG_S = 2 * POINT_S + 2 * BUTTON_S
LETTERS = "abcdefghij"
MIDDLE = 4  # of the seven steps from A to B
POTATO = "davidjurgens/potato: "
POTATO_PAIR = f"{POTATO}docs/annotation-types/comparison/pairwise_annotation.md (keys 1, 2, 0; the scale has none)"
POTATO_RANK = f"{POTATO}potato/server_utils/schemas/ranking.py (arrows move the item whose button has the focus)"
POTATO_NEXT = "one key for the next item is granted"
STUDIO = "HumanSignal/label-studio: web/libs/editor/src/"
STUDIO_PAIR = f"{STUDIO}tags/control/Pairwise.js (a click on the text, no key)"
STUDIO_RANK = f"{STUDIO}components/Ranker/{{Ranker,Item}}.tsx (react-beautiful-dnd: Space, arrows, Space)"
STUDIO_SEND = f"{STUDIO}core/settings/keymap.json (annotation:submit is ctrl+enter)"
ANOTHER = "key => ![undefined, key].includes(document.querySelector('[data-judgement] [name=key]')?.value)"
WEAK = "says which is better, not by how much"


def adjacent_moves(order: Sequence[int]) -> tuple[int, int]:
    """To bring the shown list 0..K-1 into `order` from the top down: arrow presses in all, and how many items are moved."""
    now, presses, moved = list(range(len(order))), 0, 0
    for place, item in enumerate(order):
        steps = now.index(item) - place
        if steps:
            presses, moved = presses + steps, moved + 1
            now.insert(place, now.pop(place + steps))
    return presses, moved


def drags(order: Sequence[int]) -> int:
    """The fewest items to drag: all but a longest part that stands in the right order already."""
    longest: list[int] = []
    for at, item in enumerate(order):
        longest.append(1 + max((longest[before] for before in range(at) if order[before] < item), default=0))
    return len(order) - max(longest)


def others(task: str, orders: Sequence[Sequence[int]]) -> list[dict[str, Any]]:
    """Label Studio and Potato for the same orders, by keyboard and by mouse, as means over the orders."""
    studio, potato = f"{STUDIO_RANK}; {STUDIO_SEND}", f"{POTATO_RANK}; {POTATO_NEXT}"
    if task == "pair":
        studio, potato = f"{STUDIO_PAIR}; {STUDIO_SEND}", f"{POTATO_PAIR}; {POTATO_NEXT}"
        return [
            line(task, "Label Studio", "mouse and keyboard", keys=2, clicks=1, source=studio, note=WEAK),
            line(task, "Potato", "binary, keyboard", keys=2, source=potato, note=WEAK),
            line(task, "Potato", "scale, mouse and keyboard", keys=1, drags=1, source=potato),
        ]
    moves = [adjacent_moves(order) for order in orders]
    dragged = statistics.mean(drags(order) for order in orders)
    # Potato: a Tab to every item that is moved (granted as one, though others may lie between), then the arrows; the next item.
    by_keys = statistics.mean(moved + presses for presses, moved in moves) + 1
    # Label Studio: the same, Space to lift and Space to drop; ctrl and enter.
    by_more_keys = statistics.mean(3 * moved + presses for presses, moved in moves) + 2
    return [
        line(task, "Label Studio", "keyboard", keys=by_more_keys, source=studio),
        line(task, "Label Studio", "mouse and keyboard", keys=2, drags=dragged, source=studio),
        line(task, "Potato", "keyboard", keys=by_keys, source=potato),
        line(task, "Potato", "mouse and keyboard", keys=1, drags=dragged, source=potato),
    ]


def line(
    task: str, tool: str, way: str, *, keys: float, clicks: float = 0, drags: float = 0, **more: str | float
) -> dict[str, Any]:
    """Means a judgement, sending it included; `hand_s` is the time of the hands alone."""
    hand = keys * KEY_S + clicks * CLICK_S + drags * DRAG_S
    counts = {"keys": round(keys, 2), "clicks": round(clicks, 2), "drags": round(drags, 2), "hand_s": round(hand, 2)}
    return {"task": task, "tool": tool, "way": way} | counts | more


class Counted:
    """Presses keys at a desk and counts them."""

    def __init__(self, desk: Any) -> None:  # noqa: ANN401 - tests.desk.browsing.Desk, which needs Django set up
        self.desk, self.keys = desk, 0

    def press(self, key: str) -> None:
        self.keys += 1
        self.desk.page.keyboard.press(key)

    def letters(self, order: Sequence[int]) -> None:
        for place in order:
            self.press(LETTERS[place])

    def two_at_a_time(self, order: Sequence[int]) -> None:
        """Every question answered by its better one's letter; the screen says which two it asks about."""
        while self.desk.page.locator(".answer.placing").count():
            shown = [int(card.get_attribute("data-answer")) for card in self.desk.page.locator(".answer:visible").all()]
            self.press(LETTERS[min(shown, key=order.index)])

    def step(self, better: int, strength: int) -> None:
        """One of the seven steps, by its number."""
        self.press(str(MIDDLE - strength if better == 0 else MIDDLE + strength))


def ours(task: str, way: str, orders: Sequence[Sequence[int]], open_desk: Any) -> dict[str, Any]:  # noqa: ANN401
    """A judgement an order, on pages of their own project; each is checked in the database."""
    from annotation.asking import draft

    answers, kind = len(orders[0]), "comparison" if task == "pair" else "ranking"
    options = {"way": "insertion"} if way == "two at a time" else {}
    desk = open_desk(
        [draft(kind, options=options)], items=len(orders) + 1, answers=answers, name=f"{task} {way}", who="ada"
    )
    hand, waits = Counted(desk), []
    for number, order in enumerate(orders):
        shown, strength = desk.order, 1 + number % 3
        if kind == "comparison":
            hand.step(order[0], strength)
        elif way == "letters":
            hand.letters(order)
        else:
            hand.two_at_a_time(order)
        before, key, start = desk.stored().count(), desk.key, time.perf_counter()
        hand.press("Enter")
        desk.page.wait_for_function(ANOTHER, arg=key)
        waits.append(time.perf_counter() - start)
        desk.ready()
        desk.wait(lambda before=before: desk.stored().count() > before, "nothing was stored")
        said = desk.stored().last().answers[kind]
        if kind == "comparison":
            assert (said["winner"] - 1, said["strength"]) == (shown[order[0]], strength), said
        else:
            assert sorted(range(answers), key=lambda place: said["ranks"][shown[place]]) == list(order), said
    latency = statistics.median(waits)
    found = line(task, "Feinschliff", way, keys=hand.keys / len(orders), source="counted in this run")
    more = {"site_s": round(latency, 3), "with_site_s": round(found["hand_s"] + latency, 2), "judgements": len(orders)}
    return found | more


def measure(items: int, open_desk: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    rng = random.Random(7)  # noqa: S311 - orders, not secrets
    found: list[dict[str, Any]] = []
    both = ["letters", "two at a time"]
    tasks = [("pair", 2, ["numbers"]), ("ranking of 4", 4, both), ("ranking of 7", 7, both)]
    for task, answers, ways in tasks:
        orders = [rng.sample(range(answers), answers) for _ in range(items)]
        for way in ways:
            found.append(ours(task, way, orders, open_desk))
            print(json.dumps(found[-1]), flush=True)
        for other in others(task, orders):
            found.append(other)
            print(json.dumps(other), flush=True)
    return found


def main() -> None:
    """Runs itself under pytest, which brings the world of the tests: a Postgres, a site and a Chromium of its own."""
    import pytest

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=12)
    os.environ["DESK_KEYS_ITEMS"] = str(parser.parse_args().items)
    tests = ["tests/desk/test_keys_count.py::test_the_desk_takes_the_fewest_keys", "-m", "", "-q", "-s"]
    sys.exit(pytest.main(["--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml"), *tests]))


if __name__ == "__main__":
    main()
