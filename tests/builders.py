"""Makes the people and things that tests speak of: ada and bo annotate, lin leads, a project with items in it.

Plain functions that go through the same steps as the site, so that what they make is what a user would have made.
"""

from __future__ import annotations

import io
import json
import os
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test import Client

from annotation import assigning, belonging, guiding, importing, judging
from annotation.importing import Counts
from annotation.models import Assignment, Import, Judgement, Membership, Project
from webapp.people.models import User
from webapp.people.permitting import ANNOTATOR

MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"
PASSWORD = "wooden spoon at noon"


def collect_static() -> None:
    """The static files under their hashed names, once a session; no page can be rendered without them."""
    if not (Path(settings.STATIC_ROOT) / "staticfiles.json").exists():
        call_command("collectstatic", interactive=False, verbosity=0)


def person(name: str, *, password: str | None = None, **flags: bool | str) -> User:
    """Somebody who can sign in; without a password only by `signed_in`."""
    return User.objects.create_user(username=name, password=password, **flags)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend=MODEL_BACKEND)
    return client


def project_of(
    lead: User | None,
    *annotators: User,
    name: str = "Answers",
    question: str = "ranking",
    overlap: int = 1,
    guidelines: str = "Truth first.",
) -> Project:
    made = belonging.create_project(name=name, question=question, creator=lead, overlap=overlap, guidelines=guidelines)
    for user in annotators:
        join(made, user)
    return made


def join(project: Project, user: User, role: str = ANNOTATOR) -> Membership:
    """Makes somebody a member who has read the guidelines."""
    belonging.join(project=project, user=user, role=role)
    know_the_guidelines(project)
    return member_of(project, user)


def know_the_guidelines(project: Project) -> None:
    """All members have read what is in force, so that the desk opens at once."""
    now = guiding.current(project)
    project.memberships.update(guidelines_read=now.version if now else 0)


def member_of(project: Project, user: User) -> Membership:
    return project.memberships.get(user=user)


def rows(count: int, *, answers: int = 4, prefix: str = "i") -> list[dict[str, Any]]:
    """Records that need no mapping."""
    return [
        {
            "id": f"{prefix}{number}",
            "prompt": f"Question {number} of {prefix}?",
            "responses": [f"Answer {number}.{answer}" for answer in range(answers)],
        }
        for number in range(count)
    ]


def as_lines(records: Iterable[Mapping[str, Any]]) -> bytes:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


def bring_in(project: Project, content: bytes, mapping: Mapping[str, str] | None = None) -> Counts:
    """Imports `content` as a file of JSON Lines. Raises ImportRefused."""
    batch = Import.objects.create(project=project, file_name="items.jsonl", sha256="0" * 64, size=len(content))
    return importing.import_file(
        project=project, file=io.BytesIO(content), mapping=mapping or {}, actor=None, batch=batch
    )


def add_items(project: Project, count: int, *, answers: int | None = None, prefix: str = "i") -> None:
    if answers is None:
        answers = 2 if project.questions.get().kind == "comparison" else 4
    bring_in(project, as_lines(rows(count, answers=answers, prefix=prefix)))


def claim(project: Project, user: User) -> Assignment:
    """The next item for somebody who must get one."""
    found = assigning.next_for(member=member_of(project, user))
    assert found is not None
    return found


def judge(project: Project, user: User, form: Mapping[str, str] | None = None) -> Judgement:
    """Claims the next item and judges it; by default the answers rank as they were shown."""
    assignment = claim(project, user)
    shown = {f"ranking.rank-{place}": str(place + 1) for place in range(len(assignment.order))} | {
        "comparison.choice": "3"
    }
    answers = judging.read_answers(assignment=assignment, form=form or shown)
    return judging.submit(assignment=assignment, answers=answers, key=uuid.uuid4())


def database_url() -> str:
    """The database of the tests, for a child process."""
    place = connection.settings_dict
    if not str(place["HOST"]).startswith("/"):
        password = f":{quote(place['PASSWORD'])}" if place["PASSWORD"] else ""
        return f"postgres://{place['USER']}{password}@{place['HOST']}:{place['PORT'] or 5432}/{place['NAME']}"
    return f"postgres://{place['USER']}@/{place['NAME']}?host={quote(place['HOST'], safe='')}&port={place['PORT']}"


def child_environment() -> dict[str, str]:
    """The environment of a child that works on the database of the tests."""
    return {**os.environ, "DATABASE_URL": database_url()}
