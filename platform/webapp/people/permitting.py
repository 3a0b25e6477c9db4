"""The one place that decides who may what.

Every view declares its permission with one of the decorators below; the middleware enforces it before the view runs, and a
view that declares none is never run. A project that somebody does not belong to does not exist for them: 404, not 403.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.cache import add_never_cache_headers
from django.utils.module_loading import import_string

from webapp.people.models import User

ANNOTATOR, LEAD = "annotator", "lead"

#: what each role of a project may do in it
PROJECT_ACTIONS: dict[str, frozenset[str]] = {
    ANNOTATOR: frozenset({"see", "judge"}),
    LEAD: frozenset({"see", "judge", "manage", "import", "people", "freeze", "train", "score"}),
}
#: what staff may do on the site; a superuser may everything
STAFF_ACTIONS = frozenset({"create_project", "see_plugins", "see_disk"})

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True)
class Permission:
    """`scope` is public, signed_in, site, project or api (whose views ask `may` themselves, knowing the token's owner)."""

    scope: str
    action: str = ""


def _declaring(permission: Permission) -> Callable[[View], View]:
    def declare(view: View) -> View:
        view.permission = permission  # type: ignore[attr-defined]
        return view

    return declare


public = _declaring(Permission("public"))
signed_in = _declaring(Permission("signed_in"))
api = _declaring(Permission("api"))


def site(action: str) -> Callable[[View], View]:
    """For staff whom `STAFF_ACTIONS` lets."""
    return _declaring(Permission("site", action))


def project(action: str) -> Callable[[View], View]:
    """For members of the project whose `slug` the route names, if their role may `action`."""
    return _declaring(Permission("project", action))


def may(user: User | AnonymousUser, action: str, role: str | None = None) -> bool:
    """Whether `user`, having `role` in the project at hand (None outside any), may `action`."""
    if not user.is_authenticated or not user.is_active:
        return False
    if user.is_superuser:
        return True
    if role is not None:
        return action in PROJECT_ACTIONS[role]
    return user.is_staff and action in STAFF_ACTIONS


class PermissionMiddleware:
    """Asks `may` before every view; sets `request.project`, `request.membership` and `request.role` on a project's routes."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self.project_for = import_string(settings.PROJECT_LOOKUP)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if request.user.is_authenticated:
            add_never_cache_headers(response)
        return response

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        permission: Permission | None = getattr(view, "permission", None)
        if permission is None:
            raise ImproperlyConfigured(f"{view.__module__}.{view.__qualname__} declares no permission")
        if permission.scope in ("public", "api"):
            return None
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path(), settings.LOGIN_URL)
        if permission.scope == "site" and not may(request.user, permission.action):
            raise PermissionDenied
        if permission.scope == "project":
            self._enter_project(request, permission.action, kwargs["slug"])
        return None

    def _enter_project(self, request: HttpRequest, action: str, slug: str) -> None:
        found = self.project_for(request.user, slug)
        if found is None:
            raise Http404
        project, membership = found
        role = membership.role if membership else None
        # annotation.requests.ProjectRequest says what these are; this package does not know the apps
        vars(request).update(project=project, membership=membership, role=role)
        if not may(request.user, action, role):
            raise PermissionDenied


class SignedInRequest(HttpRequest):
    """A request of somebody who is signed in."""

    user: User
