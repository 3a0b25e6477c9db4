"""The pages of runs in a real browser, with a real run at work behind them: live, by keyboard, in both themes."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings as site_settings
from django.db import connections
from playwright.sync_api import Browser, Page, expect

from tests import chromium
from tests.builders import signed_in
from tests.desk.browsing import site
from tests.training import world_of_runs as world
from training import preparing, working
from training.catalogue import listing
from training.models import Metric, Run, Snapshot
from webapp.people import noticing

pytestmark = [*chromium.BROWSER, pytest.mark.django_db(transaction=True)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium.chromium() as started:
        yield started


@pytest.fixture
def snapshot(home: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Snapshot:  # noqa: ANN401
    settings.BUILTIN_PLUGINS = [*settings.BUILTIN_PLUGINS, "tests.training.telling_trainer"]
    monkeypatch.setattr(working, "POLL", 0.05)
    listing.listing()
    made = world.frozen(world.planted(4))
    world.member(made.project, "lin")
    return made


class Lin:
    """lin with a browser, which notes everything that goes wrong."""

    def __init__(self, browser: Browser, address: str) -> None:
        context = browser.new_context(base_url=address, color_scheme="light", reduced_motion="reduce")
        context.add_init_script(chromium.NOTE_VIOLATIONS)
        key = signed_in(world.person("lin")).cookies[site_settings.SESSION_COOKIE_NAME].value
        context.add_cookies([{"name": site_settings.SESSION_COOKIE_NAME, "value": key, "url": address}])
        self.page: Page = context.new_page()
        self.page.set_default_timeout(15_000)
        self.faults: list[str] = []
        self.page.on("pageerror", lambda error: self.faults.append(f"page error: {error}"))
        self.page.on("console", lambda said: said.type == "error" and self.faults.append(said.text))

    def look(self, name: str) -> None:
        """axe in both themes, and nothing beyond the edge of a phone."""
        assert self.page.evaluate("window.violations") == []
        for scheme in ("light", "dark"):
            self.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            found = Axe().run(self.page).response["violations"]
            told = [f"{v['id']}: {v['help']}: {v['nodes'][0]['html'][:200]}" for v in found]
            assert not told, f"{name}, {scheme}: {told}"
        self.page.emulate_media(color_scheme="light")
        self.page.set_viewport_size({"width": 390, "height": 844})
        wide = self.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 390, f"{name} is {wide} wide on a phone"
        self.page.set_viewport_size({"width": 1280, "height": 800})


@pytest.fixture
def address() -> Iterator[str]:
    with site() as started:
        yield started


@pytest.fixture
def lin(browser: Browser, address: str) -> Iterator[Lin]:
    made = Lin(browser, address)
    yield made
    made.page.context.close()
    assert made.faults == []


def at_work(run: Run) -> threading.Thread:
    """A worker on a thread of its own."""

    def work() -> None:
        try:
            working.Worker().work_one(run.pk)
        finally:
            connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def launched(snapshot: Snapshot, **config: Any) -> Run:  # noqa: ANN401
    run = world.launch(snapshot, "telling", **config)
    Run.objects.filter(pk=run.pk).update(launched_by=world.person("lin"))
    return run


def test_a_run_is_watched_to_its_end_without_the_page_being_loaded_again(snapshot: Snapshot, lin: Lin) -> None:
    run = launched(snapshot, steps=20, pause=0.2)
    page = lin.page
    page.goto(f"/p/{snapshot.project.slug}/runs/{run.pk}/")
    page.evaluate("window.stays = true")
    worker = at_work(run)
    expect(page.locator("[data-state]")).to_contain_text("Running")
    expect(page.locator("[data-remaining]")).to_contain_text("left")
    expect(page.locator("[data-curve] canvas")).to_have_count(2)
    expect(page.locator("[data-log]")).to_contain_text("<script>document.title = 'taken'</script>")
    expect(page.locator(".steps").first).to_contain_text("After 5 steps I know <b>5</b> words.")
    page.locator("#cancel").focus()
    expect(page.get_by_role("link", name="Open the model")).to_be_visible(timeout=30_000)
    expect(page.locator("[data-plot] canvas")).to_have_count(1)  # the picture came while the page stayed
    expect(page.locator("[data-plot] .axis")).to_have_text(["↑ was", "said →"])
    expect(page.locator(".pair ins")).to_have_text("blue 20 times.")
    worker.join()
    assert page.evaluate("window.stays") is True
    assert page.evaluate("document.activeElement.id") == "content"  # its button is gone, and the focus is not lost
    expect(page.locator("[data-bell]")).to_have_attribute("aria-label", "Notices, unread: 1")
    expect(page.locator(".steps").first.locator("h4")).to_have_text(["Step 5", "Step 10", "Step 15", "Step 20"])
    page.keyboard.press("s")
    expect(page.get_by_role("button", name="Smooth")).to_have_attribute("aria-pressed", "true")
    assert "smooth=1" in page.url
    lin.look("run")
    page.get_by_role("link", name="Notices").press("Enter")
    page.get_by_role("link", name="has succeeded").press("Enter")
    page.wait_for_url(f"**/runs/{run.pk}/")
    expect(page.locator("[data-bell]")).to_have_attribute("aria-label", "Notices")


def test_a_failed_run_says_why_and_is_launched_again(snapshot: Snapshot, lin: Lin) -> None:
    run = launched(snapshot, steps=3, fails=True)
    at_work(run).join()
    page = lin.page
    page.goto(f"/p/{snapshot.project.slug}/runs/{run.pk}/")
    expect(page.get_by_role("alert")).to_contain_text("the rows are too odd for me")
    expect(page.get_by_role("alert").locator("pre")).to_contain_text("ValueError")
    lin.look("failed run")
    page.get_by_role("button", name="Launch again").press("Enter")
    page.wait_for_url(f"**/runs/{run.pk + 1}/")
    expect(page.get_by_text("Launched again as run")).to_be_visible()


def test_a_run_that_was_killed_goes_on_and_its_page_says_from_where(snapshot: Snapshot, lin: Lin) -> None:
    run = launched(snapshot, steps=30, pause=0.15)
    page = lin.page
    page.goto(f"/p/{snapshot.project.slug}/runs/{run.pk}/")
    worker = at_work(run)
    expect(page.locator("[data-log]")).to_contain_text("step 5 done")
    for pid in processes_of(run):
        os.kill(pid, signal.SIGKILL)
    worker.join()
    worker = at_work(run)
    expect(page.locator("[data-remaining]")).to_contain_text("Attempt 2 of 3, resumed at step")
    expect(page.get_by_role("link", name="Open the model")).to_be_visible(timeout=30_000)
    worker.join()
    steps = page.locator(".steps").first.locator("h4")
    expect(steps).to_have_text([f"Step {step}" for step in (5, 10, 15, 20, 25, 30)])


def processes_of(run: Run) -> list[int]:
    """The child that works the run's folder, and whatever it started."""
    folder, found = str(preparing.folder(run)).encode(), []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if folder in (place / "cmdline").read_bytes():
                found.append(int(place.name))
    return found


