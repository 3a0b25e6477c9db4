"""Which language somebody reads: chosen on a page and kept in a cookie, else what their browser asks for.

The choice also stands with the person, for what is written to them while they are away and for their next browser.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import get_language
from django.views.decorators.http import require_POST

from webapp.people.models import User
from webapp.people.permitting import public


def languages(request: HttpRequest) -> dict[str, Any]:
    """Template context: `languages`, a list of (code, its own name); `words`, the script with sentences for scripts, or empty."""
    language = get_language()
    words = f"webapp/words/{language}.js" if language and language != settings.LANGUAGE_CODE else ""
    return {"languages": settings.LANGUAGES, "words": words}


@public
@require_POST
def choose(request: HttpRequest) -> HttpResponse:
    """Remembers `language` and goes back to `next`. An unknown language changes nothing."""
    wanted, back = request.POST.get("language", ""), request.POST.get("next", "")
    is_here = url_has_allowed_host_and_scheme(back, allowed_hosts=None) and back.startswith("/")
    response = redirect(back if is_here else "home")
    if wanted in dict(settings.LANGUAGES):
        remember(response, wanted)
        if isinstance(request.user, User):
            User.objects.filter(pk=request.user.pk).update(language=wanted)
    return response


def remember(response: HttpResponse, language: str) -> None:
    """In a cookie of this browser."""
    response.set_cookie(
        settings.LANGUAGE_COOKIE_NAME,
        language,
        max_age=settings.LANGUAGE_COOKIE_AGE,
        samesite="Lax",
        secure=settings.HTTPS,
        httponly=True,
    )
