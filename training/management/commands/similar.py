"""manage.py similar PROJECT --model run:3 [--threshold .9] [--pairs 1000] [--group [--largest 20] | --undo] [--json]"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.management.reading import finish, project_named
from annotation.models import Item
from training import grouping, likening, nearing
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
        parser.add_argument(
            "--largest",
            type=int,
            help="items that a set to be grouped may have; a tenth of all, from 4 to 20, by default",
        )
        parser.add_argument(
            "--undo", action="store_true", help="put the items of the last grouping back where they were"
        )
        parser.add_argument(
            "--pairs", type=int, default=1000, help="pairs that are listed, the nearest first; %(default)s by default"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, **options: Any) -> None:  # noqa: ANN401 - argparse's values
        project, threshold = project_named(options["project"]), options["threshold"]
        if options["undo"]:
            entry = grouping.last(project)
            back = grouping.undo(project=project, entry=entry.pk, actor=None) if entry else 0
            finish(
                self, f"{back} items are back in the groups that they were in.", {"back": back}, as_json=options["json"]
            )
            return
        if options["pairs"] < 0:
            raise CommandError("--pairs is 0 or more.")
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
        alike = nearing.compare(vectors.of(texts), threshold, options["pairs"])
        most = nearing.most_grouped(len(items)) if options["largest"] is None else options["largest"]
        small = [[items[place].pk for place in places] for places in alike.sets if len(places) <= most]
        changed = grouping.group(project=project, together=small, actor=None) if options["group"] else None
        left_alone = len(alike.sets) - len(small) if options["group"] else 0
        told = {
            "model": ref, "threshold": threshold, "items": len(items), "grouped": changed,
            "left_alone": left_alone, "pairs_in_all": alike.count,
            "clusters": [[items[place].key for place in places] for places in alike.sets],
            "pairs": [
                {"first": items[one.first].key, "second": items[one.second].key, "cosine": round(one.cosine, 4)}
                for one in alike.pairs
            ],
        }  # fmt: skip
        lines = [
            f"{one.cosine:.3f}  {items[one.first].key}  {_short(texts[one.first])}\n"
            f"       {items[one.second].key}  {_short(texts[one.second])}"
            for one in alike.pairs
        ]
        if alike.count > len(alike.pairs):
            lines.append(f"… and {alike.count - len(alike.pairs)} more pairs; --pairs lists more.")
        lines.append(
            f"{alike.count} pairs in {len(alike.sets)} clusters, of {len(items)} items, "
            f"from a cosine of {threshold:g} on ({ref})."
        )
        if changed is not None:
            lines.append(f"{changed} items came into another group. Snapshots that are frozen stay as they are.")
        if left_alone:
            lines.append(
                f"{left_alone} clusters of more than {most} items were left alone: raise --threshold, or --largest."
            )
        finish(self, "\n".join(lines), told, as_json=options["json"])


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else line[: SHOWN - 1] + "…"
