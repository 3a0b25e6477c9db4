"""A world with something in every state, and every page of the site in it: for axe, and for the pictures in the docs.

The demo project's real texts are judged, frozen and learned from; beside it stands one small project for each starting point,
so that every kind of question is on a desk of its own.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.urls import reverse
from django.utils import timezone

from annotation import asking, belonging, flagging, judging, reviewing, starting_points
from annotation.demo import opening
from annotation.models import Judgement, Membership, Project
from tests.builders import as_lines, bring_in, claim, join, member_of, person, rows
from training import freezing
from training.models import Metric, Model, Report, Run, Sample
from webapp.people import inviting, noticing
from webapp.people.models import User
from webapp.people.permitting import LEAD

#: routes that answer with something else than a page of their own: data, files, parts of pages, and what only takes a POST
NOT_PAGES = {
    "healthz", "language", "logout", "open_notice", "check_run", "run_curves", "run_log_file", "relaunch_run", "run_live",
    "cancel_run", "snapshot_rows", "api_projects", "api_project", "submit", "skip", "unskip", "draft", "flag", "keep", "ahead",
    "again", "answer_feedback", "confirm_guidelines", "preview_guidelines", "ask_again", "judgement_feedback",
    "questions_preview", "questions_back", "deactivate_member", "fresh_link", "discard_import", "describe_item",
    "settle_flag", "say", "choose", "conversation", "advice_train", "advice_compare", "api_advice", "withdraw_texts",
    "rename_run",
}  # fmt: skip


QUESTION = "Why is the sea salty, and rivers are not?"
ANSWERS = [
    "Rivers are salty too, only a little. Rain dissolves minerals out of rock, rivers carry them to the sea, and the sun takes "
    "only the water away again. What stays behind has gathered for hundreds of millions of years: about 35 g in a litre.",
    "The sea is salty because of **salt**. Rivers have no salt, since they are made of rain, and rain is pure water.",
    "Two things add salt to the sea:\n\n1. Rivers bring ions out of weathered rock, above all sodium.\n"
    "2. Vents on the sea floor and volcanoes give off chloride.\n\nWater leaves the sea by evaporating, and salt does not. In a "
    "river the same salt is always on its way, so it never gathers there.",
    "Fish need salt water to live, so the sea became salty over time. Rivers have other fish.",
]


@dataclass(frozen=True)
class Shown:
    """One page as somebody sees it; `who` is empty for nobody in particular."""

    name: str
    address: str
    who: str = "lin"
    status: int = 200


@dataclass
class EveryPage:
    """People by name, and the pages by route name (or a name of their own for a further state)."""

    people: dict[str, User]
    pages: list[Shown] = field(default_factory=list)

    def routes(self) -> set[str]:
        return {page.name.partition(":")[0] for page in self.pages}


def make() -> EveryPage:
    """lin leads and runs the site; ada annotates."""
    lin = person("lin", is_staff=True, is_superuser=True)
    ada = person("ada")
    made = EveryPage({"lin": lin, "ada": ada})
    opening.open_demo()
    demo = Project.objects.get(slug="demo")
    join(demo, lin, LEAD)
    join(demo, ada)
    Membership.objects.filter(project=demo).update(guidelines_read=1)
    judgement = _judged(demo, ada)
    runs = _learned(demo, lin)
    batch = _waiting(demo, lin)
    noticing.notify(user=lin, text="reward-model 1 has succeeded.", url=reverse("notices"))
    names = {
        "item_id": judgement.item_id, "import_id": batch, "assignment_id": claim(demo, ada).pk,
        "name": runs[0].snapshot.hash, "run_id": runs[0].pk, "model_id": runs[0].model.pk,
    }  # fmt: skip
    made.pages += _pages(demo, names, [run.pk for run in runs])
    made.pages += _desks(ada)
    made.pages.append(Shown("welcome", inviting.new_link(user=person("cy")), ""))
    return made


def _judged(project: Project, annotator: User) -> Judgement:
    """Six items, one flagged, one commented on."""
    member = member_of(project, annotator)
    said: list[Judgement] = []
    for turn in range(6):
        assignment = claim(project, annotator)
        form = {f"ranking.rank-{place}": str((place + turn) % 4 + 1) for place in range(4)}
        answers = judging.read_answers(assignment=assignment, form=form)
        said.append(judging.submit(assignment=assignment, answers=answers, key=uuid.UUID(int=turn + 1)))
    flagging.flag(item=said[1].item, member=member, reason="harmful", note="The second answer names a person.")
    reviewing.comment(
        judgement=said[2], author=User.objects.get(username="lin"), text="Is the third answer not the more careful one?"
    )
    return said[0]


def _learned(project: Project, lead: User) -> list[Run]:
    """A run that succeeded, one that failed, one at work, one that waits, and another that succeeded; curves of both of these."""
    snapshot = freezing.freeze(project=project, rows="ranking", heldout=0.2)
    common: dict[str, Any] = {
        "project": project, "snapshot": snapshot, "trainer": "reward-model", "plugin": "plugins.reward_model",
        "config": {"epochs": 3, "learning_rate": 0.001}, "models_used": {"base": "tiny:encoder"}, "launched_by": lead,
    }  # fmt: skip
    numbers = {
        "accuracy/model": 0.71, "accuracy/model/low": 0.62, "accuracy/model/high": 0.79, "accuracy/random": 0.5,
        "accuracy/longer": 0.58, "pairs/heldout": 240, "prompts/heldout": 40, "loss/heldout": 0.61,
    }  # fmt: skip
    now = timezone.now()
    done = Run.objects.create(state=Run.SUCCEEDED, numbers=numbers, started_at=now, ended_at=now, attempts=1, **common)
    Model.objects.create(project=project, run=done, name=f"reward-model {done.pk}", yields=["score"])
    curve = [(step, 0.7 * math.exp(-step / 20) + 0.02 * math.sin(step)) for step in range(60)]
    Metric.objects.bulk_create(Metric(run=done, attempt=1, step=s, name="loss/train", value=v) for s, v in curve)
    Metric.objects.bulk_create(
        Metric(run=done, attempt=1, step=s, name="accuracy/heldout", value=0.71 - v / 3) for s, v in curve[::10]
    )
    Sample.objects.create(run=done, prompt="Why is the sea salty?", text="Rivers carry salt into it.", step=10)
    _told_of(done)
    failed = Run.objects.create(
        state=Run.FAILED, started_at=now, ended_at=now, attempts=3, **common,
        error="It ran out of memory; take smaller batches, shorter texts or a smaller model.",
    )  # fmt: skip
    working = Run.objects.create(state=Run.RUNNING, started_at=now, done=30, total=90, attempts=1, **common)
    waiting = Run.objects.create(state=Run.QUEUED, **common)
    return [done, failed, working, waiting, _once_more(common)]


def _once_more(common: Mapping[str, Any]) -> Run:
    """The same with fewer epochs: a little worse, for the page that lays runs beside each other."""
    numbers = {
        "accuracy/model": 0.66, "accuracy/model/low": 0.57, "accuracy/model/high": 0.74, "accuracy/random": 0.5,
        "accuracy/longer": 0.58, "pairs/heldout": 240, "prompts/heldout": 40, "loss/heldout": 0.66,
    }  # fmt: skip
    now = timezone.now()
    run = Run.objects.create(
        state=Run.SUCCEEDED, numbers=numbers, started_at=now, ended_at=now, attempts=1, name="One epoch",
        **dict(common) | {"config": {"epochs": 1, "learning_rate": 0.001}},
    )  # fmt: skip
    Metric.objects.bulk_create(
        Metric(run=run, attempt=1, step=s, name=name, value=v)
        for s in range(20)
        for name, v in (("loss/train", 0.7 * math.exp(-s / 26)), ("accuracy/heldout", 0.66 - 0.2 * math.exp(-s / 6)))
        if name == "loss/train" or s % 5 == 0
    )
    return run


def _told_of(run: Run) -> None:
    """A pair of texts, and a report of every kind."""
    Sample.objects.create(
        run=run, prompt="Why is the sky blue?", before="It is blue because it is blue.", step=60,
        text="It is blue because air scatters blue light more.", values={"score/before": -0.2, "score/after": 1.1, "kl": 3.4},
    )  # fmt: skip
    rows = [["short", 0.71, 120], ["long", 0.66, 120]]
    line = {"model": [[0.1, 0.15], [0.5, 0.52], [0.9, 0.8]], "perfect": [[0, 0], [1, 1]]}
    contents: dict[str, dict[str, Any]] = {
        "table": {"columns": ["Length", "Accuracy", "Comparisons"], "rows": rows},
        "line": {"x": "said to be better", "y": "was better", "series": line},
        "points": {"x": "KL from the start (nats)", "y": "reward", "series": {"seed 0": [[0, 0], [4, 1.2], [9, 1.4]]}},
        "matrix": {"labels": ["cat", "dog"], "counts": [[12, 3], [1, 14]]},
    }
    for kind, content in contents.items():
        Report.objects.create(run=run, kind=kind, title=f"A {kind} of it", note="As it is read.", content=content)


def _waiting(project: Project, lead: User) -> int:
    from annotation import receiving

    content = as_lines(rows(3, prefix="more"))
    return receiving.receive(project=project, name="more.jsonl", chunks=[content], actor=lead).pk


def _pages(project: Project, names: Mapping[str, Any], runs: list[int]) -> Iterator[Shown]:
    """The pages of one project and of the site."""
    slug = project.slug
    for route in ("home", "account", "notices", "plugins", "disk", "new_project"):
        yield Shown(route, reverse(route))
    yield Shown("login", reverse("login"), "")
    yield Shown("home:annotator", reverse("home"), "ada")
    inside = (
        "project", "questions", "project_settings", "items", "similar", "flags", "project_people", "import", "judgements",
        "write_guidelines", "guidelines", "snapshots", "advice", "runs", "new_run", "project_plugins", "models", "talk",
    )  # fmt: skip
    for route in inside:
        yield Shown(route, reverse(route, args=[slug]))
    for route in ("desk", "mine"):
        yield Shown(route, reverse(route, args=[slug]), "ada")
    yield Shown("project:annotator", reverse("project", args=[slug]), "ada")
    of_one = {
        "item": "item_id", "import_mapping": "import_id", "snapshot": "name", "run": "run_id", "run_log": "run_id",
        "model": "model_id",
    }  # fmt: skip
    for route, name in of_one.items():
        yield Shown(route, reverse(route, args=[slug, names[name]]))
    yield Shown("assignment", reverse("assignment", args=[slug, names["assignment_id"]]), "ada")
    for pk, state in zip(runs[1:4], ("failed", "running", "waiting"), strict=True):
        yield Shown(f"run:{state}", reverse("run", args=[slug, pk]))
    yield Shown("new_run:form", reverse("new_run", args=[slug]) + "?trainer=reward-model")
    yield Shown("runs_archive", reverse("runs_archive", args=[slug]))
    yield Shown("compare_runs", reverse("compare_runs", args=[slug]) + f"?runs={runs[0]},{runs[-1]}")
    yield Shown("not-found", "/p/nothing-of-that-name/", status=404)
    yield Shown("not-allowed", reverse("project_settings", args=[slug]), "ada", status=403)


def _desks(annotator: User) -> Iterator[Shown]:
    """Every kind of question on a desk: one project for each starting point."""
    for point in starting_points.offered():
        project = belonging.create_project(
            name=str(point.title), slug=f"as-{point.slug}", questions=point.questions(), creator=None,
            guidelines=str(point.guidelines),
        )  # fmt: skip
        join(project, annotator)
        Membership.objects.filter(project=project).update(guidelines_read=1)
        fewest, most = asking.limits(project)
        answers = max(fewest, min(4, most))
        record: dict[str, Any] = {"id": "1", "prompt": QUESTION}
        bring_in(project, as_lines([record | ({"responses": ANSWERS[:answers]} if answers else {})]))
        yield Shown(f"desk:{point.slug}", reverse("desk", args=[project.slug]), "ada")
