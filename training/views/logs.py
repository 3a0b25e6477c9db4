"""A run's whole log: its end, any stretch of it, every line that holds a word, and the file itself."""

from __future__ import annotations

import io

from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render

from annotation.requests import ProjectRequest
from training.reporting import logs
from webapp.people.permitting import project


@project("train")
def log(request: ProjectRequest, slug: str, run_id: int) -> HttpResponse:
    """`?q=` looks for a word in all of it, `?after=` goes on behind a line, `?line=` shows the lines around one."""
    run = get_object_or_404(request.project.runs, pk=run_id)
    query, context = request.GET.get("q", "").replace("\x00", "")[:200], {"project": request.project, "run": run}
    if query:
        after = _number(request, "after") or 0
        return render(
            request,
            "training/log.html",
            context | {"query": query, "found": logs.search(run, query, after), "after": after},
        )
    around = _number(request, "line")
    lines, last = logs.stretch(run, around)
    first = lines[0].number if lines else 0
    places = {
        "lines": lines, "last": last, "line": around,
        "earlier": max(1, first - logs.STRETCH // 2) if first > 1 else None,
        "later": lines[-1].number + logs.STRETCH // 2 if lines and lines[-1].number < last else None,
    }  # fmt: skip
    return render(request, "training/log.html", context | places)


@project("train")
def log_file(request: ProjectRequest, slug: str, run_id: int) -> HttpResponse | StreamingHttpResponse:
    """The file as it is, to keep; never shown as a page."""
    run = get_object_or_404(request.project.runs, pk=run_id)
    path = logs.log_path(run)
    file = path.open("rb") if path.exists() else io.BytesIO()
    return FileResponse(
        file, as_attachment=True, filename=f"run-{run.pk}.txt", content_type="text/plain; charset=utf-8"
    )


def _number(request: HttpRequest, name: str) -> int | None:
    """A line number, or None for anything else."""
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
