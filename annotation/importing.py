"""Brings a file in: look at it, map it, check every line, then write all of it in one transaction or nothing.

An item that is there already with the same content is left alone, but for judgements that are new; so a repeated import
changes nothing. One with the same id and other content stops the import.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext

from annotation import asking, formats, judged_before, labelling
from annotation import mapping as mappings
from annotation.formats import jsonl
from annotation.formats.jsonl import Problem
from annotation.kinds import BadAnswer, Rankable, Subject
from annotation.mapping import Draft
from annotation.models import Import, Project
from annotation.sources import Lookup, Source, empty
from annotation.storing import PROBLEMS_SHOWN, Counts, ImportRefused, Writer
from webapp.people import auditing
from webapp.people.models import User

BATCH = 500


@dataclass(frozen=True)
class Wanted:
    """What the project's questions take: how many responses, and who reads imported ranks."""

    fewest: int
    most: int
    asked: str
    kind: Rankable | None
    written: asking.Asked | None = None  # who reads imported demonstrations
    labels: Mapping[str, asking.Asked] = field(default_factory=dict)  # field -> who reads its labels


def wanted_by(project: Project, mapping: Mapping[str, str]) -> Wanted:
    """`mapping` as `check_mapping` gives it."""
    (fewest, most), ranked = asking.limits(project), asking.ranked_question(project)
    asked = gettext(" with a ").join(question.kind.name for question in asking.questions_of(project))
    labels = labelling.questions(project, labelling.fields_of(mapping))
    return Wanted(fewest, most, asked, ranked[1] if ranked else None, asking.demonstrated_question(project), labels)


def drafts(source: Source, mapping: Mapping[str, str], wanted: Wanted, counts: Counts) -> Iterator[Draft]:
    """Every wanted record as a checked draft. Raises ImportRefused with all problems found, up to twenty."""
    problems: list[Problem] = []
    seen: dict[str, int] = {}
    alike = Counter[str]()
    try:
        for line, record in formats.each(source.file, source.form, source.columns):
            try:
                if isinstance(record, Problem):
                    raise record
                counts.lines += 1
                item = _one(line, record, mapping, wanted, counts, source.lookups)
                if item and not item.key:
                    item = _known_by_content(item, alike)
                if item and (first := seen.setdefault(item.key, line)) != line:
                    raise Problem(
                        line,
                        mapping["id"],
                        gettext("the id %(key)s stands on line %(first)s already")
                        % {"key": repr(item.key), "first": first},
                    )
            except jsonl.Unreadable:
                raise
            except Problem as problem:
                problems.append(problem)
                if len(problems) >= PROBLEMS_SHOWN:
                    break
                continue
            if item and not problems:
                yield item
    except Problem as problem:
        problems.append(problem)
    if not counts.lines and not problems:
        problems.append(empty(source))
    if problems:
        raise ImportRefused(problems)


def _known_by_content(item: Draft, alike: Counter[str]) -> Draft:
    """With a hash of its content as its key, so that the same file can come in again; the second of its kind gets a number."""
    key = item.digest[:20]
    alike[key] += 1
    return replace(item, key=key if alike[key] == 1 else f"{key}-{alike[key]}")


def _one(
    line: int,
    record: dict[str, Any],
    mapping: Mapping[str, str],
    wanted: Wanted,
    counts: Counts,
    lookups: Iterable[Lookup],
) -> Draft | None:
    if not mappings.is_wanted(record, mapping):
        counts.left_out += 1
        return None
    for lookup in lookups:
        lookup.join(line, record)
    item = mappings.draft(line, record, mapping, alone=wanted.fewest == 0)
    if not wanted.fewest <= len(item.responses) <= wanted.most:
        number = (
            str(wanted.fewest)
            if wanted.fewest == wanted.most
            else gettext("%(fewest)s to %(most)s") % {"fewest": wanted.fewest, "most": wanted.most}
        )
        raise Problem(
            line,
            mapping.get("responses", ""),
            gettext("%(n)s responses, where a %(kinds)s takes %(number)s")
            % {"n": len(item.responses), "kinds": wanted.asked, "number": number},
        )
    for _, ranks in item.judgements:
        try:
            if wanted.kind is None:
                raise BadAnswer(gettext("the project asks for no order of the answers, so there is no place for ranks"))
            wanted.kind.from_ranks(ranks)
        except BadAnswer as wrong:
            raise Problem(line, mapping.get("ranks", "votes"), str(wrong)) from None
    return replace(_with_text(item, mapping, wanted), answers=labelling.answered(item, wanted.labels))


