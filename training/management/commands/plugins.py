"""manage.py plugins"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from training.catalogue.listing import Listing, ListingFailed, forget, listing


class Command(BaseCommand):
    help = "Lists what plugins offer, and which were refused and why."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--again", action="store_true", help="look again, for what was mended in its place")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, **options: Any) -> None:  # noqa: ANN401 - argparse's values
        if options["again"]:
            forget()
        try:
            found = listing()
        except ListingFailed as wrong:
            raise CommandError(str(wrong)) from None
        said = json.dumps(asdict(found), ensure_ascii=False) if options["json"] else "\n".join(_lines(found))
        self.stdout.write(said)


def _lines(found: Listing) -> list[str]:
    lines = [f"{t['name']}: {t['summary']} ({_from(t['plugin'], t)})" for t in found.trainers.values()]
    lines += [f"{s['name']}: {s['title']} ({', '.join(s['suggests']) or 'nothing at hand'})" for s in found.sources]
    lines += [f"REFUSED {_from(r['plugin'], r)}: {r['reason']} (tell {r['author']})" for r in found.refusals]
    return lines


def _from(plugin: str, entry: dict[str, Any]) -> str:
    return f"{plugin} in its environment {entry['environment']}" if entry["environment"] else plugin
