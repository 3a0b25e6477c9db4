"""What the top bar and a project's tabs hold."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from webapp.people import noticing
from webapp.people.permitting import may

#: route, title, and what one must be allowed to do to see the tab: the loop, from left to right
PROJECT_TABS = [
    ("project", _("Overview"), "see"),
    ("desk", _("Judge"), "judge"),
    ("talk", _("Talk"), "judge"),
    ("questions", _("Questions"), "manage"),
    ("items", _("Items"), "manage"),
    ("project_people", _("People"), "people"),
    ("snapshots", _("Snapshots"), "freeze"),
    ("runs", _("Runs"), "train"),
    ("models", _("Models"), "train"),
    ("project_settings", _("Settings"), "manage"),
]


def navigation(request: HttpRequest) -> dict[str, Any]:
    """Template context: `nav` and, inside a project, `tabs`, both lists of {title, url, current}; `unread` notices."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {"nav": [], "tabs": []}
    links = [(gettext("Projects"), reverse("home"))]
    if may(user, "see_plugins"):
        links.append((gettext("Plugins"), reverse("plugins")))
    if may(user, "see_disk"):
        links.append((gettext("Disk"), reverse("disk")))
    nav = [{"title": title, "url": url, "current": request.path == url} for title, url in links]
    return {"nav": nav, "tabs": _tabs(request), "unread": noticing.unread(user)}


def _tabs(request: HttpRequest) -> list[dict[str, Any]]:
    project = getattr(request, "project", None)
    if project is None:
        return []
    shown = [
        (reverse(route, args=[project.slug]), title)
        for route, title, action in PROJECT_TABS
        if may(request.user, action, getattr(request, "role", None)) and (route != "talk" or project.live_model)
    ]
    # what has no tab of its own belongs to one that has: importing to the items, one's own work to judging
    path = (
        request.path.replace("/import/", "/items/")
        .replace("/flags/", "/items/")
        .replace("/judgements/", "/items/")
        .replace("/mine/", "/judge/")
        .replace("/plugins/", "/runs/")
        .replace("/advice/", "/runs/")
    )
    overview = shown[0][0]
    current = next((url for url, _ in shown[1:] if path.startswith(url)), overview if path == overview else "")
    return [{"title": title, "url": url, "current": url == current} for url, title in shown]
