"""Fills in a trainer's settings: what was given, checked, and the defaults of all the rest.

Used by the training child, so that a job is known by all its settings and not by those that somebody typed; and by `try`,
which imports no plugin, as a process: `python -m feinschliff.filling` reads a question as JSON and answers in JSON.
"""

import json
import sys
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import AliasChoices, BaseModel, ValidationError

from feinschliff.manager import load


class WrongSetting(ValueError):
    """A setting that is unknown or out of its limits; the message names it and says what would be right."""


def fill(config: type[BaseModel], given: Mapping[str, Any]) -> BaseModel:
    """The whole settings. An unknown one is refused whatever the model itself says about extra fields."""
    known = _names(config)
    for name in given:
        if name not in known:
            raise WrongSetting(unknown(name, list(config.model_json_schema().get("properties", {}))))
    try:
        return config.model_validate(dict(given))
    except ValidationError as error:
        first = error.errors()[0]
        raise WrongSetting(f"config, {'.'.join(map(str, first['loc'])) or 'as a whole'}: {first['msg']}") from None


def whole(config: BaseModel) -> dict[str, Any]:
    """Settings as JSON, defaults and all, so that the model takes them back."""
    return config.model_dump(mode="json", by_alias=True)


def unknown(name: str, known: Iterable[str]) -> str:
    """That there is no such setting, and which there are."""
    there = list(known)
    return f"there is no setting {name!r}{meant(name, there)}; there are: {', '.join(there) or 'none'}"


def meant(word: str, known: Iterable[str]) -> str:
    """`, did you mean ...?` where a word is much like one that is known."""
    near = get_close_matches(word, list(known), 1)
    return f" (did you mean {near[0]}?)" if near else ""


def _names(config: type[BaseModel]) -> set[str]:
    found: set[str] = set()
    by_name = config.model_config.get("populate_by_name") or config.model_config.get("validate_by_name")
    for name, field in config.model_fields.items():
        other = field.validation_alias
        aliases = other.choices if isinstance(other, AliasChoices) else [other]
        found |= {alias for alias in aliases if isinstance(alias, str)}
        if other is None or by_name:
            found.add(name)
    return found


def main() -> int:
    """Answers {"config": the whole settings} or {"error": a sentence}; plugins may print, so it is the last line."""
    asked = json.load(sys.stdin)
    trainer = load(asked["plugins"]).trainers[asked["trainer"]]
    try:
        answer: dict[str, Any] = {"config": whole(fill(trainer.config, asked["config"]))}
    except WrongSetting as wrong:
        answer = {"error": str(wrong)}
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
