"""manage.py train TRAINER --snapshot HASH --base MODEL --wait"""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.management.reading import finish
from training import configuring, launching, preflighting
from training.catalogue.listing import ListingFailed
from training.leasing import MAX_ATTEMPTS
from training.management.reading import pairs, snapshot_named
from training.models import Run
from training.reporting import results
from training.working import LauncherMissing, Worker

#: with --wait, a run that no worker took after this many seconds is worked here
PATIENCE = 3.0


class Command(BaseCommand):
    help = "Launches a run. With --wait it stays until the end, and works the run itself if no worker takes it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("trainer")
        parser.add_argument("--snapshot", required=True, help="its hash, or the first characters of it")
        parser.add_argument("--base", help="short for --model base=MODEL")
        parser.add_argument("--model", action="append", default=[], metavar="ROLE=MODEL")
        parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the trainer")
        parser.add_argument("--name", default="", help="what the run shall be called; without: its trainer and number")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--ranks", type=int, default=1, help="processes that share the work, where the trainer can")
        parser.add_argument(
            "--check", action="store_true", help="look at rows, models, memory and disk; launch nothing"
        )
        parser.add_argument("--wait", action="store_true", help="stay until it ends; the exit status tells how")
        parser.add_argument("--json", action="store_true", help="print one JSON object at the end")

    def handle(self, **options: Any) -> None:  # noqa: ANN401 - argparse's values
        snapshot = snapshot_named(options["snapshot"])
        models = pairs(options["model"], "--model") | ({"base": options["base"]} if options["base"] else {})
        try:
            offered = launching.trainer_named(options["trainer"])
            config = configuring.parse(offered["schema"], pairs(options["set"], "--set"))
            asked = {
                "project": snapshot.project, "snapshot": snapshot, "config": config, "models": models,
                "ranks": options["ranks"],
            }  # fmt: skip
            checks = preflighting.check(trainer=offered, **asked)
            if options["check"]:
                whole = launching.defaults(offered["schema"]) | config
                return self._say_checks(checks, launching.config_faults(offered, whole), options["json"])
            for one in checks:
                if one.level == preflighting.WARNING:
                    self.stderr.write(f"warning: {one.title}: {one.sentence}")
            run = launching.launch(trainer=options["trainer"], seed=options["seed"], name=options["name"], **asked)
        except (launching.CannotLaunch, ListingFailed, ValueError) as wrong:
            raise CommandError(f"{wrong}\nNothing was launched.") from None
        if not options["json"]:
            self.stdout.write(f"run {run.pk}")
        if options["wait"]:
            self._wait(run, quiet=options["json"])
        run.refresh_from_db()
        values = {
            "run": run.pk,
            "name": run.name,
            "state": run.state,
            "numbers": run.numbers,
            "error": run.error or None,
        }
        finish(self, "\n".join(self._lines(run)), values, as_json=options["json"])
        if options["wait"] and run.state != Run.SUCCEEDED:
            raise CommandError(run.error or f"Run {run.pk} was {run.state}.", returncode=1)

    def _say_checks(self, checks: list[preflighting.Check], wrong: dict[str, str], as_json: bool) -> None:
        """Every check in a line; a fault makes the exit status 1."""
        checks = [preflighting.Check(name, preflighting.FAULT, name, text) for name, text in wrong.items()] + checks
        lines = [f"{one.level:<7}  {one.title}: {one.sentence}" for one in checks]
        finish(self, "\n".join(lines), {"checks": [asdict(one) for one in checks]}, as_json=as_json)
        if preflighting.faults(checks):
            raise CommandError("It cannot be launched so. Nothing was launched.", returncode=1)

    def _wait(self, run: Run, *, quiet: bool) -> None:
        queued_since, told = time.monotonic(), ""
        try:
            while run.is_live:
                if run.state != Run.QUEUED:
                    queued_since = time.monotonic()
                elif time.monotonic() - queued_since > PATIENCE:
                    self._work(run, quiet=quiet)
                told = self._tell(run, told, quiet=quiet)
                time.sleep(0.5)
                run.refresh_from_db()
        except KeyboardInterrupt:
            launching.cancel(run=run, actor=None)
            raise CommandError(f"Run {run.pk} was asked to stop.", returncode=130) from None

    def _work(self, run: Run, *, quiet: bool) -> None:
        told = ""

        def heard(current: Run) -> None:
            nonlocal told
            told = self._tell(current, told, quiet=quiet)

        try:
            worker = Worker()
        except LauncherMissing as wrong:
            raise CommandError(str(wrong)) from None
        for _ in range(MAX_ATTEMPTS):
            worker.work_one(run.pk, heard)
            run.refresh_from_db()
            if not run.is_live:
                return

    def _tell(self, run: Run, told: str, *, quiet: bool) -> str:
        """A line for every new state and every further tenth of the way."""
        line = run.state
        if run.state == Run.RUNNING and run.total:
            line += f" {100 * run.done // run.total // 10 * 10} %"
        if line != told and not quiet:
            self.stdout.write(line)
        return line

    def _lines(self, run: Run) -> list[str]:
        numbers = [(name, value) for name, value in results.listed(run.numbers) if value is not None]
        lines = [run.state, *(f"{name} {_shown(value)}" for name, value in numbers)]
        if why := results.stopped(run.numbers):
            lines.append(f"It stopped itself: {why}.")
        lines += [f"warning: {warning}" for warning in results.warnings(run.numbers)]
        if run.state == Run.SUCCEEDED:
            said = (results.verdict(run.numbers), results.aside(run.numbers), f"model run:{run.pk}")
            lines += [line for line in said if line]
        return lines


def _shown(value: object) -> str:
    """A final number; a trainer may also return a word."""
    if not isinstance(value, int | float):
        return str(value)
    return f"{value:g}" if value == int(value) else f"{value:.4f}"
