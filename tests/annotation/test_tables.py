"""CSV, TSV and other encodings: what a spreadsheet writes comes in as it is, or is refused with its line."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation import formats
from annotation.formats import encodings
from annotation.formats.jsonl import Problem, Unreadable

signs = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\x00"), max_size=20)


def read(content: bytes, form: str = "csv", columns: tuple[str, ...] = ()) -> list[tuple[int, Any]]:
    return list(formats.each(io.BytesIO(content), form, columns))


def records(content: bytes, form: str = "csv", columns: tuple[str, ...] = ()) -> list[dict[str, str]]:
    found = [record for _, record in read(content, form, columns)]
    assert not [one for one in found if isinstance(one, Problem)]
    return found


@given(st.lists(st.tuples(signs, signs), max_size=6), st.sampled_from(",;\t"))
def test_what_python_writes_as_csv_is_read_back(rows: list[tuple[str, str]], delimiter: str) -> None:
    rows = [(one, other) for one, other in rows if one.strip() or other.strip()]
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerows([("text", "label"), *rows])
    assert [tuple(one.values()) for one in records(out.getvalue().encode())] == rows


@pytest.mark.parametrize("content", [
    b"text,label\na,x\n", b"\xef\xbb\xbftext;label\r\na;x\r\n", b"text\tlabel\na\tx", b'"text","label"\n"a","x"\n\n\n',
])  # fmt: skip
def test_the_first_row_tells_what_parts_the_columns(content: bytes) -> None:
    assert records(content) == [{"text": "a", "label": "x"}]


def test_in_a_tsv_a_quotation_mark_is_a_sign_like_any_other() -> None:
    content = b'text\tlabel\n"Wie bitte?" fragte er\tOTHER\n"' + b"\tOFFENSE\n"
    assert [one["text"] for one in records(content, "tsv")] == ['"Wie bitte?" fragte er', '"']


def test_a_table_without_names_gets_them_and_one_column_is_enough() -> None:
    assert records(b"a\tx\nb\ty\n", "tsv", ("text", "label"))[1] == {"text": "b", "label": "y"}
    assert records(b"text\na\n") == [{"text": "a"}]
    assert records(b",text\n0,a\n") == [{"column-1": "0", "text": "a"}]


def test_a_row_with_too_many_fields_is_named_by_the_line_where_it_begins_and_the_rest_is_read() -> None:
    found = read(b'text,label\n"two\nlines",x\na,b,c\nd,y\n')
    assert [line for line, _ in found] == [2, 4, 5]
    assert "3 fields, where the first row names 2 columns: text, label" in str(found[1][1])
    assert found[0][1]["text"] == "two\nlines"


@pytest.mark.parametrize(("content", "line", "words"), [
    (b'text,label\na,x\n"never closed,y\nb,z\n', 3, "never closed"),
    (b'text,label\n"a" b,x\n', 2, "a mark inside it is written twice"),
    (b"text,text\na,x\n", 1, "two columns have this name"),
    ("text,label\nschön,x\n".encode("windows-1252"), 2, "byte 0xf6 at position 4"),
    ("text,label\na,x\n".encode("utf-16"), 1, "UTF-16"),
    (b"text\n" + b"x" * 5_000_000, 2, "longer than 4 MB"),
])  # fmt: skip
def test_a_broken_table_is_refused_by_line(content: bytes, line: int, words: str) -> None:
    with pytest.raises(Unreadable, match=words) as refused:
        read(content)
    assert refused.value.line == line


@pytest.mark.parametrize(("name", "head", "form"), [
    ("a.CSV", b"", "csv"), ("a.tsv", b"", "tsv"), ("a.jsonl", b"a\tb", "jsonl"), ("a.txt", b"tweet\tOTHER\n", "tsv"),
    ("a.txt", b'{"a":\t1}\n', "jsonl"), ("a", b"", "jsonl"),
])  # fmt: skip
def test_a_format_is_told_by_the_name(name: str, head: bytes, form: str) -> None:
    assert formats.format_of(name, head) == form


@given(st.text(st.characters(codec="windows-1252"), max_size=50))
def test_a_named_encoding_is_read_and_utf8_stays_the_file_itself(text: str) -> None:
    given_file = io.BytesIO(text.encode("windows-1252"))
    assert encodings.as_utf8(given_file, "cp1252").read().decode() == text
    assert encodings.as_utf8(given_file, "UTF8") is given_file


def test_what_is_not_in_the_named_encoding_is_refused() -> None:
    with pytest.raises(Problem, match="not windows-1252"):
        encodings.as_utf8(io.BytesIO(b"fine\n\x81"), "windows-1252")
    for name in ("nonsense", "base64", "rot13"):
        with pytest.raises(Problem, match="there is no encoding"):
            encodings.as_utf8(io.BytesIO(b""), name)
