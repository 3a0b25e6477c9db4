"""What a schema says of its fields: the bare type, its choices, the entries of a list, limits."""

from __future__ import annotations

import json
import types
from collections.abc import Sequence
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo


def defaults(schema: type[BaseModel]) -> dict[str, Any]:
    return schema.model_construct().model_dump(mode="json", warnings=False)


def text(value: object) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def limits(info: FieldInfo) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    for rule in info.metadata:
        if isinstance(rule, Ge):
            limits["min"] = rule.ge
        elif isinstance(rule, Le):
            limits["max"] = rule.le
        elif isinstance(rule, Gt) and isinstance(rule.gt, int):
            limits["min"] = rule.gt + 1
        elif isinstance(rule, Lt) and isinstance(rule.lt, int):
            limits["max"] = rule.lt - 1
        elif isinstance(rule, MaxLen):
            limits["maxlength"] = rule.max_length
    return limits


def bare(annotation: Any) -> tuple[Any, bool]:  # noqa: ANN401 - types, of which typing knows no type
    """The type without Annotated and without None, and whether None was in it."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        inner = [one for one in get_args(annotation) if one is not type(None)]
        if len(inner) == 1:
            return bare(inner[0])[0], len(inner) < len(get_args(annotation))
    return annotation, False


def choices(kind: Any) -> list[Any]:  # noqa: ANN401
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    return [one.value for one in kind] if isinstance(kind, type) and issubclass(kind, Enum) else []


def is_model(kind: Any) -> bool:  # noqa: ANN401
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def entry(kind: Any) -> Any:  # noqa: ANN401
    """The type of a list's entries, None for what is no list."""
    return bare(get_args(kind)[0])[0] if get_origin(kind) in (list, tuple, Sequence) and get_args(kind) else None
