"""What the pages weigh and how soon it stands: the figures that Lighthouse gives, for a desktop and for a phone.

    .venv/bin/python benchmarks/page_figures.py [--times 3] [--pages desk,run | --pages all] [--out FILE]

Starts a home of its own with `manage.py run` (two web processes, static files compressed), fills it with something in every
state (tests/desk/every_page.py), and opens each page in a Chromium on loopback with an empty cache. One JSON object a page and
screen, to the terminal and into benchmarks/results/; every number is the median of `--times` visits after one that is not
counted, for the server's own caches:

- ttfb_ms, fcp_ms, lcp_ms: first byte, first and largest contentful paint, from the browser's own entries
- tbt_ms: total blocking time: what tasks of the main thread took beyond 50 ms each, until the page was quiet
- cls: the sum of layout shifts that no input caused, by the browser's largest-session rule
- requests, kb: what was fetched until then, compressed as it travels, fetching ahead included

The phone has 390 px, touch, and a processor four times slower (as in Lighthouse's mobile runs); the network is loopback in both.
The last lines say how the pages stand against Google's limits for "good": LCP 2.5 s, CLS 0.1, TBT 200 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "platform")]

from playwright.sync_api import Browser, Page  # noqa: E402

from tests import chromium  # noqa: E402
from tests.loop.running_site import House, Site  # noqa: E402
from tests.world import remove_home  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "page_figures.jsonl"
GOOD = {"lcp_ms": 2500, "cls": 0.1, "tbt_ms": 200}
QUIET_MS, LONGEST_MS = 500, 15_000
#: one of every sort of page; the others are made of the same parts
MAIN = (
    "login", "home", "home:annotator", "project", "desk", "desk:instructgpt", "mine", "guidelines", "questions", "items", "item",
    "judgements", "flags", "project_people", "import", "snapshots", "snapshot", "runs", "new_run:form", "run", "models", "model",
    "talk", "plugins", "account",
)  # fmt: skip
SCREENS: Mapping[str, Mapping[str, Any]] = {
    "desktop": {"viewport": {"width": 1440, "height": 900}},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
}
SLOWER = {"desktop": 1, "phone": 4}

# Fills the database, and tells the pages and a session for everybody in them. No run is left to the site's worker: it would
# compete with what is measured.
WORLD = """
import json
from django.conf import settings
from django.db import transaction
from tests.builders import signed_in
from tests.desk import every_page
from training.models import Run
with transaction.atomic():
    made = every_page.make()
    Run.objects.filter(state__in=[Run.QUEUED, Run.RUNNING]).update(state=Run.CANCELLED)
keys = {name: signed_in(user).cookies[settings.SESSION_COOKIE_NAME].value for name, user in made.people.items()}
pages = [{"name": p.name, "address": p.address, "who": p.who} for p in made.pages if p.status == 200]
print(json.dumps({"cookie": settings.SESSION_COOKIE_NAME, "keys": keys, "pages": pages}))
"""

# Runs before anything of the page does.
OBSERVE = """
window.figures = { lcp: 0, shifts: [], blocked: 0 };
const watch = (type, each) =>
  new PerformanceObserver((list) => list.getEntries().forEach(each)).observe({ type, buffered: true });
