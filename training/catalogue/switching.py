"""Says which plugins a project may use: built-ins unless they are switched off, others once somebody has switched them on.

Stands before launching. Runs that wait already are not touched by a switch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils.translation import gettext

from annotation.models import Project
from training.catalogue.listing import Listing, title_of
from training.models import PluginSwitch
from webapp.people import auditing
from webapp.people.models import User


class NoSuchPlugin(Exception):
    """No trainer comes from a plugin of this name; the text says which there are."""


@dataclass(frozen=True)
class Switch:
    """One plugin with trainers, in one project."""

    plugin: dict[str, Any]
    on: bool
    trainers: list[dict[str, Any]]


def switches(project: Project, listing: Listing) -> list[Switch]:
    """Every plugin that offers a trainer, in the listing's order."""
    said = dict(PluginSwitch.objects.filter(project=project).values_list("plugin", "on"))
    found = []
    for plugin in listing.plugins:
        key = (plugin["name"], plugin["environment"])
        trainers = [one for one in listing.trainers.values() if (one["plugin"], one["environment"]) == key]
        if trainers:
            found.append(Switch(plugin, said.get(plugin["name"], plugin["builtin"]), trainers))
    return found


def offered(project: Project, listing: Listing) -> dict[str, dict[str, Any]]:
    """The trainers that can be launched in the project, by name."""
    return {one["name"]: one for switch in switches(project, listing) if switch.on for one in switch.trainers}


def off(project: Project, listing: Listing) -> list[dict[str, Any]]:
    """The trainers that are installed but not to be had in the project."""
    return [one for switch in switches(project, listing) if not switch.on for one in switch.trainers]


def refusal(project: Project, trainer: dict[str, Any], listing: Listing) -> str:
    """Why a trainer cannot be launched in the project; empty when it can."""
    if trainer["name"] in offered(project, listing):
        return ""
    return gettext(
        "%(title)s comes from the plugin “%(plugin)s”, which is off in this project. Switch it on under "
        "Plugins, or: manage.py plugin on %(plugin)s --project %(slug)s"
    ) % {"title": title_of(trainer), "plugin": trainer["plugin"], "slug": project.slug}


@transaction.atomic
def switch(*, project: Project, plugin: str, on: bool, listing: Listing, actor: User | None) -> None:
    """Whoever may train in the project may switch. Raises NoSuchPlugin."""
    there = [found.plugin["name"] for found in switches(project, listing)]
    if plugin not in there:
        raise NoSuchPlugin(
            gettext("No trainer comes from a plugin “%(plugin)s”. There are: %(there)s.")
            % {"plugin": plugin, "there": ", ".join(there) or "none"}
        )
    PluginSwitch.objects.update_or_create(project=project, plugin=plugin, defaults={"on": on, "changed_by": actor})
    auditing.record(actor=actor, action="switch_plugin", subject=project.slug, plugin=plugin, on=on)


def projects_with(listing: Listing) -> dict[str, int]:
    """In how many projects each plugin is on."""
    everywhere = Project.objects.count()
    counts = {}
    for plugin in listing.plugins:
        said = PluginSwitch.objects.filter(plugin=plugin["name"], on=not plugin["builtin"]).count()
        counts[plugin["name"]] = everywhere - said if plugin["builtin"] else said
    return counts
