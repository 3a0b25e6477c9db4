"""What the pages weigh and how soon it stands: the figures that Lighthouse gives, for a desktop and for a phone.

    .venv/bin/python benchmarks/page_figures.py [--times 3] [--pages desk,run | --pages all] [--out FILE] [--items 200000]

Starts a home of its own with `manage.py run` (two web processes, static files compressed), fills it with something in every
state (tests/desk/every_page.py), and opens each page in a Chromium on loopback with an empty cache. One JSON object a page and
screen, to the terminal and into benchmarks/results/; every number is the median of `--times` visits after one that is not
counted, for the server's own caches:

- ttfb_ms, fcp_ms, lcp_ms: first byte, first and largest contentful paint, from the browser's own entries
- tbt_ms: total blocking time: what tasks of the main thread took beyond 50 ms each, until the page was quiet
- cls: the sum of layout shifts that no input caused, by the browser's largest-session rule
- requests, kb: what was fetched until then, compressed as it travels, fetching ahead included

The phone has 390 px, touch, and a processor four times slower (as in Lighthouse's mobile runs); the network is loopback in both.
With --items the project is a large one instead (large_project.py), and its server is measured, no browser: what the first load of
a page costs there in a process that is warm, with nothing kept from a load before. python_ms and sql_ms are processor time of the
site's process and of the database's, which says the same on a busy machine; queries counts the statements.

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


# The same for a large project, and what a first load of each of its pages costs, one JSON line each.
LARGE = """
import json, time
from pathlib import Path
from django.conf import settings
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection, transaction
from annotation import belonging
from annotation.models import Membership
from benchmarks import large_project
from tests.builders import collect_static, join, person, signed_in
settings.ALLOWED_HOSTS = ["testserver"]
call_command("migrate", verbosity=0)
collect_static()
with transaction.atomic():
    lin = person("lin", is_staff=True, is_superuser=True)
    people = [person(f"annotator-of-many-{n}") for n in range(large_project.ANNOTATORS)]
    made = belonging.create_project(name="Large", question="ranking", creator=lin, overlap=2)
    members = [join(made, one).pk for one in people]
    large_project.fill(made.pk, members, items=ITEMS)
with connection.cursor() as cursor:
    cursor.execute("VACUUM ANALYZE")
clients = {"": signed_in(lin), "annotator": signed_in(people[3])}
pages = [("", name) for name in (
    "", "questions/", "items/", "items/similar/", "flags/", "people/", "judgements/", "guidelines/", "snapshots/", "advice/",
    "runs/", "runs/new/", "runs/new/?trainer=reward-model", "runs/new/?trainer=ppo", "models/", f"items/?page={ITEMS // 50}",
    f"judgements/?page={ITEMS * 6 // 5 // 50}",
)] + [("annotator", name) for name in ("", "judge/", "mine/", "guidelines/")]
def spent():
    with connection.cursor() as cursor:
        cursor.execute("SET max_parallel_workers_per_gather = 0")  # one process of the database, whose time can be read
        cursor.execute("SELECT pg_backend_pid()")
        (database,) = cursor.fetchone()
    return time.process_time(), int(Path(f"/proc/{database}/schedstat").read_text().split()[0]) / 1e9
for who, path in pages:
    address, costs = f"/p/{made.slug}/{path}", []
    clients[who].get(address, follow=True)
    for _ in range(TIMES):
        cache.clear()
        statements = []
        count = lambda execute, *given: statements.append(1) or execute(*given)
        before = spent()
        with connection.execute_wrapper(count):
            status = clients[who].get(address, follow=True).status_code
        python, sql = (1000 * (now - then) for now, then in zip(spent(), before))
        costs.append((python + sql, python, sql, len(statements)))
    _, python, sql, queries = min(costs)
    print(json.dumps({"page": path or "overview", "who": who or "lead", "items": ITEMS, "status": status,
        "python_ms": round(python), "sql_ms": round(sql), "queries": queries}), flush=True)
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


def measure_large(items: int, times: int) -> list[dict[str, Any]]:
    """What the server spends on the pages of a project of so many items, in a home of its own."""
    house = House()
    script = LARGE.replace("ITEMS", str(items)).replace("TIMES", str(times))
    try:
        shell = subprocess.run(
            [sys.executable, "manage.py", "shell", "--no-imports", "-c", script],
            cwd=ROOT, env=house.environment, capture_output=True, text=True, timeout=3600,
        )  # fmt: skip
        if shell.returncode:
            raise SystemExit(shell.stderr)
        return [json.loads(line) for line in shell.stdout.splitlines() if line.startswith("{")]
    finally:
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
    parser.add_argument("--items", type=int, default=0, help="measure the server with a project of so many items")
    given = parser.parse_args(arguments)
    if given.items:
        for line in measure_large(given.items, given.times):
            print(json.dumps(line), flush=True)
        return
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
