"""Raw texts: files, folders, zips and records come in whole, once, and are frozen as passages that stay with their document."""

from __future__ import annotations

import io
import json
import random
import re
import zipfile
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import DatabaseError, transaction
from hypothesis import given
from hypothesis import strategies as st

from annotation import documents, texts
from annotation.importing import ImportRefused
from annotation.models import Import, Project, Response, Text
from feinschliff.rows import check_row
from tests.builders import add_items, as_lines, join, person, project_of, signed_in
from training import freezing, passages
from webapp.people.models import AuditEntry

BOOK = "Chapter one.\n\nThe sea was calm. Nobody spoke.\n\n" + "A long paragraph follows. " * 20


@pytest.fixture
def project(db: None) -> Project:
    return project_of(person("lin"))


def bring(project: Project, files: dict[str, bytes], **how: object) -> texts.Counts:
    sources = [documents.Source(name, io.BytesIO(content)) for name, content in files.items()]
    batch = Import.objects.create(project=project, file_name="f", sha256="0" * 64, size=1)
    return texts.import_texts(project=project, sources=sources, how=documents.How(**how), actor=None, batch=batch)  # type: ignore[arg-type]


def packed(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def rows_of(project: Project, **how: object) -> dict[str, list[dict[str, object]]]:
    folder = freezing.folder(freezing.freeze(project=project, rows="text", **how))  # type: ignore[arg-type]
    return {
        s: [json.loads(line) for line in (folder / f"{s}.jsonl").read_text("utf-8").split("\n")[:-1]]
        for s in freezing.SPLITS
    }


def test_a_file_is_one_document_whatever_its_line_ends_and_marks(project: Project) -> None:
    counts = bring(project, {"a.txt": b"\xef\xbb\xbfOne.\r\n\r\nTwo.\r", "sub/b.txt": "# Schön".encode()})
    assert (counts.files, counts.texts, counts.characters) == (2, 2, 18)
    first, second = Text.objects.all()
    assert (first.key, first.title, first.text, first.group) == ("a.txt", "a", "One.\n\nTwo.\n", "a.txt")
    assert (second.key, second.text) == ("sub/b.txt", "# Schön")
    again = bring(project, {"a.txt": b"One.\n\nTwo.\n"})
    assert (again.texts, again.already_there) == (0, 1)
    with pytest.raises(ImportRefused, match=r"a\.txt: the project holds a text 'a\.txt' with other content"):
        bring(project, {"new.txt": b"new", "a.txt": b"other"})
    assert Text.objects.count() == 2


def test_a_zip_gives_its_files_and_lines_may_be_texts_of_their_own(project: Project) -> None:
    content = packed({"books/one.txt": b"1\n2\n\n2\n", "__MACOSX/one.txt": b"x", "note.pdf": b"x"})
    assert bring(project, {"books.zip": content}, each_line=True).texts == 3
    assert [text.text for text in Text.objects.all()] == ["1", "2", "2"]
    assert {text.key.partition(":")[0] for text in Text.objects.all()} == {"books/one.txt"}
    assert Text.objects.values("group").distinct().count() == 2
    more = packed({"books/one.txt": b"0\n1\n2\n\n2\n"})  # a line that came in above the others
    counts = bring(project, {"books.zip": more}, each_line=True)
    assert (counts.texts, counts.already_there) == (1, 3)


def test_records_have_their_text_by_the_usual_name_or_by_a_mapping(project: Project) -> None:
    records = [
        {"id": 7, "content": "One.", "title": "T", "group": "g"},
        {"id": "8", "content": "Two.", "title": None, "group": None},
    ]
    bring(project, {"a.jsonl": as_lines(records)})
    assert [(t.key, t.title, t.group == "g") for t in Text.objects.all()] == [("7", "T", True), ("8", "", False)]
    bring(project, {"b.csv": b"body;n\nThree.;1\nThree.;2\n"}, mapping={"text": "body"})
    assert Text.objects.filter(text="Three.").count() == 2


def test_files_of_a_zip_that_are_no_texts_are_counted_and_named(project: Project) -> None:
    inside = {"b/one.txt": b"1", "b/.DS_Store": b"x", "__MACOSX/b/._one.png": b"x"}
    inside |= {f"b/page-{n}.PNG": b"x" for n in range(3)} | {"report.pdf": b"x", "README": b"x", "more.zip": b"x"}
    lin = signed_in(project.created_by)
    form = {"texts": "1", "text_files": SimpleUploadedFile("books.zip", packed(inside))}
    page = lin.post(f"/p/{project.slug}/import/", form, follow=True).text
    assert (
        "1 text of 1 characters is in; 6 files that are no texts were passed over: "
        "b/page-0.PNG, report.pdf, README, more.zip, …."
    ) in page
    assert Import.objects.get().counts["passed_over"] == 6
    form["text_files"] = SimpleUploadedFile("less.zip", packed({"two.txt": b"2", "a.pdf": b"x"}))
    page = lin.post(f"/p/{project.slug}/import/", form, follow=True).text
    assert "1 file that is no text was passed over: a.pdf." in page


def test_a_text_that_two_files_have_is_taken_once(project: Project) -> None:
    shared, one, two = {"text": "Both."}, {"text": "One."}, {"text": "Two."}
    counts = bring(project, {"a.jsonl": as_lines([shared, one]), "b.jsonl": as_lines([two, shared])})
    assert (counts.files, counts.texts, counts.already_there) == (2, 3, 1)
    assert sorted(Text.objects.values_list("text", flat=True)) == ["Both.", "One.", "Two."]
    named = {"c.jsonl": as_lines([{"id": "n", "text": "Same."}]), "d.jsonl": as_lines([{"id": "n", "text": "Same."}])}
    assert (bring(project, named).texts, Text.objects.filter(key="n").count()) == (1, 1)
    with pytest.raises(ImportRefused, match=re.escape("line 1, f.jsonl: the id 'm' is that of e.jsonl already")):
        bring(project, {f"{name}.jsonl": as_lines([{"id": "m", "text": name}]) for name in "ef"})


@pytest.mark.parametrize(("files", "words"), [
    ({"a.txt": "fine\nschön".encode("latin-1")}, "line 2, a.txt: not UTF-8: byte 0xf6, the 9. of the file"),
    ({"a.txt": b" \n"}, "a.txt: the text is empty"),
    ({"a.txt": b"a\x00b"}, "a.txt: the text holds a NUL"),
    ({"a.jsonl": b'{"text": "a"}\n{"text": 3}\n{"x": 1}\n'}, "line 2, a.jsonl, text: a text was expected"),
    ({"a.jsonl": b'{"x": "a"}\n'}, "line 1, a.jsonl, text: there is no field “text”; there is: x"),
    ({"a.jsonl": as_lines([{"id": 1, "text": t} for t in "ab"])}, "line 2, a.jsonl: the id '1' is that of a.jsonl already"),
    ({"a.zip": b"PK no zip"}, "a.zip: the zip cannot be read"),
    ({"a.jsonl": b'{"id": "a\\u0000b", "text": "x"}\n'}, "line 1, a.jsonl: the text holds a NUL or half a surrogate"),
    ({"a.jsonl": b'{"title": "\\ud800", "text": "x"}\n'}, "line 1, a.jsonl: the text holds a NUL or half a surrogate"),
    ({"a.jsonl": b'{"group": "\\ud800", "text": "x"}\n'}, "line 1, a.jsonl: the text holds a NUL or half a surrogate"),
    ({"a.txt": b"fine", "cover.png": b"\x89PNG"}, "cover.png: there is no text in it"),
    ({"a.png": b"x"}, "there is no text in it"),
    ({}, "there is no text in it"),
])  # fmt: skip
def test_what_cannot_be_read_is_named_with_its_file_and_nothing_comes_in(
    project: Project, files: dict[str, bytes], words: str
) -> None:
    with pytest.raises(ImportRefused, match=re.escape(words)):
        bring(project, {"good.jsonl": b'{"text": "good"}\n', **files} if "no text" not in words else files)
    assert not Text.objects.exists()


def test_a_zip_that_unpacks_to_more_than_may_come_in_is_refused(project: Project, settings: object) -> None:
    settings.IMPORT_MAX_BYTES = 2**20  # type: ignore[attr-defined]
    content = packed({"a.txt": b"0" * (2**20 + 1)})
    assert len(content) < 10_000
    with pytest.raises(ImportRefused, match="unpacked it is larger than 1 MB"):
        bring(project, {"a.zip": content})


def damaged(how: str) -> bytes:
    """A zip that lost something on the way: a byte of a stored text, bytes of a packed one, its middle, or its names."""
    if how == "a byte of a text":
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("in.txt", BOOK)
        return out.getvalue().replace(b"The sea", b"The tea")
    whole = bytearray(
        packed({"ün.txt" if how == "a name" else "in.txt": random.Random(0).randbytes(9000).hex().encode()})
    )
    if how == "a name":  # flagged as UTF-8
        return bytes(whole).replace("ün.txt".encode(), b"\xffXn.txt")
    if how == "packed bytes":
        whole[200:240] = bytes(40)
    else:
        del whole[1000:3000]
    return bytes(whole)


@pytest.mark.parametrize("how", ["a byte of a text", "packed bytes", "its middle", "a name"])
def test_a_damaged_zip_is_named_and_nothing_comes_in(project: Project, how: str) -> None:
    with pytest.raises(ImportRefused, match=r"a\.zip.*: the zip cannot be read"):
        bring(project, {"good.txt": b"good", "a.zip": damaged(how)})
    assert not Text.objects.exists()


def test_a_file_that_is_too_long_is_called_so_wherever_it_is_cut(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "LONGEST", 2)
    with pytest.raises(ImportRefused, match=r"a\.txt: the text is longer than 2 characters"):
        bring(project, {"a.txt": "a漢漢漢漢".encode()})  # 12 bytes are read, and end inside a character


def test_a_mapping_names_some_words_and_the_others_have_their_usual_fields(project: Project) -> None:
    bring(project, {"a.jsonl": as_lines([{"number": 7, "content": "One.", "title": "T"}])}, mapping={"id": "number"})
    assert [(t.key, t.title, t.text) for t in Text.objects.all()] == [("7", "T", "One.")]
    with pytest.raises(ImportRefused, match="there is no field “text”; there is: number"):
        bring(project, {"b.jsonl": as_lines([{"number": 8}])}, mapping={"id": "number"})


def test_an_import_of_texts_is_taken_out_and_what_is_frozen_stays(project: Project, tmp_path: Path) -> None:
    bring(project, {"kept.txt": b"Kept."})
    (tmp_path / "book.txt").write_text("Über allen Gipfeln", "windows-1252")
    call_command("import_texts", project.slug, str(tmp_path / "book.txt"), "--encoding", "cp437")  # the wrong one
    frozen = freezing.freeze(project=project, rows="text")
    assert frozen.counts["train"] + frozen.counts["heldout"] == 2
    batch = Import.objects.get(file_name="book.txt")
    out = io.StringIO()
    call_command("withdraw_texts", project.slug, "--json", stdout=out)
    assert {"import": batch.pk, "file": "book.txt", "texts": 1} in json.loads(out.getvalue())["imports"]
    call_command("withdraw_texts", project.slug, str(batch.pk))
    assert [text.key for text in Text.objects.all()] == ["kept.txt"]
    freezing.verify(frozen)
    entry = AuditEntry.objects.get(action="withdraw texts")
    assert (entry.subject, entry.detail["file"], entry.detail["texts"]) == (project.slug, "book.txt", 1)
    with pytest.raises(CommandError, match="No import"):
        call_command("withdraw_texts", project.slug, str(batch.pk))
    call_command("import_texts", project.slug, str(tmp_path / "book.txt"), "--encoding", "windows-1252")
    assert Text.objects.get(key="book.txt").text == "Über allen Gipfeln"


def test_a_lead_takes_texts_out_on_the_page_and_nobody_else(project: Project) -> None:
    lin, there = signed_in(project.created_by), f"/p/{project.slug}/import/"
    lin.post(there, {"texts": "1", "text_files": SimpleUploadedFile("one.txt", b"Private.")})
    out = f"{there}{Import.objects.get().pk}/withdraw/"
    assert out in lin.get(there).text
    ada = person("ada")
    join(project, ada)
    assert signed_in(ada).post(out).status_code == 403
    assert Text.objects.exists()
    assert "1 text was taken out" in lin.post(out, follow=True).text
    assert not Text.objects.exists()
    page = lin.get(there).text
    assert out not in page
    assert "taken out again" in page
    refused = lin.post(there, {"texts": "1", "text_files": SimpleUploadedFile("a.txt", b"a"), "encoding": "idna"})
    assert "there is no encoding “idna”" in refused.text


def test_a_passage_stands_on_one_side_though_several_documents_have_it(project: Project) -> None:
    licence = "This eBook is for the use of anyone anywhere. " * 5
    files = {f"{n}.txt": f"{f'Tale {n} begins and ends. ' * 12}\n\n{licence}".encode() for n in range(12)}
    bring(project, {**files, "copies/3.txt": files["3.txt"]})
    rows = rows_of(project, passage=300, heldout=0.4)
    sides = {split: {row["text"] for row in found} for split, found in rows.items()}
    assert sides["train"]
    assert sides["heldout"]
    assert not sides["train"] & sides["heldout"]
    groups = {row["group"] for found in rows.values() for row in found}
    assert groups == set(files)  # a licence that all have does not make one group of them
    assert sum(map(len, rows.values())) == len(sides["train"] | sides["heldout"])


def test_what_many_items_say_stands_on_one_side(project: Project) -> None:
    add_items(project, 30, answers=2)
    Response.objects.filter(position=1).update(text="I cannot help with that.")
    rows = rows_of(project, with_items=True)
    assert sum(row["text"] == "I cannot help with that." for found in rows.values() for row in found) == 1


def test_a_text_that_came_in_is_never_changed(project: Project) -> None:
    bring(project, {"a.txt": b"One."})
    with pytest.raises(DatabaseError), transaction.atomic():
        Text.objects.update(text="Two.")


def test_passages_of_one_document_stand_on_one_side(project: Project) -> None:
    bring(project, {f"{n}.txt": f"{BOOK}\n\nEnd of {n}.".encode() for n in range(10)})
    rows = rows_of(project, passage=200)
    sides = {split: {row["group"] for row in found} for split, found in rows.items()}
    assert (sides["train"] | sides["heldout"], sides["train"] & sides["heldout"]) == (
        {f"{n}.txt" for n in range(10)},
        set(),
    )
    for row in (*rows["train"], *rows["heldout"]):
        check_row(row, ["text"])
        assert len(row["text"]) <= 200  # type: ignore[arg-type]
    whole = rows_of(project, passage=0)
    assert sum(map(len, whole.values())) == 10
    assert whole["train"][0]["text"] in Text.objects.values_list("text", flat=True)


def test_prompts_and_answers_may_be_texts_too(project: Project) -> None:
    with pytest.raises(freezing.CannotFreeze, match="no raw texts yet"):
        freezing.freeze(project=project, rows="text")
    add_items(project, 3, answers=2)
    rows = rows_of(project, with_items=True)
    found = [row["text"] for split in freezing.SPLITS for row in rows[split]]
    assert sorted(found) == sorted(
        [*(f"Question {n} of i?" for n in range(3)), *(f"Answer {n}.{a}" for n in range(3) for a in range(2))]
    )
    with pytest.raises(freezing.CannotFreeze, match="Only texts"):
        freezing.freeze(project=project, rows="prompt", with_items=True)
    with pytest.raises(freezing.CannotFreeze, match="100 to 100000 characters"):
        freezing.freeze(project=project, rows="text", passage=5)


def test_the_screen_takes_texts_says_how_many_and_offers_to_freeze_them(project: Project) -> None:
    lin = signed_in(project.created_by)
    there = f"/p/{project.slug}"
    assert "choose a file first" in lin.post(f"{there}/import/", {"texts": "1"}).text
    files = [SimpleUploadedFile(name, BOOK.encode()) for name in ("one.txt", "two.txt")]
    page = lin.post(f"{there}/import/", {"texts": "1", "text_files": files}, follow=True).text
    assert "2 texts of 1,134 characters are in" in page
    assert "2 raw texts to learn from are in." in page
    assert "Freeze 2 texts" in lin.get(f"{there}/snapshots/").text
    frozen = {"rows": "text", "passage": "100", "heldout": "0.5", "split_seed": "0"}
    assert "Frozen: " in lin.post(f"{there}/snapshots/", frozen, follow=True).text
    assert "2 texts" in lin.get(f"{there}/import/").text


def test_the_command_takes_a_folder(project: Project, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("Über", "windows-1252")
    (tmp_path / ".hidden.txt").write_text("x")
    (tmp_path / "in" / "a.png").write_bytes(b"x")
    with pytest.raises(CommandError, match=r"a\.txt: not UTF-8"):
        call_command("import_texts", project.slug, str(tmp_path))
    out = io.StringIO()
    call_command("import_texts", project.slug, str(tmp_path), "--encoding", "windows-1252", "--json", stdout=out)
    assert json.loads(out.getvalue()) == {
        "files": 1, "texts": 1, "already_there": 0, "characters": 4, "passed_over": 1,
        "passed_over_such_as": ["in/a.png"],
    }  # fmt: skip
    assert Text.objects.get().key == "in/a.txt"
    for wrong, words in (("/nowhere", "no file or folder"), (__file__, "is no text file")):
        with pytest.raises(CommandError, match=words):
            call_command("import_texts", project.slug, wrong)


@given(st.text("ab .!\n\té漢", max_size=400), st.integers(1, 50))
def test_cutting_loses_nothing_but_blanks_and_keeps_to_the_length(text: str, most: int) -> None:
    parts = passages.cut(text, most)
    assert all(0 < len(part) <= most and part == part.strip() for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())
    assert passages.cut(text, 0) == ([text.strip()] if text.strip() else [])


def test_a_text_is_cut_between_paragraphs_then_sentences_then_words() -> None:
    text = "One two. Three four.\n\nFive six seven eight."
    assert passages.cut(text, 30) == ["One two. Three four.", "Five six seven eight."]
    assert passages.cut(text, 12) == ["One two.", "Three four.", "Five six", "seven eight."]
