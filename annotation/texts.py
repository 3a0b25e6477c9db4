"""Brings raw texts in: files of plain text, a zip of them, or records with a field `text`. All of them, or nothing.

A file is one document and stays whole; how long the passages are that a model learns from is decided when they are frozen.
Documents are groups: no two passages of one book stand on different sides of a split. What is there already is left alone.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext

from annotation import documents, picking
from annotation.documents import LONGEST, SHORT, Found, How, PassedOver, Source, placed
from annotation.formats.jsonl import Problem
from annotation.models import Import, Project, Text
from annotation.storing import PROBLEMS_SHOWN, ImportRefused
from webapp.people import auditing
from webapp.people.models import User

BATCH = 200


@dataclass
class Counts:
    """What an import of texts did. `passed_over` are files of a zip or folder that are no texts, with a few of their names."""

    files: int = 0
    texts: int = 0
    already_there: int = 0
    characters: int = 0
    passed_over: int = 0
    passed_over_such_as: list[str] = field(default_factory=list)


@transaction.atomic
def take(
    *,
    project: Project,
    sources: Callable[[], Iterable[Source]],
    names: Sequence[str],
    how: How,
    actor: User | None,
    passed_over: PassedOver | None = None,
) -> Counts:
    """All texts of the files that `sources` gives, each time from their beginning, or nothing. Raises ImportRefused.

    `passed_over` are files that the caller left aside already.
    """
    batch = _begin(project, sources(), names, actor)
    return import_texts(project=project, sources=sources(), how=how, actor=actor, batch=batch, passed_over=passed_over)


@transaction.atomic
def withdraw(*, batch: Import, actor: User | None) -> int:
    """Takes the texts that came in by an import out again, for files that were the wrong ones, or read in the wrong encoding.

    Snapshots are files and keep what they hold. Returns how many went; those that went before are none.
    """
    batch = Import.objects.select_for_update(no_key=True).get(pk=batch.pk)
    gone, _ = Text.objects.filter(batch=batch).delete()
    if gone:
        batch.counts |= {"withdrawn": gone}
        batch.save(update_fields=["counts"])
        auditing.record(
            actor=actor, action="withdraw texts", subject=batch.project.slug, file=batch.file_name, sha256=batch.sha256,
            texts=gone,
        )  # fmt: skip
    return gone


def _begin(project: Project, sources: Iterable[Source], names: Sequence[str], actor: User | None) -> Import:
    """The record of an import of these files, which are read once for it and stand at their beginning again."""
    digest, size = hashlib.sha256(), 0
    for source in sources:
        while chunk := source.file.read(1 << 20):
            digest.update(chunk)
            size += len(chunk)
        source.file.seek(0)
    name = ", ".join(names)[-SHORT:].encode("utf-8", "replace").decode()  # a disk may have names that are not UTF-8
    return Import.objects.create(
        project=project, file_name=name, sha256=digest.hexdigest(), size=size, created_by=actor
    )


def import_texts(
    *,
    project: Project,
    sources: Iterable[Source],
    how: How,
    actor: User | None,
    batch: Import,
    passed_over: PassedOver | None = None,
) -> Counts:
    """All texts of all files, or nothing. Raises ImportRefused with up to twenty problems; returns what was done."""
    how = replace(how, mapping=_checked_mapping(how.mapping))
    counts, problems, passed_over = Counts(), list[Problem](), passed_over or PassedOver()
    with transaction.atomic():
        project = Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        found = _checked(_all(sources, how, problems, passed_over), counts, problems)
        while some := list(itertools.islice(found, BATCH)):
            _store(project, batch, some, counts, problems)
            if len(problems) >= PROBLEMS_SHOWN:
                break
        if not counts.files and not problems:
            problems.append(Problem(0, "", documents.no_text()))
        if problems:
            raise ImportRefused(problems[:PROBLEMS_SHOWN])
        counts.passed_over, counts.passed_over_such_as = passed_over.count, list(passed_over.examples.values())
        Import.objects.filter(pk=batch.pk).update(
            mapping=dict(how.mapping), counts=vars(counts), done_at=Now(), stored_as=""
        )
        auditing.record(actor=actor, action="import texts", subject=project.slug, file=batch.file_name, **vars(counts))
    return counts


def _checked_mapping(mapping: Mapping[str, str]) -> dict[str, str]:
    """The mapping with bare names of fields. Raises ImportRefused."""
    checked = {}
    for word, field_name in mapping.items():
        if word not in documents.WORDS:
            said = gettext("no such word in a mapping; the words are %(words)s") % {"words": ", ".join(documents.WORDS)}
            raise ImportRefused([Problem(0, word, said)])
        try:
            checked[word] = picking.one(field_name)
        except Problem as problem:
            raise ImportRefused([Problem(0, word, problem.message)]) from None
    return checked


def _all(sources: Iterable[Source], how: How, problems: list[Problem], passed_over: PassedOver) -> Iterator[Found]:
    for source in sources:
        yield from documents.read(source, how, problems, passed_over)
        if len(problems) >= PROBLEMS_SHOWN:
            return


def _checked(found: Iterable[Found], counts: Counts, problems: list[Problem]) -> Iterator[Found]:
    """Those that can be kept; what is wrong with the others is noted. A text that comes a second time is there already."""
    seen: dict[str, tuple[str, bytes]] = {}  # key -> where it stands first, and its digest
    place = ""
    for one in found:
        said = ""
        counts.files += one.place != place
        place = one.place
        if not one.text.strip():
            said = gettext("the text is empty")
        elif len(one.text) > LONGEST:
            said = documents.too_long()
        elif any("\x00" in part or not _is_unicode(part) for part in (one.key, one.title, one.group, one.text)):
            said = gettext("the text holds a NUL or half a surrogate pair, which no UTF-8 text can")
        elif one.key in seen:
            first, digest = seen[one.key]
            if digest == bytes.fromhex(one.digest):
                counts.already_there += 1
                continue
            said = gettext("the id %(key)s is that of %(first)s already") % {"key": repr(one.key), "first": first}
        if said:
            problems.append(placed(one.place, Problem(one.line, "", said)))
            if len(problems) >= PROBLEMS_SHOWN:
                return
            continue
        seen[one.key] = (one.place, bytes.fromhex(one.digest))
        yield one


def _is_unicode(text: str) -> bool:
    """Whether no half of a surrogate pair stands alone in it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _store(project: Project, batch: Import, some: Sequence[Found], counts: Counts, problems: list[Problem]) -> None:
    there = dict(Text.objects.filter(project=project, key__in=[one.key for one in some]).values_list("key", "digest"))
    for one in some:
        if one.key in there and there[one.key] != one.digest:
            said = gettext("the project holds a text %(key)s with other content") % {"key": repr(one.key)}
            problems.append(placed(one.place, Problem(one.line, "", said)))
    new = [one for one in some if one.key not in there]
    Text.objects.bulk_create(
        Text(
            project=project, batch=batch, key=one.key, title=one.title, text=one.text, group=one.group, digest=one.digest,
        )
        for one in new
    )  # fmt: skip
    counts.texts += len(new)
    counts.already_there += len(some) - len(new)
    counts.characters += sum(len(one.text) for one in new)
