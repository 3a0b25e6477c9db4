"""Rows as a memory-mapped `datasets.Dataset`, for trainers whose library wants one (TRL, sentence-transformers).

Stands behind `Run.dataset`. The columns are those of the contract, typed here and not guessed from the first rows, so that
a late row cannot break what an early one promised. Written once below the run's folder, found again when it is resumed.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from feinschliff.rows import ROW_KINDS, Row, RowError, kind_of, prompt_messages, read_rows
from feinschliff.trainer import NeedsNotMet

TEXTS = ("text", "completion", "chosen", "rejected", "task", "item", "group")
TEXT_LISTS = ("completions", "annotators", "judgements")
NUMBERS = ("margin", "weight")
VERSION = 1  # of the layout below; another one is written anew


def as_dataset(path: Path | None, kinds: Iterable[str], cache: Path) -> Any:  # noqa: ANN401 - its library is optional
    """The rows of a file as a Dataset whose table is mapped from `cache`; an absent split has no rows.

    Rows of several kinds share one table: its columns are those of all kinds there, null where a row's kind has none.
    Prompts are all strings, or, once one row has messages, all messages. Fields outside the contract stay in `rows()`.
    RowError where two kinds give one column two types (`label` is a text in label rows, true or false in unpaired ones).
    """
    try:
        import datasets
    except ImportError:
        raise NeedsNotMet(
            "run.dataset needs the library `datasets`, which is not installed here: pip install 'feinschliff[datasets]' "
            "(run.rows gives the same rows without it)"
        ) from None
    wanted = tuple(kinds)
    digest = hashlib.sha256(f"{VERSION} {wanted}".encode() + (path.read_bytes() if path else b"")).hexdigest()[:32]
    table = cache / f"{digest}.arrow"
    if not table.exists():
        cache.mkdir(parents=True, exist_ok=True)
        _write(path, wanted, table)
    return datasets.Dataset.from_file(str(table))


def _write(path: Path | None, kinds: tuple[str, ...], table: Path) -> None:
    from datasets import Features
    from datasets.arrow_writer import ArrowWriter

    columns, messages = _columns(path, kinds)
    draft = table.with_name(f".{table.stem}.{os.getpid()}")  # each rank of a run may be writing its own
    with ArrowWriter(path=str(draft), features=Features(columns)) as writer:
        for row in read_rows(path, kinds) if path else ():
            writer.write({name: _value(name, row.get(name), messages) for name in columns})
        writer.finalize()
    draft.replace(table)


def _columns(path: Path | None, kinds: tuple[str, ...]) -> tuple[dict[str, Any], bool]:
    """Column -> type, and whether prompts are messages; found by reading the file once."""
    there: dict[str, None] = {}
    aspects: set[str] = set()
    messages = False
    for row in read_rows(path, kinds) if path else ():
        there[kind_of(row) or ""] = None
        aspects |= set(row.get("scores", ()))
        messages = messages or not isinstance(row.get("prompt", ""), str)
    found = list(there) or list(kinds)
    if {"label", "unpaired"} <= set(found):
        raise RowError(
            f"{path.name if path else 'rows'}: label rows (a text) and unpaired rows (true or false) cannot share the "
            "column `label`; use run.rows, or rows of one kind"
        )
    names = [name for kind in found for name in ROW_KINDS[kind].model_fields if name not in Row.model_fields]
    return {
        name: _type(name, found, messages, sorted(aspects)) for name in dict.fromkeys([*names, *Row.model_fields])
    }, messages


def _type(name: str, kinds: list[str], messages: bool, aspects: list[str]) -> Any:  # noqa: ANN401
    from datasets import List, Value

    text = Value("string")
    if name == "prompt":
        return List({"role": text, "content": text}) if messages else text
    if name == "label":
        return text if "label" in kinds else Value("bool")
    if name == "scores":
        return {aspect: Value("float64") for aspect in aspects}
    if name in NUMBERS:
        return Value("float64")
    if name == "ranks":
        return List(Value("int64"))
    return List(text) if name in TEXT_LISTS else text


def _value(name: str, value: Any, messages: bool) -> Any:  # noqa: ANN401
    if value is None:
        return None
    if name == "prompt" and messages:
        return prompt_messages(value)
    if name == "judgements":
        return [one if isinstance(one, str) else json.dumps(one) for one in value]
    return value
