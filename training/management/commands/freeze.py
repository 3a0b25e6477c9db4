"""manage.py freeze PROJECT --rows ranking"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.management.reading import finish, project_named
from training import freezing, passages


class Command(BaseCommand):
    help = "Freezes a project's judgements into a snapshot and prints its hash."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project")
        parser.add_argument("--rows", default="ranking", choices=list(freezing.OFFERED))
        parser.add_argument("--question", default="", help="rows of this question alone, by its name")
        parser.add_argument(
            "--unjudged", action="store_true", help="with --rows prompt: only of items that nobody has judged"
        )
        parser.add_argument(
            "--passage", type=int, default=passages.USUAL, metavar="CHARACTERS",
            help="with --rows text: how long a passage is at most; 0: whole texts; %(default)s by default",
        )  # fmt: skip
        parser.add_argument(
            "--with-items", action="store_true", help="with --rows text: prompts and answers of items as texts too"
        )
        parser.add_argument("--heldout", type=float, default=0.2, help="share of the groups that is never trained on")
        parser.add_argument("--split-seed", type=int, default=0, help="another seed holds out other groups")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, **options: Any) -> None:  # noqa: ANN401 - argparse's values
        project = project_named(options["project"])
        try:
            made = freezing.freeze(
                project=project,
                rows=options["rows"],
                question=options["question"],
                unjudged=options["unjudged"],
                passage=options["passage"],
                with_items=options["with_items"],
                heldout=options["heldout"],
                split_seed=options["split_seed"],
            )
        except freezing.CannotFreeze as wrong:
            raise CommandError(str(wrong)) from None
        finish(self, made.hash, {"hash": made.hash, "rows": made.rows, **made.counts}, as_json=options["json"])
