"""manage.py create_project NAME --template instructgpt"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation import asking, belonging
from annotation.kinds import KINDS
from annotation.management.reading import finish, sentence, text_of
from annotation.starting_points import STARTING_POINTS, offered
from webapp.people.models import User
from webapp.people.permitting import LEAD


class Command(BaseCommand):
    help = "Makes a project. Its first administrator leads it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        asked = parser.add_mutually_exclusive_group()
        asked.add_argument(
            "--questions", metavar="KIND,KIND", default="ranking",
            help=f"what is asked about each item, in this order: {', '.join(KINDS)}",
        )  # fmt: skip
        asked.add_argument("--template", choices=[point.slug for point in offered()], help="a screen to start from")
        asked.add_argument(
            "--questions-file", metavar="FILE",
            help="a JSON file with a list of {kind, name, title, help, required, options}",
        )  # fmt: skip
        parser.add_argument("--overlap", type=int, default=1, help="how many people judge each item")
        parser.add_argument("--guidelines", metavar="FILE", help="a Markdown file with the guidelines")
        parser.add_argument(
            "--annotator", action="append", default=[], metavar="USERNAME", help="a member, as often as wanted"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, **options: Any) -> None:  # noqa: ANN401 - argparse's values
        point = STARTING_POINTS.get(options["template"] or "")
        text = text_of(options["guidelines"]) if options["guidelines"] else str(point.guidelines) if point else ""
        people = {name: User.objects.filter(username=name).first() for name in options["annotator"]}
        if missing := [name for name, user in people.items() if user is None]:
            raise CommandError(f"There is nobody called {', '.join(missing)}. Nothing was changed.")
        try:
            made = belonging.create_project(
                name=options["name"],
                questions=point.questions() if point else _asked(options),
                overlap=options["overlap"],
                guidelines=text,
                creator=None,
            )
        except ValidationError as wrong:
            raise CommandError(sentence(wrong)) from None
        for admin in User.objects.filter(is_superuser=True, is_active=True):
            belonging.join(project=made, user=admin, role=LEAD)
        for user in people.values():
            if user is not None:
                belonging.join(project=made, user=user)
        finish(self, f"Made the project {made.slug}.", {"project": made.slug}, as_json=options["json"])


def _asked(options: dict[str, Any]) -> list[dict[str, Any]]:
    """Drafts of questions out of a file, or of the kinds that were named. Raises CommandError."""
    if not options["questions_file"]:
        kinds = [kind.strip() for kind in options["questions"].split(",") if kind.strip()]
        if unknown := [kind for kind in kinds if kind not in KINDS]:
            raise CommandError(
                f"There is no question “{unknown[0]}”; the kinds are {', '.join(KINDS)}. Nothing was changed."
            )
        drafts: list[dict[str, Any]] = []
        for kind in kinds:
            names = [draft["name"] for draft in drafts]
            drafts.append(asking.draft(kind, name=asking.free_name(kind, names)))
        return drafts
    path = Path(options["questions_file"])
    try:
        read = json.loads(text_of(str(path)))
    except ValueError as wrong:
        raise CommandError(f"{path.name} is no JSON: {wrong}. Nothing was changed.") from None
    if not isinstance(read, list) or not all(isinstance(one, dict) for one in read):
        raise CommandError(f"{path.name} holds no list of questions, each an object. Nothing was changed.")
    return read
