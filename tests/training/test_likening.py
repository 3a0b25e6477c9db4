"""Prompts that are alike: found, put in one group for later splits, and asked for the topic of their neighbours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation.models import Item, Project
from tests.builders import as_lines, bring_in, person, project_of, signed_in
from training import answering, freezing, grouping, likening
from training.answering import WarmModels
from webapp.people.models import AuditEntry

pytestmark = pytest.mark.django_db
MODEL = "tiny:encoder"
PROMPTS = [
    "How do I find my card?",
    "How can I find my card?",
    "Why is the sea salty?",
    "Where is my card?",
    "Why salt in sea?",
]
#: what a model might say of them: cards lie along one axis, seas along another
PLANTED = [(1.0, 0.0, 0.0), (1.0, 0.1, 0.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.6), (0.0, 1.0, 0.05)]


@pytest.fixture
def project(home: Path) -> Project:
    lead = person("lin")
    made = project_of(lead)
    rows = [{"id": f"i{place}", "prompt": text, "responses": ["a", "b"]} for place, text in enumerate(PROMPTS)]
    bring_in(made, as_lines(rows))
    return made


@pytest.fixture
def read(project: Project) -> Iterator[Project]:
    """The project whose prompts a model has read already: its vectors are kept, so that no process is started."""
    vectors = likening.Vectors(project, MODEL)
    vectors.known = {likening._key(text): np.array(row) for text, row in zip(PROMPTS, PLANTED, strict=True)}
    vectors._write()
    assert not likening.Vectors(project, MODEL).missing(PROMPTS)
    yield project
    vectors.path.unlink()


@pytest.fixture
def lead(project: Project) -> Client:
    return signed_in(project.memberships.get(role="lead").user)


def page(project: Project, **asked: object) -> str:
    return reverse("similar", args=[project.slug]) + (
        "?" + "&".join(f"{name}={value}" for name, value in asked.items()) if asked else ""
    )


def groups(project: Project) -> dict[str, str]:
    return dict(Item.objects.filter(project=project).values_list("key", "group"))


vectors_of_any_kind = st.lists(st.tuples(*[st.sampled_from([-1.0, 0.0, 0.5, 1.0])] * 3), min_size=0, max_size=12)


@settings(max_examples=80, deadline=None)
@given(vectors_of_any_kind, st.sampled_from([0.3, 0.7, 0.9, 1.0]))
def test_pairs_and_clusters_are_those_that_a_plain_search_finds(made: Any, threshold: float) -> None:  # noqa: ANN401
    rows = np.array(made, dtype=np.float32).reshape(len(made), 3)
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    plain = {
        (a, b) for a in range(len(rows)) for b in range(a + 1, len(rows)) if float(rows[a] @ rows[b]) >= threshold - 1e-6
    }  # fmt: skip
    found = likening.pairs(rows, threshold)
    assert {(pair.first, pair.second) for pair in found} == plain
    assert [pair.cosine for pair in found] == sorted((pair.cosine for pair in found), reverse=True)
    clusters = likening.clusters(found)
    together = {place: number for number, places in enumerate(clusters) for place in places}
    assert len(together) == sum(map(len, clusters)), "nothing stands in two clusters"
    assert all(together[a] == together[b] for a, b in plain)
    assert all(any({a, b} <= set(places) for a, b in plain) for places in clusters)


def test_the_table_of_cosines_is_made_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    whole = likening.pairs(rows, 0.8), likening.nearest(rows)
    monkeypatch.setattr(likening, "BLOCK", 7)
    assert [(one.first, one.second) for one in likening.pairs(rows, 0.8)] == [
        (one.first, one.second) for one in whole[0]
    ]
    assert likening.nearest(rows) == pytest.approx(whole[1])


def test_a_topic_is_suggested_where_near_items_agree_and_not_where_they_do_not() -> None:
    items = [Item(pk=n, topic=topic) for n, topic in enumerate(["cards", "cards", "sea", "", "sea", "", ""])]
    rows = [(1, 0, 0), (1, 0.1, 0), (0, 1, 0), (1, 0.05, 0), (0, 1, 0.1), (0, 0, 1), (0.1, 1, 0)]
    vectors = np.array(rows, dtype=np.float32)
    found = likening.suggestions(items, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    assert {(one.item.pk, one.topic, one.agreed, one.asked) for one in found} == {(3, "cards", 2, 2), (6, "sea", 2, 2)}
    assert likening.suggestions(items[:1], vectors[:1]) == []


def test_what_is_grouped_stands_on_one_side_and_frozen_snapshots_stay(read: Project) -> None:
    before = freezing.freeze(project=read, rows="prompt", heldout=0.4)
    frozen = (freezing.folder(before) / "train.jsonl").read_bytes()
    items = list(Item.objects.filter(project=read).order_by("position"))
    Item.objects.filter(pk=items[4].pk).update(group=items[3].group)  # an import put them together
    assert grouping.group(project=read, together=[[items[0], items[3]]], actor=None) == 2
    now = groups(read)
    assert now["i0"] == now["i3"] == now["i4"] != now["i1"], "what was together stays together"
    assert grouping.group(project=read, together=[[items[0], items[3]]], actor=None) == 0
    [entry] = AuditEntry.objects.filter(action="group items")
    assert entry.detail["before"] == {str(items[3].pk): items[3].group, str(items[4].pk): items[3].group}
    for seed in range(6):
        after = freezing.freeze(project=read, rows="prompt", heldout=0.4, split_seed=seed)
        sides = {
            split: {json.loads(line)["item"] for line in (freezing.folder(after) / f"{split}.jsonl").read_text().splitlines()}
            for split in ("train", "heldout")
        }  # fmt: skip
        assert any({"i0", "i3", "i4"} <= side for side in sides.values())
    assert (freezing.folder(before) / "train.jsonl").read_bytes() == frozen
    freezing.verify(before)


def test_items_of_other_projects_are_left_alone(read: Project) -> None:
    other = project_of(None, name="Other")
    bring_in(other, as_lines([{"id": "x", "prompt": PROMPTS[0], "responses": ["a", "b"]}]))
    theirs = Item.objects.get(project=other)
    mine = Item.objects.filter(project=read).first()
    grouping.group(project=read, together=[[mine, theirs]], actor=None)  # type: ignore[list-item]
    assert Item.objects.get(pk=theirs.pk).group == theirs.group
    assert grouping.name_topics(project=read, topics={theirs.pk: "stolen"}, actor=None) == 0


def test_the_page_finds_groups_and_names(read: Project, lead: Client) -> None:
    first = lead.get(page(read)).content.decode()
    assert "Compare" in first and MODEL in first
    assert "Nearly the same" not in first, "nothing is read before somebody asks"
    items = {item.key: item for item in Item.objects.filter(project=read)}
    Item.objects.filter(key__in=["i0", "i1"]).update(topic="cards")
    shown = lead.get(page(read, model=MODEL, threshold="0.98", item="i2")).content.decode()
    assert "2 sets of prompts could still fall on both sides" in shown
    assert "Most like i2" in shown and "data-plot" in shown
    answer = lead.post(page(read), {"model": MODEL, "threshold": "0.98", "do": "group", "one": items["i0"].pk})
    assert answer.status_code == 302
    assert groups(read)["i0"] == groups(read)["i1"]
    assert groups(read)["i2"] != groups(read)["i4"], "only what was ticked"
    assert "one group" in lead.get(answer["Location"]).content.decode()
    lead.post(
        page(read), {"model": MODEL, "threshold": "0.98", "do": "topics", "one": [items["i3"].pk, items["i2"].pk]}
    )
    assert dict(Item.objects.filter(project=read).values_list("key", "topic")) == {
        "i0": "cards", "i1": "cards", "i2": "", "i3": "cards", "i4": "",
    }  # fmt: skip


def test_the_page_refuses_what_is_no_model_of_the_project_and_says_what_is_missing(read: Project, lead: Client) -> None:
    for asked in ({"model": "run:999999"}, {"model": "local:/etc"}, {"model": MODEL, "threshold": "2"}):
        assert lead.get(page(read, **asked)).status_code == 400
    assert "no item “i9”" in lead.get(page(read, model=MODEL, item="i9")).content.decode()
    Item.objects.filter(project=read).delete()
    assert "Nothing to compare yet" in lead.get(page(read)).content.decode()


def test_the_command_tells_the_same(read: Project) -> None:
    out = StringIO()
    call_command("similar", read.slug, "--model", MODEL, "--threshold", "0.98", "--json", stdout=out, stderr=StringIO())
    told = json.loads(out.getvalue())
    assert told["clusters"] == [["i0", "i1"], ["i2", "i4"]]
    assert told["grouped"] is None and len(set(groups(read).values())) == 5
    call_command(
        "similar", read.slug, "--model", MODEL, "--group", "--threshold", "0.98", stdout=out, stderr=StringIO()
    )
    assert len(set(groups(read).values())) == 3
    for wrong in (["--threshold", "7"], ["--model", "run:999999"]):
        with pytest.raises(CommandError):
            call_command("similar", read.slug, *wrong, stdout=out, stderr=StringIO())


@pytest.fixture
def warm(monkeypatch: pytest.MonkeyPatch) -> Iterator[WarmModels]:
    made = WarmModels()
    monkeypatch.setattr(answering, "warm_models", made)
    yield made
    made._end()


@pytest.mark.slow
def test_a_model_reads_the_prompts_in_a_process_of_its_own_and_each_once(project: Project, warm: WarmModels) -> None:
    vectors = likening.Vectors(project, MODEL)
    vectors.path.unlink(missing_ok=True)
    vectors = likening.Vectors(project, MODEL)
    assert list(vectors.work(PROMPTS)) == [0]
    assert vectors.of(PROMPTS).shape == (5, 128)
    again = likening.Vectors(project, MODEL)
    assert list(again.work(PROMPTS)) == [], "what was read is kept"
    np.testing.assert_allclose(again.of(PROMPTS), vectors.of(PROMPTS))
    again.path.write_bytes(b"broken")
    assert likening.Vectors(project, MODEL).missing(PROMPTS) == sorted(PROMPTS, key=len)
    again.path.unlink()
