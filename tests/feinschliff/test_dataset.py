"""`Run.dataset`: the rows as a memory-mapped table whose columns are those of the contract."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import feinschliff
from feinschliff import RowError
from feinschliff.checks import worlds
from feinschliff.dataset import as_dataset
from feinschliff.rows import ROW_KINDS, read_rows

PLATFORM = Path(feinschliff.__file__).resolve().parents[1]


def rows_file(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def without_library(code: str) -> subprocess.CompletedProcess[str]:
    """As on a machine where `datasets` is not installed: None in sys.modules makes its import fail."""
    code = f"import sys; sys.modules['datasets'] = None; sys.path.append({str(PLATFORM)!r})\n{code}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_without_the_library_the_sentence_says_what_to_install(tmp_path: Path) -> None:
    asked = f"as_dataset(None, ['text'], Path({str(tmp_path)!r}))"
    code = f"from pathlib import Path\nfrom feinschliff.dataset import as_dataset\n{asked}"
    told = without_library(code).stderr.splitlines()[-1]
    assert told.startswith("feinschliff.trainer.NeedsNotMet: run.dataset needs the library `datasets`")
    assert "pip install 'feinschliff[datasets]'" in told


@pytest.mark.parametrize("kind", ROW_KINDS)
def test_every_kind_of_row_comes_back_as_it_went_in(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    path = rows_file(tmp_path, worlds.rows(kind, 30, 1))
    found = as_dataset(path, [kind], tmp_path / "cache")
    assert found.to_list() == list(read_rows(path))
    assert found.cache_files, "it is mapped from a file, not held in memory"
    assert Path(found.cache_files[0]["filename"]).parent == tmp_path / "cache"


def test_a_late_row_may_have_messages_and_null_ranks_where_the_first_had_none(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    messages = [{"role": "user", "content": "Hi"}]
    rows: list[dict[str, Any]] = [
        {"prompt": "Hello", "completions": ["a", "b"], "ranks": [1, 2], "judgements": [3, "x"]},
        {"prompt": messages, "completions": ["a", "b"], "ranks": [1, None], "colour": "kept in rows() alone"},
    ]
    found = as_dataset(rows_file(tmp_path, rows), ["ranking"], tmp_path).to_list()
    assert [row["prompt"] for row in found] == [[{"role": "user", "content": "Hello"}], messages]
    assert found[1]["ranks"] == [1, None]
    assert found[0]["judgements"] == ["3", "x"]
    assert "colour" not in found[1]


def test_kinds_share_a_table_with_nulls_where_one_has_no_such_column(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    rows = worlds.rows("pair", 2, 1) + worlds.rows("ranking", 2, 1)
    found = as_dataset(rows_file(tmp_path, rows), ["ranking", "pair"], tmp_path)
    assert found["chosen"][2:] == [None, None]
    assert found["ranks"][:2] == [None, None]
    assert found["weight"][:] == [1.0] * 4


def test_labels_of_two_types_cannot_share_a_column_and_nothing_is_left(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    rows = worlds.rows("label", 2, 1) + worlds.rows("unpaired", 2, 1)
    with pytest.raises(RowError, match="cannot share the column `label`"):
        as_dataset(rows_file(tmp_path, rows), ["label", "unpaired"], tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_absent_split_has_no_rows_and_the_same_rows_are_written_once(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    assert len(as_dataset(None, ["pair"], tmp_path)) == 0
    path = rows_file(tmp_path, worlds.rows("text", 5, 1))
    first = as_dataset(path, ["text"], tmp_path).cache_files
    assert as_dataset(path, ["text"], tmp_path).cache_files == first
    assert len(list(tmp_path.glob("*.arrow"))) == 2
