"""What people said of a record before it came in: ranks, winners, votes, demonstrations and labels, each with a pseudonym.

Stands inside mapping. Nothing is checked against the project's questions yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext

from annotation import picking
from annotation.formats.jsonl import Problem

MAX_PSEUDONYM = 80
MAX_LABEL = 120


def judgements(
    line: int, record: Mapping[str, Any], mapping: Mapping[str, str], responses: Sequence[str]
) -> list[tuple[str, list[int | None]]]:
    count, alike = len(responses), len(set(responses)) == 1
    who = _pseudonym(line, record, mapping)
    found: list[tuple[str, list[int | None]]] = []
    ranks = picking.optional(line, record, mapping, "ranks")
    if ranks is not None:
        if not isinstance(ranks, list):
            raise Problem(
                line,
                mapping["ranks"],
                gettext("a list of ranks was expected, not %(ranks)s") % {"ranks": picking.kind_of(ranks)},
            )
        if len(ranks) != count:
            raise Problem(
                line,
                mapping["ranks"],
                gettext("%(ranks)s ranks for %(count)s responses") % {"ranks": len(ranks), "count": count},
            )
        found.append((who, ranks))
    winner = picking.optional(line, record, mapping, "winner")
    if winner is None and "conversation" in mapping:
        found.append((who, [1, 1] if alike else [1, 2]))
    if winner is not None:
        found.append((who, _of_two(line, mapping["winner"], winner, mapping, count)))
    votes = picking.optional(line, record, mapping, "votes")
    if not isinstance(votes, list | None):
        raise Problem(
            line,
            mapping["votes"],
            gettext("a list of votes was expected, not %(votes)s") % {"votes": picking.kind_of(votes)},
        )
    for number, vote in enumerate(votes or [], 1):
        name, value = f"annotator-{number}", vote
        if isinstance(vote, Mapping):
            name = picking.short(
                line,
                "vote_annotator",
                picking.value(vote, mapping.get("vote_annotator", "annotator"), line),
                MAX_PSEUDONYM,
            )
            value = picking.value(vote, mapping.get("vote_winner", "winner"), line)
        found.append((name, _of_two(line, f"{mapping['votes']} {number}", value, mapping, count)))
    names = [name for name, _ in found]
    if len(names) != len(set(names)):
        raise Problem(line, mapping.get("votes", "annotator"), gettext("one annotator judges this item twice"))
    return found


def written(line: int, record: Mapping[str, Any], mapping: Mapping[str, str]) -> tuple[str, str] | None:
    value = picking.optional(line, record, mapping, "demonstration")
    if value is None or value == "":
        return None
    return _pseudonym(line, record, mapping), picking.text(line, mapping["demonstration"], value)


def labels(line: int, record: Mapping[str, Any], mapping: Mapping[str, str]) -> dict[str, list[str]]:
    """The labels by field; a field that has none yet is not among them."""
    if "label" not in mapping or (mapping["label"] == "label" and "label" not in record):
        return {}
    found = {}
    for path in picking.several(record, mapping["label"], line):
        value = picking.value(record, path, line)
        given = value if isinstance(value, list) else [] if value is None else [value]
        if texts := [picking.short(line, path, one, MAX_LABEL) for one in given if one != ""]:
            found[path] = texts
    return found


def labelled(
    line: int, record: Mapping[str, Any], mapping: Mapping[str, str]
) -> tuple[str, dict[str, list[str]]] | None:
    found = labels(line, record, mapping)
    return (_pseudonym(line, record, mapping), found) if found else None


def _pseudonym(line: int, record: Mapping[str, Any], mapping: Mapping[str, str]) -> str:
    path = mapping.get("annotator", "=imported")
    if path.startswith("="):
        return picking.short(line, "annotator", path[1:] or "imported", MAX_PSEUDONYM)
    if path == "annotator" and "annotator" not in record:
        return "imported"
    return picking.short(line, path, picking.value(record, path, line), MAX_PSEUDONYM)


def _of_two(line: int, name: str, value: object, mapping: Mapping[str, str], count: int) -> list[int | None]:
    """Ranks from `1`, `2` or `0`, after `codes`."""
    pairs = (pair.partition(":") for pair in mapping.get("codes", "").split(",") if pair.strip())
    codes = {word.strip(): number.strip() for word, _, number in pairs}
    winner = codes.get(str(value), str(value))
    if winner not in ("0", "1", "2"):
        raise Problem(
            line,
            name,
            gettext("a winner is 1, 2 or 0 (tie), not %(value)s; `codes` can translate words, as in a:1,b:2")
            % {"value": repr(value)},
        )
    if count != 2:
        raise Problem(line, name, gettext("a winner of two was given for %(count)s responses") % {"count": count})
    return {"0": [1, 1], "1": [1, 2], "2": [2, 1]}[winner]  # type: ignore[return-value]
