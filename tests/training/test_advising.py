"""The advisor on made projects with an agreed right answer: what stands first, what must not, and for what reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from annotation.models import Judgement, Project
from tests.training import advised_worlds as worlds
from tests.training.world_of_runs import person
from training import freezing
from training.advising import counting, looking, ruling, telling, wording
from training.advising.advice import Advice, advise
from training.advising.judging import FITS, NEARLY, Method
from training.catalogue import switching
from training.catalogue.listing import listing
from training.models import Run

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("home")]
PREFERENCE = {"reward-model", "comparative-ranking", "dpo", "kto"}
AGAINST_A_JUDGE = {"ppo", "rloo", "grpo"}
TEXTS = {"masked-lm", "contextual"}


@dataclass(frozen=True)
class Case:
    """`first`: any of these may stand first; `unfit`: what cannot be done here; `because`: what a reason of the first says.

    `missing`: what the first lacks; `experiment`: of which methods two would have to be tried.
    """

    project: Callable[[], Project]
    first: set[str]
    verdict: str
    unfit: set[str]
    because: str
    missing: str = ""
    experiment: set[str] = field(default_factory=set)


CASES = [
    Case(worlds.raw_text, {"masked-lm"}, FITS, PREFERENCE | AGAINST_A_JUDGE | {"task-specific", "transfer"}, "300 kB are there"),
    Case(worlds.few_labels, {"transfer"}, FITS, PREFERENCE | AGAINST_A_JUDGE | TEXTS | {"multi-task"}, "few labels (80)"),
    Case(worlds.five_tasks, {"multi-task"}, FITS, PREFERENCE | AGAINST_A_JUDGE | TEXTS, "5 related tasks"),
    Case(
        worlds.forty_rankings, {"reward-model"}, NEARLY, TEXTS | {"kto", "task-specific"}, "240 are there",
        "about 300 more rankings", {"comparative-ranking", "dpo"},
    ),
    Case(worlds.many_rankings_and_a_judge, AGAINST_A_JUDGE, FITS, TEXTS | {"kto"}, "can go beyond", experiment=AGAINST_A_JUDGE),
    Case(
        worlds.demonstrations, {"task-specific"}, FITS, PREFERENCE | AGAINST_A_JUDGE | TEXTS, "People wrote 300 answers",
        experiment={"task-specific", "transfer"},
    ),
    Case(worlds.ratings, {"reward-model"}, FITS, TEXTS | {"task-specific"}, "3 aspects"),
    Case(worlds.prompts_and_a_judge, AGAINST_A_JUDGE, FITS, PREFERENCE | TEXTS, "writes itself", experiment=AGAINST_A_JUDGE),
    Case(worlds.both_good_or_both_bad, {"kto"}, FITS, AGAINST_A_JUDGE | TEXTS | {"reward-model", "dpo"}, "called good or bad"),
]  # fmt: skip


def of(advice: Advice, name: str) -> Method:
    return next(method for method in advice.methods if method.name == name)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.project.__name__)
def test_the_agreed_method_comes_first_and_for_the_agreed_reason(case: Case) -> None:
    advice = advise(case.project())
    first = advice.first
    assert first is not None
    assert first.name in case.first
    assert first.verdict == case.verdict
    assert case.because in " ".join([first.why, *(reason.text for reason in first.reasons)])
    assert case.missing in first.missing or not case.missing
    assert first.can_start
    considered = {method.name for method in advice.considered}
    assert considered.isdisjoint(case.unfit), considered & case.unfit
    for method in advice.considered:
        its_reasons_are_grounded(method)
    for method in advice.unfit:
        assert not method.can_start
        assert method.why.endswith(".")
    told = {advice.experiment.first.name, advice.experiment.second.name} if advice.experiment else set()
    assert told <= case.experiment
    assert bool(told) == bool(case.experiment)
    assert bool(advice.unsure) == bool(told)


def its_reasons_are_grounded(method: Method) -> None:
    """Each names a source and is filled in, and what stops a method stops it."""
    for reason in method.reasons:
        assert reason.sources
        assert "%(" not in reason.text
    stopped = {reason.effect for reason in method.reasons} & {"stops", "rules-out"}
    assert not (stopped and method.can_start)


def test_an_empty_project_is_told_what_to_do_first() -> None:
    advice = advise(worlds.nothing())
    assert advice.first is None
    assert advice.have.is_empty
    assert "import texts, answers or labels first" in telling.as_text(advice)
    assert all("there are none here" in method.why for method in advice.methods)


def test_a_judge_that_is_not_proven_is_no_judge_to_learn_against() -> None:
    project = worlds.forty_rankings()
    worlds.model_of(project, "reward-model", ["score"], worlds.UNPROVEN)
    advice = advise(project)
    assert of(advice, "ppo").verdict == NEARLY
    assert of(advice, "ppo").can_start
    assert "not been shown to beat simple baselines" in of(advice, "ppo").why
    assert advice.first is not None and advice.first.name not in AGAINST_A_JUDGE


def test_people_who_agree_no_better_than_a_coin_are_sent_to_their_guidelines() -> None:
    project = worlds.made("Coin", [{"kind": "ranking"}])
    worlds.judged(project, worlds.ranking(60), responses=4)
    worlds.member(project, "bo")
    bo = project.memberships.get(user__username="bo")
    for number, judgement in enumerate(Judgement.objects.filter(item__project=project).order_by("id")):
        ranks = judgement.answers["ranking"]["ranks"]
        said = ranks if number % 2 else [5 - rank for rank in ranks]
        Judgement.objects.create(
            item=judgement.item, member=bo, key=worlds.uuid.uuid4(), answers={"ranking": {"ranks": said}}
        )
    advice = advise(project)
    assert advice.have.facts["agreement"] == 50
    told = [reason.text for reason in of(advice, "reward-model").reasons if reason.rule.name == "people-disagree"]
    assert told and "50 % of comparisons" in told[0]


def test_a_third_party_is_found_where_it_alone_can_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = worlds.made("Three", [{"kind": "ranking"}])
    worlds.judged(project, [{"ranking": {"ranks": [1, 2]}}] * 6, responses=2)
    about = tmp_path / "three_votes-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: three-votes\nVersion: 1.0\n", "utf-8")
    (about / "entry_points.txt").write_text("[feinschliff]\nvotes = tests.training.outsiders\n", "utf-8")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}")
    advice = advise(project)
    first = advice.first
    assert advice.have.counted.train["ranking"] < 8  # too few for ours
    assert first is not None and first.name == "three-votes"
    assert first.verdict == NEARLY
    assert "switched on" in first.missing[0]
    switching.switch(project=project, plugin="three-votes", on=True, listing=listing(), actor=None)
    first = advise(project).first
    assert first is not None and (first.name, first.verdict) == ("three-votes", FITS)
    assert "by its needs alone" in first.why
    assert not first.reasons


def test_what_is_counted_is_what_a_freeze_gives() -> None:
    for make in (worlds.few_labels, worlds.both_good_or_both_bad, worlds.raw_text):
        project = make()
        found = counting.counted(project)
        for kind in freezing.offered_by(project):
            try:
                counts = freezing.freeze(project=project, rows=kind).counts
            except freezing.CannotFreeze:
                assert kind not in found.rows
                continue
            assert (found.rows[kind], found.train[kind]) == (counts["train"] + counts["heldout"], counts["train"]), kind


def test_beyond_what_is_counted_exactly_the_count_is_about_right() -> None:
    project = worlds.made("Large", [{"kind": "ranking"}, {"kind": "label"}])
    said = [a | b for a, b in zip(worlds.ranking(600), worlds.labelling(600, labels="abc"), strict=True)]
    worlds.judged(project, said, responses=4)
    found = counting.counted(project)
    assert found.is_about
    assert found.rows["ranking"] == 600
    assert found.rows["pair"] == 3600
    assert found.labels["label"] == {"a": 200, "b": 200, "c": 200}


@pytest.mark.slow
def test_the_number_of_questions_to_the_database_does_not_grow_with_the_project() -> None:
    small, large = worlds.forty_rankings(), worlds.made("Large", [{"kind": "ranking"}])
    worlds.many_ranked(large, 1500)
    advise(small)
    asked = []
    for project in (small, large):
        counting.cache.clear()
        with CaptureQueriesContext(connection) as queries:
            advise(project)
        asked.append(len(queries))
    assert asked[1] <= asked[0] <= 40


# --- the rules themselves


@pytest.mark.parametrize("rule", ruling.book().rule, ids=lambda rule: rule.name)
def test_a_rule_speaks_of_what_there_is(rule: ruling.Rule) -> None:
    facts = dict.fromkeys(ruling._KNOWN, 1000.0)
    ruling.said(rule.text, facts)
    trainers = listing().trainers
    assert set(rule.of.trainers) <= set(trainers)
    assert set(rule.of.rows) <= set(looking.KINDS)
    assert (rule.weight > 0) == (rule.effect in ("for", "against"))
    for name in rule.settings:
        assert all(name in trainers[one]["schema"]["properties"] for one in rule.of.trainers)


def test_names_of_rules_and_questions_differ() -> None:
    for entries in (ruling.book().rule, ruling.book().question):
        names = [entry.name for entry in entries]
        assert len(names) == len(set(names))


@pytest.mark.parametrize(("value", "holds"), [(None, False), (1, False), (2, True), (4, True), (5, False)])
def test_limits_include_the_lower_and_not_the_upper(value: float | None, holds: bool) -> None:
    assert ruling.Limits(at_least=2, below=5).hold(value) == holds


def test_a_rule_about_a_fact_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="no facts"):
        ruling.Question(name="q", of=ruling.Of(), when={"moon": ruling.Limits()}, asks="?", yes="")


@pytest.mark.parametrize(
    ("count", "said"), [(1, "about 1 more ranking"), (8, "about 8 more rankings"), (293, "about 300 more")]
)
def test_what_is_missing_is_said_in_two_digits(count: int, said: str) -> None:
    assert wording.about_more("ranking", count).startswith(said)


# --- by command and over HTTP


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> Any:  # noqa: ANN401
    capsys.readouterr()
    call_command("advise", *words, "--json")
    return json.loads(capsys.readouterr().out.strip().splitlines()[-1])


def test_the_command_and_the_api_say_the_same(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    project = worlds.forty_rankings()
    told = printed(capsys, project.slug)
    client.force_login(person("lin"))
    answered = client.get(f"/api/v1/projects/{project.slug}/advice/").json()
    for changing in (told, answered):
        changing["has"].pop("memory_bytes"), changing["has"].pop("disk_bytes")
    assert told == answered
    assert told["methods"][0]["trainer"] == "reward-model"
    assert told["methods"][0]["reasons"][0]["sources"][0]["url"].startswith("https://arxiv.org/")


def test_the_command_launches_what_it_advises_and_compares_two(capsys: pytest.CaptureFixture[str]) -> None:
    project = worlds.forty_rankings()
    (run,) = printed(capsys, project.slug, "--train", "reward-model")["runs"]
    assert Run.objects.get(pk=run).snapshot.rows == "ranking"
    first, second = (
        Run.objects.get(pk=pk) for pk in printed(capsys, project.slug, "--compare", "dpo,comparative-ranking")["runs"]
    )
    assert {first.trainer, second.trainer} == {"dpo", "comparative-ranking"}
    assert first.snapshot == second.snapshot
    assert first.models_used["base"] == second.models_used["base"]
    with pytest.raises(CommandError, match="learn from the same kind of rows"):
        call_command("advise", project.slug, "--compare", "reward-model,dpo")
    with pytest.raises(CommandError, match="There is no trainer “magic”"):
        call_command("advise", project.slug, "--train", "magic")
    assert Run.objects.count() == 3
