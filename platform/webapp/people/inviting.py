"""Makes people and their one-time sign-in links; the first start makes the first three."""

from datetime import timedelta

from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from webapp.people.models import SignInLink, User
from webapp.people.secrets_at_rest import digest, new_key

LINK_LIFETIME = timedelta(days=7)

#: username -> what the first start says of them
FIRST_PEOPLE = {"admin": "admin", "annotator-1": "demo annotator", "annotator-2": "demo annotator"}


@transaction.atomic
def first_people() -> None:
    """An admin and two annotators, on a database that holds nobody yet. None has a password."""
    if User.objects.exists():
        return
    for username in FIRST_PEOPLE:
        is_admin = username == "admin"
        User.objects.create_user(username=username, is_staff=is_admin, is_superuser=is_admin)


def unclaimed_links() -> list[tuple[str, str, str]]:
    """(username, role, path) for each of the first people who has not chosen a password yet. Older links work on."""
    waiting = User.objects.filter(username__in=FIRST_PEOPLE, is_active=True).order_by("id")
    return [(u.username, FIRST_PEOPLE[u.username], one_more_link(user=u)) for u in waiting if not u.has_chosen_password]


@transaction.atomic
def new_link(*, user: User) -> str:
    """The path of a fresh one-time link; the person's older unused links stop working."""
    user.sign_in_links.filter(used_at=None).delete()
    return one_more_link(user=user)


def one_more_link(*, user: User) -> str:
    """The path of a fresh one-time link beside those that are out already; the first one used ends the others."""
    key = new_key()
    SignInLink.objects.create(user=user, digest=digest(key), expires_at=timezone.now() + LINK_LIFETIME)
    return reverse("welcome", args=[key])


def open_link(key: str) -> SignInLink | None:
    """The link that `key` opens, or None when it is unknown, used, run out, or its owner was deactivated."""
    return (
        SignInLink.objects.select_related("user")
        .filter(digest=digest(key), used_at=None, expires_at__gt=timezone.now(), user__is_active=True)
        .first()
    )


@transaction.atomic
def claim(*, link: SignInLink, password: str) -> bool:
    """Sets the password and spends the link. False when somebody was quicker."""
    spent = SignInLink.objects.filter(pk=link.pk, used_at=None).update(used_at=timezone.now())
    if spent:
        link.user.set_password(password)
        link.user.save(update_fields=["password"])
        link.user.sign_in_links.filter(used_at=None).delete()
    return bool(spent)
