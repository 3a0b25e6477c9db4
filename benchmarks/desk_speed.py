"""How fast the desk is for somebody who works by keyboard, in a project with many items.

    .venv/bin/python benchmarks/desk_speed.py [--items 200000] [--judgements 100] [--out FILE]

Starts a home of its own with a database and two web processes, fills a project, and lets a scripted browser (Chromium, headless,
loopback) rank items. One JSON object a line, to the terminal and into benchmarks/results/:

- first_load: what the first opening of the desk transfers, compressed as it travels (aim: at most 200 kB), and when it paints
- next_item: from the press of Enter to the frame in which the next sheet is painted, with sheets fetched ahead (aim: p95 at
  most 150 ms) and without them, where each item is waited for
- ahead: how long one request for the next sheet takes
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "platform")]

import psycopg  # noqa: E402
from playwright.sync_api import Browser, Page  # noqa: E402

from tests import chromium  # noqa: E402
from tests.loop.running_site import House, Site  # noqa: E402
from tests.world import remove_home  # noqa: E402
from webapp.postgres.place import DATABASE, PORT, ROLE, find_place  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "desk_speed.jsonl"
PASSWORD = "a spoonful of gravel"  # noqa: S105 - of a site that lives for minutes

FILL = """
WITH made AS (
    INSERT INTO annotation_item (project_id, key, position, prompt, context, topic, warning, "group", digest, imported, free)
    SELECT p.id, 'speed-' || n, 1000 + n,
        jsonb_build_array(jsonb_build_object('role', 'user', 'content', 'Question ' || n || ': why is the sea salty?')),
        '[]', '', '', 'speed-' || n, md5(n::text), 0, p.overlap
    FROM annotation_project p, generate_series(1, %s) n WHERE p.slug = %s RETURNING id)
INSERT INTO annotation_response (item_id, position, text, source)
SELECT made.id, a, repeat('Rivers carry salt to the sea, and the sun takes only the water away. ', 8 + a), ''
FROM made, generate_series(0, 3) a
"""

# From the press of Enter until the frame after the one in which the next sheet stands.
NEXT = """
() => new Promise((done) => {
  const key = () => document.querySelector("[data-judgement] [name=key]")?.value;
  const before = key();
  addEventListener("keydown", () => {
    const began = performance.now();
    const look = () => key() !== before && document.querySelector("[data-judgement]:not([aria-busy=true])")
      ? requestAnimationFrame(() => setTimeout(() => done(performance.now() - began)))
      : requestAnimationFrame(look);
    look();
  }, { once: true, capture: true });
})
"""

# The same page without its comfort: a sheet is asked for only once somebody waits for it.
ONLY_WHEN_WANTED = """
const real = window.fetch;
window.fetch = async (url, how) => {
  while (String(url).includes("/judge/ahead/") && !document.querySelector("[data-judgement][aria-busy=true]")) {
    await new Promise((go) => setTimeout(go, 1));
  }
  return real(url, how);
};
"""


@contextmanager
def site(items: int) -> Iterator[tuple[Site, str]]:
    """A site with a project of `items` items, and its slug."""
    house = House()
    running = Site(house)
    try:
        running.wait_until_ready()
        slug = house.query("SELECT slug FROM annotation_project ORDER BY id LIMIT 1")[0][0]
        place = find_place(house.home)
        with psycopg.connect(
            host=str(place.sockets), port=PORT, user=ROLE, dbname=DATABASE, autocommit=True
        ) as database:
            database.execute(FILL, (items, slug))
            database.execute("VACUUM ANALYZE")
        yield running, slug
    finally:
        running.end()
        remove_home(house.home)


def enter(browser: Browser, running: Site, slug: str) -> Page:
    """A signed-in page at the desk, past the guidelines."""
    context = browser.new_context(
        base_url=running.address, viewport={"width": 1440, "height": 900}, reduced_motion="reduce"
    )
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(running.link("annotator-1"))
    for box in page.locator("input[type=password]").all():
        box.fill(PASSWORD)
    page.locator("main form button[type=submit]").first.click()
    page.goto(f"/p/{slug}/judge/")
    while not page.locator("[data-judgement]").count():
        page.locator("main form button[type=submit]").first.click()
        page.wait_for_load_state()
    return page


def first_load(browser: Browser, page: Page, slug: str) -> dict[str, Any]:
    """The desk's page with an empty cache: bytes over the wire, requests, paint times."""
    fresh = browser.new_context(base_url=page.url.split("/p/")[0], viewport={"width": 1440, "height": 900})
    fresh.add_cookies(page.context.cookies())  # type: ignore[arg-type]
    desk = fresh.new_page()
    sizes: list[int] = []
    meter = fresh.new_cdp_session(desk)
    meter.send("Network.enable")
    meter.on("Network.loadingFinished", lambda event: sizes.append(int(event["encodedDataLength"])))
    desk.goto(f"/p/{slug}/judge/", wait_until="load")
    at_load = (sum(sizes), len(sizes))
    desk.wait_for_timeout(1500)
    paints = desk.evaluate("Object.fromEntries(performance.getEntriesByType('paint').map(e => [e.name, e.startTime]))")
    fresh.close()
    return {
        "measure": "first_load", "bytes_at_load": at_load[0], "requests_at_load": at_load[1],
        "bytes_with_two_sheets_ahead": sum(sizes), "requests_with_two_sheets_ahead": len(sizes),
        "first_contentful_paint_ms": round(paints.get("first-contentful-paint", 0)), "aim_bytes": 200_000,
    }  # fmt: skip


