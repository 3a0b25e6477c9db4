"""Tells whoever launched a run that it has ended, and how."""

from __future__ import annotations

from django.urls import reverse

from training.models import Run
from webapp.people import noticing


def run_ended(run: Run) -> None:
    """Called in the transaction that ends the run, with its new state in `run`."""
    if run.launched_by is None or run.state == Run.CANCELLED:
        return
    how = {Run.SUCCEEDED: "has succeeded", Run.FAILED: "has failed"}[run.state]
    noticing.notify(
        user=run.launched_by,
        text=f"{run.trainer} {run.pk} {how}." + (f" {run.error}" if run.error else ""),
        url=reverse("run", args=[run.project.slug, run.pk]),
        is_trouble=run.state == Run.FAILED,
    )
