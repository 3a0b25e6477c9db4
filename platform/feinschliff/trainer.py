"""What a plugin says about a training method: a frozen record, checked when it is made.

The platform reads these records in a child process and draws pickers, forms, API and preflight from them. Everything
heavy is named by string (`train`, `opens`), so that listing a trainer never loads what it trains with.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    WrapValidator,
    field_validator,
    model_validator,
)

from feinschliff.rows import ROW_KINDS

API_VERSION = 1
VERBS = ("generate", "score", "embed", "classify", "fill")
Family = Literal["supervised", "self-supervised", "human-feedback"]
_SLUG = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_PLACE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


class NeedsNotMet(Exception):
    """What the trainer needs is not there: too few rows, the wrong kind, a base model that cannot do it."""


class Record(BaseModel):
    """What all records of the contract share: frozen, strict about its fields, and bound to one API version."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    api: int = Field(description="the API version the plugin was written for")
    name: str = Field(description="a slug, unique among all plugins")
    title: str = Field(description="a short name for people")

    @model_validator(mode="before")
    @classmethod
    def _speaks_this_api(cls, data: object) -> object:
        """Runs before all other checks: a record of another API may well have other fields."""
        if isinstance(data, Mapping) and data.get("api", API_VERSION) != API_VERSION:
            raise ValueError(f"it speaks API {data.get('api')}, this Feinschliff speaks API {API_VERSION}")
        return data

    @field_validator("name")
    @classmethod
    def _name_is_a_slug(cls, name: str) -> str:
        if not _SLUG.fullmatch(name):
            raise ValueError(f"name {name!r} is not a slug: a letter, then lower-case letters, digits, single hyphens")
        return name

    @field_validator("title", "summary", check_fields=False)
    @classmethod
    def _one_line(cls, text: str) -> str:
        if not text.strip() or "\n" in text or len(text) > 200:
            raise ValueError("title and summary are one line each, not empty, at most 200 characters")
        return text


def check_place(place: str) -> str:
    """A function named by string: `package.module:function`."""
    if not _PLACE.fullmatch(place):
        raise ValueError(f"{place!r} does not name a function as package.module:function")
    return place


class Needs(BaseModel):
    """What a trainer cannot work without; checked before its code is loaded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: tuple[str, ...] = Field(description="row kinds it learns from, any of them")
    at_least: int = Field(default=1, ge=1, description="training rows without which it refuses to start")
    models: Mapping[str, str] = Field(default={}, description="role -> verb that the model in that role must offer")
    may_use: Mapping[str, str] = Field(
        default={}, description="role -> verb, of models it does more with where one is given and works without"
    )
    models_from: Mapping[str, Mapping[str, str]] = Field(
        default={},
        description="row kind -> {role: verb}, for roles above that ask another verb where rows of that kind are learned from",
    )
    tasks: int = Field(
        default=1, ge=1, le=1000, description="different tasks that its training rows must name in `task`"
    )
    gpu: bool = Field(default=False, description="it cannot work on a CPU")
    bytes_per_parameter: int = Field(
        default=16,
        ge=0,
        le=1024,
        description="memory a base parameter costs: 16 is weight, gradient and Adam's two moments",
    )

    @field_validator("rows")
    @classmethod
    def _known_kinds(cls, kinds: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [kind for kind in kinds if kind not in ROW_KINDS]
        if unknown or not kinds:
            raise ValueError(f"unknown row kinds {unknown}; there are {sorted(ROW_KINDS)}")
        return kinds

    @field_validator("models", "may_use")
    @classmethod
    def _known_verbs(cls, models: Mapping[str, str]) -> Mapping[str, str]:
        for role, verb in models.items():
            if not _SLUG.fullmatch(role) or verb not in VERBS:
                raise ValueError(f"role {role!r} asks for {verb!r}; a role is a slug, a verb one of {list(VERBS)}")
        return models

    @field_validator("models_from")
    @classmethod
    def _known_verbs_from(cls, models: Mapping[str, Mapping[str, str]]) -> Mapping[str, Mapping[str, str]]:
        for asked in models.values():
            cls._known_verbs(asked)
        return models

    @model_validator(mode="after")
    def _from_what_it_learns(self) -> "Needs":
        _check_kinds("models_from", self.models_from, self.rows)
        unknown = sorted(
            {role for asked in self.models_from.values() for role in asked} - {*self.models, *self.may_use}
        )
        if unknown:
            raise ValueError(f"models_from has the roles {unknown}, which stand neither in models nor in may_use")
        return self

    @model_validator(mode="after")
    def _a_role_stands_once(self) -> "Needs":
        both = sorted(set(self.models) & set(self.may_use))
        if both:
            raise ValueError(f"roles {both} stand both in models and in may_use; a role is needed or it is not")
        return self


def _check_kinds(name: str, kinds: Iterable[str], rows: Sequence[str]) -> None:
    others = [kind for kind in kinds if kind not in rows]
    if others:
        raise ValueError(f"{name} names {others}, which it does not learn from; needs.rows has {list(rows)}")


def verbs_from(trainer: Mapping[str, Any], kind: str = "") -> list[str]:
    """The verbs of the model that a listed trainer makes of rows of a kind; without one: every verb that some kind gives."""
    given: Mapping[str, Sequence[str]] = trainer.get("yields_from") or {}
    if kind:
        return list(given.get(kind, trainer["yields"]))
    named = [given.get(one, trainer["yields"]) for one in trainer["needs"]["rows"]]
    return list(dict.fromkeys(verb for verbs in named for verb in verbs))


def roles_from(needs: Mapping[str, Any], kind: str = "", *, optional: bool = True) -> dict[str, str]:
    """Role -> verb that a listed trainer's needs ask for where it learns from rows of a kind, the needed roles first.

    Without a kind: as `models` and `may_use` have them. `optional` False: only the roles that must be filled.
    """
    roles = {**needs["models"], **((needs.get("may_use") or {}) if optional else {})}
    given: Mapping[str, str] = (needs.get("models_from") or {}).get(kind) or {}
    return {role: given.get(role, verb) for role, verb in roles.items()}


class NoSettings(BaseModel):
    """The config of a trainer that has nothing to set."""

    model_config = ConfigDict(extra="forbid")


class Explained(BaseModel):
    """What a number or a curve means, for people who did not write the trainer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = Field(min_length=1, max_length=80, description="what people call it")
    description: str = Field(default="", max_length=400, description="how it is to be read, in a sentence or two")
    better: Literal["", "higher", "lower"] = Field(
        default="", description="which way is good; empty where neither is, or it depends"
    )


