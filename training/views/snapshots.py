"""Freezing, and looking at what was frozen."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from typing import Any, cast

from django import forms
from django.contrib import messages
from django.http import FileResponse, Http404, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from annotation import judging, standing
from annotation.models import Project
from annotation.requests import ProjectRequest
from training import freezing, passages
from training.models import Snapshot
from training.reporting import results
from webapp.people.permitting import project

LOOKED_AT = 20  # newest judgements that tell what the form begins with


class FreezeForm(forms.Form):
    """What can be chosen depends on what the project asks."""

    rows = forms.ChoiceField(
        choices=list(freezing.OFFERED.items()), label=_("Rows"), help_text=_("What a trainer learns from.")
    )
    question = forms.ChoiceField(
        required=False,
        label=_("Question"),
        help_text=_(
            "By itself: every question that gives such rows. What only follows from ratings gives way to a ranking."
        ),
    )
    unjudged = forms.BooleanField(
        required=False,
        label=_("Only prompts that nobody has judged"),
        help_text=_("For rows of prompts; other rows come from judgements."),
    )
    passage = forms.IntegerField(
        min_value=0,
        max_value=passages.MOST,
        initial=passages.USUAL,
        required=False,
        label=_("Characters a passage"),
        help_text=_("For rows of texts: a long text is cut at its paragraphs. 0: whole texts."),
    )
    with_items = forms.BooleanField(
        required=False,
        label=_("Prompts and answers as texts too"),
        help_text=_("For rows of texts: what the items say, whatever people thought of it."),
    )
    heldout = forms.FloatField(
        min_value=0.01,
        max_value=0.9,
        initial=0.2,
        label=_("Share held out"),
        help_text=_("Of the prompts; never trained on."),
    )
    split_seed = forms.IntegerField(
        min_value=0,
        max_value=2**31 - 1,
        initial=0,
        label=_("Split seed"),
        help_text=_("Another seed holds out other prompts."),
    )

    def __init__(self, data: QueryDict | None, offered: dict[str, str], questions: list[str], rows: str) -> None:
        super().__init__(data, initial={"rows": rows} if rows else None)
        cast("forms.ChoiceField", self.fields["rows"]).choices = list(offered.items())
        if len(questions) > 1:
            names = [("", gettext("All that give such rows")), *((name, name) for name in questions)]
            cast("forms.ChoiceField", self.fields["question"]).choices = names
        else:
            del self.fields["question"]
        if freezing.PROMPTS not in offered:
            del self.fields["unjudged"]
        if freezing.TEXTS not in offered:
            del self.fields["passage"]
            del self.fields["with_items"]

    def clean(self) -> dict[str, Any]:
        """What is for other rows than those that are chosen does not count: the page shows it for its own rows alone."""
        found = super().clean() or self.cleaned_data
        if found.get("rows") != freezing.PROMPTS:
            found["unjudged"] = False
        if found.get("rows") != freezing.TEXTS:
            found["with_items"] = False
        if found.get("rows") in (freezing.PROMPTS, freezing.TEXTS):
            found["question"] = ""
        return found

    def clean_passage(self) -> int:
        found: int | None = self.cleaned_data["passage"]
        return passages.USUAL if found is None else found


@project("freeze")
def snapshots(request: ProjectRequest, slug: str) -> HttpResponse:
    names = request.project.questions.order_by("version", "position").values_list("name", flat=True)
    judgements = standing.of_project(request.project).all
    items, texts = request.project.items.count(), request.project.texts.count()
    offered = freezing.offered_by(request.project)
    form = FreezeForm(request.POST or None, offered, list(dict.fromkeys(names)), _first_given(request.project, offered))
    if request.method == "POST" and form.is_valid():
        try:
            made = freezing.freeze(project=request.project, actor=request.user, **form.cleaned_data)
        except freezing.CannotFreeze as wrong:
            form.add_error(None, str(wrong))
        else:
            messages.success(
                request,
                gettext("Frozen: %(train)s rows to train on, %(heldout)s held out.")
                % {"train": made.counts["train"], "heldout": made.counts["heldout"]},
            )
            return redirect("snapshot", slug=slug, name=made.hash)
    context = {
        "project": request.project,
        "form": form,
        "snapshots": request.project.snapshots.select_related("created_by")[:100],
        "judgements": judgements,
        "items": items,
        "texts": texts,
    }
    return render(request, "training/snapshots.html", context)


def _first_given(project: Project, offered: Iterable[str]) -> str:
    """The first kind of rows that the newest judgements give: what a newcomer freezes is there."""
    newest = judging.current(project_id=project.pk).select_related("member", "item").order_by("-pk")
    judged = list(newest.prefetch_related("item__responses")[:LOOKED_AT])
    for kind in offered:
        versions = freezing.Versions(project, kind, "")
        if any(row for one in judged for row in freezing.projected(kind, versions.of(one), one.item, one, {})):
            return kind
    return freezing.PROMPTS if project.items.exists() else freezing.TEXTS


@project("freeze")
def snapshot(request: ProjectRequest, slug: str, name: str) -> HttpResponse:
    found = get_object_or_404(Snapshot, project=request.project, hash=name)
    context = {
        "project": request.project,
        "snapshot": found,
        "rows": _first_rows(found),
        "runs": found.runs.all(),
        "behind": results.judgements_behind(found),
        "splits": freezing.SPLITS,
    }
    return render(request, "training/snapshot.html", context)


def _first_rows(found: Snapshot) -> list[str]:
    try:
        with (freezing.folder(found) / "train.jsonl").open(encoding="utf-8") as file:
            return [
                json.dumps(json.loads(line), ensure_ascii=False, indent=2)[:3000] for line in itertools.islice(file, 2)
            ]
    except OSError:
        return []


@project("freeze")
def download(request: ProjectRequest, slug: str, name: str, split: str) -> FileResponse:
    found = get_object_or_404(Snapshot, project=request.project, hash=name)
    if split not in freezing.SPLITS:
        raise Http404
    try:
        file = (freezing.folder(found) / f"{split}.jsonl").open("rb")
    except FileNotFoundError:
        raise Http404 from None
    return FileResponse(
        file, as_attachment=True, filename=f"{slug}-{name[:12]}-{split}.jsonl", content_type="application/jsonl"
    )
