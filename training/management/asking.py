"""What the commands that try a model share: its name, texts, a model that has the verb."""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.management.reading import finish
from training.answering import NoAnswer
from training.management.reading import model_named
from training.models import Model


class TextCommand(BaseCommand):
    """A verb of a model on texts of one's own."""

    verb: ClassVar[str]

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("model", help="run:<id>")
        parser.add_argument("--text", required=True, action="append", help="as often as wanted")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, **options: Any) -> None:  # noqa: ANN401 - argparse's values
        model = model_named(options["model"])
        if self.verb not in model.yields:
            raise CommandError(f"{model.ref} cannot {self.verb}; it can {', '.join(model.yields)}.")
        try:
            said, values = self.ask(model, options)
        except NoAnswer as wrong:
            raise CommandError(str(wrong)) from None
        finish(self, said, {"model": model.ref, **values}, as_json=options["json"])

    def ask(self, model: Model, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """What is said to people, and what `--json` prints beside the model."""
        raise NotImplementedError
