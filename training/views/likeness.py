"""Similar prompts: what is nearly the same, what is near to one item, and which topic an item may have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext, ngettext

from annotation.models import Item
from annotation.requests import ProjectRequest
from training import grouping, likening, nearing
from training.answering import NoAnswer
from training.reporting import picturing
from webapp.people.permitting import project
from webapp.saying import number

if TYPE_CHECKING:
    import numpy as np

MOST = 5000  # items that a page compares; the command takes all
SECONDS = 4.0  # of reading in one request; then the page says how far it is and comes again
SHOWN, NEIGHBOURS = 50, 10
FEWEST_BINS, MOST_BINS = 8, 40


@dataclass(frozen=True)
class Cluster:
    """Items that hang together; `are_one` where they are in one group already."""

    items: list[Item]
    cosine: float
    is_large: bool = False  # more than is grouped unless somebody ticks it

    @property
    def are_one(self) -> bool:
        return len({item.group for item in self.items}) == 1

    @property
    def ids(self) -> str:
        """What its tick sends: these items and no others, whatever comes in meanwhile."""
        return ",".join(str(item.pk) for item in self.items)


@project("manage")
def similar(request: ProjectRequest, slug: str) -> HttpResponse:
    if request.method == "POST":
        _act(request)
        kept = {name: request.POST[name] for name in ("model", "threshold") if request.POST.get(name)}
        return redirect(f"{reverse('similar', args=[slug])}?{urlencode(kept)}")
    items = list(Item.objects.filter(project=request.project).order_by("position")[: MOST + 1])
    asked = request.GET
    context: dict[str, Any] = {
        "project": request.project, "enough": len(items) > 1, "most": MOST, "left_out": len(items) > MOST,
        "models": [], "threshold": likening.THRESHOLD, "ref": "", "last": grouping.last(request.project),
    }  # fmt: skip
    items = items[:MOST]
    if len(items) < 2:
        return render(request, "training/similar.html", context)
    models = likening.models_of(request.project)
    context |= {"models": models, "makers": [] if models else likening.makers(request.project)}
    ref = asked.get("model", "")
    context["ref"] = ref or (models[0][0] if models else "")
    if not ref:
        return render(request, "training/similar.html", context)
    threshold = _threshold(asked.get("threshold", ""))
    if ref not in dict(models) or threshold is None:
        said = gettext("Choose one of the models, and a threshold above 0 and at most 1.")
        return render(request, "training/similar.html", context | {"error": said}, status=400)
    context["threshold"] = threshold
    return _compared(request, items, ref, threshold, context)


def _compared(
    request: ProjectRequest, items: list[Item], ref: str, threshold: float, context: dict[str, Any]
) -> HttpResponse:
    """The page for one model: further on with reading, or what was found."""
    texts = [likening.text_of(item) for item in items]
    here = f"{reverse('similar', args=[request.project.slug])}?{urlencode({'model': ref, 'threshold': threshold})}"
    try:
        vectors = likening.Vectors(request.project, ref)
        for _left in vectors.work(texts, SECONDS):
            pass
    except NoAnswer as wrong:
        return render(request, "training/similar.html", context | {"error": str(wrong)}, status=400)
    if left := len(vectors.missing(texts)):
        total = len(set(texts))
        response = render(request, "training/similar.html", context | {"total": total, "done": total - left})
        response["Refresh"] = f"0; url={here}"
        return response
    known = vectors.of(texts)
    alike = nearing.compare(known, threshold)
    clusters = _clusters(items, alike)
    topics = nearing.suggestions(items, known)
    loose = [cluster for cluster in clusters if not cluster.are_one]
    return render(
        request,
        "training/similar.html",
        context
        | {
            "compared": True, "items": len(items), "clusters": clusters[:SHOWN], "more": max(0, len(clusters) - SHOWN),
            "loose": len(loose), "topics": topics[:SHOWN], "more_topics": max(0, len(topics) - SHOWN),
            "has_topics": any(item.topic for item in items), "picture": _picture(alike.nearest, threshold),
            "most_grouped": nearing.most_grouped(len(items)), **_around(request.GET.get("item", ""), items, known),
        },
    )  # fmt: skip


def _act(request: ProjectRequest) -> None:
    """Groups the sets, or names the topics, that were ticked, just as they were shown; or undoes the last grouping."""
    ticked, do = request.POST.getlist("one"), request.POST.get("do")
    if do == "group":
        together = [[pk for text in one.split(",") for pk in _ids(text)] for one in ticked]
        count = grouping.group(project=request.project, together=together, actor=request.user)
        said = ngettext(
            "%(n)s item came into another group. Snapshots that are frozen stay as they are.",
            "%(n)s items came into another group. Snapshots that are frozen stay as they are.",
            count,
        )
    elif do == "topics":
        topics = {pk: topic for one in ticked for text, _, topic in [one.partition(" ")] for pk in _ids(text)}
        count = grouping.name_topics(project=request.project, topics=topics, actor=request.user)
        said = ngettext("%(n)s item got a topic.", "%(n)s items got a topic.", count)
    elif do == "undo":
        entry = next(iter(_ids(request.POST.get("entry", ""))), 0)
        count = grouping.undo(project=request.project, entry=entry, actor=request.user)
        said = ngettext(
            "%(n)s item is back in the group that it was in.",
            "%(n)s items are back in the groups that they were in.",
            count,
        )
    else:
        return
    messages.success(request, said % {"n": number(count)})


def _ids(text: str) -> list[int]:
    """One number, or none where the text is none that the database knows."""
    return [int(text)] if text.isascii() and text.isdigit() and len(text) < 19 else []


def _clusters(items: Sequence[Item], alike: nearing.Alike) -> list[Cluster]:
    """With the highest cosine within each; those first that a split could still tear apart."""
    most = nearing.most_grouped(len(items))
    found = [
        Cluster([items[place] for place in places], max(alike.nearest[place] for place in places), len(places) > most)
        for places in alike.sets
    ]
    return sorted(found, key=lambda cluster: (cluster.are_one, -cluster.cosine))


def _around(wanted: str, items: Sequence[Item], vectors: np.ndarray) -> dict[str, Any]:
    """One item, by its id in the file or in the page's links, and those most like it."""
    if not wanted:
        return {}
    place = next((place for place, item in enumerate(items) if wanted in (item.key, str(item.pk))), None)
    if place is None:
        return {"wanted": wanted, "unknown": True}
    near = [(items[one.second], one.cosine) for one in nearing.neighbours(vectors, place, NEIGHBOURS)]
    return {"wanted": items[place].key, "around": items[place], "near": near}


def _picture(nearest: Sequence[float], threshold: float) -> picturing.Shown:
    """How alike each item is to the one most like it, and where the threshold stands."""
    low = min(*nearest, threshold) - 0.02
    bins = min(MOST_BINS, max(FEWEST_BINS, round(2 * len(nearest) ** 0.5)))
    counts = [0] * bins
    for cosine in nearest:
        counts[min(bins - 1, int((cosine - low) / (1 - low) * bins))] += 1
    width = (1 - low) / bins
    heights = [(low + (place + 0.5) * width, float(count)) for place, count in enumerate(counts)]
    return picturing.drawn(
        gettext("How alike each prompt is to the one most like it"),
        {
            gettext("prompts"): heights,
            gettext("threshold"): [(threshold, 0.0), (threshold, float(max(counts)))],
        },
        x=gettext("cosine"),
        y=gettext("prompts"),
        note=gettext("A hump of its own on the right is near-duplicates; set the threshold in the valley before it."),
    )


def _threshold(text: str) -> float | None:
    """None for what is no cosine above 0."""
    try:
        value = float(text.replace(",", ".")) if text else likening.THRESHOLD
    except ValueError:
        return None
    return value if 0 < value <= 1 else None
