"""manage.py create_project NAME --questions ranking"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation import belonging
from annotation.kinds import KINDS
from annotation.management.reading import finish, sentence, text_of
from webapp.people.models import User
from webapp.people.permitting import LEAD


class Command(BaseCommand):
    help = "Makes a project. Its first administrator leads it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--questions", default="ranking", choices=list(KINDS), help="what is asked about each item")
        parser.add_argument("--overlap", type=int, default=1, help="how many people judge each item")
        parser.add_argument("--guidelines", metavar="FILE", help="a Markdown file with the guidelines")
        parser.add_argument(
            "--annotator", action="append", default=[], metavar="USERNAME", help="a member, as often as wanted"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, **options: Any) -> None:  # noqa: ANN401 - argparse's values
        text = text_of(options["guidelines"]) if options["guidelines"] else ""
        people = {name: User.objects.filter(username=name).first() for name in options["annotator"]}
        if missing := [name for name, user in people.items() if user is None]:
            raise CommandError(f"There is nobody called {', '.join(missing)}. Nothing was changed.")
        try:
            made = belonging.create_project(
                name=options["name"],
                question=options["questions"],
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