def judge(page: Page, count: int, *, think_ms: int) -> list[float]:
    """Milliseconds from Enter to the next sheet, `count` times; `think_ms` is what reading takes, at the very least."""
    page.wait_for_function("document.querySelector('[data-key-keys]:not([hidden])')")
    times = []
    for _ in range(count):
        page.wait_for_timeout(think_ms)
        page.keyboard.press("0")
        letters = page.eval_on_selector_all(".answer", "cards => cards.map(card => card.dataset.letter.toLowerCase())")
        for letter in letters:
            page.keyboard.press(letter)
        page.evaluate(f"() => {{ window.next = ({NEXT})(); }}")
        page.keyboard.press("Enter")
        times.append(float(page.evaluate("() => window.next")))
    return times


def spread(times: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(times, n=20)
    return {"p50_ms": round(statistics.median(times), 1), "p95_ms": round(cuts[18], 1), "max_ms": round(max(times), 1)}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--judgements", type=int, default=100)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    lines: list[dict[str, Any]] = []

    def tell(line: dict[str, Any]) -> None:
        lines.append({"items": given.items, "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1)} | line)
        print(json.dumps(lines[-1]), flush=True)

    with site(given.items) as (running, slug), chromium.chromium() as browser:
        measure(browser, running, slug, given.judgements, tell)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")


def measure(browser: Browser, running: Site, slug: str, count: int, tell: Callable[[dict[str, Any]], None]) -> None:
    page = enter(browser, running, slug)
    tell(first_load(browser, page, slug))
    asked: list[float] = []

    def note(request: Any) -> None:  # noqa: ANN401 - Playwright's own
        if "/judge/ahead/" in request.url:
            asked.append(request.timing["responseEnd"])

    page.on("requestfinished", note)
    page.goto(f"/p/{slug}/judge/")
    with_ahead = spread(judge(page, count, think_ms=1000))
    tell({"measure": "next_item", "how": "fetched ahead", "judgements": count, "aim_p95_ms": 150} | with_ahead)
    tell({"measure": "ahead", "requests": len(asked)} | spread([t for t in asked if t > 0]))
    page.add_init_script(ONLY_WHEN_WANTED)
    page.goto(f"/p/{slug}/judge/")
    without = spread(judge(page, count, think_ms=300))
    ratio = round(without["p50_ms"] / with_ahead["p50_ms"], 1)
    tell({"measure": "next_item", "how": "waited for", "judgements": count, "times_slower_at_p50": ratio} | without)


if __name__ == "__main__":
    main(sys.argv[1:])