def explanation(explains: Mapping[str, Any], name: str) -> str:
    """The key under which a number is explained: its own name, else the longest beginning before a slash; or nothing."""
    while name and name not in explains:
        name = name.rpartition("/")[0]
    return name


class Trainer(Record):
    """A training method that a plugin offers."""

    summary: str = Field(description="one line for the picker: when would I take this?")
    family: Family
    needs: Needs
    config: type[BaseModel] = Field(
        default=NoSettings,
        description="a pydantic model: every field with a default, a description and, if a number, limits",
    )
    train: str = Field(description="package.module:function, called with one Run, returns the final numbers")
    opens: str = Field(description="package.module:function, called with a model folder, returns the model")
    yields: tuple[str, ...] = Field(description="verbs of the model it makes")
    yields_from: Mapping[str, tuple[str, ...]] = Field(
        default={},
        description="row kind -> verbs, for kinds from which it makes a model with other verbs than `yields`",
    )
    explains: Mapping[str, Explained] = Field(
        default={},
        description="name of a number or curve, or its beginning before a slash -> what it means; the most telling first",
    )
    resumable: bool = Field(default=False, description="a killed run goes on from its checkpoint to the same numbers")
    ranks: int = Field(default=1, ge=1, le=1024, description="the most processes that can share its work (torchrun)")

    _train_is_a_place = field_validator("train", "opens")(check_place)

    @field_validator("yields")
    @classmethod
    def _yields_verbs(cls, verbs: tuple[str, ...]) -> tuple[str, ...]:
        if not verbs or any(verb not in VERBS for verb in verbs):
            raise ValueError(f"yields {list(verbs)}; the verbs are {list(VERBS)}")
        return verbs

    @field_validator("yields_from")
    @classmethod
    def _yields_verbs_from(cls, verbs: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
        for named in verbs.values():
            cls._yields_verbs(named)
        return verbs

    @model_validator(mode="after")
    def _yields_from_what_it_learns(self) -> "Trainer":
        _check_kinds("yields_from", self.yields_from, self.needs.rows)
        return self

    @field_validator("config")
    @classmethod
    def _config_explains_itself(cls, config: type[BaseModel]) -> type[BaseModel]:
        faults = config_faults(config)
        if faults:
            raise ValueError("; ".join(faults))
        return config


def config_faults(config: type[BaseModel]) -> list[str]:
    """What a form could not be made of: a field without default, help or limits. Empty when all is well."""
    faults = []
    properties = config.model_json_schema(mode="validation").get("properties", {})
    for name, field in config.model_fields.items():
        schema = properties.get(field.alias or name, {})
        if field.is_required():
            faults.append(f"config field {name!r} has no default")
        if not (field.description or "").strip():
            faults.append(f"config field {name!r} has no description")
        for choice in schema.get("anyOf", [schema]):
            if choice.get("type") in ("integer", "number") and not _has_limits(choice):
                faults.append(f"config field {name!r} is a number without a lower and an upper limit")
    return faults


def validates(config: type[BaseModel]) -> bool:
    """Whether settings that keep to the JSON Schema may still be refused, so that only the plugin's own Python can tell."""
    rules = config.__pydantic_decorators__
    if rules.model_validators or rules.field_validators or rules.validators or rules.root_validators:
        return True
    if config.model_post_init is not BaseModel.model_post_init:
        return True
    told = (AfterValidator, BeforeValidator, PlainValidator, WrapValidator)
    return any(isinstance(rule, told) for field in config.model_fields.values() for rule in field.metadata)


def _has_limits(schema: Mapping[str, Any]) -> bool:
    if "enum" in schema or "const" in schema:
        return True
    return all(end in schema or f"exclusive{end.capitalize()}" in schema for end in ("minimum", "maximum"))
