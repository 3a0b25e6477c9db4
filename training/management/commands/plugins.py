"""manage.py plugins"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from training.listing import ListingFailed, listing


class Command(BaseCommand):
    help = "Lists what plugins offer, and which were refused and why."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, **options: Any) -> None:  # noqa: ANN401 - argparse's values
        try:
            found = listing()
        except ListingFailed as wrong:
            raise CommandError(str(wrong)) from None
        if options["json"]:
            self.stdout.write(json.dumps(asdict(found), ensure_ascii=False))
            return
        for trainer in found.trainers.values():
            self.stdout.write(f"{trainer['name']}: {trainer['summary']} ({trainer['plugin']})")
        for source in found.sources:
            self.stdout.write(
                f"{source['name']}: {source['title']} ({', '.join(source['suggests']) or 'nothing at hand'})"
            )
        for refusal in found.refusals:
            self.stdout.write(
                f"REFUSED {refusal['plugin']}: {refusal['reason']} (tell {refusal['author'] or 'its author'})"
            )
