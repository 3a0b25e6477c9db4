"""manage.py models"""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from training.catalogue.listing import listing
from training.models import Model
from training.reporting import meaning


class Command(BaseCommand):
    help = "Lists the models that runs left, and the base models at hand."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, **options: Any) -> None:  # noqa: ANN401 - argparse's values
        made = [
            {
                "model": model.ref, "name": model.name, "project": model.project.slug, "trainer": model.run.trainer,
                "yields": model.yields, "reached": meaning.headline(model.run), "snapshot": model.run.snapshot.hash,
                "numbers": model.run.numbers,
            }
            for model in Model.objects.select_related("project", "run__snapshot")
        ]  # fmt: skip
        bases = listing().model_strings()
        if options["json"]:
            self.stdout.write(json.dumps({"models": made, "bases": bases}, ensure_ascii=False))
            return
        for row in made:
            said = f", {row['reached'][0]:.3f} {row['reached'][1]}" if row["reached"] else ""
            self.stdout.write(
                f"{row['model']}  {row['trainer']} in {row['project']}, can {', '.join(row['yields'])}{said}"
            )
        if not made:
            self.stdout.write("No run has left a model yet.")
        self.stdout.write(f"Base models at hand: {', '.join(bases)}")
