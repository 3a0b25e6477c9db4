"""What is installed and who was refused, for the site; what is switched on, for a project."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext

from annotation.requests import ProjectRequest
from training.catalogue import switching
from training.catalogue.listing import Listing, ListingFailed, forget, listing
from webapp.people.permitting import SignedInRequest, may, project, site


@site("see_plugins")
def plugins(request: SignedInRequest) -> HttpResponse:
    """POST: looks again, for what was mended in its place."""
    if request.method == "POST":
        forget()
        return redirect("plugins")
    try:
        found = listing()
    except ListingFailed as wrong:
        return render(request, "training/plugins.html", {"failed": str(wrong)})
    return render(request, "training/plugins.html", {"listing": found, "plugins": _rows(found)})


def _rows(found: Listing) -> list[dict[str, Any]]:
    """Each plugin with what it offers, and in how many projects."""
    on = switching.projects_with(found)
    rows = []
    for plugin in found.plugins:
        key = (plugin["name"], plugin["environment"])
        own = [t for t in found.trainers.values() if (t["plugin"], t["environment"]) == key]
        sources = [s for s in found.sources if (s["plugin"], s["environment"]) == key]
        rows.append({"plugin": plugin, "trainers": own, "sources": sources, "on": on[plugin["name"]] if own else None})
    return rows


@project("train")
def project_plugins(request: ProjectRequest, slug: str) -> HttpResponse:
    """POST: switches one on or off."""
    try:
        found = listing()
    except ListingFailed as wrong:
        return render(request, "training/project_plugins.html", {"project": request.project, "failed": str(wrong)})
    if request.method == "POST":
        return _switch(request, found)
    context = {
        "project": request.project,
        "switches": switching.switches(request.project, found),
        "refused": len(found.refusals),
        "sees_all": may(request.user, "see_plugins"),
    }
    return render(request, "training/project_plugins.html", context)


def _switch(request: ProjectRequest, found: Listing) -> HttpResponse:
    name, on = request.POST.get("plugin", ""), request.POST.get("on") == "1"
    try:
        switching.switch(project=request.project, plugin=name, on=on, listing=found, actor=request.user)
    except switching.NoSuchPlugin as wrong:
        messages.error(request, " ".join([str(wrong), gettext("Nothing was changed.")]))
    else:
        said = gettext("%(plugin)s is on in this project.") if on else gettext("%(plugin)s is off in this project.")
        messages.success(request, said % {"plugin": name})
    return redirect("project_plugins", slug=request.project.slug)