def _with_text(item: Draft, mapping: Mapping[str, str], wanted: Wanted) -> Draft:
    """The draft with what a person wrote as it is kept, by the rules of the question that asks for it. Raises Problem."""
    if item.written is None:
        return item
    pseudonym, text = item.written
    try:
        if wanted.written is None:
            raise BadAnswer(gettext("the project asks nobody to write an answer, so there is no place for one"))
        subject = Subject(order=range(len(item.responses)), texts=item.responses, prompt=item.prompt)
        answer = wanted.written.kind.check({"text": text, "edited_from": None}, subject, wanted.written.options)
    except BadAnswer as wrong:
        raise Problem(item.line, mapping["demonstration"], str(wrong)) from None
    return replace(item, written=(pseudonym, answer["text"]))


def import_file(
    *,
    project: Project,
    file: BinaryIO,
    mapping: Mapping[str, str],
    actor: User | None,
    batch: Import,
    lookups: Sequence[Lookup] = (),
    form: str = "jsonl",
    columns: Sequence[str] = (),
    new_labels: bool = False,
) -> Counts:
    """All of the file, or nothing. Raises ImportRefused; returns what was done.

    `new_labels`: labels that no question of the project has are added to it, and a question is made where none takes them.
    """
    source = Source(file, form, columns, lookups)
    try:
        words = mappings.check_mapping(mapping)
    except Problem as problem:
        raise ImportRefused([problem]) from None
    counts = Counts()
    with transaction.atomic():
        # One import a project at a time: positions and pseudonyms are given in order. The questions are read under the same
        # lock, which a change of them takes too, so that no item comes in that those asked now could not take.
        project = Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        done = Import.objects.get(pk=batch.pk)
        if done.done_at:  # sent twice: the first was quicker
            return Counts(**done.counts)
        if new_labels and "label" in words:
            _make_room_for_labels(project, source, words, actor)
            project.refresh_from_db()
        wanted, ranked = wanted_by(project, words), asking.ranked_question(project)
        written = wanted.written.name if wanted.written else ""
        writer = Writer(project=project, batch=batch, ranked=ranked, written=written, counts=counts)
        some_drafts = drafts(source, words, wanted, counts)
        while some := list(itertools.islice(some_drafts, BATCH)):
            writer.write(some)
        Import.objects.filter(pk=batch.pk).update(
            mapping=dict(mapping), counts=asdict(counts), done_at=Now(), stored_as=""
        )
        auditing.record(actor=actor, action="import", subject=project.slug, file=batch.file_name, **asdict(counts))
    return counts


def _make_room_for_labels(project: Project, source: Source, words: Mapping[str, str], actor: User | None) -> None:
    """Reads the file once for its labels alone. Raises ImportRefused."""
    problems: list[Problem] = []
    try:
        seen = labelling.collect(_labels_of(source, words, problems))
        labelling.make_room(project, labelling.fields_of(words), seen, actor)
    except Problem as problem:
        raise ImportRefused(problems[:PROBLEMS_SHOWN] or [problem]) from None
    except ValidationError as wrong:
        raise ImportRefused([Problem(0, "label", " ".join(wrong.messages))]) from None
    source.file.seek(0)


def _labels_of(source: Source, words: Mapping[str, str], problems: list[Problem]) -> Iterator[dict[str, list[str]]]:
    """The labels of every wanted record, by field; what is wrong with a record is noted."""
    for line, record in formats.each(source.file, source.form, source.columns):
        try:
            if isinstance(record, Problem):
                raise record
            if mappings.is_wanted(record, words):
                for lookup in source.lookups:
                    lookup.join(line, record)
                yield judged_before.labels(line, record, words)
        except jsonl.Unreadable:
            raise
        except Problem as problem:
            problems.append(problem)
            if len(problems) >= PROBLEMS_SHOWN:
                raise


def begin(*, project: Project, path: Path, actor: User | None) -> Import:
    """The record of an import from a file on this machine."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Import.objects.create(
        project=project, file_name=path.name[-200:], sha256=digest, size=path.stat().st_size, created_by=actor
    )
