"""Whether the models that are named exist and can do what their roles ask for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.translation import gettext

from annotation.models import Project
from training import casting
from training.catalogue import describing, switching
from training.catalogue.listing import listing, title_of
from training.models import Model, Run
from training.preflighting.looked import FAULT, OK, WARNING, Check, millions
from training.reporting import results


def wrong_strings(
    trainer: Mapping[str, Any], models: Mapping[str, str], project: Project, rows: str
) -> Iterator[Check]:
    """Faults of the model strings themselves."""
    roles = casting.verbs(trainer, rows)
    for role in trainer["needs"]["models"]:
        if not models.get(role):
            yield Check(role, FAULT, _title(role), _missing(roles[role], project))
    for role, ref in models.items():
        if role not in roles:
            takes = ", ".join(roles) or gettext("none")
            yield Check(
                role,
                FAULT,
                _title(role),
                gettext("%(trainer)s takes no model as %(role)s; it takes: %(takes)s")
                % {"trainer": title_of(trainer), "role": role, "takes": takes},
            )
        elif ref and (wrong := _wrong_string(ref, roles[role], project, trainer.get("environment", ""))):
            yield Check(role, FAULT, _title(role), wrong)


def _missing(verb: str, project: Project) -> str:
    """What to do about a role that nobody plays; base models write and embed, and what scores is made here."""
    said = gettext("choose a model that can %(verb)s") % {"verb": verb}
    if any(verb in model.yields for model in Model.objects.filter(project=project)):
        return said
    makers = [title_of(one) for one in casting.makers(verb, switching.offered(project, listing()))]
    if verb != "score" or not makers:
        return said
    return gettext("no model of this project can %(verb)s yet: train one first, with %(trainers)s") % {
        "verb": verb, "trainers": gettext(" or ").join(makers),
    }  # fmt: skip


def _wrong_string(ref: str, verb: str, project: Project, environment: str) -> str:
    found = listing()
    schemes = [*(scheme for source in found.sources_for(environment) for scheme in source["schemes"]), "run"]
    at_hand = found.model_strings(environment)
    scheme, _, name = ref.partition(":")
    if scheme not in schemes or not name:
        return gettext("a model is named %(forms)s, not “%(ref)s”") % {
            "forms": ", ".join(s + ":…" for s in schemes), "ref": ref[:60],
        }  # fmt: skip
    if scheme in ("tiny", "package") and ref not in at_hand:
        return gettext("there is no %(ref)s here; at hand are %(others)s") % {
            "ref": ref[:60], "others": ", ".join(at_hand),
        }  # fmt: skip
    if scheme == "local" and not _allowed(name):
        there = ", ".join(settings.LOCAL_MODELS) or gettext("none; FEINSCHLIFF_LOCAL_MODELS names them")
        return gettext("there is no such folder below one that models may come from (%(there)s)") % {"there": there}
    if scheme == "run" and not _model_of(name, project, verb):
        return gettext("there is no model %(ref)s in this project that can %(verb)s") % {"ref": ref, "verb": verb}
    return ""


def _allowed(name: str) -> bool:
    place = Path(name).resolve()
    return place.is_dir() and any(place.is_relative_to(Path(top).resolve()) for top in settings.LOCAL_MODELS)


def _model_of(name: str, project: Project, verb: str) -> Model | None:
    if not (name.isascii() and name.isdigit() and len(name) < 19):
        return None
    model = Model.objects.filter(run_id=int(name), project=project).first()
    return model if model and verb in model.yields else None


def verb(trainer: Mapping[str, Any], role: str, about: describing.About, rows: str) -> Check:
    verb, title = casting.verbs(trainer, rows)[role], _title(role)
    if about.error:
        return Check(role, FAULT, title, about.error)
    if about.verbs and verb not in about.verbs:
        can = gettext(" and ").join(about.verbs)
        return Check(
            role,
            FAULT,
            title,
            gettext("it can %(can)s; %(trainer)s needs one that can %(verb)s")
            % {"can": can, "trainer": title_of(trainer), "verb": verb},
        )
    if not about.verbs:
        said = gettext(
            "it is looked at when the run starts: whether it can %(verb)s and how large it is are not known yet."
        ) % {"verb": verb}
        return Check(role, WARNING, title, said)
    if about.parameters:
        return Check(
            role,
            OK,
            title,
            gettext("it can %(verb)s and has %(parameters)s parameters.")
            % {"verb": verb, "parameters": millions(about.parameters)},
        )
    return Check(role, OK, title, gettext("it can %(verb)s; its size is not known.") % {"verb": verb})


def warned(one: Check, ref: str) -> Check:
    """With what the run that made the model found odd about it: whoever learns from it should know."""
    if one.level == FAULT or not ref.startswith("run:"):
        return one
    made = Run.objects.filter(pk=int(ref.removeprefix("run:"))).first()
    odd = results.warnings(made.numbers) if made else []
    return replace(one, level=WARNING, sentence=" ".join([one.sentence, *odd])) if odd else one


def _title(role: str) -> str:
    return gettext("%(role)s model") % {"role": role.capitalize()}
