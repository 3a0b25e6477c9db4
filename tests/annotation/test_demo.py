"""The demo project's data is what its provenance says."""

import hashlib
import json
from pathlib import Path

import pytest
from django.core.management import call_command

from annotation.demo import opening
from annotation.models import Item, Judgement, Membership, Project
from webapp.people.inviting import first_people

FOLDER = Path(opening.__file__).parent
ITEMS = FOLDER / "items.jsonl"


def test_the_answers_are_those_whose_checksum_the_provenance_names() -> None:
    digest = hashlib.sha256(ITEMS.read_bytes()).hexdigest()
    assert digest in (FOLDER / "PROVENANCE.md").read_text("utf-8")


def test_there_are_sixty_prompts_or_more_with_four_different_answers_each_and_some_are_german() -> None:
    items = [json.loads(line) for line in ITEMS.read_text("utf-8").splitlines()]
    prompts = {json.loads(line)["id"]: json.loads(line)["prompt"] for line in (FOLDER / "prompts.jsonl").open("rb")}
    assert len(items) >= 60
    assert sum(item["language"] == "de" for item in items) >= 12
    for item in items:
        assert item["prompt"] == prompts[item["id"]]
        assert len(item["sources"]) == 4
        assert len({answer.strip() for answer in item["responses"]} - {""}) == 4


@pytest.mark.django_db
def test_the_first_start_opens_the_demo_once_without_any_judgement() -> None:
    for _ in range(2):
        first_people()
        opening.open_demo()
    demo = Project.objects.get()
    assert Item.objects.filter(project=demo, free=opening.OVERLAP).count() == len(ITEMS.read_text("utf-8").splitlines())
    assert set(Membership.objects.values_list("user__username", "role")) == {
        ("admin", "lead"),
        ("annotator-1", "annotator"),
        ("annotator-2", "annotator"),
    }
    assert not Judgement.objects.exists()


@pytest.mark.django_db
def test_a_site_that_has_a_project_is_left_alone() -> None:
    call_command("create_project", "Tides")
    opening.open_demo()
    assert Project.objects.get().slug == "tides"
