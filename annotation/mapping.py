"""Reads one record of any shape into an item and its judgements, by a mapping of our words to the file's fields.

A mapping is `{word: fields}`. Fields are dotted paths (`a1.text`, `outputs.0`); several are parted by commas. Words:

    id, group          one field each; without `group` the prompt decides the split, with `id` empty the content is the id
    prompt             text, a list of {role, content}, or several fields joined by blank lines (empty ones left out)
    context            reference passages: text, or a list of texts, of [title, sentence...] or of {title, text}
    responses          one field holding a list, or one field a response; a model may have answered with nothing; where the
                       project's questions take prompts alone, it may be missing
    sources            who wrote each response, in the same manner
    ranks              a list of ranks, 1 = best, equal = tie, null = not ranked: one judgement
    winner             the better of two: 1 or 2, 0 for a tie, or a word that `codes` translates: one judgement
    votes              a list of winners, or of objects (`vote_winner`, `vote_annotator` name their fields): one each
    conversation       two fields with whole transcripts, the better one first: what they share is the prompt, what each says
                       last a response; one judgement
    demonstration      what a person wrote as the answer, may be empty: one judgement, together with `ranks` or `winner`
    label              which label the item has: a text, or a list where several apply; may be empty. Several fields are one
                       label question each, of their names
    annotator          the field with the annotator's pseudonym, or `=text` for a fixed one
    codes              `a1:1,a2:2,equal:0`
    task               what the item is an example of, where rows of several tasks are learned from at once: one field
    topic              the field of knowledge it belongs to, which decides who gets it: one field, may be empty
    warning            shown before the item is: one field, may be empty
    where              `field=value`: other records are left out (and counted)

Without a mapping the words are the fields.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext

from annotation import transcripts
from annotation.formats.jsonl import Problem
from webapp import saying

WORDS = (
    "id", "prompt", "responses", "context", "sources", "group", "ranks", "winner", "votes", "vote_winner",
    "vote_annotator", "conversation", "demonstration", "label", "annotator", "codes", "task", "topic", "warning", "where",
)  # fmt: skip
NATIVE = {
    word: word
    for word in (
        "id",
        "prompt",
        "responses",
        "context",
        "sources",
        "group",
        "ranks",
        "winner",
        "votes",
        "demonstration",
        "label",
        "annotator",
        "task",
        "topic",
        "warning",
    )
}
MAX_TEXT = 1_000_000  # characters
MAX_PSEUDONYM = 80
MAX_LABEL = 120
MAX_TOPIC, MAX_WARNING, MAX_TASK = 100, 300, 100
ROLES = ("system", "user", "assistant")


@dataclass(frozen=True)
class Draft:
    """One item as a file gives it, before anything is stored."""

    line: int
    key: str
    prompt: list[dict[str, str]]
    context: list[dict[str, str]]
    responses: list[str]
    sources: list[str]
    group: str
    topic: str = ""
    warning: str = ""
    judgements: list[tuple[str, list[int | None]]] = field(default_factory=list)  # (pseudonym, ranks)
    written: tuple[str, str] | None = None  # (pseudonym, demonstration)
    labelled: tuple[str, dict[str, list[str]]] | None = None  # (pseudonym, {field: labels as the file has them})
    task: str = ""
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)  # question -> what `labelled` is as its answer

    @property
    def digest(self) -> str:
        """SHA-256 of what an annotator would see."""
        shown = [self.prompt, self.context, self.responses]
        return hashlib.sha256(json.dumps(shown, ensure_ascii=False, sort_keys=True).encode()).hexdigest()


def check_mapping(mapping: Mapping[str, str]) -> dict[str, str]:
    """The mapping with native words filled in; one whose `id` is empty stays without. Raises Problem for an unknown word."""
    for word in mapping:
        if word not in WORDS:
            raise Problem(
                0, word, gettext("no such word in a mapping; the words are %(words)s") % {"words": ", ".join(WORDS)}
            )
    if not mapping:
        return dict(NATIVE)
    id_field = {} if "id" in mapping else {"id": "id"}
    return id_field | {word: fields.strip() for word, fields in mapping.items() if fields.strip()}


def is_wanted(record: Mapping[str, Any], mapping: Mapping[str, str]) -> bool:
    """Whether `where` lets the record in."""
    if "where" not in mapping:
        return True
    name, _, value = mapping["where"].partition("=")
    try:
        found = _get(record, name.strip(), 0)
    except Problem:
        return False
    return value.strip() in (found if isinstance(found, str) else json.dumps(found), str(found))


def draft(line: int, record: Mapping[str, Any], mapping: Mapping[str, str], *, alone: bool = False) -> Draft:
    """One record as an item; `alone` lets a prompt come without answers. Without a field for it the key stays empty.

    Raises Problem with line and field.
    """
    if "conversation" in mapping:
        prompt, answers = _conversation(line, record, mapping)
    else:
        prompt = _prompt(line, record, mapping)
        answers = _many(line, record, mapping, "responses", optional=alone)
    responses = [_text(line, f"responses {n}", text, may_be_empty=True) for n, text in enumerate(answers, 1)]
    sources = _sources(line, record, mapping)
    if sources and len(sources) != len(responses):
        raise Problem(
            line,
            mapping["sources"],
            gettext("%(sources)s sources for %(responses)s responses")
            % {"sources": len(sources), "responses": len(responses)},
        )
    group = _optional(line, record, mapping, "group")
    return Draft(
        line=line,
        key=_key(line, record, mapping) if "id" in mapping else "",
        prompt=prompt,
        context=_context(line, record, mapping),
        responses=responses,
        sources=sources or [""] * len(responses),
        group=_short(line, mapping.get("group", ""), group) if group is not None else prompt_group(prompt),
        topic=_remark(line, record, mapping, "topic", MAX_TOPIC),
        warning=_remark(line, record, mapping, "warning", MAX_WARNING),
        judgements=_judgements(line, record, mapping, responses),
        written=_written(line, record, mapping),
        labelled=_labelled(line, record, mapping),
        task=_remark(line, record, mapping, "task", MAX_TASK),
    )


def _sources(line: int, record: Mapping[str, Any], mapping: Mapping[str, str]) -> list[str]:
    """Who wrote each response; null where it is not known."""
    given = _many(line, record, mapping, "sources", optional=True)
    return [
        "" if source is None else _text(line, f"sources {n}", source, may_be_empty=True)[:200]
        for n, source in enumerate(given, 1)
    ]


def _remark(line: int, record: Mapping[str, Any], mapping: Mapping[str, str], word: str, limit: int) -> str:
    """A short text about the item that may be missing, null or empty; on one line."""
    value = _optional(line, record, mapping, word)
    if value is None or value == "":
        return ""
    return " ".join(_short(line, mapping[word], value, limit).split())


def prompt_group(prompt: Sequence[Mapping[str, str]]) -> str:
    """The group of an item that was given none: a hash of its prompt."""
    return hashlib.sha256(json.dumps(prompt, ensure_ascii=False).encode()).hexdigest()[:32]


def _get(record: Mapping[str, Any], path: str, line: int) -> Any:  # noqa: ANN401 - any JSON value
    if path in record:  # a column may have a dot in its name
        return record[path]
    value: Any = record
    for step in path.split("."):
        if isinstance(value, Mapping) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            there = ", ".join(list(value)[:12]) if isinstance(value, Mapping) else type(value).__name__
            raise Problem(
                line,
                path,
                gettext("there is no field “%(step)s”; there is: %(there)s") % {"step": step, "there": there},
            )
    return value


def _optional(line: int, record: Mapping[str, Any], mapping: Mapping[str, str], word: str) -> Any:  # noqa: ANN401
    """The value of a word that may be missing. A field that somebody named must be there; a native one need not."""
    path = mapping.get(word)
    if path is None or (path == word and word not in record):
        return None
    return _get(record, path, line)


def _key(line: int, record: Mapping[str, Any], mapping: Mapping[str, str]) -> str:
    value = _get(record, mapping["id"], line)
    if isinstance(value, bool) or not isinstance(value, str | int) or str(value).strip() == "":
        raise Problem(line, mapping["id"], gettext("an id is a text or a whole number, and not empty"))
    return _short(line, mapping["id"], value)


def _short(line: int, name: str, value: object, limit: int = 200) -> str:
    text = _text(line, name, value)
    if len(text) > limit:
        raise Problem(line, name, gettext("longer than %(n)s characters") % {"n": saying.number(limit)})
    return text


def _text(line: int, name: str, value: object, *, may_be_empty: bool = False) -> str:
    """The value as text; a number or truth value is the text that JSON writes for it."""
    if isinstance(value, bool | int | float):
        value = json.dumps(value)
    if not isinstance(value, str):
        raise Problem(line, name, gettext("a text was expected, not %(value)s") % {"value": _named(value)})
    if not value.strip() and not may_be_empty:
        raise Problem(line, name, gettext("the text is empty"))
    if len(value) > MAX_TEXT:
        raise Problem(line, name, gettext("the text is longer than %(n)s characters") % {"n": saying.number(MAX_TEXT)})
    if "\x00" in value or any("\ud800" <= c <= "\udfff" for c in value):
        raise Problem(line, name, gettext("the text holds a NUL or half a surrogate pair, which no UTF-8 text can"))
    return value


def _named(value: object) -> str:
    names = {
        dict: gettext("an object"),
        list: gettext("a list"),
        str: gettext("a text"),
        bool: gettext("true or false"),
        int: gettext("a number"),
        float: gettext("a number"),
        type(None): "null",
    }
    return names.get(type(value), type(value).__name__)


def _prompt(line: int, record: Mapping[str, Any], mapping: Mapping[str, str]) -> list[dict[str, str]]:
    if "prompt" not in mapping:
        raise Problem(0, "prompt", gettext("the mapping names no field for the prompt"))
    paths = [path.strip() for path in mapping["prompt"].split(",")]
    values = [_get(record, path, line) for path in paths]
    if len(values) == 1 and isinstance(values[0], list):
        return _messages(line, paths[0], values[0])
    texts = [_text(line, path, value, may_be_empty=True) for path, value in zip(paths, values, strict=True)]
    texts = [text for text in texts if text.strip()]
    if not texts:
        raise Problem(line, mapping["prompt"], gettext("the prompt is empty"))
    return [{"role": "user", "content": "\n\n".join(texts)}]


def _messages(line: int, name: str, value: list[Any]) -> list[dict[str, str]]:
    messages = []
    for number, message in enumerate(value, 1):
        if not isinstance(message, Mapping) or message.get("role") not in ROLES:
            raise Problem(
                line,
                name,
                gettext("message %(n)s is no {role, content} with a role of %(roles)s")
                % {"n": number, "roles": ", ".join(ROLES)},
            )
        messages.append(
            {"role": message["role"], "content": _text(line, f"{name} message {number}", message.get("content"))}
        )
    if not messages:
        raise Problem(line, name, gettext("the conversation is empty"))
    return messages


def _context(line: int, record: Mapping[str, Any], mapping: Mapping[str, str]) -> list[dict[str, str]]:
    value = _optional(line, record, mapping, "context")
    if value in (None, "", []):
        return []
    passages = []
    for number, passage in enumerate(value if isinstance(value, list) else [value], 1):
        name = f"{mapping['context']} {number}"
        if isinstance(passage, list) and passage and all(isinstance(part, str) for part in passage):
            title, text = passage[0], " ".join(passage[1:]) or passage[0]
        elif isinstance(passage, Mapping):
            title, text = passage.get("title") or "", passage.get("text")
        else:
            title, text = "", passage
        passages.append({"title": _text(line, name, title, may_be_empty=True), "text": _text(line, name, text)})
    return passages


def _many(
    line: int, record: Mapping[str, Any], mapping: Mapping[str, str], word: str, *, optional: bool = False
) -> list[Any]:
    """The values of `responses` or `sources`: one field with a list, or several fields."""
    if optional and _first_missing(record, mapping, word):
        return []
    if word not in mapping:
        said = gettext(
            "the mapping names no field for them, and the questions of this project need answers; texts with labels go into a "
            "project that asks for labels alone"
        )
        raise Problem(0, word, said)
    paths = [path.strip() for path in mapping[word].split(",")]
    if len(paths) == 1:
        values = _get(record, paths[0], line)
        if not isinstance(values, list):
            raise Problem(
                line, paths[0], gettext("a list of texts was expected, not %(values)s") % {"values": _named(values)}
            )
        return values
    _whole_list_named(line, record, paths)
    return [_get(record, path, line) for path in paths]


def _first_missing(record: Mapping[str, Any], mapping: Mapping[str, str], word: str) -> bool:
    return word not in mapping or (mapping[word] == word and word not in record)


def _whole_list_named(line: int, record: Mapping[str, Any], paths: Sequence[str]) -> None:
    """Fields like `outputs.0` must name all of `outputs`: the others would be lost without a word."""
    for parent in {path.rpartition(".")[0] for path in paths if path.rpartition(".")[2].isdigit()}:
        there = _get(record, parent, line) if parent else None
        named = sum(path.rpartition(".")[0] == parent for path in paths)
        if isinstance(there, list) and len(there) != named:
            raise Problem(
                line,
                parent,
                gettext("%(there)s answers, where the mapping names %(named)s") % {"there": len(there), "named": named},
            )


def _judgements(
    line: int, record: Mapping[str, Any], mapping: Mapping[str, str], responses: Sequence[str]
) -> list[tuple[str, list[int | None]]]:
    count, alike = len(responses), len(set(responses)) == 1
    who = _pseudonym(line, record, mapping)
    found: list[tuple[str, list[int | None]]] = []
    ranks = _optional(line, record, mapping, "ranks")
    if ranks is not None:
        if not isinstance(ranks, list):
            raise Problem(
                line,
                mapping["ranks"],
                gettext("a list of ranks was expected, not %(ranks)s") % {"ranks": _named(ranks)},
            )
        if len(ranks) != count:
            raise Problem(
                line,
                mapping["ranks"],
                gettext("%(ranks)s ranks for %(count)s responses") % {"ranks": len(ranks), "count": count},
            )
        found.append((who, ranks))
    winner = _optional(line, record, mapping, "winner")
    if winner is None and "conversation" in mapping:
        found.append((who, [1, 1] if alike else [1, 2]))
    if winner is not None:
        found.append((who, _of_two(line, mapping["winner"], winner, mapping, count)))
    votes = _optional(line, record, mapping, "votes")
    if not isinstance(votes, list | None):
        raise Problem(
            line, mapping["votes"], gettext("a list of votes was expected, not %(votes)s") % {"votes": _named(votes)}
        )
    for number, vote in enumerate(votes or [], 1):
        name, value = f"annotator-{number}", vote
        if isinstance(vote, Mapping):
            name = _short(
                line, "vote_annotator", _get(vote, mapping.get("vote_annotator", "annotator"), line), MAX_PSEUDONYM
            )
            value = _get(vote, mapping.get("vote_winner", "winner"), line)
        found.append((name, _of_two(line, f"{mapping['votes']} {number}", value, mapping, count)))
    names = [name for name, _ in found]
    if len(names) != len(set(names)):
        raise Problem(line, mapping.get("votes", "annotator"), gettext("one annotator judges this item twice"))
    return found


def _written(line: int, record: Mapping[str, Any], mapping: Mapping[str, str]) -> tuple[str, str] | None:
    value = _optional(line, record, mapping, "demonstration")
    if value is None or value == "":
        return None
    return _pseudonym(line, record, mapping), _text(line, mapping["demonstration"], value)


def _conversation(
    line: int, record: Mapping[str, Any], mapping: Mapping[str, str]
) -> tuple[list[dict[str, str]], list[Any]]:
    paths = [path.strip() for path in mapping["conversation"].split(",")]
    if len(paths) != 2:
        message = gettext("a conversation is two fields, the one with the better end first: chosen,rejected")
        raise Problem(0, "conversation", message)
    if "prompt" in mapping or "responses" in mapping:
        message = gettext("prompt and answers stand in the conversation; leave the words prompt and responses empty")
        raise Problem(0, "conversation", message)
    first, second = (_get(record, path, line) for path in paths)
    try:
        ends = transcripts.ends_of(first, second)
    except transcripts.NoTranscript as wrong:
        raise Problem(line, mapping["conversation"], str(wrong)) from None
    return _messages(line, mapping["conversation"], ends.prompt), list(ends.answers)


def labels(line: int, record: Mapping[str, Any], mapping: Mapping[str, str]) -> dict[str, list[str]]:
    """The labels by field; a field that has none yet is not among them."""
    if "label" not in mapping or (mapping["label"] == "label" and "label" not in record):
        return {}
    found = {}
    for path in (path.strip() for path in mapping["label"].split(",")):
        value = _get(record, path, line)
        given = value if isinstance(value, list) else [] if value is None else [value]
        if texts := [_short(line, path, one, MAX_LABEL) for one in given if one != ""]:
            found[path] = texts
    return found


def _labelled(
    line: int, record: Mapping[str, Any], mapping: Mapping[str, str]
) -> tuple[str, dict[str, list[str]]] | None:
    found = labels(line, record, mapping)
    return (_pseudonym(line, record, mapping), found) if found else None


def _pseudonym(line: int, record: Mapping[str, Any], mapping: Mapping[str, str]) -> str:
    path = mapping.get("annotator", "=imported")
    if path.startswith("="):
        return _short(line, "annotator", path[1:] or "imported", MAX_PSEUDONYM)
    if path == "annotator" and "annotator" not in record:
        return "imported"
    return _short(line, path, _get(record, path, line), MAX_PSEUDONYM)


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
