"""What a request carries inside a project, once the permission middleware has let it in."""

from django.http import HttpRequest

from annotation.models import Membership, Project
from webapp.people.models import User


class ProjectRequest(HttpRequest):
    """A member's request: `membership` and `role` are None for a superuser who is no member."""

    user: User
    project: Project
    membership: Membership | None
    role: str | None
