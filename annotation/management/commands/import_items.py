"""manage.py import_items PROJECT FILE [--map word=field ...]"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from annotation import importing
from annotation import mapping as mappings
from annotation.formats.jsonl import Problem
from annotation.importing import ImportRefused, Lookup
from annotation.management.reading import finish, project_named, readable


class Command(BaseCommand):
    help = "Brings a JSON Lines file into a project: all of it, or nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project")
        parser.add_argument("file")
        parser.add_argument("--format", default="jsonl", choices=["jsonl"], help="the file's format")
        parser.add_argument(
            "--map", action="append", default=[], metavar="WORD=FIELD",
            help=f"which field is what, as in prompt=question; words: {', '.join(mappings.WORDS)}",
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
            mapping = importing.mapping_from(options["map"])
            lookups = [self._lookup(join) for join in options["join"]]
            with transaction.atomic(), path.open("rb") as file:
                batch = importing.begin(project=project, path=path, actor=None)
                counts = importing.import_file(
                    project=project, file=file, mapping=mapping, actor=None, batch=batch, lookups=lookups
                )
        except (ImportRefused, Problem) as refusal:
            problems = refusal.problems if isinstance(refusal, ImportRefused) else [refusal]
            raise CommandError("\n".join([*map(str, problems), "Nothing was imported."])) from None
        said = (
            f"Imported {counts.items} items, {counts.responses} responses and {counts.judgements} judgements; "
            f"{counts.already_there} items were there already, {counts.left_out} were left out."
        )
        finish(self, said, asdict(counts), as_json=options["json"])

    def _lookup(self, join: str) -> Lookup:
        field, equals, rest = join.partition("=")
        name, colon, key = rest.rpartition(":")
        if not (equals and colon and field and name and key):
            raise CommandError(f"--join is written FIELD=FILE:KEY, not {join!r}.")
        with readable(name).open("rb") as file:
            return importing.read_lookup(field=field, key=key, file=file)
