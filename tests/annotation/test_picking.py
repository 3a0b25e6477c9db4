"""Fields are named with commas between them, and one whose name has a comma in quotation marks, on the screen and by command."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from hypothesis import assume, given
from hypothesis import strategies as st

from annotation import mapping, picking
from annotation.formats.jsonl import Problem
from annotation.models import Item, Judgement, Project, Text
from tests.builders import person, project_of, signed_in

TABLE = b'"Question, long",more,"Answer, 1","Answer, 2",Who\nWhy?,now,a,b,bo\n'


@pytest.fixture
def project(db: None) -> Project:
    return project_of(person("lin"))


names = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=12).map(str.strip)


@given(st.lists(names, min_size=1, max_size=4))
def test_fields_are_read_back_as_they_were_named(fields: list[str]) -> None:
    assume(all(fields))
    assert picking.named(",".join(map(picking.quoted, fields))) == fields
    assert [picking.one(picking.quoted(field)) for field in fields] == fields


@pytest.mark.parametrize(("fields", "words"), [
    ('"a, b', "a quotation mark is never closed"), ('"a" b,c', "something stands behind it"), (" , ", "no field is named"),
])  # fmt: skip
def test_what_cannot_be_read_as_fields_is_refused(fields: str, words: str) -> None:
    with pytest.raises(Problem, match=words):
        picking.named(fields)


def test_a_column_with_a_comma_in_its_name_is_offered_in_quotation_marks_and_taken(project: Project) -> None:
    lin = signed_in(project.created_by)
    page = lin.post(f"/p/{project.slug}/import/", {"file": SimpleUploadedFile("a.csv", TABLE)})["Location"]
    assert '<option value="&quot;Answer, 1&quot;">' in lin.get(page).text
    plain = {"id": "", "prompt": "Question, long", "responses": '"Answer, 1","Answer, 2"', "annotator": '"Who"'}
    refused = lin.post(page, plain)
    assert refused.status_code == 400
    assert "stands in quotation marks: &quot;Question, long&quot;" in refused.text
    for wrong, words in (('"Question, long', "never closed"), ("Question, long,more", "there is no field “Question”")):
        assert words in lin.post(page, plain | {"prompt": wrong}).text
    assert lin.post(page, plain | {"prompt": '"Question, long", more'}).status_code == 302
    item = Item.objects.get()
    assert item.prompt[0]["content"] == "Why?\n\nnow"
    assert [response.text for response in item.responses.all()] == ["a", "b"]


def test_the_command_takes_such_columns_and_labels(db: None, tmp_path: Path) -> None:
    project = project_of(person("lin"), question="label")
    file = tmp_path / "labelled.csv"
    file.write_text('"Late, again",angry\nHello,calm\n')
    call = (
        "import_items",
        project.slug,
        str(file),
        "--map",
        "id=",
        "--new-labels",
        "--columns",
        '"text, said","mood, found"',
    )
    with pytest.raises(CommandError, match="a comma parts two fields"):
        call_command(*call, "--map", "prompt=text, said", "--map", "label=mood, found")
    call_command(*call, "--map", 'prompt="text, said"', "--map", 'label="mood, found"')
    assert [item.prompt[0]["content"] for item in Item.objects.order_by("position")] == ["Late, again", "Hello"]
    assert [one.answers["label"]["labels"] for one in Judgement.objects.order_by("item__position")] == [
        [["angry"]],
        [["calm"]],
    ]


def test_where_a_column_with_a_comma_has_a_value(project: Project, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(TABLE + b"Where?,here,a,b,lin\n")
    mapping = ["id=", 'prompt="Question, long"', 'responses="Answer, 1","Answer, 2"', 'where="Question, long"=Where?']
    call_command("import_items", project.slug, str(file), *(part for one in mapping for part in ("--map", one)))
    assert Item.objects.get().prompt[0]["content"] == "Where?"


def test_texts_may_stand_in_such_a_column(project: Project, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text('"Text, whole",n\nOnce.,1\n')
    for name in ('"Text, whole"', "Text, whole"):
        call_command("import_texts", project.slug, str(file), "--map", f"text={name}")
    assert Text.objects.get().text == "Once."
    with pytest.raises(CommandError, match="text: a quotation mark is never closed"):
        call_command("import_texts", project.slug, str(file), "--map", 'text="Text')


def test_a_name_on_two_lines_is_one_line(project: Project, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text('"Text\nwhole",n\nOnce.,1\n')
    call_command("import_texts", project.slug, str(file), "--map", "text=Text whole")
    assert Text.objects.get().text == "Once."


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("kind=live", "kind", "live"),
        ('"Score, x=1"=yes', "Score, x=1", "yes"),
        ('"Q, long"=a=b', "Q, long", "a=b"),
        ("plain=a=b", "plain", "a=b"),
        ('"said ""so"", twice" = x', 'said "so", twice', " x"),
    ],
)
def test_a_condition_parts_at_the_first_equals_sign_outside_quotation_marks(text: str, field: str, value: str) -> None:
    assert picking.condition(text) == (field, value)
    assert mapping.is_wanted({field: value.strip()}, {"where": text})
    assert not mapping.is_wanted({field: "other"}, {"where": text})
