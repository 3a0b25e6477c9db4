"""The import screen: a file is looked at, mapped, previewed, and taken in whole or put away."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.test import Client

from annotation import receiving
from annotation.models import Import, Item, Judgement, Project
from tests.annotation.test_importing import kept
from tests.builders import as_lines, person, project_of, rows, signed_in
from tests.webapp.page_reading import Page, dangers

pytestmark = pytest.mark.django_db
FOREIGN = [
    {
        "uid": n,
        "question": f"Q{n}?",
        "outputs": ["a", "b", "c"],
        "models": ["m1", "m2", "m3"],
        "ranking": [1, 2, 2],
        "worker": "w1",
    }
    for n in range(5)
]


@pytest.fixture
def lin() -> Client:
    return signed_in(person("lin"))


@pytest.fixture
def project(lin: Client) -> Project:
    from webapp.people.models import User

    return project_of(User.objects.get(username="lin"))


def send(client: Client, project: Project, content: bytes, name: str = "answers.jsonl") -> HttpResponse:
    return client.post(f"/p/{project.slug}/import/", {"file": SimpleUploadedFile(name, content)})


def waiting_files() -> list[Path]:
    return sorted(receiving.uploads().iterdir())


def form_of(answer: HttpResponse) -> dict[str, str]:
    """What the mapping form would send as it stands."""
    return {field["name"]: field["value"] for field in Page(answer.text).all("input") if field.get("list") == "names"}


def test_a_foreign_file_goes_in_by_the_guessed_mapping(lin: Client, project: Project) -> None:
    there = waiting_files()
    answer = send(lin, project, as_lines(FOREIGN))
    assert answer.status_code == 302
    page = lin.get(answer["Location"])
    guessed = {word: value for word, value in form_of(page).items() if value}
    assert guessed == {
        "id": "uid", "prompt": "question", "responses": "outputs", "sources": "models", "ranks": "ranking", "annotator": "worker",
    }  # fmt: skip
    for words in ("Q0?", "w1", "1, 2, 2", "answers.jsonl"):
        assert words in page.text
    assert kept()["Item"] == 0
    done = lin.post(answer["Location"], guessed, follow=True)
    assert done.redirect_chain[-1][0] == f"/p/{project.slug}/"
    said = Page(done.text).text
    for words in ("5 items with 15 answers are in", "5 judgements"):
        assert words in said
    assert (Item.objects.count(), Judgement.objects.count()) == (5, 5)
    assert waiting_files() == there
    batch = Import.objects.get()
    assert (batch.counts["items"], batch.mapping["prompt"], batch.stored_as) == (5, "question", "")
    assert batch.created_by.username == "lin"


def test_the_preview_shows_all_that_would_come_in(lin: Client, project: Project) -> None:
    row = {
        "id": "1", "prompt": "Why?", "responses": ["Because.", "No."], "sources": ["m1", "<m2>"], "group": "debate 7",
        "topic": "Physics", "warning": "It is <b>loud</b>.",
    }  # fmt: skip
    page = client_page(send(lin, project, as_lines([row])), lin)
    for told in ("Physics", "It is &lt;b&gt;loud&lt;/b&gt;.", "debate 7", "written by m1", "written by &lt;m2&gt;"):
        assert told in page.partition('id="preview"')[2].partition("The record itself")[0]


def client_page(answer: HttpResponse, client: Client) -> str:
    return client.get(answer["Location"]).text


def test_a_file_in_our_own_words_needs_no_mapping(lin: Client, project: Project) -> None:
    page = send(lin, project, as_lines(rows(4)))["Location"]
    form = form_of(lin.get(page))
    assert form["prompt"] == "prompt"
    assert lin.post(page, form).status_code == 302
    assert Item.objects.count() == 4


def test_a_file_in_our_own_words_keeps_its_ranks_and_groups_on_the_screen_too(lin: Client, project: Project) -> None:
    """As by command: what needs no mapping loses nothing for being brought in by hand."""
    record = rows(1)[0] | {"ranks": [1, 2, 3, 4], "group": "g", "sources": ["a", "b", "c", "d"], "annotator": "w"}
    page = send(lin, project, as_lines([record]))["Location"]
    lin.post(page, form_of(lin.get(page)))
    item = Item.objects.get()
    assert (item.group, item.imported) == ("g", 1)
    assert [response.source for response in item.responses.all()] == ["a", "b", "c", "d"]
    assert Judgement.objects.get().member.pseudonym == "w"


def test_a_preview_imports_nothing_and_keeps_what_was_typed(lin: Client, project: Project) -> None:
    page = send(lin, project, as_lines(FOREIGN))["Location"]
    mapping = {"id": "uid", "prompt": "question,worker", "responses": "outputs", "preview": "1"}
    answer = lin.post(page, mapping)
    assert answer.status_code == 200
    assert form_of(answer)["prompt"] == "question,worker"
    assert "Q0?" in answer.text
    assert Item.objects.count() == 0


def test_a_wrong_mapping_is_said_in_the_preview_and_on_import(lin: Client, project: Project) -> None:
    page = send(lin, project, as_lines(FOREIGN))["Location"]
    wrong = {"id": "uid", "prompt": "nowhere", "responses": "outputs"}
    assert "there is no field “nowhere”" in lin.post(page, {**wrong, "preview": "1"}).text
    answer = lin.post(page, wrong)
    assert answer.status_code == 400
    assert answer.text.count("there is no field “nowhere”") == 2  # of five lines once, and in the preview
    assert "(and on 4 more lines)" in answer.text
    assert "Nothing was imported." in answer.text
    assert "line 1, nowhere" in answer.text
    assert form_of(answer)["prompt"] == "nowhere"
    assert lin.post(page, {**wrong, "prompt": "question"}).status_code == 302


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\n\n", "the file is empty"),
        (b"[]", "JSON list"),
        (b"\xff\xfe{\x00", "UTF-16"),
        (b"id,x\n", "not JSON"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_and_not_kept(
    lin: Client, project: Project, content: bytes, words: str
) -> None:
    there = waiting_files()
    answer = send(lin, project, content)
    assert answer.status_code == 400
    assert words in answer.text
    assert "Nothing was imported." in answer.text
    assert waiting_files() == there
    assert not Import.objects.exists()


def test_no_file_at_all_is_said(lin: Client, project: Project) -> None:
    answer = lin.post(f"/p/{project.slug}/import/", {})
    assert answer.status_code == 400
    assert "choose a file first" in answer.text


@pytest.mark.parametrize("count", [11_000, 30_000])  # a little over the limit, and too large to be read at all
def test_a_file_over_the_limit_is_refused_and_not_kept(
    lin: Client, project: Project, settings: object, count: int
) -> None:
    settings.IMPORT_MAX_BYTES = 2**20  # type: ignore[attr-defined]
    there = waiting_files()
    answer = send(lin, project, as_lines(rows(count)))
    assert answer.status_code in (400, 413)
    assert "larger than 1 MB" in answer.text
    assert waiting_files() == there


@pytest.mark.parametrize("line", [b'{"\\ud800": 1}', b'{"id": 1, "prompt": "\\ud800", "responses": ["a"]}'])
def test_half_a_surrogate_pair_is_a_problem_and_no_error_page(lin: Client, project: Project, line: bytes) -> None:
    page = lin.get(send(lin, project, line)["Location"])
    assert page.status_code == 200
    texts = {"texts": "1", "text_files": SimpleUploadedFile("a.jsonl", line)}
    assert lin.post(f"/p/{project.slug}/import/", texts).status_code == 400


def test_a_discarded_file_is_gone(lin: Client, project: Project) -> None:
    there = waiting_files()
    page = send(lin, project, as_lines(FOREIGN))["Location"]
    assert len(waiting_files()) == len(there) + 1
    assert lin.post(f"{page}discard/").status_code == 302
    assert waiting_files() == there
    assert not Import.objects.exists()
    assert lin.get(page).status_code == 404


def test_a_file_that_went_in_cannot_go_in_or_be_discarded_again(lin: Client, project: Project) -> None:
    page = send(lin, project, as_lines(rows(2)))["Location"]
    lin.post(page, {"prompt": "prompt", "responses": "responses"})
    before, counts = kept(), Import.objects.get().counts
    assert lin.post(page, {"prompt": "prompt", "responses": "responses"}).status_code == 302
    assert lin.post(f"{page}discard/").status_code == 404
    assert (kept(), Import.objects.get().counts) == (before, counts)


def test_a_waiting_file_that_vanished_is_said(lin: Client, project: Project) -> None:
    page = send(lin, project, as_lines(rows(2)))["Location"]
    (receiving.uploads() / Import.objects.get().stored_as).unlink()
    answer = lin.get(page, follow=True)
    assert "The uploaded file is gone" in answer.text
    assert not Import.objects.exists()


def test_problems_in_later_lines_are_listed_and_the_file_waits(lin: Client, project: Project) -> None:
    records = [*rows(3), {"id": "x", "prompt": "p"}, {"id": "y", "prompt": "p", "responses": ["a"]}]
    page = send(lin, project, as_lines(records))["Location"]
    answer = lin.post(page, {"prompt": "prompt", "responses": "responses"})
    assert answer.status_code == 400
    for words in ("line 4, responses", "line 5, responses"):
        assert words in answer.text
    assert kept()["Item"] == 0
    assert lin.get(page).status_code == 200


@pytest.mark.parametrize(
    "name", ['"><script>alert(1)</script>.jsonl', "../../etc/passwd", "x" * 400 + ".jsonl", "\u202egpj.jsonl"]
)
def test_any_file_name_is_shown_and_never_used_as_a_path(lin: Client, project: Project, name: str) -> None:
    page = send(lin, project, as_lines(rows(2)), name)["Location"]
    batch = Import.objects.get()
    assert (receiving.uploads() / batch.stored_as).parent == receiving.uploads()
    for address in (page, f"/p/{project.slug}/import/"):
        assert dangers(lin.get(address).text) == []
    assert json.dumps(batch.file_name)
