"""What the people who judge notice while a trainer does its worst: the site's p95 under each hostile trainer beside its idle one.

    make bench NAME=site_under_hostile_trainers ARGS="--seconds 15"

Starts a real site (gunicorn, worker, Postgres) in a home of its own. Two annotators open the desk and the list of projects, with
a moment's pause between; idle and disturbed stretches take turns, and each is compared with the idle one before it. One JSON line
a deed: p50 and p95 in ms, their ratio, and how the runs ended. A ratio under 2 is the aim; nothing is asserted.
"""

from __future__ import annotations

import argparse
import http.cookiejar
import json
import re
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "platform")]

from tests.loop.running_site import House, Site, site_for_a_test, wait_for  # noqa: E402

DEEDS = (
    "burn",
    "print",
    "flood",
    "allocate",
    "share",
    "breed",
    "exit",
    "segfault",
    "fork",
    "deaf",
    "nan",
    "write-beside",
)
PAGES = ("/p/demo/judge/", "/")
PASSWORD = "a spoonful of gravel"  # noqa: S105 - of a site that lives for minutes
LIMIT = 600_000_000  # bytes; the deeds take about a gigabyte


class Visitor(threading.Thread):
    """One annotator's browser; notes how long each page took, in ms."""

    def __init__(self, site: Site, name: str) -> None:
        super().__init__(daemon=True)
        self.site, self.took, self.done = site, [], threading.Event()
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self.browser = urllib.request.build_opener(cookies)
        link = site.link(name)
        fields = {"new_password1": PASSWORD, "new_password2": PASSWORD, "csrfmiddlewaretoken": self.token(link)}
        self.post(link, fields)
        read = {"version": "1", "csrfmiddlewaretoken": self.token(f"{site.address}/p/demo/judge/")}
        self.post(f"{site.address}/p/demo/guidelines/read/", read)

    def token(self, address: str) -> str:
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.get(address))
        assert found
        return found[1]

    def post(self, address: str, fields: dict[str, str]) -> None:
        body = urllib.parse.urlencode(fields).encode()
        self.browser.open(urllib.request.Request(address, data=body), timeout=60)  # noqa: S310

    def get(self, address: str) -> str:
        return str(self.browser.open(address, timeout=60).read().decode())

    def run(self) -> None:
        while not self.done.is_set():
            for page in PAGES:
                began = time.perf_counter()
                self.get(self.site.address + page)
                self.took.append(1000 * (time.perf_counter() - began))
                time.sleep(0.05)


