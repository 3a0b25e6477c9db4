"""Reads one record of any shape into an item and its judgements, by a mapping of our words to the file's fields.

A mapping is `{word: fields}`. Fields are dotted paths (`a1.text`, `outputs.0`); several are parted by commas, and one whose name
has a comma stands in quotation marks (`picking`). What people said already is read by `judged_before`. Words:

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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext

from annotation import judged_before, picking, transcripts
from annotation.formats.jsonl import Problem

WORDS = (
    "id", "prompt", "responses", "context", "sources", "group", "ranks", "winner", "votes", "vote_winner",
    "vote_annotator", "conversation", "demonstration", "label", "annotator", "codes", "task", "topic", "warning", "where",
)  # fmt: skip
#: words that a file without a mapping may have as its fields
NATIVE = {
    word: word
    for word in (
        "id", "prompt", "responses", "context", "sources", "group", "ranks", "winner", "votes", "demonstration", "label",
        "annotator", "task", "topic", "warning",
    )
}  # fmt: skip
SEVERAL = ("prompt", "responses", "sources", "conversation", "label")  # words that may name several fields
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


def from_pairs(pairs: Iterable[str]) -> dict[str, str]:
    """`["prompt=question", ...]` as a mapping. Raises Problem."""
    mapping = {}
    for pair in pairs:
        word, equals, fields = pair.partition("=")
        if not equals or not word.strip():
            raise Problem(0, pair, gettext("a mapping is written word=field, as in prompt=question"))
        mapping[word.strip()] = fields
    return mapping


def check_mapping(mapping: Mapping[str, str]) -> dict[str, str]:
    """The mapping with native words filled in; one whose `id` is empty stays without.

    Raises Problem for an unknown word, and for fields that are written in a way that cannot be read.
    """
    for word in mapping:
        if word not in WORDS:
            raise Problem(
                0, word, gettext("no such word in a mapping; the words are %(words)s") % {"words": ", ".join(WORDS)}
            )
    if not mapping:
        return dict(NATIVE)
    id_field = {} if "id" in mapping else {"id": "id"}
    return id_field | {word: _checked(word, text) for word, text in mapping.items() if text.strip()}


def _checked(word: str, text: str) -> str:
    """The fields of a word as `draft` reads them. Raises Problem with the word."""
    text = text.strip()
    try:
        if word in SEVERAL:
            picking.named(text)
            return text
        if word == "where":
            picking.condition(text)
            return text
        return text if word == "codes" else picking.one(text)
    except Problem as problem:
        raise Problem(0, word, problem.message) from None


def is_wanted(record: Mapping[str, Any], mapping: Mapping[str, str]) -> bool:
    """Whether `where` lets the record in."""
    if "where" not in mapping:
        return True
    name, value = picking.condition(mapping["where"])
    try:
        found = picking.value(record, name, 0)
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
    responses = [picking.text(line, f"responses {n}", text, may_be_empty=True) for n, text in enumerate(answers, 1)]
    sources = _sources(line, record, mapping)
    if sources and len(sources) != len(responses):
        raise Problem(
            line,
            mapping["sources"],
            gettext("%(sources)s sources for %(responses)s responses")
            % {"sources": len(sources), "responses": len(responses)},
        )
    group = picking.optional(line, record, mapping, "group")
    return Draft(
        line=line,
        key=_key(line, record, mapping) if "id" in mapping else "",
        prompt=prompt,
        context=_context(line, record, mapping),
        responses=responses,
        sources=sources or [""] * len(responses),
        group=picking.short(line, mapping.get("group", ""), group) if group is not None else prompt_group(prompt),
        topic=picking.remark(line, record, mapping, "topic", MAX_TOPIC),
        warning=picking.remark(line, record, mapping, "warning", MAX_WARNING),
        judgements=judged_before.judgements(line, record, mapping, responses),
        written=judged_before.written(line, record, mapping),
        labelled=judged_before.labelled(line, record, mapping),
        task=picking.remark(line, record, mapping, "task", MAX_TASK),
    )


def _key(line: int, record: Mapping[str, Any], mapping: Mapping[str, str]) -> str:
    value = picking.value(record, mapping["id"], line)
    if isinstance(value, bool) or not isinstance(value, str | int) or str(value).strip() == "":
        raise Problem(line, mapping["id"], gettext("an id is a text or a whole number, and not empty"))
    return picking.short(line, mapping["id"], value)


def _sources(line: int, record: Mapping[str, Any], mapping: Mapping[str, str]) -> list[str]:
    """Who wrote each response; null where it is not known."""
    given = _many(line, record, mapping, "sources", optional=True)
    return [
        "" if source is None else picking.text(line, f"sources {n}", source, may_be_empty=True)[:200]
        for n, source in enumerate(given, 1)
    ]


def prompt_group(prompt: Sequence[Mapping[str, str]]) -> str:
    """The group of an item that was given none: a hash of its prompt."""
    return hashlib.sha256(json.dumps(prompt, ensure_ascii=False).encode()).hexdigest()[:32]


def _prompt(line: int, record: Mapping[str, Any], mapping: Mapping[str, str]) -> list[dict[str, str]]:
    if "prompt" not in mapping:
        raise Problem(0, "prompt", gettext("the mapping names no field for the prompt"))
    paths = picking.several(record, mapping["prompt"], line)
    values = [picking.value(record, path, line) for path in paths]
    if len(values) == 1 and isinstance(values[0], list):
        return _messages(line, paths[0], values[0])
    texts = [picking.text(line, path, value, may_be_empty=True) for path, value in zip(paths, values, strict=True)]
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
            {"role": message["role"], "content": picking.text(line, f"{name} message {number}", message.get("content"))}
        )
    if not messages:
        raise Problem(line, name, gettext("the conversation is empty"))
    return messages


def _context(line: int, record: Mapping[str, Any], mapping: Mapping[str, str]) -> list[dict[str, str]]:
    value = picking.optional(line, record, mapping, "context")
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
        passages.append(
            {"title": picking.text(line, name, title, may_be_empty=True), "text": picking.text(line, name, text)}
        )
    return passages


def _conversation(
    line: int, record: Mapping[str, Any], mapping: Mapping[str, str]
) -> tuple[list[dict[str, str]], list[Any]]:
    paths = picking.several(record, mapping["conversation"], line)
    if len(paths) != 2:
        message = gettext("a conversation is two fields, the one with the better end first: chosen,rejected")
        raise Problem(0, "conversation", message)
    if "prompt" in mapping or "responses" in mapping:
        message = gettext("prompt and answers stand in the conversation; leave the words prompt and responses empty")
        raise Problem(0, "conversation", message)
    first, second = (picking.value(record, path, line) for path in paths)
    try:
        ends = transcripts.ends_of(first, second)
    except transcripts.NoTranscript as wrong:
        raise Problem(line, mapping["conversation"], str(wrong)) from None
    return _messages(line, mapping["conversation"], ends.prompt), list(ends.answers)


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
    paths = picking.several(record, mapping[word], line)
    if len(paths) == 1:
        values = picking.value(record, paths[0], line)
        if not isinstance(values, list):
            raise Problem(
                line,
                paths[0],
                gettext("a list of texts was expected, not %(values)s") % {"values": picking.kind_of(values)},
            )
        return values
    _whole_list_named(line, record, paths)
    return [picking.value(record, path, line) for path in paths]


def _first_missing(record: Mapping[str, Any], mapping: Mapping[str, str], word: str) -> bool:
    return word not in mapping or (mapping[word] == word and word not in record)


def _whole_list_named(line: int, record: Mapping[str, Any], paths: Sequence[str]) -> None:
    """Fields like `outputs.0` must name all of `outputs`: the others would be lost without a word."""
    for parent in {path.rpartition(".")[0] for path in paths if path.rpartition(".")[2].isdigit()}:
        there = picking.value(record, parent, line) if parent else None
        named = sum(path.rpartition(".")[0] == parent for path in paths)
        if isinstance(there, list) and len(there) != named:
            raise Problem(
                line,
                parent,
                gettext("%(there)s answers, where the mapping names %(named)s") % {"there": len(there), "named": named},
            )
