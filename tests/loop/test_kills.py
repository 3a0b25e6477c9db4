"""kill -9 of each part in turn, while an annotator saves and a run trains: nothing that was acknowledged is lost or doubled."""

from __future__ import annotations

import http.client
import http.cookiejar
import json
import os
import random
import re
import signal
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.loop.running_site import Site, site_for_a_test, wait_for
from tests.training.world_of_runs import planted_row
from webapp.postgres.place import find_place

PASSWORD = "a spoonful of gravel"


class Annotator(threading.Thread):
    """Judges one item after the other over HTTP, and sends each submit again until it is acknowledged."""

    def __init__(self, site: Site, name: str) -> None:
        super().__init__(daemon=True)
        self.site, self.acknowledged, self.tries, self.done = site, [], 0, threading.Event()
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self.browser = urllib.request.build_opener(cookies)
        link = site.link(name)
        fields = {"new_password1": PASSWORD, "new_password2": PASSWORD}
        self.post(link, {"csrfmiddlewaretoken": self.token(self.get(link)), **fields})

    def get(self, address: str) -> str:
        return self.browser.open(address, timeout=20).read().decode()

    def post(self, address: str, fields: dict[str, str]) -> str:
        body = urllib.parse.urlencode(fields).encode()
        return self.browser.open(urllib.request.Request(address, data=body), timeout=20).geturl()  # noqa: S310

    def token(self, page: str) -> str:
        return re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[1]  # type: ignore[index]

    def run(self) -> None:
        desk = f"{self.site.address}/p/demo/judge/"
        read = {"csrfmiddlewaretoken": self.token(self.get(desk)), "version": "1"}
        self.post(f"{self.site.address}/p/demo/guidelines/read/", read)
        while not self.done.is_set():
            page = self.patiently(lambda: self.get(desk))
            action = re.search(r'action="(/p/demo/judge/\d+/submit/)"', page)
            assert action, page
            key = re.search(r'name="key" value="([^"]+)"', page)[1]  # type: ignore[index]
            fields = {"csrfmiddlewaretoken": self.token(page), "key": key, "active_ms": "5"}
            fields |= {f"ranking.rank-{place}": str(place + 1) for place in range(4)}
            self.patiently(lambda action=action, fields=fields: self.post(self.site.address + action[1], fields))
            self.acknowledged.append(uuid.UUID(key))
            time.sleep(0.8)  # there are items for about a minute of work

    def patiently(self, ask: object) -> str:
        while True:
            try:
                return ask()  # type: ignore[operator]
            except (urllib.error.URLError, OSError, http.client.HTTPException) as wrong:
                if isinstance(wrong, urllib.error.HTTPError):
                    assert wrong.code in (500, 502, 503), f"{wrong.code} {wrong.url}"
                self.tries += 1
                time.sleep(0.2)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with site_for_a_test(RUN_LEASE_SECONDS="5") as started:
        yield started


def launched(site: Site) -> int:
    """A run that takes about half a minute, on planted data."""
    rng = random.Random(5)
    file = site.house.home.parent / "planted.jsonl"
    file.write_text("".join(json.dumps(planted_row(number, rng)) + "\n" for number in range(120)), "utf-8")
    site.house.command("create_project", "planted")
    site.house.command("import_items", "planted", str(file))
    name = site.house.command("freeze", "planted")["hash"]
    words = ["--snapshot", name, "--base", "tiny:encoder", "--set", "epochs=30", "--set", "batch_rows=4"]
    return site.house.command("train", "reward-model", *words)["run"]


def run_row(site: Site, run: int) -> dict[str, object]:
    names = ("state", "done", "attempts", "error")
    [row] = site.house.query(f"SELECT {', '.join(names)} FROM training_run WHERE id = %s", run)  # noqa: S608
    return dict(zip(names, row, strict=True))


def trainer(site: Site, run: int) -> int | None:
    """The process that trains this run; its environment is its own, so it is told by its folder."""
    folder = site.house.home / "runs" / str(run)
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if file.read().endswith(f"train\0{folder}\0".encode()):
                    return int(pid)
        except OSError:
            continue
    return None


def steps_on(site: Site, run: int, seconds: float = 60) -> None:
    """Waits until the run has moved on from where it is now."""
    before = run_row(site, run)
    wait_for(lambda: run_row(site, run) != before or run_row(site, run)["state"] == "succeeded", seconds)


