"""manage.py work: the worker that `manage.py run` starts."""

from __future__ import annotations

import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from training.working import LauncherMissing, Worker

NICE = 5  # whoever waits for a page goes before a flood of a trainer's numbers


class Command(BaseCommand):
    help = "Works runs, one after the other, until told to stop."

    def handle(self, **options: Any) -> None:  # noqa: ANN401 - argparse's values
        os.nice(NICE)
        try:
            Worker().serve()
        except LauncherMissing as wrong:
            raise CommandError(str(wrong)) from None
