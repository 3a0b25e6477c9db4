"""manage.py clear_runs PROJECT --older-than 30d --space-only"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models.functions import Now

from annotation.management.reading import finish, project_named
from training import clearing
from training.machine import disk
from training.models import Run

UNITS = {"d": "days", "h": "hours", "w": "weeks"}


class Command(BaseCommand):
    help = "Deletes runs that ended, or drops their checkpoints and logs. Without --yes it only says what would go."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project")
        parser.add_argument("--run", type=int, action="append", default=[], help="its number; as often as wanted")
        parser.add_argument("--archived", action="store_true", help="those in the archive")
        parser.add_argument("--state", choices=Run.ENDED, help="those that ended so")
        parser.add_argument(
            "--older-than", metavar="30d", help="those that ended so long ago: days (d), hours (h), weeks (w)"
        )
        parser.add_argument("--space-only", action="store_true", help="keep runs and models; drop checkpoints and logs")
        parser.add_argument("--yes", action="store_true", help="do it")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, **options: Any) -> None:  # noqa: ANN401 - argparse's values
        project = project_named(options["project"])
        found = project.runs.filter(state__in=Run.ENDED)
        if not (options["run"] or options["archived"] or options["state"] or options["older_than"]):
            raise CommandError("Say which runs: --run, --archived, --state or --older-than. Nothing was changed.")
        if options["run"]:
            found = project.runs.filter(pk__in=options["run"])  # one that lives is said to stay
            missing = set(options["run"]) - set(found.values_list("pk", flat=True))
            if missing:
                raise CommandError(f"{project.slug} has no run {min(missing)}. Nothing was changed.")
        if options["archived"]:
            found = found.exclude(archived_at=None)
        if options["state"]:
            found = found.filter(state=options["state"])
        if options["older_than"]:
            found = found.filter(ended_at__lt=Now() - _span(options["older_than"]))
        runs = list(found.values_list("pk", flat=True))
        way = clearing.SPACE if options["space_only"] else clearing.DELETE
        if options["yes"]:
            told = clearing.clear(project=project, runs=runs, way=way, actor=None)
        else:
            told = clearing.preview(project=project, runs=runs, way=way)
        values = {
            "done": options["yes"], "bytes": told.bytes, "runs": [one.run.pk for one in told.goes],
            "stays": {str(one.run.pk): one.why for one in told.stays},
        }  # fmt: skip
        finish(self, "\n".join(_lines(told, done=options["yes"])), values, as_json=options["json"])


def _span(text: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,4})([dhw])", text.strip())
    if found is None:
        raise CommandError(
            f"--older-than is a number and a unit, 30d, 12h or 8w, not “{text[:20]}”. Nothing was changed."
        )
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def _lines(told: clearing.Preview, *, done: bool) -> list[str]:
    lines = []
    for one in told.goes:
        parts = ", ".join(f"{name} {disk.in_words(size)}" for name, size in one.sizes.items())
        lines.append(
            f"run {one.run.pk} ({one.run.name or one.run.trainer}, {one.run.state}): {parts or 'nothing on the disk'}"
        )
    lines += [f"run {one.run.pk} stays: {one.why}" for one in told.stays]
    what = "its checkpoints and log" if told.way == clearing.SPACE else "the run"
    if not told.goes:
        return [*lines, "Nothing is to go."]
    size = f"{len(told.goes)} × {what}, {disk.in_words(told.bytes)}"
    return [*lines, f"Gone: {size}." if done else f"Would go: {size}. Nothing was changed; --yes does it."]