def test_runs_are_ticked_compared_smoothed_and_shared(snapshot: Snapshot, lin: Lin) -> None:
    runs = [launched(snapshot, steps=steps, rate=rate) for steps, rate in ((20, 0.5), (12, 0.9))]
    for run in runs:
        at_work(run).join()
    page = lin.page
    page.goto(f"/p/{snapshot.project.slug}/runs/")
    lin.look("runs")
    for run in runs:
        page.get_by_role("checkbox", name=f"telling {run.pk}").press("Space")
    page.get_by_role("button", name="Compare").press("Enter")
    page.wait_for_url(f"**/compare/?runs={runs[1].pk},{runs[0].pk}")
    expect(page.locator("[data-compare] canvas")).to_have_count(3)
    expect(page.get_by_role("row", name="rate")).to_contain_text("0.9")
    expect(page.locator("td.best").first).to_contain_text("best")
    page.keyboard.press("s")
    lin.look("compare")
    page.goto(f"/p/{snapshot.project.slug}/runs/{runs[0].pk}/")
    page.get_by_text("Compare with …").press("Enter")
    page.get_by_role("checkbox", name=f"telling {runs[1].pk}").press("Space")
    page.get_by_role("button", name="Lay them over this one").press("Enter")
    expect(page.locator("[data-curve] canvas")).to_have_count(3)
    lin.look("run, another over it")


def test_a_word_is_looked_for_in_the_log_by_keyboard(snapshot: Snapshot, lin: Lin) -> None:
    run = launched(snapshot, steps=20)
    at_work(run).join()
    page = lin.page
    page.goto(f"/p/{snapshot.project.slug}/runs/{run.pk}/")
    page.get_by_role("searchbox").fill("STEP")
    page.keyboard.press("Enter")
    expect(page.get_by_text("4 lines hold it.")).to_be_visible()
    page.locator("h1").click()
    page.keyboard.press("n")
    page.keyboard.press("n")
    expect(page.locator(".match > a").nth(1)).to_be_focused()
    lin.look("log, searched")
    page.keyboard.press("Enter")
    page.wait_for_url("**/log/?line=*")
    expect(page.locator(".match")).to_contain_text("step 10 done")
    lin.look("log")


