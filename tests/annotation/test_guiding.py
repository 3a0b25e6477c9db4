"""Guidelines: versions, examples, who has read what, and what changed between two of them."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from django.test import Client

from annotation import belonging, guiding
from annotation.guiding import Piece
from annotation.models import Guidelines, Item, Project
from tests.builders import add_items, claim, judge, member_of, person, project_of, signed_in
from tests.webapp.page_reading import Page
from webapp.people.models import User

pytestmark = pytest.mark.django_db
EXAMPLE = {
    "prompt": "Why is the sea salty?",
    "answers": [{"text": "Rivers carry salt.", "verdict": "good"}, {"text": "Because.", "verdict": "bad"}],
    "why": "An answer gives a reason.",
}


@pytest.fixture
def lin() -> User:
    return person("lin")


@pytest.fixture
def ada() -> User:
    return person("ada")


@pytest.fixture
def project(lin: User, ada: User) -> Project:
    made = project_of(lin, ada)
    add_items(made, 2)
    return made


def version(project: Project) -> Guidelines:
    found = guiding.current(project)
    assert found is not None
    return found


def test_whoever_is_new_reads_the_guidelines_before_the_desk_and_then_judges(project: Project) -> None:
    bo = person("bo")
    belonging.join(project=project, user=bo)
    client = signed_in(bo)
    page = client.get(f"/p/{project.slug}/judge/")
    assert "Truth first." in page.text
    assert "Start judging" in page.text
    assert "data-judgement" not in page.text
    onward = client.post(f"/p/{project.slug}/guidelines/read/", {"version": "1", "next": f"/p/{project.slug}/judge/"})
    assert (onward.status_code, onward["Location"]) == (302, f"/p/{project.slug}/judge/")
    assert "data-judgement" in client.get(f"/p/{project.slug}/judge/").text


def test_whoever_wrote_the_guidelines_has_read_them(project: Project, lin: User) -> None:
    assert guiding.must_read(member=member_of(project, lin)) is None
    guiding.write(project=project, text="Brevity first.", actor=lin)
    assert guiding.must_read(member=member_of(project, lin)) is None


def test_a_change_shows_what_is_new_to_whoever_knew_the_old_ones(project: Project, lin: User, ada: User) -> None:
    guiding.write(project=project, text="Truth first. Then brevity.", actor=lin, change="Short answers count now.")
    client = signed_in(ada)
    page = client.get(f"/p/{project.slug}/judge/").text
    assert "The guidelines have changed" in page
    assert "Short answers count now." in page
    assert '<ins><span class="sr-only">added:</span> Then brevity.</ins>' in page
    assert "I have read it" in page
    client.post(f"/p/{project.slug}/guidelines/read/", {"version": "2"})
    assert member_of(project, ada).guidelines_read == 2
    assert "data-judgement" in client.get(f"/p/{project.slug}/judge/").text


def test_a_correction_waits_for_the_guidelines_too_but_work_that_is_sent_is_taken(
    project: Project, lin: User, ada: User
) -> None:
    assignment = claim(project, ada)
    guiding.write(project=project, text="Brevity first.", actor=lin)
    client = signed_in(ada)
    address = f"/p/{project.slug}/judge/{assignment.pk}/"
    assert "The guidelines have changed" in client.get(address).text
    judge(project, ada)
    assert client.get(f"/p/{project.slug}/judge/ahead/").status_code == 204


def test_the_gate_leads_back_into_the_project_and_nowhere_else(project: Project, ada: User) -> None:
    client = signed_in(ada)
    for elsewhere in ("https://example.org/", "//example.org", "/p/other/judge/", "javascript:alert(1)", ""):
        answer = client.post(f"/p/{project.slug}/guidelines/read/", {"version": "1", "next": elsewhere})
        assert answer["Location"] == f"/p/{project.slug}/judge/"


@pytest.mark.parametrize("given", ["", "x", "9", "-1", "²", "9" * 5000])
def test_a_version_that_was_never_written_cannot_be_confirmed(
    project: Project, lin: User, ada: User, given: str
) -> None:
    guiding.write(project=project, text="Brevity first.", actor=lin)
    assert signed_in(ada).post(f"/p/{project.slug}/guidelines/read/", {"version": given}).status_code == 302
    assert member_of(project, ada).guidelines_read == 1


def test_confirming_an_older_version_takes_nothing_back(project: Project, lin: User, ada: User) -> None:
    guiding.write(project=project, text="Brevity first.", actor=lin)
    guiding.confirm(member=member_of(project, ada), version=2)
    guiding.confirm(member=member_of(project, ada), version=1)
    assert member_of(project, ada).guidelines_read == 2


def test_empty_guidelines_stand_before_nothing(lin: User, ada: User) -> None:
    empty = project_of(lin, ada, name="Empty", guidelines="")
    assert guiding.must_read(member=member_of(empty, ada)) is None
    guiding.write(project=empty, text="Now there are some.", actor=lin)
    reading = guiding.must_read(member=member_of(empty, ada))
    assert reading is not None
    assert reading.before is None  # there was nothing to compare with


def test_examples_make_a_version_and_the_same_again_makes_none(project: Project, lin: User) -> None:
    blank = {"prompt": " ", "answers": [{"text": "", "verdict": ""}], "why": ""}
    made = guiding.write(project=project, text="Truth first.", actor=lin, examples=[EXAMPLE, blank])
    assert (made.version, made.examples) == (2, [EXAMPLE])
    assert guiding.write(project=project, text="Truth first.", actor=lin, examples=[EXAMPLE]).version == 2
    assert guiding.write(project=project, text="Brevity.", actor=lin).examples == [EXAMPLE]  # None keeps them


@pytest.mark.parametrize(
    ("example", "words"),
    [
        (EXAMPLE | {"prompt": ""}, "Example 1 has no prompt"),
        (EXAMPLE | {"answers": []}, "Example 1: every answer needs its text"),
        (EXAMPLE | {"answers": [{"text": "", "verdict": "good"}]}, "every answer needs its text"),
        (EXAMPLE | {"answers": [{"text": "x", "verdict": "y" * 61}]}, "at most 60 characters"),
        (EXAMPLE | {"answers": [{"text": "x", "verdict": ""}] * 11}, "more than ten answers"),
    ],
)
def test_a_wrong_example_is_refused_with_what_to_change(
    project: Project, lin: User, example: dict[str, object], words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        guiding.write(project=project, text="Truth first.", actor=lin, examples=[example])
    assert version(project).version == 1


def test_sentences_that_came_and_went_are_marked_within_their_line() -> None:
    (stretch,) = guiding.difference("Be true. Be short.", "Be true. Be kind.")
    assert stretch.changed
    assert stretch.lines == [[Piece("same", "Be true."), Piece("removed", "Be short."), Piece("added", "Be kind.")]]


def test_lines_that_stayed_are_apart_from_those_that_came() -> None:
    stretches = guiding.difference("# Rules\n\nBe true.", "# Rules\n\nBe true.\nBe kind.\n")
    assert [stretch.changed for stretch in stretches] == [False, True]
    assert stretches[1].lines == [[Piece("added", "Be kind.")]]


def test_a_lead_writes_text_and_examples_on_one_page(project: Project, lin: User) -> None:
    client = signed_in(lin)
    form = {
        "based_on": "1", "text": "Truth first.\r\nThen brevity.", "change": "Brevity counts.",
        "example-0-prompt": EXAMPLE["prompt"], "example-0-why": EXAMPLE["why"],
        "example-0-answer": ["Rivers carry salt.", "Because.", ""], "example-0-verdict": ["good", "bad", ""],
    }  # fmt: skip
    assert client.post(f"/p/{project.slug}/guidelines/write/", form).status_code == 302
    made = version(project)
    assert (made.version, made.text, made.change) == (2, "Truth first.\nThen brevity.", "Brevity counts.")
    assert made.examples == [EXAMPLE]
    shown = client.get(f"/p/{project.slug}/guidelines/").text
    assert "Rivers carry salt." in shown
    assert "New example" in shown


def test_adding_an_example_and_a_refusal_keep_all_that_was_typed(project: Project, lin: User) -> None:
    client, address = signed_in(lin), f"/p/{project.slug}/guidelines/write/"
    form = {"based_on": "1", "text": "New text", "change": "words", "example-0-prompt": "", "example-0-why": "a reason"}
    more = client.post(address, form | {"add_example": "1"})
    assert more.status_code == 200
    assert "example-1-prompt" in more.text
    refused = client.post(address, form)
    assert refused.status_code == 400
    for typed in ("New text", "words", "a reason", "Example 1 has no prompt"):
        assert typed in refused.text
    assert version(project).version == 1


def test_two_leads_who_write_at_once_do_not_overwrite_each_other_unseen(project: Project, lin: User) -> None:
    guiding.write(project=project, text="The other lead's.", actor=None)
    client, address = signed_in(lin), f"/p/{project.slug}/guidelines/write/"
    answer = client.post(address, {"based_on": "1", "text": "Mine."})
    assert answer.status_code == 400
    assert "Somebody has written version 2 meanwhile" in answer.text
    assert Page(answer.text).value("based_on") == "2"
    assert client.post(address, {"based_on": "2", "text": "Mine."}).status_code == 302


def test_an_item_becomes_an_example(project: Project, lin: User) -> None:
    item = Item.objects.get(key="i1")
    page = signed_in(lin).get(f"/p/{project.slug}/guidelines/write/?item={item.pk}").text
    assert "Question 1 of i?" in page
    assert "Answer 1.3" in page
    assert signed_in(lin).get(f"/p/{project.slug}/guidelines/write/?item=999999").status_code == 404


def test_the_preview_is_what_annotators_will_see_and_harms_nobody(project: Project, lin: User) -> None:
    client: Client = signed_in(lin)
    answer = client.post(f"/p/{project.slug}/guidelines/preview/", {"text": "**bold** <script>alert(1)</script>"})
    assert "<strong>bold</strong>" in answer.text
    assert "<script" not in answer.text


def test_hostile_words_are_escaped_on_every_page(project: Project, lin: User, ada: User) -> None:
    bad = "<script>alert(1)</script>"
    example = {"prompt": bad, "answers": [{"text": bad, "verdict": bad}], "why": bad}
    guiding.write(project=project, text=bad, actor=lin, examples=[example], change=bad)
    for user, path in ((ada, "judge/"), (ada, "guidelines/"), (lin, "guidelines/write/")):
        assert bad not in signed_in(user).get(f"/p/{project.slug}/{path}").text