def kill_and_wait(site: Site, pids: list[int], *words: str) -> None:
    assert pids
    os.kill(pids[0], signal.SIGKILL)
    wait_for(lambda: set(site.children(*words)) - set(pids), 30, site.said)


def test_each_part_is_killed_while_all_of_them_work_and_nothing_is_lost_or_doubled(site: Site) -> None:
    run = launched(site)
    annotator = Annotator(site, "annotator-1")
    annotator.start()
    wait_for(lambda: trainer(site, run) and run_row(site, run)["done"], 60, site.said)
    saved = 0

    def saves_on() -> None:
        nonlocal saved
        wait_for(lambda: len(annotator.acknowledged) > saved + 1 or not annotator.is_alive(), 60, site.said)
        assert annotator.is_alive()
        saved = len(annotator.acknowledged)

    saves_on()
    master = site.children("gunicorn")[0]
    servers = [pid for pid in site.pids("gunicorn") if pid != master]
    os.kill(servers[0], signal.SIGKILL)  # one of the two that answer
    saves_on()
    kill_and_wait(site, [master], "gunicorn")
    saves_on()
    os.kill(wait_for(lambda: trainer(site, run), 30, site.said), signal.SIGKILL)
    wait_for(lambda: run_row(site, run)["attempts"] == 2, 60, site.said)
    steps_on(site, run)
    kill_and_wait(site, site.children("manage.py", "work"), "manage.py", "work")
    wait_for(lambda: run_row(site, run)["attempts"] == 3, 60, site.said)
    steps_on(site, run)
    postmaster = int((find_place(site.house.home).data / "postmaster.pid").read_text().split()[0])
    os.killpg(postmaster, signal.SIGKILL)
    wait_for(lambda: "The database answers again" in site.said(), 90, site.said)
    saves_on()
    annotator.done.set()
    annotator.join(60)
    wait_for(lambda: run_row(site, run)["state"] in ("succeeded", "failed"), 180, lambda: run_row(site, run))

    assert run_row(site, run)["state"] == "succeeded", run_row(site, run)
    assert site.house.query("SELECT count(*) FROM training_model WHERE run_id = %s", run) == [(1,)]
    doubled = site.house.query(
        "SELECT attempt, step, name FROM training_metric WHERE run_id = %s GROUP BY 1, 2, 3 HAVING count(*) > 1", run
    )
    assert doubled == []
    check_judgements(site, annotator)


def check_judgements(site: Site, annotator: Annotator) -> None:
    """What was acknowledged is there once, and nobody judged an item twice."""
    found = site.house.query("SELECT key, item_id, member_id FROM annotation_judgement WHERE origin = 'live'")
    keys = [key for key, _, _ in found]
    assert len(annotator.acknowledged) >= 8
    assert set(annotator.acknowledged) <= set(keys)
    assert len(keys) - len(annotator.acknowledged) <= 1  # the last may be stored and its answer not have come
    assert set(Counter((item, member) for _, item, member in found).values()) == {1}
    [(done, free_wrong)] = site.house.query(
        "SELECT (SELECT count(*) FROM annotation_assignment WHERE state = 'done'),"
        " (SELECT count(*) FROM annotation_item i JOIN annotation_project p ON p.id = i.project_id WHERE i.free <>"
        "  greatest(0, p.overlap - i.imported -"
        "  (SELECT count(*) FROM annotation_assignment a WHERE a.item_id = i.id AND a.slot IS NOT NULL)))"
    )
    assert done == len(keys)
    assert free_wrong == 0


def test_after_kill_9_of_the_supervisor_starting_again_just_works(site: Site) -> None:
    before = site.house.query("SELECT count(*), max(id) FROM annotation_judgement")
    site.process.kill()
    site.process.wait()
    wait_for(lambda: not site.pids(), 30, lambda: site.pids())
    again = Site(site.house)
    try:
        again.wait_until_ready()
        assert again.healthy()
        assert again.house.query("SELECT count(*), max(id) FROM annotation_judgement") == before
        assert "annotator-1 (" not in again.said()  # who has chosen a password gets no link any more
    finally:
        again.end()
    assert again.process.returncode == 0
