"""Two candidate answers of a live model, for the conversations that people have with it in annotation.

Annotation knows this file only by the names in the settings LIVE_MODELS and LIVE_ANSWERS.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext

from annotation.models import Project
from annotation.talking import NoReply
from training import answering
from training.answering import NoAnswer, Servable
from training.catalogue import describing
from training.catalogue.listing import ListingFailed, listing
from training.models import Model

TEMPERATURE, TOP_P, LONGEST = 0.8, 0.95, 256
ATTEMPTS = 3


def models_of(project: Project) -> list[tuple[str, str]]:
    """(string, name) of the models that can write and be talked with: the project's own, then the base models at hand."""
    own = Model.objects.filter(project=project, run__archived_at=None).order_by("-pk")
    writing = [(model.ref, model.name) for model in own if "generate" in model.yields]
    try:
        bases = listing().model_strings("")
    except ListingFailed:  # the plugins page says why; the project's own models are still there
        return writing
    return writing + [(ref, ref) for ref in describing.able(bases, "generate")]


def candidates(project: Project, ref: str, prompt: list[dict[str, str]]) -> list[tuple[str, str]]:
    """Two different answers as (text, who wrote it); the second tells the seed, so that both can be made again.

    Raises NoReply.
    """
    try:
        return _written(_servable(project, ref), prompt)
    except NoAnswer as wrong:
        raise NoReply(str(wrong)) from None


def _written(model: Servable, prompt: list[dict[str, str]]) -> list[tuple[str, str]]:
    for _attempt in range(ATTEMPTS):
        seed = secrets.randbelow(2**31)
        asked = {"n": 2, "max_new_tokens": LONGEST, "temperature": TEMPERATURE, "top_p": TOP_P, "seed": seed}
        [texts] = answering.warm_models.ask(model, "generate", {"prompts": [prompt], **asked})
        first, second = (text.strip() for text in texts)
        if first and second and first != second:
            source = f"{model.ref} T={TEMPERATURE:g} top_p={TOP_P:g} seed={seed}"
            return [(first, f"{source} #1"), (second, f"{source} #2")]
    raise NoAnswer(gettext("The model wrote nothing, or the same twice. Say it in other words."))


def _servable(project: Project, ref: str) -> Servable:
    if ref.startswith("run:"):
        number = ref.removeprefix("run:")
        model = Model.objects.filter(project=project, run_id=int(number) if number.isdigit() else 0).first()
        if model is None:
            raise NoAnswer(gettext("The model %(ref)s is not there any more.") % {"ref": ref})
        return answering.servable(model)
    return Servable(ref, ref, "", Path(settings.HOME) / "cache" / "talk.log", tuple(settings.BUILTIN_PLUGINS))
