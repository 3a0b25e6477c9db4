"""manage.py similar PROJECT --model run:3 [--threshold .9] [--group] [--json]"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.management.reading import finish, project_named
from annotation.models import Item
from training import grouping, likening
from training.answering import NoAnswer

SHOWN = 60  # characters of a prompt in a line


class Command(BaseCommand):
    help = "Lists prompts of a project that are nearly the same, by a model that embeds."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project")
        parser.add_argument(
            "--model", default="", help="run:<id> or a base model; by default the first one that embeds"
        )
        parser.add_argument(
            "--threshold",
            type=float,
            default=likening.THRESHOLD,
            help="cosine from which two are alike; %(default)s by default",
        )
        parser.add_argument(
            "--group", action="store_true", help="put what is alike in one group: one side of every later split"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, **options: Any) -> None:  # noqa: ANN401 - argparse's values
        project, threshold = project_named(options["project"]), options["threshold"]
        if not 0 < threshold <= 1:
            raise CommandError("A threshold is a cosine above 0 and at most 1.")
        items = list(Item.objects.filter(project=project).order_by("position"))
        if len(items) < 2:
            raise CommandError(f"{project.slug} has fewer than two items; import some first.")
        ref = options["model"] or next((ref for ref, _ in likening.models_of(project)), "")
        if not ref:
            makers = ", ".join(one["name"] for one in likening.makers(project)) or "none here"
            raise CommandError(f"No model here embeds. Trainers that make one: {makers}.")
        texts = [likening.text_of(item) for item in items]
        try:
            vectors = likening.Vectors(project, ref)
            for left in vectors.work(texts):
                self.stderr.write(f"{left} prompts left to read")
        except NoAnswer as wrong:
            raise CommandError(str(wrong)) from None
        alike = likening.pairs(vectors.of(texts), threshold)
        together = [[items[place] for place in places] for places in likening.clusters(alike)]
        changed = grouping.group(project=project, together=together, actor=None) if options["group"] else None
        told = {
            "model": ref, "threshold": threshold, "items": len(items), "grouped": changed,
            "clusters": [[item.key for item in cluster] for cluster in together],
            "pairs": [
                {"first": items[one.first].key, "second": items[one.second].key, "cosine": round(one.cosine, 4)} for one in alike
            ],
        }  # fmt: skip
        lines = [
            f"{one.cosine:.3f}  {items[one.first].key}  {_short(texts[one.first])}\n"
            f"       {items[one.second].key}  {_short(texts[one.second])}"
            for one in alike
        ]
        lines.append(
            f"{len(alike)} pairs in {len(together)} clusters, of {len(items)} items, from a cosine of {threshold:g} on ({ref})."
        )
        if changed is not None:
            lines.append(f"{changed} items came into another group. Snapshots that are frozen stay as they are.")
        finish(self, "\n".join(lines), told, as_json=options["json"])


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else line[: SHOWN - 1] + "…"
