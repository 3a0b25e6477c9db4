"""Once round the loop in a real browser: what the keyboard says is what the database holds and what the model learns from.

On every page on the way axe looks for what people with other senses would stumble over, in light and dark, and any error or
violation of the content security policy fails the test.
"""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, Request, expect

from tests import chromium
from tests.loop.running_site import Site, site_for_a_test, wait_for

PASSWORD = "a spoonful of gravel"
ITEMS = 14

pytestmark = chromium.BROWSER


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with site_for_a_test() as started:
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium.chromium() as started:
        yield started


class Somebody:
    """A person with a browser of their own, which notes everything that goes wrong."""

    def __init__(self, browser: Browser, site: Site) -> None:
        self.site = site
        self.context = browser.new_context(base_url=site.address, color_scheme="light", reduced_motion="reduce")
        self.context.add_init_script(chromium.NOTE_VIOLATIONS)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(30_000)
        self.faults: list[str] = []
        self.looked_at: set[str] = set()
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.faults.append(f"page error: {error}"))
        self.page.on("requestfailed", self._note_failed)

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(f"console {message.type}: {message.text}")

    def _note_failed(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # a page that is left ends what it was asking for
            self.faults.append(f"failed: {request.url} {request.failure}")

    def look(self, name: str) -> None:
        """Has axe look at the page, once a kind of page, in both themes."""
        violations = self.page.evaluate("window.violations")
        assert violations == [], f"{name}: {violations}"
        if name in self.looked_at:
            return
        self.looked_at.add(name)
        for scheme in ("light", "dark"):
            self.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            found = Axe().run(self.page).response["violations"]
            told = [f"{v['id']}: {v['help']}: {v['nodes'][0]['html'][:200]}" for v in found]
            assert not told, f"{name}, {scheme}: {told}"
        self.page.emulate_media(color_scheme="light")

    def come_in(self, username: str) -> None:
        self.page.goto(self.site.link(username))
        self.look("welcome")
        for field in ("new_password1", "new_password2"):
            self.page.locator(f"[name={field}]").fill(PASSWORD)
        self.page.get_by_role("button", name="Save and go on").click()
        expect(self.page.get_by_role("heading", level=1)).to_be_visible()
        self.look("home")


def table_of(answers: Any) -> list[int]:  # noqa: ANN401 - JSON
    return answers["ranking"]["ranks"]


class Desk:
    """Judging by keyboard alone."""

    def __init__(self, who: Somebody) -> None:
        self.page, self.site = who.page, who.site

    def item(self) -> int:
        return int(re.search(r"/judge/(\d+)/submit/", self.page.locator("#judgement").get_attribute("action") or "")[1])  # type: ignore[index]

    def type(self, signs: str) -> None:
        """`b d = a c` is typed as it stands; nothing has the focus but the page."""
        expect(self.page.locator("[data-ladder-box]")).to_be_visible()  # the script listens
        for sign in signs.replace(" ", ""):
            self.page.keyboard.press(sign)

    def save(self) -> None:
        before = self.page.locator("#judgement [name=key]").get_attribute("value")
        self.page.keyboard.press("Enter")
        key = self.page.locator("#judgement [name=key]")
        wait_for(lambda: key.get_attribute("value") != before, 30, lambda: self.page.locator("main").inner_text())

    def ranks(self, signs: str, assignment: int) -> list[int]:
        """What was typed, as competition ranks by position: the order that was shown stands in the database."""
        [(order,)] = self.site.house.query("SELECT order_ FROM (SELECT \"order\" AS order_, id FROM annotation_assignment) a WHERE id = %s", assignment)  # fmt: skip  # noqa: E501
        tiers = re.findall(r"[a-d](?:=[a-d])*", signs.replace(" ", ""))
        ranks, rank = [0] * len(order), 1
        for tier in tiers:
            letters = tier.split("=")
            for letter in letters:
                ranks[order["abcd".index(letter)]] = rank
            rank += len(letters)
        return ranks


def typed(number: int) -> str:
    """Another ranking for every item, some with ties."""
    order = list(itertools.permutations("abcd"))[(7 * number) % 24]
    return " ".join(order) if number % 3 else f"{order[0]} {order[1]} = {order[2]} {order[3]}"


@pytest.fixture(scope="module")
def said(browser: Browser, site: Site) -> dict[int, list[int]]:
    """annotator-1 judges some items and corrects the last; assignment -> ranks by position, as they were typed."""
    ada = Somebody(browser, site)
    ada.come_in("annotator-1")
    ada.page.get_by_role("link", name="Judge").first.click()
    ada.look("guidelines, before the first item")
    ada.page.get_by_role("button", name="Start judging").click()
    expect(ada.page.locator("#judgement")).to_be_visible()
    desk, found = Desk(ada), {}
    ada.look("desk")
    for number in range(ITEMS):
        assignment = desk.item()
        desk.type(typed(number))
        if number == 0:
            ada.page.keyboard.press("Backspace")  # takes the last letter back
            desk.type(typed(number)[-1])
            ada.look("desk, ranked")
        found[assignment] = desk.ranks(typed(number), assignment)
        desk.save()
    last, unjudged = assignment, desk.item()
    expect(ada.page.locator("[data-state]")).to_contain_text("Saved")
    ada.page.keyboard.press("u")
    expect(ada.page.locator(".bench[data-correcting]")).to_be_visible()
    assert desk.item() == last
    ada.look("correcting")
    for _ in range(4):
        ada.page.keyboard.press("Backspace")
    desk.type("d = c = b a")
    found[last] = desk.ranks("d=c=b a", last)
    ada.page.keyboard.press("Enter")
    wait_for(lambda: desk.item() == unjudged, 30, lambda: ada.page.locator("main").inner_text())
    expect(ada.page.locator(".bench[data-correcting]")).to_have_count(0)
    ada.page.keyboard.press("?")
    expect(ada.page.get_by_role("dialog")).to_be_visible()
    ada.look("keys")
    ada.page.keyboard.press("Escape")
    ada.page.goto("/p/demo/mine/")
    ada.look("mine")
    assert ada.faults == []
    return found


def test_what_was_typed_is_what_is_stored(said: dict[int, list[int]], site: Site) -> None:
    rows = site.house.query(
        "SELECT a.id, j.answers, j.version, j.active_ms FROM annotation_judgement j"
        " JOIN annotation_assignment a ON a.item_id = j.item_id AND a.member_id = j.member_id"
        " WHERE NOT EXISTS (SELECT FROM annotation_judgement later WHERE later.supersedes_id = j.id)"
    )
    assert {number: table_of(answers) for number, answers, _, _ in rows} == said
    assert sorted(version for _, _, version, _ in rows) == [1] * (ITEMS - 1) + [2]
    assert all(active > 0 for _, _, _, active in rows)
    assert site.house.query("SELECT count(*) FROM annotation_judgement") == [(ITEMS + 1,)]


def test_the_annotators_pages_name_no_model(said: dict[int, list[int]], browser: Browser, site: Site) -> None:
    [(sources,)] = site.house.query("SELECT array_agg(DISTINCT source) FROM annotation_response WHERE source <> ''")
    assert sources
    bo = Somebody(browser, site)
    bo.come_in("annotator-2")
    bo.page.goto("/p/demo/judge/")
    bo.page.get_by_role("button", name="Start judging").click()
    expect(bo.page.locator("#judgement")).to_be_visible()
    for address in ("/p/demo/", "/p/demo/judge/", "/p/demo/mine/"):
        bo.page.goto(address)
        assert not [source for source in sources if source in bo.page.content()]
    assert bo.faults == []


def test_an_admin_freezes_trains_watches_and_scores(said: dict[int, list[int]], browser: Browser, site: Site) -> None:
    lin = Somebody(browser, site)
    lin.come_in("admin")
    page = lin.page
    page.goto("/p/demo/")
    lin.look("project")

    page.get_by_role("link", name="Snapshots").click()
    lin.look("snapshots, none")
    page.get_by_label("Share held out").fill("0.15")
    page.get_by_role("button", name="Freeze").click()
    page.wait_for_url(re.compile("/snapshots/[0-9a-f]{64}/$"))
    lin.look("snapshot")
    check_rows(site, said)

    page.get_by_role("link", name="Train on it").click()
    lin.look("trainers")
    page.get_by_role("heading", name="Reward model", exact=True).click()
    lin.look("new run")
    page.get_by_label("base model").select_option("tiny:encoder")
    page.get_by_label("epochs", exact=False).fill("0")
    page.locator("form").evaluate_all("forms => forms.forEach(form => form.noValidate = true)")
    lin.faults.clear()
    page.get_by_role("button", name="Launch").click()
    expect(page.get_by_text("Nothing was launched.")).to_be_visible()
    assert [fault for fault in lin.faults if "400" not in fault] == []
    lin.faults.clear()
    lin.look("new run, refused")
    page.get_by_label("epochs", exact=False).fill("5")
    page.get_by_text("Batches and memory").click()
    page.get_by_label("Rows a step").fill("2")
    page.get_by_role("button", name="Launch").click()

    page.wait_for_url(re.compile(r"/runs/\d+/$"))
    seen, highest = watched(lin)
    assert "Running" in seen
    assert highest > 0
    expect(page.locator("[data-curve] canvas").first).to_be_visible()
    assert page.locator("[data-curve] canvas").count() >= 2  # loss, and accuracy on held-out prompts
    lin.look("run")

    page.get_by_role("link", name="Open the model").click()
    lin.look("model")
    page.get_by_role("textbox", name="Prompt").fill("Why is the sky blue?")
    page.get_by_label("Answer 1").fill("Because <b>light</b> is scattered.")
    page.get_by_label("Answer 2").fill("I do not know.")
    page.get_by_role("button", name="Score").click()
    expect(page.locator("#scores li")).to_have_count(2)
    shown = [float(text) for text in page.locator("#scores .number").all_text_contents()]
    assert shown == sorted(shown, reverse=True)
    expect(page.locator("#scores")).to_contain_text("Because <b>light</b> is scattered.")
    lin.look("model, scored")
    page.get_by_text("The judgements behind it").click()
    ids = {number for (number,) in site.house.query("SELECT unnest(ids) FROM training_frozenjudgements")}
    behind = page.locator("details").filter(has=page.get_by_text("The judgements behind it"))
    assert {int(n) for n in behind.locator("td.number").all_text_contents()} == ids
    page.get_by_role("link", name=re.compile("reward-model")).last.click()
    page.wait_for_url(re.compile(r"/runs/\d+/$"))

    for name, address in (("runs", "/p/demo/runs/"), ("models", "/p/demo/models/"), ("plugins", "/plugins/"), ("items", "/p/demo/items/")):  # fmt: skip  # noqa: E501
        page.goto(address)
        lin.look(name)
    assert lin.faults == []


def watched(who: Somebody) -> tuple[set[str], float]:
    """The states and the highest progress that the run's page showed, until it offered the model."""
    page, until = who.page, time.monotonic() + 180
    seen: set[str] = set()
    highest = 0.0
    while page.get_by_role("link", name="Open the model").count() == 0:
        assert time.monotonic() < until, page.content()
        with suppress(Error):  # the page is loaded afresh when the run ends
            seen |= {text.split(":")[0].strip() for text in page.locator("[data-state]").all_text_contents()}
            bars = page.locator("progress[data-progress][value]").evaluate_all("bars => bars.map((bar) => bar.value)")
            highest = max([highest, *bars])
        assert "Failed" not in seen, page.content()
        if highest and len(bars):
            who.look("run at work")
        page.wait_for_timeout(200)
    return seen, highest


def check_rows(site: Site, said: dict[int, list[int]]) -> None:
    """The frozen rows hold what was typed, each from the judgement it names."""
    [(name, ids)] = site.house.query(
        "SELECT s.hash, f.ids FROM training_snapshot s JOIN training_frozenjudgements f ON f.snapshot_id = s.id"
    )
    folder = site.house.home / "snapshots" / name
    rows = [
        json.loads(line)
        for split in ("train", "heldout")
        for line in (folder / f"{split}.jsonl").read_text("utf-8").split("\n")
        if line
    ]
    assert len(rows) == len(ids) == ITEMS
    stored = dict(
        site.house.query(
            "SELECT j.id, a.id FROM annotation_judgement j"
            " JOIN annotation_assignment a ON a.item_id = j.item_id AND a.member_id = j.member_id"
        )
    )
    assert {stored[row["judgements"][0]]: row["ranks"] for row in rows} == said
