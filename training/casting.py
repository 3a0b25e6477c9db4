"""Which models could play a trainer's roles: those it cannot do without, and those it may use. Stands before launching.

A role that must score or write is offered the project's own models first, for those are what the loop has made; any other is
offered base models first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from annotation.models import Project
from training.catalogue import describing
from training.catalogue.listing import listing
from training.models import Model
from webapp.saying import number

NONE = "none"  # what a form sends where no model is wanted in a role
OWN_FIRST = ("score", "generate")
#: what the usual roles are for; a trainer may have others, which are told by their verb alone
WORDS = {
    "base": _("What training begins with. It stays as it is: a copy learns."),
    "reward": _(
        "Scores what is written while training; the model learns to be scored higher. Train one on rankings first."
    ),
    "judge": _("Scores texts written before and after training, for the page of this run. Nothing is learned from it."),
}


@dataclass(frozen=True)
class Choice:
    """A model that could be taken: its string, and what a list says of it."""

    ref: str
    title: str


@dataclass(frozen=True)
class Role:
    """One role as a form shows it. `value` is one of the choices, `other` a string that was typed."""

    name: str
    verb: str
    is_optional: bool
    help: str
    choices: list[Choice]
    value: str
    other: str
    error: str
    makers: list[dict[str, Any]]  # trainers here whose models could play it, where none is at hand yet


def verbs(trainer: Mapping[str, Any]) -> dict[str, str]:
    """Role -> verb, the roles that must be filled first."""
    return {**trainer["needs"]["models"], **optional(trainer)}


def optional(trainer: Mapping[str, Any]) -> dict[str, str]:
    """Role -> verb of those that may stay empty."""
    return dict(trainer["needs"].get("may_use") or {})


def cast(
    trainer: Mapping[str, Any],
    project: Project,
    values: Mapping[str, str] | None,
    faults: Mapping[str, str],
    offered: Mapping[str, dict[str, Any]],
) -> list[Role]:
    """The trainer's roles with who could play them. `values` None: nobody has chosen yet. `offered`: trainers of the project."""
    return [
        _role(trainer, project, name, verb, None if values is None else values.get(name, ""), faults.get(name, ""), offered)
        for name, verb in verbs(trainer).items()
    ]  # fmt: skip


def _role(
    trainer: Mapping[str, Any],
    project: Project,
    name: str,
    verb: str,
    value: str | None,
    error: str,
    offered: Mapping[str, dict[str, Any]],
) -> Role:
    choices, is_optional = _choices(trainer, project, verb), name in optional(trainer)
    if value is None:
        value = "" if is_optional else _first(choices)
    known = {choice.ref for choice in choices}
    return Role(
        name=name,
        verb=verb,
        is_optional=is_optional,
        help=str(WORDS.get(name, gettext("A model that can %(verb)s.") % {"verb": verb})),
        choices=choices,
        value=value if value in known else "",
        other="" if value in known else value,
        error=error,
        makers=[] if choices else makers(verb, offered),
    )


def makers(verb: str, offered: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The trainers whose models have a verb."""
    return [trainer for trainer in offered.values() if verb in trainer["yields"]]


def _choices(trainer: Mapping[str, Any], project: Project, verb: str) -> list[Choice]:
    environment = trainer.get("environment", "")
    listed = Model.objects.filter(project=project, run__archived_at=None).select_related("run")
    own = [Choice(model.ref, _title(model)) for model in listed if verb in model.yields]
    bases = [
        Choice(ref, ref) for ref in describing.able(listing().model_strings(environment), verb, environment=environment)
    ]
    return [*own, *bases] if verb in OWN_FIRST else [*bases, *own]


def _title(model: Model) -> str:
    accuracy = model.run.numbers.get("accuracy/model")
    if not isinstance(accuracy, int | float):
        return f"{model.ref}: {model.name}"
    return gettext("%(ref)s: %(name)s, accuracy %(accuracy)s") % {
        "ref": model.ref, "name": model.name, "accuracy": number(accuracy, 3),
    }  # fmt: skip


def _first(choices: list[Choice]) -> str:
    """The one that is offered: real weights before fresh ones."""
    return next(
        (choice.ref for choice in choices if not choice.ref.startswith("tiny:")), choices[0].ref if choices else ""
    )
