"""Fills in a trainer's settings: what was given, checked, and the defaults of all the rest.

Used by the training child, so that a job is known by all its settings and not by those that somebody typed; and by `try` and
the platform, which import no plugin, as a process: `python -m feinschliff.filling` reads a question as JSON and answers in JSON.
"""

import json
import re
import sys
import warnings
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import AliasChoices, BaseModel, ValidationError

from feinschliff.manager import load


class WrongSetting(ValueError):
    """A setting that is unknown or out of its limits; the message names it and says what would be right.

    `faults` says it for each setting, with "" for what is wrong with all of them together.
    """

    def __init__(self, message: str, faults: Mapping[str, str]) -> None:
        self.faults = dict(faults)
        super().__init__(message)


def fill(config: type[BaseModel], given: Mapping[str, Any]) -> BaseModel:
    """The whole settings. An unknown one is refused whatever the model itself says about extra fields."""
    known = _names(config)
    for name in given:
        if name not in known:
            said = unknown(name, list(config.model_json_schema().get("properties", {})))
            raise WrongSetting(said, {name: said})
    try:
        return config.model_validate(dict(given))
    except ValidationError as error:
        faults = faults_of(error, known)
        told = "; ".join(f"config, {name}: {said}" if name else f"config: {said}" for name, said in faults.items())
        raise WrongSetting(told, faults) from None


def faults_of(error: ValidationError, known: Iterable[str]) -> dict[str, str]:
    """Setting -> what is wrong with it.

    What a validator of the whole model says stands at the setting that its sentence names first, so that a form can show it
    where something can be done; under "" where it names none.
    """
    there = set(known)
    found: dict[str, str] = {}
    for fault in error.errors():
        said = re.sub(r"^(Value error|Assertion failed), ", "", fault["msg"])
        found.setdefault(str(fault["loc"][0]) if fault["loc"] else _named(said, there), said)
    return found


def odd(config: type[BaseModel], given: Mapping[str, Any]) -> tuple[BaseModel, dict[str, str]]:
    """The whole settings, and setting -> what its own validators find odd about it (`warnings.warn`), yet would take."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        filled = fill(config, given)
    found: dict[str, str] = {}
    for one in caught:
        if one.category is UserWarning:
            found.setdefault(_named(str(one.message), _names(config)), str(one.message))
    return filled, found


def _named(sentence: str, known: Iterable[str]) -> str:
    """The first setting that a sentence names, or nothing."""
    there = set(known)
    return next((word for word in re.findall(r"\w+", sentence) if word in there), "")


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
    """Answers {"config": the whole settings, "warnings": {setting: what is odd about it}}, or {"error": a sentence, "faults":
    {setting: what is wrong with it}}.

    Plugins may print, so the answer is the last line.
    """
    asked = json.load(sys.stdin)
    trainer = load(asked["plugins"], entry_points=asked.get("entry_points", True)).trainers[asked["trainer"]]
    try:
        filled, found = odd(trainer.config, asked["config"])
        answer: dict[str, Any] = {"config": whole(filled), "warnings": found}
    except WrongSetting as wrong:
        answer = {"error": str(wrong), "faults": wrong.faults}
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
