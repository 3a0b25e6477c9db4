"""manage.py embed run:3 --text TEXT --text TEXT"""

from __future__ import annotations

from typing import Any

from training import trying
from training.management.asking import TextCommand
from training.models import Model


class Command(TextCommand):
    help = "How alike texts are, by a model that embeds; with --json their vectors."
    verb = "embed"

    def ask(self, model: Model, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        vectors = trying.embed(model, options["text"])
        found = trying.alike(options["text"], vectors)
        lines = [
            "  ".join([*("    –" if cosine is None else f"{cosine:+.3f}" for cosine in row), text])
            for row, text in zip(found.cosines, found.texts, strict=True)
        ]
        return "\n".join(lines), {"vectors": vectors, "cosines": found.cosines}
