"""manage.py sign_in_link USERNAME"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
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
            user = self._made(name)
        if user is None:
            raise CommandError(f"There is nobody called “{name}”; --create makes them.")
        auditing.record(actor=None, action="new sign-in link", subject="", username=name)
        self.stdout.write(inviting.new_link(user=user))

    def _made(self, name: str) -> User:
        user = User(username=name)
        user.set_unusable_password()
        try:
            user.full_clean(exclude=["password"])
        except ValidationError as wrong:
            raise CommandError(f"“{name[:60]}” cannot be a user name: {' '.join(wrong.messages)}") from None
        user.save()
        return user