def test_notices_are_read_by_keyboard(snapshot: Snapshot, lin: Lin) -> None:
    for text in ("telling 1 has succeeded.", "telling 2 has failed. It ran out of memory."):
        noticing.notify(user=world.person("lin"), text=text, url="/", is_trouble="failed" in text)
    page = lin.page
    page.goto("/notices/")
    lin.look("notices")
    page.get_by_role("button", name="Mark all as read").press("Enter")
    expect(page.locator(".unread")).to_have_count(0)


def test_a_curve_of_twenty_thousand_points_is_drawn(snapshot: Snapshot, lin: Lin) -> None:
    run = launched(snapshot)
    Run.objects.filter(pk=run.pk).update(state=Run.SUCCEEDED)
    Metric.objects.bulk_create(
        Metric(run=run, attempt=1, step=step, name="loss/train", value=None if step == 500 else 1 / step)
        for step in range(1, 20_001)
    )
    lin.page.goto(f"/p/{snapshot.project.slug}/runs/{run.pk}/")
    canvas = lin.page.locator("[data-curve] canvas")
    expect(canvas).to_have_attribute("aria-label", "loss/train, latest: 5.00e-5")


def test_metrics_share_a_chart_only_where_their_sizes_are_alike(snapshot: Snapshot, lin: Lin) -> None:
    run = launched(snapshot)
    Run.objects.filter(pk=run.pk).update(state=Run.SUCCEEDED)
    told = {
        "answers/ended": 0.03, "answers/tokens": 16, "kl/reference": -0.4, "kl/beta": 0.05, "loss/train": 0.7,
        "reward/mean": 0.2, "reward/spread": 0, "update/kl": 8e-4, "update/taken": 4, "update/ratio-max": 1.7,
    }  # fmt: skip
    Metric.objects.bulk_create(
        Metric(run=run, attempt=1, step=step, name=name, value=value) for name, value in told.items() for step in (1, 2)
    )
    page = lin.page
    page.goto(f"/p/{snapshot.project.slug}/runs/{run.pk}/")
    titles = page.locator("[data-curve] figcaption")
    alone = ["reward/mean", "reward/spread", "loss/train", "answers/ended", "answers/tokens"]
    expect(titles).to_have_text([*alone, "kl", "update/kl", "update/ratio-max, update/taken"])
    expect(page.locator("figure", has_text="kl/beta").locator(".u-series:visible")).to_contain_text(
        ["step", "kl/beta", "kl/reference"]
    )


GROWING = """() => new Promise((done) => {
  const make = window.uPlot;
  let plot;
  window.uPlot = class extends make { constructor(...all) { super(...all); plot = this; } };
  const points = (to) => [{ name: "train", points: Array.from({ length: to }, (_, at) => [at + 1, 1 / (at + 1)]) }];
  const chart = drawChart(document.body, "loss", points(90), false);
  const seen = [];
  const look = (next) => setTimeout(() => { seen.push([plot.scales.x.min, plot.scales.x.max]); next(); }, 50);
  look(() => { chart.update(points(200), false);
    look(() => { plot.setScale("x", { min: 20, max: 60 });
      look(() => { chart.update(points(300), false); look(() => done(seen)); }); }); });
})"""


def test_a_growing_curve_is_shown_to_its_end_and_a_part_that_is_looked_at_stays(browser: Browser) -> None:
    static = Path(site_settings.ROOT) / "platform" / "webapp" / "static"
    page = browser.new_page()
    page.set_content("<body></body>")
    page.add_script_tag(content=(static / "vendor" / "uplot.iife.min.js").read_text("utf-8") + "; window.uPlot = uPlot")
    modules = "".join((static / "webapp" / name).read_text("utf-8") for name in ("words.js", "chart.js"))
    plain = re.sub(r"^import .*$", "", modules, flags=re.MULTILINE).replace("export ", "")
    page.add_script_tag(content=f"(() => {{ {plain}; window.drawChart = drawChart; }})();")
    assert page.evaluate(GROWING) == [[1, 90], [1, 200], [20, 60], [20, 60]]
    page.close()
