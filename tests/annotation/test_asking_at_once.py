"""The questions change while items come in: neither leaves items that nobody could judge."""

from __future__ import annotations

import threading
import time

import pytest
from django.db import transaction

from annotation import asking
from annotation.importing import Counts, ImportRefused
from annotation.models import Item, Project
from tests.annotation.at_once import at_once
from tests.builders import as_lines, bring_in, person, project_of, rows

pytestmark = pytest.mark.django_db(transaction=True)
FOUR = as_lines(rows(3, answers=4))
A_WHILE_S = 0.3


@pytest.fixture
def project() -> Project:
    return project_of(person("lin"), question="ranking")


def test_an_import_that_waits_for_a_change_of_the_questions_goes_by_the_new_ones(project: Project) -> None:
    changed = threading.Event()

    def change() -> None:
        with transaction.atomic():
            asking.change(project=Project.objects.get(), drafts=[asking.draft("comparison")], actor=None)
            changed.set()
            time.sleep(A_WHILE_S)  # the import comes to the lock meanwhile

    def bring() -> Counts:
        mine = Project.objects.get()
        changed.wait(30)
        return bring_in(mine, FOUR)

    nothing, refused = at_once(change, bring)
    assert nothing is None
    assert isinstance(refused, ImportRefused)
    assert not Item.objects.exists()


def test_a_change_that_waits_for_an_import_sees_its_items(project: Project) -> None:
    brought = threading.Event()

    def bring() -> None:
        with transaction.atomic():
            bring_in(Project.objects.get(), FOUR)
            brought.set()
            time.sleep(A_WHILE_S)

    def change() -> int:
        mine = Project.objects.get()
        brought.wait(30)
        return asking.change(project=mine, drafts=[asking.draft("comparison")], actor=None)

    nothing, refused = at_once(bring, change)
    assert nothing is None
    assert isinstance(refused, asking.WrongQuestions)
    assert Project.objects.get().schema_version == 1
