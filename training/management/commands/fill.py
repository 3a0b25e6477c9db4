"""manage.py fill run:3 --text "The sea is ___." """

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from training import trying
from training.management.asking import TextCommand
from training.models import Model


class Command(TextCommand):
    help = "Fills the gaps of texts, by a model that fills; ___ stands for what is missing."
    verb = "fill"

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--n", type=int, default=1, choices=range(1, 101), metavar="N", help="so many ways a text")

    def ask(self, model: Model, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        found = trying.fill(model, options["text"], options["n"])
        return "\n".join(text for some in found for text in some), {"texts": found}
