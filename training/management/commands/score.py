"""manage.py score run:3 --prompt TEXT --completion TEXT"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.management.reading import finish
from training import answering
from training.management.reading import model_named


class Command(BaseCommand):
    help = "Scores answers to a prompt; higher is better."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("model", help="run:<id>")
        parser.add_argument("--prompt", required=True)
        parser.add_argument("--completion", required=True, action="append", help="as often as wanted")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, **options: Any) -> None:  # noqa: ANN401 - argparse's values
        model = model_named(options["model"])
        if "score" not in model.yields:
            raise CommandError(f"{model.ref} cannot score; it can {', '.join(model.yields)}.")
        try:
            scores = answering.score(model=model, prompt=options["prompt"], completions=options["completion"])
        except answering.NoAnswer as wrong:
            raise CommandError(str(wrong)) from None
        said = "\n".join(f"{score:+.4f}  {text}" for score, text in zip(scores, options["completion"], strict=True))
        finish(self, said, {"model": model.ref, "scores": scores}, as_json=options["json"])
