"""Brings a file in: look at it, map it, check every line, then write all of it in one transaction or nothing.

An item that is there already with the same content is left alone, but for judgements that are new; so a repeated import
changes nothing. One with the same id and other content stops the import.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext

from annotation import asking, formats, labelling
from annotation import mapping as mappings
from annotation.formats import encodings, jsonl
from annotation.formats.jsonl import Problem
from annotation.kinds import BadAnswer, Rankable, Subject
from annotation.mapping import Draft
from annotation.models import Import, Project
from annotation.storing import PROBLEMS_SHOWN, Counts, ImportRefused, Writer
from webapp.people import auditing
from webapp.people.models import User

BATCH = 500


@dataclass(frozen=True)
class Lookup:
    """A second file whose records take the place of references to them: `field` holds the record's `key`."""

    field: str
    key: str
    records: Mapping[str, Any]

    def join(self, line: int, record: dict[str, Any]) -> None:
        reference = record.get(self.field)
        if str(reference) not in self.records:
            raise Problem(
                line,
                self.field,
                gettext("no record with %(key)s %(reference)s in the joined file")
                % {"key": self.key, "reference": repr(reference)},
            )
        record[self.field] = self.records[str(reference)]


@dataclass(frozen=True)
class Source:
    """A file to read: UTF-8, in one of the formats. `columns` name those of a table without a first row of names."""

    file: BinaryIO
    form: str = "jsonl"
    columns: Sequence[str] = ()
    lookups: Sequence[Lookup] = ()


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


def read_lookup(*, field: str, key: str, file: BinaryIO) -> Lookup:
    """The whole second file, by `key`. Raises ImportRefused."""
    records = {}
    try:
        for line, record in jsonl.read(file):
            if key not in record:
                raise Problem(line, key, gettext("the joined file has no such field here"))
            records[str(record[key])] = record
    except Problem as problem:
        raise ImportRefused([problem]) from None
    return Lookup(field=field, key=key, records=records)


def uploads() -> Path:
    """Where files wait for their mapping."""
    folder = Path(settings.HOME) / "uploads"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def receive(
    *, project: Project, name: str, chunks: Iterable[bytes], actor: User, encoding: str = encodings.UTF8
) -> Import:
    """Keeps an uploaded file, as UTF-8, until its mapping is chosen. Raises ImportRefused for one that cannot be read."""
    path = uploads() / uuid.uuid4().hex
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("xb") as out:
            for chunk in chunks:
                size += len(chunk)
                if size > settings.IMPORT_MAX_BYTES:
                    limit = settings.IMPORT_MAX_BYTES // 2**20
                    raise ImportRefused(
                        [
                            Problem(
                                0,
                                "",
                                gettext("the file is larger than %(limit)s MB; use manage.py import_items")
                                % {"limit": limit},
                            )
                        ]
                    )
                digest.update(chunk)
                out.write(chunk)
        path = _readable(path, name, encoding)
        first_records(path, 1)
    except ImportRefused:
        path.unlink(missing_ok=True)
        raise
    return Import.objects.create(
        project=project,
        file_name=name[-200:],
        stored_as=path.name,
        sha256=digest.hexdigest(),
        size=size,
        created_by=actor,
    )


def _readable(path: Path, name: str, encoding: str) -> Path:
    """The uploaded file in UTF-8 under a name that ends in its format. Raises ImportRefused."""
    with path.open("rb") as file:
        try:
            copy = encodings.as_utf8(file, encoding)
        except Problem as problem:
            raise ImportRefused([problem]) from None
        if copy is not file:
            path.write_bytes(b"")  # the copy is in memory or a file of its own
            with path.open("wb") as out:
                shutil.copyfileobj(copy, out)
    with path.open("rb") as file:
        return path.rename(path.with_suffix(f".{formats.format_of(name, file.read(4096))}"))


def first_records(path: Path, count: int) -> list[dict[str, Any]]:
    """The first records of a file that was received. Raises ImportRefused when there is none or they cannot be read."""
    with path.open("rb") as file:
        return first_of(Source(file, formats.format_of(path.name)), count)


def first_of(source: Source, count: int) -> list[dict[str, Any]]:
    """The same of a source."""
    records = []
    try:
        for _, found in itertools.islice(formats.each(source.file, source.form, source.columns), count):
            if isinstance(found, Problem):
                raise found
            records.append(found)
    except Problem as problem:
        raise ImportRefused([problem]) from None
    if not records:
        raise ImportRefused([_empty(source)])
    return records


def _empty(source: Source) -> Problem:
    if source.form == "jsonl":
        return Problem(0, "", gettext("the file is empty; it needs one JSON object a line"))
    return Problem(0, "", gettext("the file is empty; below the names of the columns it needs a record a row"))


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
        problems.append(_empty(source))
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
                yield mappings.labels(line, record, words)
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


def mapping_from(pairs: Iterable[str]) -> dict[str, str]:
    """`["prompt=question", ...]` as a mapping. Raises Problem."""
    mapping = {}
    for pair in pairs:
        word, equals, fields = pair.partition("=")
        if not equals or not word.strip():
            raise Problem(0, pair, gettext("a mapping is written word=field, as in prompt=question"))
        mapping[word.strip()] = fields
    return mapping


def as_json(record: Mapping[str, Any], limit: int = 4000) -> str:
    """A record to look at."""
    text = jsonl.shown(json.dumps(record, ensure_ascii=False, indent=2))
    return text if len(text) <= limit else text[:limit] + "\n…"
