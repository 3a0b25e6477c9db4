"""Which method is right here? The page, and its two buttons: train with one, or let two be compared."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from annotation.requests import ProjectRequest
from training.advising import picturing, starting, wording
from training.advising.advice import Advice, advise
from training.advising.starting import CannotStart
from training.catalogue.listing import ListingFailed
from webapp.people.permitting import project

SHOWN = 5  # cards that stand open; the others are folded away


@project("train")
def advice(request: ProjectRequest, slug: str) -> HttpResponse:
    """Every method, ranked by what the project has now."""
    try:
        found = advise(request.project)
    except ListingFailed as wrong:
        return render(request, "training/advice.html", {"project": request.project, "failed": str(wrong)})
    cards = [_card(found, place) for place in range(len(found.considered))]
    context = {
        "project": request.project,
        "advice": found,
        "counts": [(wording.rows(kind), count) for kind, count in found.have.counted.rows.items()],
        "cards": cards[:SHOWN],
        "more": cards[SHOWN:],
        "picture": None if found.have.is_empty else picturing.picture(found),
    }
    return render(request, "training/advice.html", context)


def _card(found: Advice, place: int) -> dict[str, object]:
    method = found.considered[place]
    return {
        "method": method, "cost": found.costs[method.key], "place": place + 1,
        "gives": wording.gives(method.yields), "rows": wording.rows(method.kind),
        "others": [reason for reason in method.reasons if reason.text != method.why],
        "grounds": next((reason for reason in method.reasons if reason.text == method.why), None),
    }  # fmt: skip


@project("train")
@require_POST
def advice_train(request: ProjectRequest, slug: str) -> HttpResponse:
    """Freezes what the method learns from, and opens its launch form, filled."""
    try:
        method = starting.method_named(advise(request.project), *_named(request))
        snapshot = starting.snapshot_for(project=request.project, method=method, actor=request.user)
    except (CannotStart, ListingFailed) as wrong:
        return _refused(request, slug, wrong)
    messages.success(
        request,
        gettext("Frozen: %(train)s rows to train on, %(heldout)s held out.")
        % {"train": snapshot.counts["train"], "heldout": snapshot.counts["heldout"]},
    )
    chosen = {"trainer": method.name, "snapshot": snapshot.hash}
    chosen |= {f"model-{role}": ref for role, ref in method.models.items()}
    chosen |= {f"config-{name}": "on" if value is True else str(value) for name, value in method.settings.items()}
    return redirect(f"{reverse('new_run', args=[slug])}?{urlencode(chosen)}")


@project("train")
@require_POST
def advice_compare(request: ProjectRequest, slug: str) -> HttpResponse:
    """Launches the two methods of the experiment on one snapshot, and leads to the page that lays them side by side."""
    try:
        found = advise(request.project)
        if found.experiment is None:
            raise CannotStart(gettext("There is no experiment to make here any more."))
        runs = starting.compare(project=request.project, experiment=found.experiment, actor=request.user)
    except (CannotStart, ListingFailed) as wrong:
        return _refused(request, slug, wrong)
    messages.success(request, gettext("Both were launched on the same snapshot, with the same seed."))
    return redirect(f"{reverse('compare_runs', args=[slug])}?runs={','.join(str(run.pk) for run in runs)}")


def _named(request: ProjectRequest) -> tuple[str, str]:
    return request.POST.get("trainer", ""), request.POST.get("rows", "")


def _refused(request: ProjectRequest, slug: str, wrong: Exception) -> HttpResponse:
    messages.error(request, " ".join([str(wrong), gettext("Nothing was launched.")]))
    return redirect("advice", slug=slug)
