"""manage.py import_items PROJECT FILE [--map word=field ...] [--new-labels]"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from annotation import asking, formats, guessing, importing, picking, sources
from annotation import mapping as mappings
from annotation.formats import encodings
from annotation.formats.jsonl import Problem
from annotation.importing import ImportRefused
from annotation.management.reading import finish, project_named, readable
from annotation.models import Project
from annotation.sources import Lookup


def _format(options: Mapping[str, Any], path: Path) -> str:
    if options["format"]:
        return str(options["format"])
    with path.open("rb") as file:
        return formats.format_of(path.name, file.read(4096))


def _columns(options: Mapping[str, Any]) -> list[str]:
    """Raises Problem."""
    return picking.named(options["columns"]) if options["columns"].strip() else []


class Command(BaseCommand):
    help = "Brings a file of JSON Lines, CSV or TSV into a project: all of it, or nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project")
        parser.add_argument("file")
        parser.add_argument(
            "--format", choices=formats.FORMATS, help="the file's format; by its ending where it is not named"
        )
        parser.add_argument(
            "--encoding", default=encodings.UTF8, help="of a file that is not UTF-8, such as windows-1252"
        )
        parser.add_argument(
            "--columns",
            metavar="NAME,NAME",
            default="",
            help="of a table whose first row is a record and not their names",
        )
        parser.add_argument(
            "--map", action="append", default=[], metavar="WORD=FIELD",
            help=f"which field is what, as in prompt=question; guessed where none is named; words: {', '.join(mappings.WORDS)}",
        )  # fmt: skip
        parser.add_argument(
            "--new-labels", action="store_true",
            help="labels that the project does not know are added to its label question, which is made where there is none",
        )  # fmt: skip
        parser.add_argument(
            "--join", action="append", default=[], metavar="FIELD=FILE:KEY",
            help="a field refers to records of a second file by their KEY; fields of theirs are then FIELD.name",
        )  # fmt: skip
        parser.add_argument("--json", action="store_true", help="print one JSON object with the counts")

    def handle(self, **options: Any) -> None:  # noqa: ANN401 - argparse's values
        project = project_named(options["project"])
        path = readable(options["file"])
        try:
            mapping = mappings.from_pairs(options["map"])
            lookups = [self._lookup(join) for join in options["join"]]
            with path.open("rb") as given, transaction.atomic():
                file = encodings.as_utf8(given, options["encoding"])
                source = sources.Source(file, _format(options, path), _columns(options), lookups)
                if not mapping:
                    mapping = self._guessed(project, source, quiet=options["json"])
                batch = importing.begin(project=project, path=path, actor=None)
                counts = importing.import_file(
                    project=project, file=file, mapping=mapping, actor=None, batch=batch, lookups=lookups,
                    form=source.form, columns=source.columns, new_labels=options["new_labels"],
                )  # fmt: skip
        except (ImportRefused, Problem) as refusal:
            problems = refusal.problems if isinstance(refusal, ImportRefused) else [refusal]
            raise CommandError("\n".join([*map(str, problems), "Nothing was imported."])) from None
        said = (
            f"Imported {counts.items} items, {counts.responses} responses and {counts.judgements} judgements; "
            f"{counts.already_there} items were there already, {counts.left_out} were left out."
        )
        finish(self, said, asdict(counts), as_json=options["json"])

    def _guessed(self, project: Project, source: sources.Source, *, quiet: bool) -> dict[str, str]:
        """A mapping by the names in the first record, said aloud; {} where they are our own words. Raises ImportRefused."""
        first = sources.first_of(source, 1)[0]
        source.file.seek(0)
        for lookup in source.lookups:
            lookup.join(1, first)
        mapping = guessing.guess(first, [asked.kind.name for asked in asking.questions_of(project)])
        if mapping and not quiet:
            said = " ".join(f"--map {word}={fields}" for word, fields in mapping.items())
            self.stdout.write(f"Taken by the names of its fields: {said}")
        return mapping

    def _lookup(self, join: str) -> Lookup:
        field, equals, rest = join.partition("=")
        name, colon, key = rest.rpartition(":")
        if not (equals and colon and field and name and key):
            raise CommandError(f"--join is written FIELD=FILE:KEY, not {join!r}.")
        with readable(name).open("rb") as file:
            return sources.read_lookup(field=field, key=key, file=file)
