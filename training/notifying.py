"""Tells whoever launched a run that it has ended, and how."""

from __future__ import annotations

from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext

from training.models import Run
from webapp.people import noticing


def run_ended(run: Run) -> None:
    """Called in the transaction that ends the run, with its new state in `run`."""
    if run.launched_by is None or run.state == Run.CANCELLED:
        return
    with translation.override(run.launched_by.reads):
        said = gettext("%(run)s has failed.") if run.state == Run.FAILED else gettext("%(run)s has succeeded.")
    noticing.notify(
        user=run.launched_by,
        text=" ".join(filter(None, [said % {"run": run.title}, run.error])),
        url=reverse("run", args=[run.project.slug, run.pk]),
        is_trouble=run.state == Run.FAILED,
    )
