"""Refuses a request whose body is too large before anything reads it: reading alone could fill the disk."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

FORM_BYTES = 1024 * 1024  # what a form holds besides its file


class BodyLimitMiddleware:
    """413 by the announced length. A request without one has no body, as far as the server reads."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        announced = request.META.get("CONTENT_LENGTH") or "0"
        if not announced.isdigit() or int(announced) > settings.IMPORT_MAX_BYTES + FORM_BYTES:
            limit = settings.IMPORT_MAX_BYTES // 2**20
            text = f"This is larger than {limit} MB. Import large files with manage.py import_items. Nothing was changed.\n"
            return HttpResponse(text, status=413, content_type="text/plain; charset=utf-8")
        return self.get_response(request)
