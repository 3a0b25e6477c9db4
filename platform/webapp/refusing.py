"""Refuses what no text of ours can hold, in one place, before any view: Postgres would refuse it late, with a fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest, HttpResponse


class NoNul:
    """An address with a NUL names nothing (404); a form with one was made by no browser (400)."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        if any("\x00" in str(value) for value in kwargs.values()):
            raise Http404
        if request.method == "POST":
            for name, values in request.POST.lists():
                if any("\x00" in text for text in (name, *values)):
                    raise BadRequest(f"The field {name!r} holds a NUL character.")
