"""What scripts read over HTTP: the advice for a project that they may train in."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation import belonging
from annotation.models import Project
from training.advising import telling
from training.advising.advice import advise
from training.catalogue.listing import ListingFailed
from webapp.people.permitting import api, may


class AdviceDetail(APIView):
    """Which method fits a project."""

    project: Project

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - the framework's
        """Whoever may not see it is told so whatever they ask for."""
        super().initial(request, *args, **kwargs)
        found = belonging.project_for(request.user, kwargs["slug"])
        if found is None:
            raise Http404
        self.project, membership = found
        if not may(request.user, "train", membership.role if membership else None):
            raise PermissionDenied

    def get(self, request: Request, slug: str) -> Response:
        try:
            return Response(telling.as_json(advise(self.project)))
        except ListingFailed as wrong:
            return Response({"detail": str(wrong)}, status=503)


advice: Any = api(AdviceDetail.as_view())
