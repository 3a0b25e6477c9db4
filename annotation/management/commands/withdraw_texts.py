"""manage.py withdraw_texts PROJECT [IMPORT]"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation import texts
from annotation.management.reading import finish, project_named


class Command(BaseCommand):
    help = "Takes the raw texts of one import out of a project; without an import, lists those that there are."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project")
        parser.add_argument("number", nargs="?", type=int, metavar="IMPORT", help="its number in the list")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, **options: Any) -> None:  # noqa: ANN401 - argparse's values
        project = project_named(options["project"])
        imports = project.imports.filter(texts__isnull=False).distinct()
        listed = [{"import": one.pk, "file": one.file_name, "texts": one.texts.count()} for one in imports]
        said = "\n".join(f"{one['import']}  {one['file']}: {one['texts']} texts" for one in listed) or "No raw texts."
        if options["number"] is None:
            finish(self, said, {"imports": listed}, as_json=options["json"])
            return
        batch = imports.filter(pk=options["number"]).first()
        if batch is None:
            raise CommandError(
                f"No import {options['number']} brought raw texts in that are still there. There are:\n{said}"
            )
        gone = texts.withdraw(batch=batch, actor=None)
        finish(self, f"Took {gone} texts out; snapshots keep them.", {"texts": gone}, as_json=options["json"])