def stretch(visitors: list[Visitor], seconds: float) -> tuple[float, float]:
    """p50 and p95 over a stretch of time."""
    for visitor in visitors:
        visitor.took.clear()
    time.sleep(seconds)
    took = sorted(one for visitor in visitors for one in visitor.took)
    return took[len(took) // 2], took[int(len(took) * 0.95)]


def first_run(house: House) -> int:
    """A run of the hostile trainer, to be copied."""
    file = house.home.parent / "planted.jsonl"
    rows = [
        {"id": f"i{n}", "prompt": f"Question {n}?", "responses": [f"{n}.{k}" for k in range(4)], "ranks": [1, 2, 3, 4]}
        for n in range(12)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    house.command("create_project", "planted")
    house.command("import_items", "planted", str(file))
    snapshot = house.command("freeze", "planted")["hash"]
    change(
        house, 'INSERT INTO training_pluginswitch (project_id, plugin, "on", changed_at)'
        " SELECT id, 'hostile-trainers', true, now() FROM annotation_project WHERE slug = 'planted'"
    )  # fmt: skip
    run = int(house.command("train", "hostile", "--snapshot", snapshot, "--set", "deed=exit")["run"])
    wait_for(lambda: house.query("SELECT 1 FROM training_run WHERE id = %s AND state = 'failed'", run), 60)
    return run


def install(folder: Path) -> str:
    """A PYTHONPATH on which the hostile trainer is an installed distribution, as third parties come in."""
    about = folder / "hostile_trainers-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: hostile-trainers\nVersion: 1.0\n", "utf-8")
    (about / "entry_points.txt").write_text("[feinschliff]\nhostile = tests.training.hostile_trainers\n", "utf-8")
    return str(folder)


def change(house: House, statement: str, *values: object) -> None:
    house.query(f"WITH done AS ({statement} RETURNING 1) SELECT count(*) FROM done", *values)  # noqa: S608


def queue(house: House, run: int, deed: str, count: int) -> None:
    """Copies of a run, enough to last; a command for each would disturb the site itself."""
    columns = [name for (name,) in house.query(
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'training_run' AND column_name <> 'id'"
    )]  # fmt: skip
    fresh = {
        "state": "'queued'", "config": f"config || '{json.dumps({'deed': deed})}'", "attempts": "0", "handle": "''",
        "error": "''", "message": "''", "ended_at": "NULL", "started_at": "NULL", "created_at": "now()", "done": "0",
        "total": "0", "launched_by_id": "NULL",
    }  # fmt: skip
    chosen = ", ".join(fresh.get(name, name) for name in columns)
    change(
        house, f"INSERT INTO training_run ({', '.join(columns)}) SELECT {chosen} FROM training_run,"  # noqa: S608
        " generate_series(1, %s) WHERE id = %s", count, run,
    )  # fmt: skip


def clear(house: House) -> list[str]:
    """Ends what is left, and says how those that were at work ended."""
    change(house, "UPDATE training_run SET state = 'cancelled', ended_at = now() WHERE state = 'queued'")
    change(house, "UPDATE training_run SET cancel_requested_at = now() WHERE ended_at IS NULL")
    wait_for(lambda: not house.query("SELECT 1 FROM training_run WHERE ended_at IS NULL"), 120)
    rows = house.query(
        "SELECT state || ': ' || left(error || message, 150), count(*) FROM training_run"
        " WHERE started_at IS NOT NULL AND id > (SELECT min(id) FROM training_run) GROUP BY 1"
    )
    change(house, "DELETE FROM training_metric")
    change(house, "DELETE FROM training_model")
    change(house, "DELETE FROM training_run WHERE id > (SELECT min(id) FROM training_run)")
    return [f"{count} x {text}" for text, count in rows]


def measure(site: Site, deeds: list[str], seconds: float) -> None:
    house = site.house
    run = first_run(house)
    visitors = [Visitor(site, name) for name in ("annotator-1", "annotator-2")]
    for visitor in visitors:
        visitor.start()
    stretch(visitors, 3)
    for deed in deeds:
        calm = stretch(visitors, seconds)
        queue(house, run, deed, 60)
        wait_for(lambda: house.query("SELECT 1 FROM training_run WHERE id > %s AND state <> 'queued'", run), 60)
        time.sleep(2)
        under = stretch(visitors, seconds)
        ended = clear(house)
        numbers = {"idle_p50": calm[0], "idle_p95": calm[1], "p50": under[0], "p95": under[1]}
        ratio = {"ratio_p50": under[0] / calm[0], "ratio_p95": under[1] / calm[1]}
        rounded = {name: round(value, 2) for name, value in (numbers | ratio).items()}
        print(json.dumps({"deed": deed, **rounded, "ended": ended}), flush=True)
    for visitor in visitors:
        visitor.done.set()
    for visitor in visitors:
        visitor.join(60)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=15, help="of each stretch")
    parser.add_argument("--deed", action="append", choices=DEEDS, help="default: all")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="feinschliff-bench-") as packages,
        site_for_a_test(PYTHONPATH=install(Path(packages)), RUN_MEMORY_BYTES=str(LIMIT)) as site,
    ):
        measure(site, options.deed or list(DEEDS), options.seconds)


if __name__ == "__main__":
    main()
