"""manage.py advise PROJECT [--json] [--train TRAINER | --compare TRAINER,TRAINER]"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.management.reading import finish, project_named
from annotation.models import Project
from training.advising import starting, telling
from training.advising.advice import Advice, advise, experiment_of
from training.advising.starting import CannotStart
from training.catalogue.listing import ListingFailed


class Command(BaseCommand):
    help = "Says which method fits what a project has, and why; with --train or --compare it launches."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project")
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        then = parser.add_mutually_exclusive_group()
        then.add_argument("--train", metavar="TRAINER", help="freeze what it learns from and launch it")
        then.add_argument("--compare", metavar="TRAINER,TRAINER", help="launch both on the same snapshot")

    def handle(self, **options: Any) -> None:  # noqa: ANN401 - argparse's values
        project = project_named(options["project"])
        try:
            advice = advise(project)
            if options["train"]:
                run = starting.start(project=project, method=starting.method_named(advice, options["train"]))
                return self._started(project, [run.pk], options["json"])
            if options["compare"]:
                runs = self._compare(project, advice, options["compare"])
                return self._started(project, runs, options["json"])
        except (CannotStart, ListingFailed) as wrong:
            raise CommandError(f"{wrong}\nNothing was launched.") from None
        finish(self, telling.as_text(advice), telling.as_json(advice), as_json=options["json"])

    def _compare(self, project: Project, advice: Advice, names: str) -> list[int]:
        methods = [starting.method_named(advice, name.strip()) for name in names.split(",")]
        if len(methods) != 2:
            raise CannotStart("Two trainers can be compared: --compare dpo,comparative-ranking.")
        experiment = experiment_of(advice.have, methods)
        if experiment is None:
            raise CannotStart(
                f"{names}: both must be able to start, learn from the same kind of rows and give a model of the same sort."
            )
        return [run.pk for run in starting.compare(project=project, experiment=experiment)]

    def _started(self, project: Project, runs: list[int], as_json: bool) -> None:
        said = "\n".join(f"run {run}" for run in runs)
        if len(runs) > 1:
            said += f"\nside by side: /p/{project.slug}/runs/compare/?runs={','.join(map(str, runs))}"
        finish(self, said, {"runs": runs}, as_json=as_json)
