"""Bringing a file in: upload, map its fields with a preview, import all of it or nothing."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any, BinaryIO, cast

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from annotation import asking, documents, formats, guessing, importing, picking, receiving, texts
from annotation import mapping as mappings
from annotation.formats import encodings
from annotation.formats.jsonl import Problem, shown
from annotation.importing import ImportRefused
from annotation.models import Import
from annotation.requests import ProjectRequest
from annotation.views.example_lines import example_lines
from webapp.people.permitting import project
from webapp.saying import number

#: what the mapping form asks: word, label, help
ASKED = [
    (
        "id",
        _("Id"),
        _("One field. An item with an id that is there already is not imported twice. Empty: its content is its id."),
    ),
    ("prompt", _("Prompt"), _("One field, or several joined: instruction,input")),
    (
        "context",
        _("Reference passages"),
        _("Shown beside the prompt and given to the model. Leave empty if there are none."),
    ),
    ("responses", _("Answers"), _("One field with a list, or one field an answer: response1,response2")),
    ("sources", _("Who wrote them"), _("Never shown to annotators.")),
    ("group", _("Group"), _("Items of one group stay on one side of every split. Empty: the prompt decides.")),
    ("ranks", _("Ranks"), _("A list of ranks that people gave, 1 = best, equal = tie.")),
    ("winner", _("Winner"), _("The better of two: 1, 2, or 0 for a tie.")),
    ("votes", _("Votes"), _("A list of winners, one an annotator, or of objects.")),
    ("vote_winner", _("… winner in a vote"), _("Where votes are objects: the field with the winner.")),
    ("vote_annotator", _("… annotator in a vote"), _("Where votes are objects: the field with the annotator.")),
    (
        "conversation",
        _("Conversations"),
        _(
            "Two fields with whole transcripts, the better one first: chosen,rejected. Prompt and answers stand in them."
        ),
    ),
    (
        "label",
        _("Label"),
        _("What a person found the text to be. Several fields are one question each: coarse,fine."),
    ),
    ("task", _("Task"), _("What the item is an example of, where a model learns several tasks at once.")),
    ("demonstration", _("Demonstration"), _("The answer that a person wrote, where the project asks for one.")),
    ("annotator", _("Annotator"), _("The field with a pseudonym, or =name for one name for all.")),
    ("codes", _("Codes"), _("Translates the file's words for winners: a1:1,a2:2,equal:0")),
    ("topic", _("Topic"), _("The field of knowledge. Who skips it as not their field gets its other items last.")),
    ("warning", _("Warning"), _("Shown before the item is, so that annotators can decline it.")),
    ("where", _("Only where"), _("Takes only records where a field has a value: strict=true")),
]


@project("import")
def upload(request: ProjectRequest, slug: str) -> HttpResponse:
    problems: list[Problem] = []
    if request.method == "POST" and "texts" in request.POST:
        try:
            counts = _take_texts(request)
        except ImportRefused as refusal:
            problems = refusal.problems
        else:
            messages.success(request, _said_of_texts(counts))
            return redirect("project", slug=slug)
    elif request.method == "POST":
        file = request.FILES.get("file")
        if file is None:
            problems = [Problem(0, "", gettext("choose a file first"))]
        else:
            try:
                batch = receiving.receive(
                    project=request.project, name=file.name or "file", chunks=file.chunks(), actor=request.user,
                    encoding=_encoding(request),
                )  # fmt: skip
                return redirect("import_mapping", slug=slug, import_id=batch.pk)
            except ImportRefused as refusal:
                problems = refusal.problems
    context = {
        "project": request.project,
        "limits": asking.limits(request.project),
        "example": example_lines(request.project),
        "ranked": asking.ranked_question(request.project) is not None,
        "problems": _once(problems),
        "texts": request.project.texts.count(),
        "encodings": encodings.OFFERED,
        "encoding": request.POST.get("encoding", encodings.UTF8),
        "imports": request.project.imports.select_related("created_by")[:50],
    }
    return render(request, "annotation/import.html", context, status=400 if problems else 200)


def _take_texts(request: ProjectRequest) -> texts.Counts:
    """The files of the form, as raw texts. Raises ImportRefused."""
    files = request.FILES.getlist("text_files")
    if not files:
        raise ImportRefused([Problem(0, "", gettext("choose a file first"))])
    size = sum(file.size or 0 for file in files)
    if size > settings.IMPORT_MAX_BYTES:
        said = gettext("together they are larger than %(limit)s MB; use manage.py import_texts")
        raise ImportRefused([Problem(0, "", said % {"limit": settings.IMPORT_MAX_BYTES // 2**20})])
    how = documents.How(_encoding(request), "each_line" in request.POST)
    sources = [documents.Source(file.name or "file.txt", cast("BinaryIO", file.file)) for file in files]
    names = [source.name for source in sources]
    return texts.take(project=request.project, sources=lambda: sources, names=names, how=how, actor=request.user)


def _encoding(request: ProjectRequest) -> str:
    """One of those that the form offers. Raises ImportRefused."""
    name = request.POST.get("encoding") or encodings.UTF8
    if name not in encodings.OFFERED:
        raise ImportRefused([encodings.unknown(name)])
    return name


@project("import")
def map_and_import(request: ProjectRequest, slug: str, import_id: int) -> HttpResponse:
    batch = get_object_or_404(Import, pk=import_id, project=request.project)
    if batch.done_at or not batch.stored_as:
        return redirect("import", slug=slug)
    path = receiving.uploads() / batch.stored_as
    try:
        first = receiving.first_records(path, 1)[0]
    except FileNotFoundError:
        messages.error(request, gettext("The uploaded file is gone. Choose it again."))
        Import.objects.filter(pk=batch.pk, done_at=None).delete()
        return redirect("import", slug=slug)
    kinds = [asked.kind.name for asked in asking.questions_of(request.project)]
    chosen = _chosen(request) if request.method == "POST" else guessing.guess(first, kinds)
    problems: list[Problem] = []
    if request.method == "POST" and "preview" not in request.POST:
        try:
            with path.open("rb") as file:
                counts = importing.import_file(
                    project=request.project, file=file, mapping=chosen, actor=request.user, batch=batch,
                    form=formats.format_of(path.name), new_labels="new_labels" in request.POST,
                )  # fmt: skip
        except FileNotFoundError:  # sent twice, and the other was quicker
            return redirect("project", slug=slug)
        except ImportRefused as refusal:
            problems = refusal.problems
        else:
            path.unlink(missing_ok=True)
            messages.success(request, _said(counts))
            return redirect("project", slug=slug)
    context = _mapping_page(request, batch, first, chosen) | {"problems": _once(problems)}
    return render(request, "annotation/import_mapping.html", context, status=400 if problems else 200)


@project("import")
@require_POST
def discard(request: ProjectRequest, slug: str, import_id: int) -> HttpResponse:
    batch = get_object_or_404(Import, pk=import_id, project=request.project, done_at=None)
    if batch.stored_as:
        (receiving.uploads() / batch.stored_as).unlink(missing_ok=True)
    batch.delete()
    return redirect("import", slug=slug)


@project("import")
@require_POST
def withdraw_texts(request: ProjectRequest, slug: str, import_id: int) -> HttpResponse:
    batch = get_object_or_404(Import, pk=import_id, project=request.project)
    n = texts.withdraw(batch=batch, actor=request.user)
    said = ngettext("%(n)s text was taken out.", "%(n)s texts were taken out.", n)
    messages.success(request, said % {"n": number(n)})
    return redirect("import", slug=slug)


def _once(problems: list[Problem]) -> list[str]:
    """Each problem where it comes first: a field that is misspelt in the mapping is missing on every line."""
    same: dict[tuple[str, str], list[Problem]] = {}
    for problem in problems:
        same.setdefault((problem.field, problem.message), []).append(problem)
    told = []
    for first, *others in same.values():
        more = ngettext("and on %(n)s more line", "and on %(n)s more lines", len(others)) % {"n": len(others)}
        told.append(f"{first} ({more})" if others else str(first))
    return told


def _chosen(request: ProjectRequest) -> dict[str, str]:
    chosen = {word: request.POST.get(word, "").strip() for word, *_words in ASKED}
    return {word: fields for word, fields in chosen.items() if fields or (word == "id" and word in request.POST)}


def _mapping_page(
    request: ProjectRequest, batch: Import, first: dict[str, Any], chosen: dict[str, str]
) -> dict[str, Any]:
    """The form, filled, with the first record and what the mapping makes of it."""
    preview, wrong = None, None
    try:
        fewest = asking.limits(request.project)[0]
        preview = mappings.draft(1, first, mappings.check_mapping(chosen), alone=fewest == 0)
    except Problem as problem:
        wrong = problem
    filled = chosen or mappings.NATIVE
    fields = [
        {
            "word": word,
            "label": label,
            "help": text,
            "value": shown(filled.get(word, "")),
            "first": _stands_first(word, filled, first),
        }
        for word, label, text in ASKED
    ]
    return {
        "project": request.project,
        "batch": batch,
        "fields": fields,
        "names": [picking.quoted(shown(name)) for name in first],
        "record": receiving.as_json(first),
        "preview": preview,
        "answers": list(zip_longest(preview.responses, preview.sources, fillvalue="")) if preview else [],
        "grouped": preview is not None and preview.group != mappings.prompt_group(preview.prompt),
        "preview_problem": wrong,
        "labels": preview.labelled[1] if preview and preview.labelled else {},
        "labelled": bool(chosen.get("label")),
        "new_labels": "new_labels" in request.POST or request.method == "GET",
    }


def _stands_first(word: str, mapping: dict[str, str], record: dict[str, Any]) -> bool:
    """Whether the form shows the word at once: it is needed, or the mapping finds it in the first record."""
    named = _first_of(mapping.get(word, ""))
    return word in ("id", "prompt", "responses", "label") or not record.keys().isdisjoint(named)


def _first_of(text: str) -> tuple[str, ...]:
    """The first field that is named: as a column's name, and as the beginning of a path; none where it cannot be read."""
    try:
        first = picking.named(text)[0]
    except Problem:
        return ()
    return first, first.split(".")[0]


