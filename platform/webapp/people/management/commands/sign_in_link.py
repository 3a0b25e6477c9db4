"""manage.py sign_in_link USERNAME"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from webapp.people import auditing, inviting
from webapp.people.models import User


class Command(BaseCommand):
    help = "Prints a one-time sign-in link, after which the person chooses a password. Also for lost passwords."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--create", action="store_true", help="make the person if there is none of this name")

    def handle(self, **options: Any) -> None:  # noqa: ANN401 - argparse's values
        name = options["username"]
        user = User.objects.filter(username=name).first()
        if user is None and options["create"]:
            user = User.objects.create_user(username=name)
        if user is None:
            raise CommandError(f"There is nobody called “{name}”; --create makes them.")
        auditing.record(actor=None, action="new sign-in link", subject="", username=name)
        self.stdout.write(inviting.new_link(user=user))
