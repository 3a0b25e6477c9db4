"""A good file comes in as it is, once, all of it."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings

from annotation import asking, belonging
from annotation.importing import ImportRefused
from annotation.models import Import, Item, Judgement, Membership, Project, Response
from tests.builders import as_lines, bring_in, member_of, person, project_of, rows

pytestmark = pytest.mark.django_db
KEPT = (Item, Response, Judgement, Membership)


@pytest.fixture
def project() -> Project:
    return project_of(person("lin"), overlap=2)


def kept() -> dict[str, int]:
    return {model.__name__: model.objects.count() for model in KEPT}


def test_rows_with_our_own_words_need_no_mapping(project: Project) -> None:
    records = rows(2, answers=3)
    records[0] |= {"ranks": [2, 1, 2], "annotator": "expert-7", "sources": ["m1", "m2", None], "group": "tides"}
    records[1] |= {"context": [["Title", "One.", "Two."], {"title": "T", "text": "x"}, "bare"], "ranks": [None, 3, 9]}
    counts = bring_in(project, as_lines(records))
    assert (counts.items, counts.responses, counts.judgements, counts.annotators) == (2, 6, 2, 2)
    first, second = Item.objects.order_by("position")
    assert first.prompt == [{"role": "user", "content": "Question 0 of i?"}]
    assert (first.key, first.group, first.imported, first.free) == ("i0", "tides", 1, 1)
    assert [(r.text, r.source) for r in first.responses.all()] == [
        ("Answer 0.0", "m1"),
        ("Answer 0.1", "m2"),
        ("Answer 0.2", ""),
    ]
    judgement = Judgement.objects.get(item=first)
    assert judgement.answers == {"ranking": {"ranks": [2, 1, 2]}}
    assert (judgement.member.pseudonym, judgement.member.user_id, judgement.origin) == ("expert-7", None, "import")
    assert [p["title"] for p in second.context] == ["Title", "T", ""]
    assert Judgement.objects.get(item=second).answers == {"ranking": {"ranks": [None, 1, 2]}}


def test_a_conversation_comes_in_as_it_is(project: Project) -> None:
    talk = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Yo"},
    ]
    bring_in(project, as_lines([{"id": 1, "prompt": talk, "responses": ["a", "b"]}]))
    item = Item.objects.get()
    assert (item.key, item.prompt) == ("1", talk)


def test_items_of_the_same_prompt_are_of_one_group_and_others_are_not(project: Project) -> None:
    same = [{"id": n, "prompt": "p", "responses": ["a", str(n)]} for n in range(2)]
    bring_in(project, as_lines([*same, {"id": 9, "prompt": "q", "responses": ["a", "b"]}]))
    groups = list(Item.objects.order_by("position").values_list("group", flat=True))
    assert groups[0] == groups[1] != groups[2]


def test_a_byte_order_mark_and_windows_line_ends_and_blank_lines_are_taken(project: Project) -> None:
    content = b"\xef\xbb\xbf" + as_lines(rows(3)).replace(b"\n", b"\r\n\r\n")
    assert bring_in(project, content).items == 3


def test_every_script_and_sign_comes_back_as_it_was(project: Project) -> None:
    text = "żółć 漢字 عربى 👩🏽‍🚀 \u202e\u0007 \\n <b>&amp; \u2028 end"
    bring_in(project, as_lines([{"id": "漢", "prompt": text, "responses": [text, " \n" + text]}]))
    item = Item.objects.get()
    assert item.prompt[0]["content"] == text
    assert [r.text for r in item.responses.all()] == [text, " \n" + text]


def test_an_empty_answer_is_an_answer(project: Project) -> None:
    assert bring_in(project, as_lines([{"id": 1, "prompt": "p", "responses": ["", "b"]}])).responses == 2


def test_judgements_that_are_new_come_in_for_items_that_are_there(project: Project) -> None:
    bare = rows(3)
    bring_in(project, as_lines(bare))
    judged = [row | {"ranks": [1, 2, 3, 4], "annotator": "first"} for row in bare]
    counts = bring_in(project, as_lines(judged))
    assert (counts.items, counts.already_there, counts.judgements) == (0, 3, 3)
    again = bring_in(project, as_lines(judged))
    assert again.judgements == 0
    others = bring_in(project, as_lines([row | {"annotator": "second"} for row in judged]))
    assert others.judgements == 3
    assert set(Item.objects.values_list("imported", "free")) == {(2, max(0, project.overlap - 2))}


def test_a_repeated_import_changes_nothing(project: Project) -> None:
    content = as_lines([row | {"ranks": [1, 2, 3, 4]} for row in rows(5)])
    bring_in(project, content)
    before, items = kept(), list(Item.objects.values())
    counts = bring_in(project, content)
    assert (counts.items, counts.already_there, counts.judgements) == (0, 5, 0)
    assert kept() == before
    assert list(Item.objects.values()) == items


def test_a_longer_file_adds_what_is_new_after_what_is_there(project: Project) -> None:
    bring_in(project, as_lines(rows(3)))
    counts = bring_in(project, as_lines(rows(5)))
    assert (counts.items, counts.already_there) == (2, 3)
    assert list(Item.objects.values_list("key", "position")) == [(f"i{n}", n) for n in range(5)]


def test_the_same_id_with_other_content_is_refused_by_line_and_id(project: Project) -> None:
    bring_in(project, as_lines(rows(3)))
    before = kept()
    changed = [*rows(2, prefix="new"), rows(2)[1] | {"prompt": "Something else?"}]
    with pytest.raises(ImportRefused) as refusal:
        bring_in(project, as_lines(changed))
    (problem,) = refusal.value.problems
    assert problem.line == 3
    assert "'i1'" in str(problem)
    assert kept() == before


def test_the_same_id_in_another_project_is_another_item(project: Project) -> None:
    bring_in(project, as_lines(rows(2)))
    assert bring_in(project_of(person("bo"), name="Other"), as_lines(rows(2))).items == 2


def test_a_pseudonym_of_somebody_who_judges_here_is_refused(project: Project) -> None:
    taken = member_of(project, project.created_by).pseudonym
    before = kept()
    with pytest.raises(ImportRefused, match="belongs to somebody"):
        bring_in(project, as_lines([rows(1)[0] | {"ranks": [1, 2, 3, 4], "annotator": taken}]))
    assert kept() == before


def test_imported_annotators_are_the_same_people_in_the_next_file(project: Project) -> None:
    ranked: dict[str, Any] = {"ranks": [1, 2, 3, 4], "annotator": "w1"}
    assert bring_in(project, as_lines([rows(1)[0] | ranked])).annotators == 1
    assert bring_in(project, as_lines([rows(1, prefix="x")[0] | ranked])).annotators == 0


def test_more_than_one_batch_of_items_comes_in_in_order(project: Project) -> None:
    assert bring_in(project, as_lines(rows(1203, answers=2))).items == 1203
    positions = Item.objects.order_by("position").values_list("position", "key")
    assert list(positions) == [(n, f"i{n}") for n in range(1203)]


def test_an_error_in_a_late_batch_takes_back_the_early_ones(project: Project) -> None:
    before = kept()
    with pytest.raises(ImportRefused) as refusal:
        bring_in(project, as_lines([*rows(1203, answers=2), {"id": "last", "prompt": "p"}]))
    assert [(p.line, p.field) for p in refusal.value.problems] == [(1204, "responses")]
    assert kept() == before


def test_several_lookups_and_votes_and_codes_work_together(project: Project) -> None:
    pairs = project_of(person("bo"), name="Pairs", question="comparison")
    record = {"n": 1, "q": "Which?", "x": "left", "y": "right", "v": [{"w": "W1", "v": "l"}, {"w": "W2", "v": "eq"}]}
    mapping = {
        "id": "n", "prompt": "q", "responses": "x,y", "votes": "v", "vote_winner": "v", "vote_annotator": "w",
        "codes": "l:1,r:2,eq:0",
    }  # fmt: skip
    assert bring_in(pairs, as_lines([record]), mapping).judgements == 2
    found = Judgement.objects.filter(item__project=pairs).values_list("member__pseudonym", "answers")
    assert {who: answers["comparison"]["winner"] for who, answers in found} == {"W1": 1, "W2": 0}


def test_an_import_is_recorded_with_what_it_did(project: Project) -> None:
    bring_in(project, as_lines(rows(2)))
    batch = Import.objects.get()
    assert batch.done_at is not None
    assert (batch.counts["items"], batch.counts["lines"]) == (2, 2)
    assert settings.IMPORT_MAX_BYTES > 50 * 1024 * 1024


def test_what_people_wrote_comes_in_with_their_ranks_as_one_judgement() -> None:
    both = [asking.draft("ranking"), asking.draft("demonstration")]
    asked = belonging.create_project(name="Both", questions=both, creator=None)
    records = rows(3, answers=2)
    records[0] |= {"ranks": [2, 1], "demonstration": "The moon pulls.\r\nTwice.", "annotator": "expert-7"}
    records[1] |= {"demonstration": "Seven."}
    records[2] |= {"demonstration": ""}
    counts = bring_in(asked, as_lines(records))
    assert (counts.items, counts.judgements) == (3, 2)
    first, second = Judgement.objects.order_by("item__position")
    assert first.answers == {
        "ranking": {"ranks": [2, 1]}, "demonstration": {"text": "The moon pulls.\nTwice.", "edited_from": None},
    }  # fmt: skip
    assert second.answers == {"demonstration": {"text": "Seven.", "edited_from": None}}
    assert bring_in(asked, as_lines(records)).judgements == 0


def test_a_demonstration_that_nobody_asked_for_or_is_against_the_rules_stops_the_import(project: Project) -> None:
    record = rows(1, answers=2)[0] | {"demonstration": "Seven."}
    with pytest.raises(ImportRefused, match="asks nobody to write"):
        bring_in(project, as_lines([record]))
    question = asking.draft("demonstration", options={"min_length": 50})
    strict = belonging.create_project(name="Strict", questions=[question], creator=None)
    with pytest.raises(ImportRefused, match="too short"):
        bring_in(strict, as_lines([record]))
    assert not Item.objects.exists()
