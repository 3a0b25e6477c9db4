"""Labelled files: labels find their question, or make one, and become rows with their task."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotation import asking, belonging, importing, labelling, sources
from annotation.importing import ImportRefused
from annotation.kinds.label import Options, parse
from annotation.models import Import, Item, Judgement, Project
from tests.builders import as_lines, member_of, person, project_of, signed_in
from training import freezing

pytestmark = pytest.mark.django_db
MAPPING = {"id": "", "prompt": "text", "label": "label"}
ANIMALS = [
    {"text": f"It says {sound}.", "label": animal}
    for animal, sound in (("A cat", "meow"), ("Dog", "woof"), ("A cat", "purr"))
]


def labelled(labels: str = "", name: str = "Animals") -> Project:
    options = {"labels": labels} if labels else {}
    return belonging.create_project(name=name, questions=[asking.draft("label", options=options)], creator=None)


def bring(
    project: Project, records: list[dict[str, Any]], mapping: dict[str, str] | None = None, *, new_labels: bool = False
) -> importing.Counts:
    content = as_lines(records)
    batch = Import.objects.create(project=project, file_name="f.jsonl", sha256="0" * 64, size=len(content))
    return importing.import_file(
        project=project,
        file=io.BytesIO(content),
        mapping=mapping or MAPPING,
        actor=None,
        batch=batch,
        new_labels=new_labels,
    )


def answers(project: Project) -> list[Any]:
    return list(
        Judgement.objects.filter(item__project=project).order_by("item__position").values_list("answers", flat=True)
    )


def labels_of(project: Project, name: str = "label") -> dict[str, str]:
    project.refresh_from_db()
    question = project.questions.get(version=project.schema_version, name=name)
    return {choice.name: choice.title for choice in parse(question.options["labels"])}


def test_labels_are_found_by_title_and_by_name() -> None:
    project = labelled("cat = A cat\nDog")
    records = [
        *ANIMALS,
        {"text": "Hiss.", "label": "cat"},
        {"text": "Wuff.", "label": "dog"},
        {"text": "Moo?", "label": ""},
    ]
    counts = bring(project, [*records, {"text": "Baa?", "label": None}])
    assert (counts.items, counts.judgements) == (7, 5)
    found = [answer["label"]["labels"] for answer in answers(project)]
    assert found == [[["cat"]], [["dog"]], [["cat"]], [["cat"]], [["dog"]]]


def test_a_question_is_made_where_none_asks_for_labels_and_another_file_adds_to_it() -> None:
    project = project_of(None, question="comment", name="Bare")
    with pytest.raises(ImportRefused, match="line 1, label: the project has no label question"):
        bring(project, ANIMALS)
    bring(project, ANIMALS, new_labels=True)
    assert labels_of(project) == {"a-cat": "A cat", "dog": "Dog"}
    with pytest.raises(ImportRefused, match="has no label “Bird”; it has A cat, Dog"):
        bring(project, [{"text": "Tweet.", "label": "Bird"}])
    bring(project, [{"text": "Tweet.", "label": "Bird"}, {"text": "Meow", "label": "A cat"}], new_labels=True)
    assert labels_of(project) == {"a-cat": "A cat", "dog": "Dog", "bird": "Bird"}
    assert [question.kind for question in project.questions.filter(version=project.schema_version)] == [
        "comment",
        "label",
    ]


def test_labels_that_stood_there_for_want_of_others_are_replaced_and_those_that_people_gave_are_not() -> None:
    project = labelled()  # Yes, No
    bring(project, ANIMALS, new_labels=True)
    assert list(labels_of(project)) == ["a-cat", "dog"]
    bring(project, [{"text": "x", "label": "one"}, {"text": "y", "label": "two"}], new_labels=True)
    assert list(labels_of(project)) == ["a-cat", "dog", "one", "two"]


def test_two_fields_are_two_questions_and_their_rows_two_tasks() -> None:
    project = project_of(None, question="comment", name="Tweets")
    records = [{"text": f"Tweet {n}", "coarse": "OFFENSE" if n % 2 else "OTHER", "fine": f"F{n % 3}"} for n in range(9)]
    bring(project, records, {"id": "", "prompt": "text", "label": "coarse,fine"}, new_labels=True)
    assert list(labels_of(project, "fine")) == ["f0", "f1", "f2"]
    snapshot = freezing.freeze(project=project, rows="label")
    rows = [json.loads(line) for line in (freezing.folder(snapshot) / "train.jsonl").read_text("utf-8").splitlines()]
    assert {row["task"] for row in rows} == {"coarse", "fine"} == set(snapshot.counts["tasks"])
    assert {row["label"] for row in rows if row["task"] == "coarse"} == {"offense", "other"}
    only = freezing.freeze(project=project, rows="label", question="coarse")
    assert "tasks" not in only.counts


@pytest.mark.parametrize(("first", "second"), [("大类", "小类"), ("a.label", "b.label"), ("rating", "topic")])
def test_two_fields_are_two_questions_whatever_they_are_called(first: str, second: str) -> None:
    project = project_of(None, question="rating", name="Odd")  # its question is called rating
    records = [{"text": f"t{n}", first: "yes" if n % 2 else "no", second: "no" if n % 2 else "yes"} for n in range(4)]
    bring(project, records, {"id": "", "prompt": "text", "label": f"{first},{second}"}, new_labels=True)
    for answer in answers(project):
        assert len(answer) == 2
        one, other = (given["labels"][0][0] for given in answer.values())
        assert {one, other} == {"yes", "no"}
    again = bring(project, records, {"id": "", "prompt": "text", "label": f"{first},{second}"}, new_labels=True)
    assert (again.already_there, again.judgements) == (4, 0)


def test_a_field_that_is_labelled_nowhere_leaves_the_names_of_the_others_alone() -> None:
    project = project_of(None, question="comment", name="Half")
    records = [{"text": f"t{n}", "coarse": f"c{n % 2}", "fine": None} for n in range(4)]
    bring(project, records, {"id": "", "prompt": "text", "label": "coarse,fine"}, new_labels=True)
    assert [list(answer) for answer in answers(project)] == [["coarse"]] * 4


@pytest.mark.parametrize("later", [
    {"label": "coarse,fine"}, {"label": "fine"}, {"label": "coarse", "annotator": "=second"},
])  # fmt: skip
def test_labels_that_are_corrected_or_added_are_refused_and_not_dropped(later: dict[str, str]) -> None:
    project = project_of(None, question="comment", name="Bank")
    records = [{"text": f"t{n}", "coarse": f"c{n % 2}", "fine": f"f{n % 3}"} for n in range(6)]
    mapping = {"id": "", "prompt": "text", "label": "coarse"}
    assert bring(project, records, mapping, new_labels=True).judgements == 6
    if "annotator" in later:
        assert bring(project, records, mapping | later).judgements == 6
        return
    with pytest.raises(ImportRefused, match="line 1, annotator: 'imported' has judged this item already"):
        bring(project, records, mapping | later, new_labels=True)
    assert [list(answer) for answer in answers(project)] == [["label"]] * 6


def test_bad_lines_are_read_no_further_than_they_are_told() -> None:
    problems: list[Any] = []
    source = sources.Source(io.BytesIO(b'{"text": "t", "label": "a"}\n' + b"x\n" * 5000))
    with pytest.raises(importing.Problem):
        list(importing._labels_of(source, MAPPING, problems))
    assert len(problems) == importing.PROBLEMS_SHOWN


def test_a_column_may_have_a_dot_in_its_name() -> None:
    project = labelled("cat = A cat\nDog")
    bring(project, [{"Text (e.g. title)": "Meow", "label": "cat"}], {**MAPPING, "prompt": "Text (e.g. title)"})
    assert Item.objects.get().prompt[0]["content"] == "Meow"


def test_an_item_may_name_its_task_itself() -> None:
    project = labelled("Yes\nNo")
    records = [{"text": f"t{n}", "label": "yes", "domain": f"d{n % 2}"} for n in range(8)]
    bring(project, records, {**MAPPING, "task": "domain"})
    snapshot = freezing.freeze(project=project, rows="label")
    assert snapshot.counts["tasks"] == ["d0", "d1"]


def test_several_labels_of_one_record_are_one_answer() -> None:
    project = project_of(None, question="comment", name="Several")
    bring(project, [{"text": "x", "label": ["a", "b"]}, {"text": "y", "label": ["b"]}], new_labels=True)
    assert [answer["label"]["labels"] for answer in answers(project)] == [[["a", "b"]], [["b"]]]
    with pytest.raises(ImportRefused, match="line 1, label"):
        bring(labelled("a\nb", "One"), [{"text": "x", "label": ["a", "b"]}])


@pytest.mark.parametrize(("labels", "words"), [
    (["only"] * 3, "has one label, “only”; a question needs two"),
    ([f"label {n}" for n in range(201)], "more than 200 different labels"),
    (["x" * 121, "y"], "longer than 120 characters"),
    ([{"a": 1}, "y"], "a text was expected, not an object"),
])  # fmt: skip
def test_labels_that_make_no_question_are_refused_and_nothing_comes_in(labels: list[Any], words: str) -> None:
    project = project_of(None, question="comment", name="Bare")
    with pytest.raises(ImportRefused, match=words):
        bring(project, [{"text": f"t{n}", "label": label} for n, label in enumerate(labels)], new_labels=True)
    project.refresh_from_db()
    assert (project.schema_version, Item.objects.count()) == (1, 0)


def test_two_hundred_labels_are_taken() -> None:
    project = project_of(None, question="comment", name="Bare")
    bring(project, [{"text": f"t{n}", "label": f"label {n}"} for n in range(200)], new_labels=True)
    assert len(labels_of(project)) == 200


words = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=12).filter(str.strip)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(words, min_size=2, max_size=8, unique_by=lambda label: " ".join(label.split()).replace("|", "¦")))
def test_whatever_labels_a_file_has_each_finds_its_own_place_in_the_question_made_of_them(labels: list[str]) -> None:
    text = labelling._lines([labelling._title(label) for label in labels], [])
    options = Options(labels=text)
    found = [labelling._name_in(label, options) for label in labels]
    assert None not in found
    assert len(set(found)) == len(labels)


def test_the_same_file_twice_changes_nothing_and_the_same_text_twice_is_two_items() -> None:
    project = labelled("cat = A cat\nDog")
    records = [*ANIMALS, ANIMALS[0]]
    assert bring(project, records).items == 4
    again = bring(project, records)
    assert (again.items, again.already_there, again.judgements) == (0, 4, 0)


def test_the_screen_takes_a_csv_in_latin_1_and_makes_the_question() -> None:
    project = project_of(person("lin"), question="comment", name="Screen")
    lin = signed_in(project.created_by)
    file = SimpleUploadedFile("tweets.csv", "text;label\nSchön;gut\nÜbel;schlecht\n".encode("latin-1"))
    refused = lin.post(f"/p/{project.slug}/import/", {"file": file})
    assert refused.status_code == 400
    assert "say which encoding it has" in refused.text
    file.seek(0)
    page = lin.post(f"/p/{project.slug}/import/", {"file": file, "encoding": "iso-8859-1"})["Location"]
    shown = lin.get(page).text
    for told in ("Schön", "gut", 'name="new_labels" value="1" checked'):
        assert told in shown
    lin.post(page, {**MAPPING, "new_labels": "1"})
    assert labels_of(project) == {"gut": "gut", "schlecht": "schlecht"}
    assert [item.prompt[0]["content"] for item in Item.objects.order_by("position")] == ["Schön", "Übel"]
    assert member_of(project, project.created_by)


def test_the_command_guesses_the_mapping_and_names_what_is_wrong(tmp_path: Path) -> None:
    project_of(None, question="comment", name="Answers")
    path = tmp_path / "t.tsv"
    path.write_bytes("Schön\tgut\nÜbel\tschlecht\n".encode("windows-1252"))
    with pytest.raises(CommandError, match="not UTF-8"):
        call_command("import_items", "answers", str(path), "--new-labels")
    out = io.StringIO()
    call_command(
        "import_items",
        "answers",
        str(path),
        "--new-labels",
        "--encoding",
        "cp1252",
        "--columns",
        "text,label",
        stdout=out,
    )
    assert "--map prompt=text --map label=label" in out.getvalue()
    assert "2 items, 0 responses and 2 judgements" in out.getvalue()


def test_two_transcripts_become_a_prompt_and_two_answers() -> None:
    pairs = project_of(None, question="comparison", name="Pairs")
    start = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: Why?\n\nAssistant:"
    talk = [{"role": "user", "content": "Hi"}]
    records: list[dict[str, Any]] = [
        {"id": 1, "chosen": f"{start} Because.", "rejected": f"{start} Be gone."},
        {
            "id": 2,
            "chosen": [*talk, {"role": "assistant", "content": "Yo"}],
            "rejected": [*talk, {"role": "assistant", "content": ""}],
        },
    ]
    assert bring(pairs, records, {"id": "id", "conversation": "chosen,rejected"}).judgements == 2
    first, second = Item.objects.order_by("position")
    assert [message["role"] for message in first.prompt] == ["user", "assistant", "user"]
    assert [response.text for response in first.responses.all()] == ["Because.", "Be gone."]
    assert (second.prompt, Judgement.objects.get(item=second).answers["comparison"]["winner"]) == (talk, 1)


def test_equal_ends_of_a_conversation_are_a_tie() -> None:
    pairs = project_of(None, question="comparison", name="Pairs")
    same = "\n\nHuman: Why?\n\nAssistant: Because."
    bring(pairs, [{"id": 1, "chosen": same, "rejected": same}], {"id": "id", "conversation": "chosen,rejected"})
    assert Judgement.objects.get().answers["comparison"]["winner"] == 0


def test_a_conversation_whose_answer_has_no_content_is_a_problem_on_the_page_too() -> None:
    project = project_of(person("lin"), question="comparison", name="Chat")
    lin, talk = signed_in(project.created_by), [{"role": "user", "content": "Hi"}]
    content = as_lines(
        [{"chosen": [*talk, {"role": "assistant"}], "rejected": [*talk, {"role": "assistant", "content": "b"}]}]
    )
    page = lin.post(f"/p/{project.slug}/import/", {"file": SimpleUploadedFile("c.jsonl", content)})["Location"]
    shown = lin.get(page)
    assert (shown.status_code, "a text was expected, not null" in shown.text) == (200, True)


@pytest.mark.parametrize(("chosen", "rejected", "words"), [
    ("\n\nHuman: a\n\nAssistant: b", "\n\nHuman: c\n\nAssistant: b", "do not share a beginning"),
    ("plain", "text", "do not share a beginning"),
    ("\n\nAssistant: a", "\n\nAssistant: b", "nobody says anything before"),
    ([{"role": "user", "content": "a"}], [{"role": "user", "content": "b"}], "differ in more than their last answer"),
    ("a", None, "two texts or two lists"),
    ([{"role": "user", "content": "a"}, {"role": "assistant"}], [{"role": "user", "content": "a"}, {"role": "assistant"}],
     "nobody|differ"),
    (["hi", {"role": "assistant", "content": "a"}], ["hi", {"role": "assistant", "content": "b"}], "message 1 is no"),
    ([["role", "x"], {"role": "assistant", "content": "a"}], [["role", "x"], {"role": "assistant", "content": "b"}],
     "message 1 is no"),
])  # fmt: skip
def test_what_are_no_two_ends_of_one_conversation_is_refused_by_line(
    chosen: object, rejected: object, words: str
) -> None:
    pairs = project_of(None, question="comparison", name="Pairs")
    record = {"id": 1, "chosen": chosen, "rejected": rejected}
    with pytest.raises(ImportRefused, match=f"line 1, chosen,rejected: .*{words}"):
        bring(pairs, [record], {"id": "id", "conversation": "chosen,rejected"})
