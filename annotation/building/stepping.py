"""What a button of the form does to its drafts: a question or a row is added, removed or moved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from annotation import asking
from annotation.building import schemas
from annotation.building.drafting import blank
from annotation.building.reading import Read
from annotation.kinds import KINDS


def step(said: Read, done: str, what: str, taken: Sequence[str]) -> list[dict[str, Any]]:
    """The drafts after a button `done:what`: add:<kind>; remove, up or down of a question or row by its name in the form;
    row of a list by its name. Whatever else it says changes nothing."""
    drafts = said.drafts
    if done == "add" and what in KINDS and len(drafts) < asking.MOST_QUESTIONS:
        return [*drafts, blank(what, [*taken, *(str(draft.get("name")) for draft in drafts)])]
    places = {name: place for place, name in said.names.items()}
    if what not in places:
        return drafts
    if done == "row":
        entries = _at(drafts, places[what].split("."))
        if isinstance(entries, list):
            entries.append(_another(drafts, places[what].split("."), entries))
        return drafts
    *above, last = places[what].split(".")
    entries = _at(drafts, above)
    if isinstance(entries, list) and last.isdigit():
        at = int(last)
        if done == "remove":
            del entries[at]
        elif done == "up" and at > 0:
            entries.insert(at - 1, entries.pop(at))
        elif done == "down":
            entries.insert(at + 1, entries.pop(at))
    return drafts


def _another(drafts: list[dict[str, Any]], path: Sequence[str], entries: Sequence[Any]) -> dict[str, Any]:
    """A new entry of a list in the options: its defaults, but under a name that no other entry has."""
    at: Any = KINDS[drafts[int(path[0])]["kind"]].schema
    for part in path[2:]:
        if not part.isdigit():
            field = schemas.bare(at.model_fields[part].annotation)[0]
            at = schemas.entry(field) or field
    name = schemas.defaults(at).get("name")
    taken = [str(entry.get("name")) for entry in entries if isinstance(entry, dict)]
    return {"name": asking.free_name(name, taken)} if isinstance(name, str) else {}


def _at(drafts: list[dict[str, Any]], path: Sequence[str]) -> Any:  # noqa: ANN401 - any part of a draft
    at: Any = drafts
    for part in path:
        at = at[int(part)] if isinstance(at, list) else at[part]
    return at
