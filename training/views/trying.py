"""The forms of a model's page that classify, compare and fill texts; scoring and writing stand in views/models.py."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext

from annotation.requests import ProjectRequest
from training import trying
from training.answering import NoAnswer
from training.models import Model
from webapp.saying import number

MOST_TEXTS, MOST_CHARACTERS = 10, 20_000
MOST_FILLINGS, FILLINGS = 10, 5
FIELDS = {"classify": 1, "embed": 3}  # texts that a form begins with


def forms(found: Model) -> dict[str, Any]:
    """What the page's forms hold before anything was sent, by verb of the model."""
    begin: dict[str, Any] = {verb: {"texts": [""] * fields} for verb, fields in FIELDS.items()}
    begin["fill"] = {"text": "", "n": FILLINGS, "most": MOST_FILLINGS}
    return {"try": {verb: begin[verb] for verb in trying.VERBS if verb in found.yields}}


def tried(request: ProjectRequest, found: Model, verb: str) -> dict[str, Any]:
    """The same with what was sent, and with what the model made of it or what is wrong."""
    context = forms(found)
    if verb not in context["try"]:
        return context
    form = _filled(request, found) if verb == "fill" else _several(request, found, verb)
    context["try"][verb] |= form
    return context | ({"error_in": verb} if form.get("error") else {})


def _several(request: ProjectRequest, found: Model, verb: str) -> dict[str, Any]:
    texts = request.POST.getlist("text")[:MOST_TEXTS]
    given = [text for text in texts if text.strip()]
    form: dict[str, Any] = {"texts": texts or [""] * FIELDS[verb]}
    least = 2 if verb == "embed" else 1
    if len(given) < least:
        asked = gettext("Write at least two texts, to compare them.") if least == 2 else gettext("Write a text.")
        return form | {"error": asked}
    if wrong := _too_long(given):
        return form | {"error": wrong}
    try:
        if verb == "classify":
            return form | {"found": trying.classified(given, trying.classify(found, given))}
        return form | {"found": trying.alike(given, trying.embed(found, given))}
    except NoAnswer as wrong_answer:
        return form | {"error": str(wrong_answer)}


def _filled(request: ProjectRequest, found: Model) -> dict[str, Any]:
    text, count = request.POST.get("text", ""), request.POST.get("n", "").strip()
    form: dict[str, Any] = {"text": text, "n": count}
    if not text.strip():
        return form | {"error": gettext("Write a text.")}
    if wrong := _too_long([text]):
        return form | {"error": wrong}
    if not (count.isascii() and count.isdigit() and len(count) < 4 and 1 <= int(count) <= MOST_FILLINGS):
        return form | {"error": gettext("Ask for 1 to %(most)s ways.") % {"most": MOST_FILLINGS}}
    try:
        [found_texts] = trying.fill(found, [text], int(count))
    except NoAnswer as wrong_answer:
        return form | {"error": str(wrong_answer)}
    return form | {"found": list(dict.fromkeys(found_texts))}


def _too_long(texts: list[str]) -> str:
    if all(len(text) <= MOST_CHARACTERS for text in texts):
        return ""
    return gettext("A text here has at most %(n)s characters.") % {"n": number(MOST_CHARACTERS)}
