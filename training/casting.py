"""Which models could play a trainer's roles: those it cannot do without, and those it may use. Stands before launching.

A role that must score or write is offered the project's own models first, for those are what the loop has made; any other is
offered base models first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from annotation.models import Project
from feinschliff.trainer import roles_from, verbs_from
from training.catalogue import describing
from training.catalogue.listing import Listing, listing
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
    """A model that could be taken: its string, and what a list says of it. `rows`: the kinds with which it can play the role."""

    ref: str
    title: str
    rows: tuple[str, ...] = ()


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
    follows_rows: bool  # who can play it depends on the kind of rows that is chosen
    begins: bool  # a base model can play it


def verbs(trainer: Mapping[str, Any], rows: str = "") -> dict[str, str]:
    """Role -> verb where it learns from rows of a kind, the roles that must be filled first."""
    return roles_from(trainer["needs"], rows)


def optional(trainer: Mapping[str, Any]) -> dict[str, str]:
    """Role -> verb of those that may stay empty."""
    return dict(trainer["needs"].get("may_use") or {})


def cast(
    trainer: Mapping[str, Any],
    project: Project,
    values: Mapping[str, str] | None,
    faults: Mapping[str, str],
    offered: Mapping[str, dict[str, Any]],
    rows: str = "",
    others: Iterable[str] = (),
) -> list[Role]:
    """The trainer's roles with who could play them, learning from rows of a kind.

    `values` None: nobody has chosen yet. `offered`: trainers of the project. `others`: kinds of rows that may be chosen instead.
    """
    kinds = list(dict.fromkeys([rows, *others]))
    return [
        _role(trainer, project, name, kinds, None if values is None else values.get(name, ""), faults.get(name, ""), offered)
        for name in verbs(trainer)
    ]  # fmt: skip


def _role(
    trainer: Mapping[str, Any],
    project: Project,
    name: str,
    kinds: Sequence[str],
    value: str | None,
    error: str,
    offered: Mapping[str, dict[str, Any]],
) -> Role:
    """`kinds`: that of the rows that are chosen, then the others."""
    asked = {kind: verbs(trainer, kind)[name] for kind in kinds}
    verb = asked[kinds[0]]
    there = choices(trainer.get("environment", ""), project, verb)
    follows_rows = len(set(asked.values())) > 1
    is_optional = name in optional(trainer)
    if value is None:
        value = "" if is_optional else first(there)
    makers_here = [] if there else makers(verb, offered)
    if follows_rows:
        there = _of_all_kinds(trainer, project, asked)
    known = {choice.ref for choice in there}
    return Role(
        name=name,
        verb=verb,
        is_optional=is_optional,
        help=str(WORDS.get(name, gettext("A model that can %(verb)s.") % {"verb": verb})),
        choices=there,
        value=value if value in known else "",
        other="" if value in known else value,
        error=error,
        makers=makers_here,
        follows_rows=follows_rows,
        begins=verb in ("embed", "generate"),
    )


def _of_all_kinds(trainer: Mapping[str, Any], project: Project, asked: Mapping[str, str]) -> list[Choice]:
    """Everybody who can play the role with some kind of rows, each with the kinds."""
    able: dict[str, list[str]] = {}
    titles: dict[str, str] = {}
    for kind, verb in asked.items():
        for choice in choices(trainer.get("environment", ""), project, verb):
            able.setdefault(choice.ref, []).append(kind)
            titles[choice.ref] = choice.title
    return [Choice(ref, titles[ref], tuple(kinds)) for ref, kinds in able.items()]


def makers(verb: str, offered: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The trainers whose models have a verb."""
    return [trainer for trainer in offered.values() if verb in verbs_from(trainer)]


def choices(environment: str, project: Project, verb: str, found: Listing | None = None) -> list[Choice]:
    """The models that have a verb, for trainers of this environment. `found`: what is installed, where it was asked already."""
    listed = Model.objects.filter(project=project, run__archived_at=None).select_related("run")
    listed = listed.only("name", "yields", "run__numbers", "run__config")
    own = [Choice(model.ref, _title(model, verb)) for model in listed if verb in model.yields]
    bases = [
        Choice(ref, ref)
        for ref in describing.able((found or listing()).model_strings(environment), verb, environment=environment)
    ]
    return [*own, *bases] if verb in OWN_FIRST else [*bases, *own]


def _title(model: Model, verb: str) -> str:
    """With how good it is and, of a judge, how long a text may be: it refuses to score what it cannot read whole."""
    said = f"{model.ref}: {model.name}"
    accuracy, tokens = model.run.numbers.get("accuracy/model"), model.run.config.get("max_length")
    if isinstance(accuracy, int | float):
        said = gettext("%(ref)s: %(name)s, accuracy %(accuracy)s") % {
            "ref": model.ref, "name": model.name, "accuracy": number(accuracy, 3),
        }  # fmt: skip
    if verb == "score" and isinstance(tokens, int):
        said += ", " + gettext("reads at most %(n)s tokens") % {"n": number(tokens)}
    return said


def first(there: Sequence[Choice]) -> str:
    """The one that is offered: real weights before fresh ones. Empty where there is none."""
    return next((choice.ref for choice in there if not choice.ref.startswith("tiny:")), there[0].ref if there else "")