def _said_of_texts(counts: texts.Counts) -> str:
    said = ngettext(
        "%(texts)s text of %(characters)s characters is in",
        "%(texts)s texts of %(characters)s characters are in",
        counts.texts,
    )
    parts = [said % {"texts": number(counts.texts), "characters": number(counts.characters)}]
    if n := counts.already_there:
        parts.append(ngettext("%(n)s text was there already", "%(n)s texts were there already", n) % {"n": number(n)})
    if n := counts.passed_over:
        said = ngettext(
            "%(n)s file that is no text was passed over: %(names)s",
            "%(n)s files that are no texts were passed over: %(names)s",
            n,
        )
        more = ", …" if n > len(counts.passed_over_such_as) else ""
        parts.append(said % {"n": number(n), "names": ", ".join(counts.passed_over_such_as) + more})
    return "; ".join(parts) + "."


def _said(counts: importing.Counts) -> str:
    said = ngettext(
        "%(items)s item with %(responses)s answers is in",
        "%(items)s items with %(responses)s answers are in",
        counts.items,
    )
    if not counts.responses:
        said = ngettext("%(items)s item is in", "%(items)s items are in", counts.items)
    parts = [said % {"items": number(counts.items), "responses": number(counts.responses)}]
    if n := counts.judgements:
        parts.append(ngettext("%(n)s judgement came with them", "%(n)s judgements came with them", n) % {"n": n})
    if n := counts.already_there:
        parts.append(ngettext("%(n)s item was there already", "%(n)s items were there already", n) % {"n": n})
    if n := counts.left_out:
        left = ngettext("%(n)s record was left out by the filter", "%(n)s records were left out by the filter", n)
        parts.append(left % {"n": n})
    return "; ".join(parts) + "."