watch("largest-contentful-paint", (entry) => (figures.lcp = entry.startTime));
watch("layout-shift", (entry) => entry.hadRecentInput || figures.shifts.push([entry.startTime, entry.value]));
watch("longtask", (entry) => (figures.blocked += Math.max(0, entry.duration - 50)));
"""

FIGURES = """
() => {
  const [page] = performance.getEntriesByType("navigation");
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  return { ...figures, ttfb: page.responseStart, fcp: paint ? paint.startTime : 0 };
}
"""


@contextmanager
def site() -> Iterator[tuple[Site, dict[str, Any]]]:
    """A running site with something in every state, and what WORLD prints."""
    house = House()
    running = Site(house)
    try:
        running.wait_until_ready()
        shell = subprocess.run(
            [sys.executable, "manage.py", "shell", "--no-imports", "-c", WORLD],
            cwd=ROOT, env=house.environment, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        if shell.returncode:
            raise SystemExit(shell.stderr)
        yield running, json.loads(shell.stdout.splitlines()[-1])
    finally:
        running.end()
        remove_home(house.home)


def largest_session(shifts: Sequence[tuple[float, float]]) -> float:
    """Cumulative layout shift: the largest sum of a session, which ends after a second without a shift or at five seconds
    (web.dev/articles/cls)."""
    best = total = began = last = 0.0
    for at, value in shifts:
        if not total or at - last > 1000 or at - began > 5000:
            began, total = at, 0.0
        total, last = total + value, at
        best = max(best, total)
    return best


def visit(browser: Browser, address: str, screen: str, cookies: Sequence[Any], path: str) -> dict[str, float]:
    """One visit with an empty cache."""
    context = browser.new_context(base_url=address, locale="en-GB", **SCREENS[screen])
    context.add_cookies(list(cookies))
    context.add_init_script(OBSERVE)
    page = context.new_page()
    sizes: list[int] = []
    meter = context.new_cdp_session(page)
    meter.send("Network.enable")
    meter.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER[screen]})
    meter.on("Network.loadingFinished", lambda event: sizes.append(int(event["encodedDataLength"])))
    page.goto(path, wait_until="load")
    until_quiet(page, sizes)
    found = page.evaluate(FIGURES)
    context.close()
    return {
        "ttfb_ms": found["ttfb"], "fcp_ms": found["fcp"], "lcp_ms": found["lcp"], "tbt_ms": found["blocked"],
        "cls": largest_session(found["shifts"]), "requests": len(sizes), "kb": sum(sizes) / 1000,
    }  # fmt: skip


def until_quiet(page: Page, sizes: Sequence[int]) -> None:
    """Until nothing has been fetched for a moment; pages that look again and again are left after a while."""
    waited, seen = 0, -1
    while len(sizes) != seen and waited < LONGEST_MS:
        seen = len(sizes)
        page.wait_for_timeout(QUIET_MS)
        waited += QUIET_MS


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--pages", default=",".join(MAIN), help="names of pages, separated by commas, or: all")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    wanted = set(given.pages.split(","))
    lines: list[dict[str, Any]] = []
    with site() as (running, world), chromium.chromium() as browser:
        for shown in world["pages"]:
            if "all" not in wanted and shown["name"] not in wanted:
                continue
            cookies = [
                {"name": world["cookie"], "value": world["keys"][who], "url": running.address}
                for who in [shown["who"]] if who
            ]  # fmt: skip
            visit(browser, running.address, "desktop", cookies, shown["address"])
            for screen in SCREENS:
                visits = [
                    visit(browser, running.address, screen, cookies, shown["address"]) for _ in range(given.times)
                ]
                figures = {name: statistics.median(one[name] for one in visits) for name in visits[0]}
                tell(lines, {"page": shown["name"], "screen": screen, "visits": given.times} | shorter(figures))
    for screen in SCREENS:
        tell(lines, {"summary": screen} | summed([line for line in lines if line.get("screen") == screen]))
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")


def tell(lines: list[dict[str, Any]], line: dict[str, Any]) -> None:
    lines.append(line)
    print(json.dumps(line), flush=True)


def shorter(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 3 if name == "cls" else 1 if name == "kb" else None) for name, value in figures.items()}


def summed(lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The worst page for each figure, and how many pages are within the limits."""
    if not lines:
        return {"pages": 0}
    worst = {}
    for name in ("fcp_ms", "lcp_ms", "tbt_ms", "cls", "requests", "kb"):
        line = max(lines, key=lambda one: one[name])
        worst[f"worst_{name}"] = {"page": line["page"], "is": line[name]}
    good = sum(all(line[name] <= limit for name, limit in GOOD.items()) for line in lines)
    return {"pages": len(lines), "good": good, "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1)} | worst


if __name__ == "__main__":
    main(sys.argv[1:])
