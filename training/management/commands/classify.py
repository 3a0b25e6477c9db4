"""manage.py classify run:3 --text TEXT"""

from __future__ import annotations

from typing import Any

from training import trying
from training.management.asking import TextCommand
from training.models import Model


class Command(TextCommand):
    help = "Which labels fit texts, by a model that classifies; the likeliest first."
    verb = "classify"

    def ask(self, model: Model, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        shares = trying.classify(model, options["text"])
        found = trying.classified(options["text"], shares)
        lines = [f"{bar.share:.3f}  {bar.label}" for bar in found[0].bars]
        if len(found) > 1:
            lines = [f"{one.bars[0].share:.3f}  {one.bars[0].label}  {one.text}" for one in found]
        return "\n".join(lines), {"labels": shares}
