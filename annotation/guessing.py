"""Guesses which field of a file is what, from the names in its first record. A person sees the guess before it counts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

#: word -> names that files usually give it, the likeliest first
USUAL = {
    "id": ["id", "key", "uid", "pair_id"],
    "prompt": [
        "prompt",
        "question",
        "instruction",
        "history",
        "post",
        "text",
        "sentence",
        "utterance",
        "input",
        "context",
    ],
    "responses": ["responses", "outputs", "completions", "answers", "candidates"],
    "context": ["passages", "documents", "context"],
    "sources": ["sources", "models"],
    "ranks": ["ranks", "ranking"],
    "winner": ["winner", "label"],
    "votes": ["votes"],
    "demonstration": ["demonstration", "completion", "output", "response", "answer"],
    "label": ["label", "labels", "class", "category", "intent", "coarse", "sentiment"],
    "group": ["group"],
    "annotator": ["annotator", "worker"],
    "task": ["task"],
    "topic": ["topic", "domain", "subject"],
    "warning": ["warning", "content_warning"],
}
PAIRS = (
    "response1,response2",
    "response_1,response_2",
    "response_a,response_b",
    "answer_0,answer_1",
    "chosen,rejected",
)


def guess(record: Mapping[str, Any], kinds: Collection[str] = ()) -> dict[str, str]:
    """A first mapping for a file, from the names in its first record; {} when they are our own words.

    `kinds` are those of the project's questions: a demonstration is guessed only where one asks for it. Labels are taken by a
    question that the import can make.
    """
    if {"id", "prompt", "responses"} <= record.keys():
        return {}
    found = {word: next((name for name in names if name in record), "") for word, names in USUAL.items()}
    if found["prompt"] == "instruction" and "input" in record:
        found["prompt"] = "instruction,input"
    if found["context"] == found["prompt"]:
        found["context"] = ""
    if not found["responses"]:
        found["responses"] = next((p for p in PAIRS if set(p.split(",")) <= record.keys()), "")
    if not found["prompt"] and found["responses"] == "chosen,rejected":
        found |= {"conversation": found["responses"], "responses": ""}
    if found["responses"] or found.get("conversation"):
        found |= {"label": "", "demonstration": found["demonstration"] if "demonstration" in record else ""}
    else:
        found["winner"] = ""
    if "demonstration" not in kinds:
        found["demonstration"] = ""
    named = {word: fields for word, fields in found.items() if fields}
    return named if "id" in named else {"id": "", **named}
