"""The three hooks through which plugins come in: trainers, launchers, model sources.

A plugin is a module (or object) whose functions carry `@hookimpl` and yield records. The hooks take no argument, so
that listing is the same for everybody; the manager calls each plugin's hooks on their own, so none can spoil another's.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from feinschliff.launcher import Launcher
    from feinschliff.model import ModelSource
    from feinschliff.trainer import Trainer

PROJECT = "feinschliff"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def feinschliff_trainers() -> "Iterable[Trainer]":  # type: ignore[empty-body]
    """Yield the training methods that this plugin offers."""


@hookspec
def feinschliff_launchers() -> "Iterable[Launcher]":  # type: ignore[empty-body]
    """Yield the ways of starting a run that this plugin offers."""


@hookspec
def feinschliff_models() -> "Iterable[ModelSource]":  # type: ignore[empty-body]
    """Yield the sources of base models (`scheme:rest`) that this plugin understands."""
