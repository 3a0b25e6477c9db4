"""Models at work: the verbs they may offer, and how a model string or a finished model folder is opened.

A finished folder describes itself in `feinschliff-model.json`; which function opens it comes from the trainer installed
here under that name, never from the file alone, so a folder cannot choose what code runs.
"""

import importlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from pydantic import Field, field_validator

from feinschliff.trainer import VERBS, Record, check_place

MODEL_FILE = "feinschliff-model.json"
PromptLike = str | list[dict[str, str]]
AnyModel = Any  # an opened model: an object with some of the verbs below, told apart at run time


class ModelNotOpened(Exception):
    """A model string or folder that cannot be opened; the message says why and what would be right."""


@runtime_checkable
class Generates(Protocol):
    def generate(
        self,
        prompts: Sequence[PromptLike],
        *,
        n: int = 1,
        max_new_tokens: int = 128,
        temperature: float = 1.0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> list[list[str]]:
        """`n` continuations for each prompt; temperature 0 is greedy."""


@runtime_checkable
class Scores(Protocol):
    def score(self, prompt: PromptLike, completions: Sequence[str]) -> list[float]:
        """One number an answer; only differences between answers of one prompt mean something."""


@runtime_checkable
class Embeds(Protocol):
    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """An array of shape (len(texts), width), float32."""


@runtime_checkable
class Classifies(Protocol):
    def classify(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """For each text, label -> probability."""


@runtime_checkable
class Fills(Protocol):
    def fill(self, texts: Sequence[str], n: int = 1) -> list[list[str]]:
        """For each text with missing parts, `n` completed texts, the likeliest first. Three underscores are a missing part."""


def verbs_of(model: object) -> list[str]:
    """The verbs a model offers, in the contract's order."""
    return [verb for verb in VERBS if callable(getattr(model, verb, None))]


@dataclass(frozen=True)
class Opening:
    """Where a model source may look and write: the weights cache, and the folders `local:` may point into."""

    weights: Path
    local_models: tuple[Path, ...] = field(default=())
    device: str = "auto"


@dataclass(frozen=True)
class ModelAbout:
    """What can be known of a base model without loading it; 0 parameters: unknown."""

    verbs: tuple[str, ...]
    parameters: int = 0
    disk_bytes: int = 0


class ModelSource(Record):
    """A source of base models: which strings it understands, and the function that opens them."""

    schemes: tuple[str, ...] = Field(min_length=1, description="what stands before the colon: tiny, hub ...")
    opens: str = Field(description="package.module:function, called with (reference, Opening), returns the model")
    suggests: tuple[str, ...] = Field(default=(), description="model strings that work here now, for pickers")
    describes: str = Field(
        default="",
        description="package.module:function, called with (reference, Opening), returns a ModelAbout; loads no torch",
    )

    _opens_is_a_place = field_validator("opens")(check_place)

    @field_validator("describes")
    @classmethod
    def _describes_is_a_place(cls, place: str) -> str:
        return check_place(place) if place else place


class Registered(Protocol):
    """The part of the plugin manager's answer that opening needs."""

    trainers: dict[str, Any]
    sources: dict[str, ModelSource]


def resolve(place: str) -> Callable[..., Any]:
    """The function that `package.module:function` names."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


def open_folder(folder: Path, registered: Registered) -> AnyModel:
    """The model in a finished folder, opened by the trainer that made it."""
    about = describe(folder)
    trainer = registered.trainers.get(about["trainer"])
    if trainer is None:
        raise ModelNotOpened(
            f"{folder}: made by the trainer {about['trainer']!r}, which no plugin here offers; "
            f"install or load one of {about.get('plugins', [])}"
        )
    return resolve(trainer.opens)(folder)


def describe(folder: Path) -> dict[str, Any]:
    """What a finished model folder says about itself."""
    try:
        about = json.loads((folder / MODEL_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelNotOpened(f"{folder}: no {MODEL_FILE} in it; only folders of finished runs can be opened") from None
    except ValueError as error:
        raise ModelNotOpened(f"{folder / MODEL_FILE}: not readable as JSON ({error})") from None
    if not isinstance(about, dict) or "trainer" not in about:
        raise ModelNotOpened(f"{folder / MODEL_FILE}: names no trainer")
    return about


def open_model(ref: str, opening: Opening, registered: Registered, folder: Path | None = None) -> AnyModel:
    """The model behind a string (`tiny:encoder`), a finished folder, or a string with its folder (`run:3`)."""
    if folder is not None and (folder / MODEL_FILE).exists():
        return open_folder(folder, registered)
    scheme, colon, _ = ref.partition(":")
    if colon and scheme in registered.sources:
        return resolve(registered.sources[scheme].opens)(ref, opening)
    if folder is not None or Path(ref).is_dir():
        return open_folder(folder or Path(ref), registered)
    raise ModelNotOpened(
        f"{ref!r} is neither a folder of a finished run nor a model string; strings begin with one of "
        f"{', '.join(sorted(name + ':' for name in registered.sources)) or '(no model plugin is loaded)'}"
    )
