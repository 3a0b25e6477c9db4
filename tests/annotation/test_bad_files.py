"""A bad file: each time the line and the field, what would be right, and nothing imported in part."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from annotation import importing
from annotation.formats.jsonl import MAX_LINE_BYTES
from annotation.importing import ImportRefused
from annotation.models import Project
from tests.annotation.test_importing import kept
from tests.builders import as_lines, bring_in, person, project_of, rows, signed_in

pytestmark = pytest.mark.django_db

GOOD = {"id": "good", "prompt": "p", "responses": ["a", "b"]}
PAIR = {"id": "x", "prompt": "p", "responses": ["a", "b"]}
TEN = {"id": "x", "prompt": "p", "outputs": [str(n) for n in range(10)]}
FOUR = {"prompt": "prompt", "responses": "outputs.0,outputs.1,outputs.2,outputs.3"}
SURROGATE = "half \ud83d of a pair"
NUL = "a\x00b"


@pytest.fixture
def project() -> Project:
    return project_of(person("lin"))


def refused(project: Project, content: bytes, mapping: dict[str, str] | None = None) -> importing.Problem:
    """The first problem; nothing may have changed."""
    before = kept()
    with pytest.raises(ImportRefused) as refusal:
        bring_in(project, content, mapping)
    assert kept() == before
    for problem in refusal.value.problems:
        assert len(str(problem)) < 1000
        str(problem).encode()
    return refusal.value.problems[0]


FILES: dict[str, tuple[bytes, int, str]] = {
    "empty": (b"", 0, "the file is empty"),
    "blank lines": (b"\n \r\n\t\n", 0, "the file is empty"),
    "byte order mark alone": (b"\xef\xbb\xbf", 0, "the file is empty"),
    "UTF-16": ('{"id": "x"}\n'.encode("utf-16"), 1, "UTF-16"),
    "invalid UTF-8": (as_lines([GOOD]) + b'{"id": "\xff"}\n', 2, "not UTF-8: byte 0xff at position 9"),
    "Latin-1": (as_lines([GOOD]) + '{"id": "ü"}\n'.encode("latin-1"), 2, "save it as UTF-8"),
    "a list in one line": (json.dumps([GOOD]).encode(), 1, "JSON list; write one object a line"),
    "a list over many lines": (json.dumps([GOOD], indent=1).encode(), 1, "JSON list; write one object a line"),
    "one object over many lines": (json.dumps(GOOD, indent=1).encode(), 1, "not JSON"),
    "a number": (as_lines([GOOD]) + b"3\n", 2, "one JSON object, not int"),
    "a later list": (as_lines([GOOD]) + b"[]\n", 2, "one JSON object, not list"),
    "null": (as_lines([GOOD]) + b"null\n", 2, "one JSON object"),
    "CSV": (b"id,prompt\n1,x\n", 1, "not JSON"),
    "cut off": (as_lines([GOOD]) + b'{"id": "x", "prom', 2, "not JSON"),
    "deep nesting": (as_lines([GOOD]) + b'{"id": ' + b"[" * 200_000, 2, "nested too deeply"),
    "endless number": (as_lines([GOOD]) + b'{"id": ' + b"9" * 6000 + b"}", 2, "not JSON"),
    "one line of zeros": (as_lines([GOOD]) + b"\x00" * 100, 2, "not JSON"),
    "a zipped file": (b"PK\x03\x04\xff\xfe\x00\x00", 1, "UTF-8"),
    "too long a line": (as_lines([GOOD]) + b'{"id": "' + b"x" * MAX_LINE_BYTES + b'"}', 2, "longer than 4 MB"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_json_lines_is_refused_by_line(project: Project, name: str) -> None:
    content, line, words = FILES[name]
    problem = refused(project, content)
    assert problem.line == line
    assert words in str(problem)


RECORDS: dict[str, tuple[dict[str, Any], str, str]] = {
    "no prompt": ({"id": "x", "responses": ["a", "b"]}, "prompt", "there is no field “prompt”; there is: id, responses"),
    "no responses": ({"id": "x", "prompt": "p"}, "responses", "there is no field"),
    "no id": ({"prompt": "p", "responses": ["a", "b"]}, "id", "there is no field"),
    "empty id": (PAIR | {"id": " "}, "id", "not empty"),
    "null id": (PAIR | {"id": None}, "id", "text or a whole number"),
    "true as id": (PAIR | {"id": True}, "id", "text or a whole number"),
    "long id": (PAIR | {"id": "x" * 201}, "id", "longer than 200"),
    "NUL in id": (PAIR | {"id": NUL}, "id", "NUL"),
    "empty prompt": (PAIR | {"prompt": "  "}, "prompt", "prompt is empty"),
    "null prompt": (PAIR | {"prompt": None}, "prompt", "a text was expected, not null"),
    "object as prompt": (PAIR | {"prompt": {"a": 1}}, "prompt", "not an object"),
    "empty conversation": (PAIR | {"prompt": []}, "prompt", "conversation is empty"),
    "unknown role": (PAIR | {"prompt": [{"role": "x", "content": "y"}]}, "prompt", "message 1"),
    "message without content": (PAIR | {"prompt": [{"role": "user"}]}, "prompt message 1", "not null"),
    "NUL in prompt": (PAIR | {"prompt": NUL}, "prompt", "NUL"),
    "surrogate in prompt": (PAIR | {"prompt": SURROGATE}, "prompt", "surrogate"),
    "long prompt": (PAIR | {"prompt": "x" * 1_000_001}, "prompt", "longer than 1,000,000"),
    "text as responses": (PAIR | {"responses": "ab"}, "responses", "a list of texts was expected, not a text"),
    "null response": (PAIR | {"responses": ["a", None]}, "responses 2", "not null"),
    "object as response": (PAIR | {"responses": ["a", {}]}, "responses 2", "not an object"),
    "NUL in response": (PAIR | {"responses": ["a", NUL]}, "responses 2", "NUL"),
    "surrogate in response": (PAIR | {"responses": ["a", SURROGATE]}, "responses 2", "surrogate"),
    "no response": (PAIR | {"responses": []}, "responses", "0 responses, where a ranking takes 2 to 10"),
    "one response": (PAIR | {"responses": ["a"]}, "responses", "1 responses"),
    "eleven responses": (PAIR | {"responses": list("abcdefghijk")}, "responses", "11 responses, where a ranking takes 2 to 10"),
    "two sources for three": (PAIR | {"responses": list("abc"), "sources": ["m", "n"]}, "sources", "2 sources for 3 responses"),
    "NUL in source": (PAIR | {"sources": ["m", NUL]}, "sources 2", "NUL"),
    "surrogate in source": (PAIR | {"sources": [SURROGATE, "n"]}, "sources 1", "surrogate"),
    "object as source": (PAIR | {"sources": ["m", {"a": 1}]}, "sources 2", "not an object"),
    "NUL in group": (PAIR | {"group": NUL}, "group", "NUL"),
    "long group": (PAIR | {"group": "x" * 201}, "group", "longer than 200"),
    "list as group": (PAIR | {"group": ["x"]}, "group", "not a list"),
    "NUL in passage": (PAIR | {"context": [["T", NUL]]}, "context 1", "NUL"),
    "NUL in title": (PAIR | {"context": [{"title": NUL, "text": "x"}]}, "context 1", "NUL"),
    "surrogate in title": (PAIR | {"context": ["x", [SURROGATE, "x"]]}, "context 2", "surrogate"),
    "passage without text": (PAIR | {"context": [{"title": "x"}]}, "context 1", "not null"),
    "too few ranks": (PAIR | {"ranks": [1]}, "ranks", "1 ranks for 2 responses"),
    "too many ranks": (PAIR | {"ranks": [1, 2, 3]}, "ranks", "3 ranks for 2 responses"),
    "number as ranks": (PAIR | {"ranks": 1}, "ranks", "a list of ranks was expected, not a number"),
    "rank 0": (PAIR | {"ranks": [0, 1]}, "ranks", "whole number from 1 (best) or null, not 0"),
    "negative rank": (PAIR | {"ranks": [-1, 1]}, "ranks", "not -1"),
    "half a rank": (PAIR | {"ranks": [1.5, 1]}, "ranks", "not 1.5"),
    "rank as text": (PAIR | {"ranks": ["1", 2]}, "ranks", "not '1'"),
    "true as rank": (PAIR | {"ranks": [True, 2]}, "ranks", "not True"),
    "huge rank": (PAIR | {"ranks": [10**40, 2]}, "ranks", "whole number from 1"),
    "NaN as rank": (PAIR | {"ranks": [float("nan"), 2]}, "ranks", "whole number from 1"),
    "long text as rank": (PAIR | {"ranks": ["x" * 100_000, 2]}, "ranks", "whole number from 1"),
    "no rank at all": (PAIR | {"ranks": [None, None]}, "ranks", "no response has a rank"),
    "winner 3": (PAIR | {"winner": 3}, "winner", "a winner is 1, 2 or 0 (tie), not 3"),
    "winner in words": (PAIR | {"winner": "first"}, "winner", "`codes` can translate words"),
    "winner of three": (PAIR | {"responses": list("abc"), "winner": 1}, "winner", "given for 3 responses"),
    "vote 3": (PAIR | {"votes": [1, 2, 3]}, "votes 3", "a winner is 1, 2 or 0 (tie), not 3"),
    "votes that are no list": (PAIR | {"votes": 3}, "votes", "a list of votes was expected, not a number"),
    "vote without a winner": (PAIR | {"votes": [{"annotator": "w"}]}, "winner", "there is no field"),
    "one annotator twice": (
        PAIR | {"votes": [{"annotator": "w", "winner": 1}, {"annotator": "w", "winner": 2}]}, "votes", "judges this item twice",
    ),
    "long pseudonym": (PAIR | {"ranks": [1, 2], "annotator": "w" * 81}, "annotator", "longer than 80"),
    "NUL in pseudonym": (PAIR | {"ranks": [1, 2], "annotator": NUL}, "annotator", "NUL"),
}  # fmt: skip


@pytest.mark.parametrize("name", RECORDS)
def test_a_bad_record_is_refused_by_line_and_field(project: Project, name: str) -> None:
    record, field, words = RECORDS[name]
    content = as_lines([GOOD]) + b"\n" + json.dumps(record).encode() + b"\n"
    problem = refused(project, content)
    assert (problem.line, problem.field) == (3, field)
    assert words in str(problem)
    assert str(problem).startswith(f"line 3, {field}: ")


def test_of_two_lines_with_one_id_both_are_named(project: Project) -> None:
    problem = refused(project, as_lines([GOOD, PAIR, PAIR | {"prompt": "other"}]))
    assert str(problem) == "line 3, id: the id 'x' stands on line 2 already"


def test_a_number_and_the_same_number_as_text_are_one_id(project: Project) -> None:
    assert "stands on line 1" in str(refused(project, as_lines([PAIR | {"id": 7}, PAIR | {"id": "7"}])))


def test_ten_answers_where_the_mapping_names_four_are_refused(project: Project) -> None:
    problem = refused(project, as_lines([TEN]), FOUR)
    assert str(problem) == "line 1, outputs: 10 answers, where the mapping names 4"


def test_a_comparison_takes_two_answers(project: Project) -> None:
    pairs = project_of(person("bo"), name="Pairs", question="comparison")
    problem = refused(pairs, as_lines([GOOD, PAIR | {"responses": list("abc")}]))
    assert (problem.line, problem.message) == (2, "3 responses, where a comparison takes 2")
    assert "takes two ranks" in str(refused(pairs, as_lines([PAIR | {"ranks": [1, None]}])))


def test_an_unknown_word_in_a_mapping_is_refused_with_the_known_ones(project: Project) -> None:
    problem = refused(project, as_lines([GOOD]), {"prompts": "prompt"})
    assert problem.field == "prompts"
    assert "prompt, responses" in problem.message


@pytest.mark.parametrize(
    ("mapping", "field"),
    [({"prompt": "prompt"}, "responses"), ({"responses": "responses"}, "prompt"),
     ({"prompt": "prompt", "responses": "responses", "group": "topic"}, "topic"),
     ({"prompt": "prompt.a", "responses": "responses"}, "prompt.a"),
     ({"prompt": "prompt", "responses": "responses.0,responses.7"}, "responses.7"),
     ({"prompt": "prompt", "responses": "responses", "annotator": "who", "ranks": "r"}, "who")],
)  # fmt: skip
def test_a_mapping_that_names_what_is_not_there_is_refused(
    project: Project, mapping: dict[str, str], field: str
) -> None:
    assert refused(project, as_lines([GOOD]), mapping).field == field


def test_a_fixed_pseudonym_is_read_like_any_other(project: Project) -> None:
    mapping = {"prompt": "prompt", "responses": "responses", "ranks": "ranks", "annotator": "=" + "w" * 81}
    assert "longer than 80" in str(refused(project, as_lines([GOOD | {"ranks": [1, 2]}]), mapping))


def test_up_to_twenty_problems_are_named_at_once(project: Project) -> None:
    with pytest.raises(ImportRefused) as refusal:
        bring_in(project, as_lines([PAIR | {"id": n, "prompt": ""} for n in range(30)]))
    assert [problem.line for problem in refusal.value.problems] == list(range(1, 21))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
WORDS = st.sampled_from(
    ["id", "prompt", "responses", "context", "sources", "group", "ranks", "winner", "votes", "annotator"]
)


@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(WORDS, JSON, min_size=1, max_size=3), missing=st.sets(WORDS, max_size=1))
def test_any_record_is_taken_whole_or_refused_in_words(
    project: Project, changes: dict[str, Any], missing: set[str]
) -> None:
    record = {name: value for name, value in ({**GOOD, **changes}).items() if name not in missing}
    content = json.dumps(record).encode()
    before = kept()
    try:
        counts = bring_in(project, content)
    except ImportRefused as refusal:
        assert kept() == before
        assert all(problem.message for problem in refusal.problems)
    else:
        assert kept()["Item"] == before["Item"] + counts.items
        assert counts.items + counts.already_there == 1


@hypothesis_settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=60) | st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_refused_in_words(project: Project, content: bytes) -> None:
    with pytest.raises(ImportRefused):
        bring_in(project, content)


@pytest.mark.parametrize("depth", [50, 300, 600, 900, 5000])
def test_the_import_screen_shows_or_refuses_a_nested_record(project: Project, depth: int) -> None:
    from django.core.files.uploadedfile import SimpleUploadedFile

    content = b'{"id": "x", "prompt": "p", "responses": ["a", "b"], "deep": ' + b"[" * depth + b"]" * depth + b"}"
    lin = signed_in(project.created_by)
    answer = lin.post(f"/p/{project.slug}/import/", {"file": SimpleUploadedFile("deep.jsonl", content)}, follow=True)
    assert answer.status_code in (200, 400)
    for where in ("deep=x", "deep.0=x"):
        page = answer.redirect_chain[-1][0] if answer.redirect_chain else None
        if page:
            assert (
                lin.post(
                    page, {"prompt": "prompt", "responses": "responses", "where": where, "preview": "1"}
                ).status_code
                == 200
            )
            assert lin.post(page, {"prompt": "deep", "responses": "deep", "group": "deep"}).status_code == 400


def test_no_bad_file_leaves_anything_for_the_next(project: Project) -> None:
    refused(project, as_lines([*rows(3), PAIR | {"prompt": ""}]))
    assert bring_in(project, as_lines(rows(3))).items == 3


def test_every_broken_line_is_named_and_not_only_the_first(project: Project) -> None:
    cut = b'{"id": "x", "prompt": "cut sho\n'
    content = as_lines(rows(1)) + cut + as_lines([{"id": "y"}]) + b"\xff\n" + as_lines(rows(1, prefix="z"))
    with pytest.raises(ImportRefused) as refusal:
        bring_in(project, content)
    assert [problem.line for problem in refusal.value.problems] == [2, 3, 4]
    assert "ends before its object does" in str(refusal.value.problems[0])
