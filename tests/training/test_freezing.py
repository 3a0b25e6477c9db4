"""Freezing: rows that never change, split by group, traceable to the judgements they came from."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from annotation import asking, belonging
from annotation.kinds import label
from annotation.models import Judgement
from feinschliff.rows import check_row
from tests.training.world_of_runs import add_item, frozen, judge, lines, member, person, planted, project, rank
from training import freezing
from training.joining import Joined
from training.models import Snapshot

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("home")]
groups = st.sets(st.text(min_size=1, max_size=8), max_size=40)
shares = st.floats(0.01, 0.9)
seeds = st.integers(0, 2**31 - 1)


def content(snapshot: Snapshot) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(freezing.folder(snapshot).iterdir())}


def test_the_same_judgements_give_the_same_hash_and_the_same_bytes() -> None:
    made = planted()
    first = frozen(made)
    before = content(first)
    assert frozen(made).pk == first.pk
    assert content(first) == before
    assert Snapshot.objects.count() == 1


def test_a_new_judgement_makes_another_snapshot_and_leaves_the_old_one_alone() -> None:
    made = planted()
    old = frozen(made)
    before = content(old)
    rank(add_item(made, "new", ["a", "b", "c", "d"]), "bo", [1, 2, 3, 4])
    new = frozen(made)
    assert new.hash != old.hash
    assert content(old) == before
    freezing.verify(old)


def test_other_options_make_another_snapshot() -> None:
    made = planted()
    hashes = {
        frozen(made).hash,
        frozen(made, "pair").hash,
        frozen(made, heldout=0.5).hash,
        freezing.freeze(project=made, rows="ranking", heldout=0.25, split_seed=1).hash,
    }
    assert len(hashes) == 4


def test_a_group_stands_on_one_side_though_several_items_and_people_share_it() -> None:
    made = project()
    for number in range(30):
        item = add_item(made, f"i{number}", ["a", "b"], group=f"debate {number % 7}")
        rank(item, "ada", [1, 2])
        rank(item, "bo", [2, 1])
    snapshot = frozen(made)
    train, heldout = ({row["group"] for row in lines(snapshot, split)} for split in freezing.SPLITS)
    assert train
    assert heldout
    assert not train & heldout
    assert snapshot.counts["groups"] == {"train": len(train), "heldout": len(heldout)}


@given(groups, shares, seeds)
def test_every_group_gets_one_side_and_no_side_stays_empty_where_there_are_two(
    names: set[str], share: float, seed: int
) -> None:
    side = freezing.sides(names, share, seed)
    assert set(side) == names
    assert set(side.values()) <= {"train", "heldout"}
    if len(names) > 1:
        assert set(side.values()) == {"train", "heldout"}
    if len(names) == 1:
        assert set(side.values()) == {"train"}


@given(groups, groups, shares, seeds)
def test_a_group_keeps_its_side_when_others_come(names: set[str], more: set[str], share: float, seed: int) -> None:
    before, after = freezing.sides(names, share, seed), freezing.sides(names | more, share, seed)
    by_hash = {name: "heldout" if freezing._fraction(name, seed) < share else "train" for name in names}
    struck = {name for name in names if before[name] != by_hash[name] or after[name] != by_hash[name]}
    assert len(struck) <= 2  # the fallback moves at most the lowest or the highest group of each
    assert all(before[name] == after[name] for name in names - struck)


@given(st.permutations(["a", "b", "c", "d", "e"]), shares, seeds)
def test_the_order_in_which_groups_come_does_not_matter(order: list[str], share: float, seed: int) -> None:
    assert freezing.sides(order, share, seed) == freezing.sides(sorted(order), share, seed)


def test_the_share_held_out_is_about_the_one_that_was_asked_for() -> None:
    side = freezing.sides((f"g{number}" for number in range(5000)), 0.2, 3)
    assert 0.18 < list(side.values()).count("heldout") / 5000 < 0.22


def test_rankings_keep_ties_and_answers_left_out() -> None:
    made = project()
    rank(add_item(made, "one", ["a", "b", "c", "d"]), "ada", [1, 2, 2, None])
    row = lines(frozen(made), "train")[0]
    assert row["ranks"] == [1, 2, 2, None]
    assert row["completions"] == ["a", "b", "c", "d"]


def test_pairs_drop_ties_and_count_them() -> None:
    made = project()
    rank(add_item(made, "one", ["a", "b", "c", "d"]), "ada", [1, 2, 2, None])
    snapshot = frozen(made, "pair")
    assert [(row["chosen"], row["rejected"]) for row in lines(snapshot, "train")] == [("a", "b"), ("a", "c")]
    assert snapshot.counts["dropped"] == {"ties": 1}


def test_only_ties_leave_no_pairs_and_the_refusal_says_what_to_do() -> None:
    made = project()
    rank(add_item(made, "one", ["a", "b"]), "ada", [1, 1])
    with pytest.raises(freezing.CannotFreeze, match="Freeze rankings instead"):
        frozen(made, "pair")
    assert not Snapshot.objects.exists()


@pytest.mark.parametrize(
    ("answer", "chosen", "margin"), [((1, 3), "a", 3.0), ((2, 1), "b", 1.0), ((1, None), "a", None)]
)
def test_the_strength_of_a_comparison_becomes_the_margin_of_its_pair(
    answer: tuple[int, int | None], chosen: str, margin: float | None
) -> None:
    made = project(question="comparison")
    judge(add_item(made, "one", ["a", "b"]), "ada", {"winner": answer[0], "strength": answer[1]})
    [row] = lines(frozen(made, "pair"), "train")
    assert (row["chosen"], row["margin"]) == (chosen, margin)


def test_only_the_current_judgement_is_frozen() -> None:
    made = project()
    item = add_item(made, "one", ["a", "b"])
    first = rank(item, "ada", [1, 2])
    second = rank(item, "ada", [2, 1])
    other = rank(item, "bo", [1, 2])
    snapshot = frozen(made)
    rows = lines(snapshot, "train")
    assert [row["ranks"] for row in rows] == [[2, 1], [1, 2]]
    assert snapshot.judgement_ids == [second.pk, other.pk]
    assert first.pk not in snapshot.judgement_ids


@pytest.mark.parametrize("rows", ["ranking", "pair"])
def test_every_row_names_its_judgements_and_the_snapshot_names_them_all(rows: str) -> None:
    made = planted()
    snapshot = frozen(made, rows)
    found = [row for split in freezing.SPLITS for row in lines(snapshot, split)]
    named = {number for row in found for number in row["judgements"]}
    assert named == set(snapshot.judgement_ids)
    assert len(snapshot.judgement_ids) == snapshot.counts["judgements"] == 12
    assert all(row["annotators"] == [made.memberships.get(user__username="ada").pseudonym] for row in found)
    assert all("ada" not in json.dumps(row) for row in found)


@pytest.mark.parametrize("rows", ["ranking", "pair"])
def test_the_rows_are_those_of_the_contract(rows: str) -> None:
    snapshot = frozen(planted(), rows)
    for split in freezing.SPLITS:
        for row in lines(snapshot, split):
            assert check_row(row, [rows]).items() >= row.items()


def test_what_people_wrote_survives_to_the_byte() -> None:
    made = project()
    texts = ["Grüße 🙂 \u2028 next", 'a "quoted" \\ line\nand another', "\u202eright to left", "שלום"]
    rank(add_item(made, "one", texts, prompt="Warum? 東京\r\n"), "ada", [1, 2, 3, 4])
    [row] = lines(frozen(made), "train")
    assert row["completions"] == texts
    assert row["prompt"] == "Warum? 東京\r\n"


def test_passages_stand_after_the_question_so_that_cutting_cuts_passages() -> None:
    made = project()
    item = add_item(made, "one", ["a", "b"], prompt="Who?")
    item.context = [{"title": "T", "text": "long"}, {"title": "", "text": "short"}]
    item.save()
    rank(item, "ada", [1, 2])
    assert lines(frozen(made), "train")[0]["prompt"] == "Who?\n\nT\nlong\n\nshort"


def test_a_conversation_stays_a_list_of_messages() -> None:
    made = project()
    item = add_item(made, "one", ["a", "b"])
    item.prompt = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]
    item.save()
    rank(item, "ada", [1, 2])
    [row] = lines(frozen(made), "train")
    assert row["prompt"] == item.prompt


def test_nothing_judged_is_said_clearly() -> None:
    made = project()
    add_item(made, "one", ["a", "b"])
    with pytest.raises(freezing.CannotFreeze, match="There are no judgements yet"):
        frozen(made)


def test_a_kind_of_rows_that_is_not_offered_is_said_with_those_that_are() -> None:
    with pytest.raises(freezing.CannotFreeze, match=r"“texts”.*ranking, pair"):
        frozen(planted(2), "texts")


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, float("nan"), float("inf")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(freezing.CannotFreeze, match=r"between 0\.01 and 0\.9"):
        frozen(planted(2), heldout=share)


@pytest.mark.parametrize("file", ["train.jsonl", "heldout.jsonl", "manifest.json"])
def test_a_changed_file_is_noticed_and_freezing_again_mends_it(file: str) -> None:
    made = planted()
    snapshot = frozen(made)
    before = content(snapshot)
    path: Path = freezing.folder(snapshot) / file
    path.write_bytes(path.read_bytes().replace(b'"ranking"', b'"pairing"').replace(b"please", b"cheers"))
    assert content(snapshot) != before or file == "manifest.json"
    with pytest.raises(freezing.CannotFreeze, match="changed"):
        freezing.verify(snapshot)
    assert frozen(made).pk == snapshot.pk
    freezing.verify(snapshot)
    assert content(snapshot) == before


def test_files_that_are_gone_are_written_again_by_freezing_again() -> None:
    made = planted()
    snapshot = frozen(made)
    before = content(snapshot)
    for path in freezing.folder(snapshot).iterdir():
        path.unlink()
    assert frozen(made).pk == snapshot.pk
    assert content(snapshot) == before


@pytest.mark.parametrize(
    "statement",
    ["UPDATE training_snapshot SET rows = 'pair'", "DELETE FROM training_snapshot"],
    ids=["update", "delete"],
)
def test_the_database_itself_refuses_to_change_a_snapshot(statement: str) -> None:
    frozen(planted(3))
    with (
        pytest.raises(DatabaseError, match="Cannot update or delete"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
    assert Snapshot.objects.get().rows == "ranking"


def test_another_projects_judgements_are_not_frozen() -> None:
    other = planted(5, name="other")
    mine = planted(3, name="mine")
    assert frozen(mine).counts["judgements"] == 3
    assert frozen(other).counts["judgements"] == 5


@pytest.mark.django_db(transaction=True)
def test_what_is_judged_while_it_freezes_waits_for_the_next_snapshot() -> None:
    """The freeze reads one moment: rows and ids agree though judgements come in between its statements."""
    import threading

    from django.db import connections

    made = planted(6)
    items = [add_item(made, f"later-{number}", ["a", "b"]) for number in range(20)]

    def go_on() -> None:
        for item in items:
            rank(item, "bo", [1, 2])
        connections.close_all()

    judging = threading.Thread(target=go_on)
    judging.start()
    while judging.is_alive():
        snapshot = frozen(made)
        named = {n for split in freezing.SPLITS for row in lines(snapshot, split) for n in row["judgements"]}
        assert named == set(snapshot.judgement_ids)
    judging.join()
    assert frozen(made).counts["judgements"] == 26


def test_where_people_ranked_and_rated_the_rankings_are_those_they_gave() -> None:
    made = belonging.create_project(
        name="Both", questions=[asking.draft("ranking"), asking.draft("rating")], creator=person("lin")
    )
    item = add_item(made, "one", ["a", "b"])
    names = [aspect.name for aspect in asking.questions_of(made)[1].options.aspects]  # type: ignore[attr-defined]
    scores = [dict.fromkeys(names, 1), dict.fromkeys(names, 2)]  # by which b would be better
    Judgement.objects.create(
        item=item, member=member(made, "ada"), key=uuid.uuid4(),
        answers={"ranking": {"ranks": [1, 2]}, "rating": {"scores": scores}},
    )  # fmt: skip
    assert [row["ranks"] for row in lines(frozen(made), "train")] == [[1, 2]]
    rated = freezing.freeze(project=made, rows="ranking", question="rating")
    assert [row["ranks"] for row in lines(rated, "train")] == [[2, 1]]
    assert rated.options["question"] == "rating"
    with pytest.raises(freezing.CannotFreeze, match="The questions are: ranking, rating"):
        freezing.freeze(project=made, rows="ranking", question="ratings")


def test_prompts_are_frozen_whether_judged_or_not_and_stand_on_the_side_of_their_judgements() -> None:
    made = planted(8)
    for number in range(4):
        add_item(made, f"more-{number}", [], prompt=f"What is {number}?")
    rankings, prompts = frozen(made), frozen(made, "prompt")
    assert (prompts.counts["judgements"], prompts.judgement_ids) == (0, [])
    rows = {split: lines(prompts, split) for split in freezing.SPLITS}
    assert sum(map(len, rows.values())) == 12
    for split in freezing.SPLITS:
        assert all(check_row(row, ["prompt"]) for row in rows[split])
        assert {row["prompt"] for row in lines(rankings, split)} <= {row["prompt"] for row in rows[split]}


def test_prompts_that_nobody_has_judged_can_be_taken_alone_and_one_asked_twice_stands_once() -> None:
    made = planted(3)
    for key in ("a", "b"):
        add_item(made, key, ["x"], prompt="Why?", group="why")
    snapshot = freezing.freeze(project=made, rows="prompt", unjudged=True)
    assert [row["prompt"] for split in freezing.SPLITS for row in lines(snapshot, split)] == ["Why?"]
    assert snapshot.counts["dropped"] == {"asked-again": 1}
    assert snapshot.hash != freezing.freeze(project=made, rows="prompt").hash


def test_no_prompt_stands_on_both_sides_though_its_items_were_given_several_groups() -> None:
    made = project()
    for number in range(40):
        rank(add_item(made, f"i{number}", ["a", "b"], prompt=f"Why {number % 10}?", group=f"g{number}"), "ada", [1, 2])
    for kind in ("ranking", "prompt"):
        snapshot = frozen(made, kind, heldout=0.4)
        train, heldout = ({row["prompt"] for row in lines(snapshot, split)} for split in freezing.SPLITS)
        assert train
        assert heldout
        assert not train & heldout
        assert snapshot.counts["groups"] == {"train": len(train), "heldout": len(heldout)}
    assert snapshot.counts["dropped"] == {"asked-again": 30}


def test_the_same_question_about_other_passages_is_another_prompt() -> None:
    made = project()
    for number in range(20):
        item = add_item(made, f"i{number}", ["a", "b"], prompt="Sum it up.", group=f"g{number}")
        item.context = [{"title": "", "text": f"Passage {number}"}]
        item.save()
        rank(item, "ada", [1, 2])
    assert sum(frozen(made).counts["groups"].values()) == 20


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("uvwxyz")), max_size=20))
def test_groups_that_hold_the_same_are_one_and_others_are_not(held: list[tuple[str, str]]) -> None:
    found = Joined(held)
    names = {group: {group} for group, _ in held}  # by going along shared texts until nothing changes
    for _ in held:
        for one, text in held:
            for other, same in held:
                if text == same:
                    names[one] = names[other] = names[one] | names[other]
    assert {group: found.of(group) for group in names} == {group: min(name) for group, name in names.items()}


def test_a_refused_freeze_leaves_no_file_behind() -> None:
    made = project()
    with pytest.raises(freezing.CannotFreeze):
        frozen(made)
    assert not list(freezing._top().iterdir())


def test_prompts_that_are_not_there_are_said_so() -> None:
    with pytest.raises(freezing.CannotFreeze, match="no items yet"):
        freezing.freeze(project=project("empty"), rows="prompt")
    made = planted(2)
    with pytest.raises(freezing.CannotFreeze, match="Every item has been judged"):
        freezing.freeze(project=made, rows="prompt", unjudged=True)
    with pytest.raises(freezing.CannotFreeze, match="name no question"):
        freezing.freeze(project=made, rows="prompt", question="ranking")
    with pytest.raises(freezing.CannotFreeze, match="Only prompts"):
        freezing.freeze(project=made, rows="ranking", unjudged=True)


def test_a_project_without_judgements_offers_its_prompts_on_the_page(client: Client) -> None:
    made = project()
    add_item(made, "one", ["a", "b"])
    client.force_login(person("lin"))
    page = client.get("/p/planted/snapshots/").text
    assert "Freeze the prompt of 1 item" in page
    answer = client.post("/p/planted/snapshots/", {"rows": "prompt", "heldout": "0.2", "split_seed": "0"}, follow=True)
    assert "Frozen: 1 rows to train on" in answer.text
    assert "The judgements behind it" not in answer.text


def test_the_form_begins_with_rows_that_the_judgements_give(client: Client) -> None:
    """Labels of whole items are no good and bad answers, which stand first among the choices."""
    made = project(question="label")
    item = add_item(made, "one", [])
    client.force_login(person("lin"))
    form = client.get("/p/planted/snapshots/").context["form"]
    assert [kind for kind, _ in form.fields["rows"].choices] == ["unpaired", "label", "prompt", "text"]
    assert form["rows"].value() == "prompt"
    judge(item, "ada", {"labels": [[label.parse(made.questions.get().options["labels"])[0].name]]})
    assert client.get("/p/planted/snapshots/").context["form"]["rows"].value() == "label"


def test_settings_for_other_rows_do_not_count_on_the_page(client: Client) -> None:
    made = planted(4)
    client.force_login(person("lin"))
    sent = {
        "rows": "ranking",
        "heldout": "0.2",
        "split_seed": "0",
        "unjudged": "on",
        "with_items": "on",
        "passage": "0",
    }
    assert "rows to train on" in client.post("/p/planted/snapshots/", sent, follow=True).text
    assert Snapshot.objects.get(project=made).options == {"heldout": 0.2, "split_seed": 0}


def test_rows_say_which_model_wrote_each_answer_where_that_is_known() -> None:
    made = planted()
    assert all("sources" not in row for row in lines(frozen(made), "train"))
    item = add_item(made, "known", ["a", "b", "c"])
    item.responses.filter(text="a").update(source="small")
    item.responses.filter(text="c").update(source="large")
    rank(item, "bo", [3, 2, 1])
    for kind, texts in (
        ("ranking", lambda row: row["completions"]),
        ("pair", lambda row: [row["chosen"], row["rejected"]]),
    ):
        snapshot = frozen(made, kind)
        found = [row for split in ("train", "heldout") for row in lines(snapshot, split) if row["item"] == "known"]
        assert found
        known = {"a": "small", "b": "", "c": "large"}
        assert all(row["sources"] == [known[text] for text in texts(row)] for row in found)
