"""Ten projects with an agreed answer to “which method?”, made quickly: what the advisor is tested in."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection

from annotation import belonging
from annotation.models import Item, Judgement, Membership, Project, Response, Text
from tests.training.world_of_runs import member, person
from training.models import Model, Run, Snapshot

PROVEN = {
    "accuracy/model": 0.71, "accuracy/model/low": 0.69, "accuracy/model/high": 0.73, "accuracy/random": 0.5,
    "accuracy/longer": 0.56, "pairs/heldout": 4000, "prompts/heldout": 1000,
}  # fmt: skip
UNPROVEN = PROVEN | {"accuracy/model": 0.55, "accuracy/model/low": 0.48, "accuracy/model/high": 0.62}
RANKS = list(itertools.permutations((1, 2, 3, 4)))


def made(name: str, questions: Sequence[dict[str, Any]]) -> Project:
    """A project that asks these questions, led by lin, with ada in it."""
    project = belonging.create_project(name=name, question="comment", creator=person("lin"))
    project.questions.all().delete()
    for place, one in enumerate(questions):
        project.questions.create(
            name=one.get("name", one["kind"]), kind=one["kind"], title=one["kind"], options=one.get("options", {}),
            position=place, version=project.schema_version,
        )  # fmt: skip
    member(project, "ada")
    return project


def judged(project: Project, answers: Iterable[dict[str, Any]], *, responses: int, by: str = "ada") -> None:
    """One item for each judgement, made in three statements however many."""
    said = list(answers)
    first = project.items.count()
    items = Item.objects.bulk_create(
        Item(
            project=project, key=f"i{number}", position=number, free=0, digest="", group=f"g{number}", context=[],
            prompt=[{"role": "user", "content": f"Write about river {number}."}],
        )
        for number in range(first, first + len(said))
    )  # fmt: skip
    Response.objects.bulk_create(
        Response(item=item, position=place, text=f"Answer {place} to {item.key}, which is so long.")
        for item in items
        for place in range(responses)
    )
    who = Membership.objects.get(project=project, pseudonym=member(project, by).pseudonym)
    Judgement.objects.bulk_create(
        Judgement(item=item, member=who, key=uuid.uuid4(), answers=answer, schema_version=project.schema_version)
        for item, answer in zip(items, said, strict=True)
    )


def model_of(project: Project, trainer: str, yields: list[str], numbers: dict[str, Any] | None = None) -> Model:
    """What a run left, without having run."""
    snapshot = Snapshot.objects.create(
        project=project, hash=uuid.uuid4().hex * 2, rows="ranking",
        counts={"train": 4000, "heldout": 1000, "groups": {"train": 4000, "heldout": 1000}, "judgements": 1, "dropped": {}},
        options={"heldout": 0.2, "split_seed": 0},
    )  # fmt: skip
    run = Run.objects.create(
        project=project, snapshot=snapshot, trainer=trainer, config={}, models_used={"base": "tiny:encoder"},
        state=Run.SUCCEEDED, numbers=numbers or {},
    )  # fmt: skip
    return Model.objects.create(project=project, run=run, name=trainer, yields=yields)


def only_items(project: Project, count: int) -> None:
    """Prompts that nobody has answered."""
    Item.objects.bulk_create(
        Item(
            project=project, key=f"p{number}", position=number, free=1, digest="", group=f"p{number}", context=[],
            prompt=[{"role": "user", "content": f"Why does river {number} bend?"}],
        )
        for number in range(count)
    )  # fmt: skip


def texts(project: Project, count: int, *, letters: int) -> None:
    Text.objects.bulk_create(
        Text(
            project=project, key=f"t{number}", group=f"t{number}", digest=str(number),
            text="".join(f"River {number} bends at {mile}. " for mile in range(letters))[:letters],
        )
        for number in range(count)
    )  # fmt: skip


def ranking(count: int) -> list[dict[str, Any]]:
    return [{"ranking": {"ranks": list(RANKS[number % len(RANKS)])}} for number in range(count)]


def labelling(
    count: int, *, names: Sequence[str] = ("label",), labels: Sequence[str] = ("yes", "no")
) -> list[dict[str, Any]]:
    return [
        {name: {"labels": [[labels[(number + place) % len(labels)]]]} for place, name in enumerate(names)}
        for number in range(count)
    ]


# --- the ten


def nothing() -> Project:
    return made("Nothing", [{"kind": "ranking"}])


def raw_text() -> Project:
    project = made("Raw text", [{"kind": "comment"}])
    texts(project, 60, letters=5000)
    return project


def few_labels() -> Project:
    project = made("Few labels", [{"kind": "label"}])
    judged(project, labelling(80), responses=0)
    return project


def five_tasks() -> Project:
    names = [f"task-{number}" for number in range(5)]
    project = made("Five tasks", [{"kind": "label", "name": name} for name in names])
    judged(project, labelling(200, names=names), responses=0)
    return project


def forty_rankings() -> Project:
    project = made("Forty rankings", [{"kind": "ranking"}])
    judged(project, ranking(40), responses=4)
    return project


def many_rankings_and_a_judge() -> Project:
    project = made("Many rankings", [{"kind": "ranking"}])
    many_ranked(project, 5000)
    model_of(project, "reward-model", ["score"], PROVEN)
    return project


def many_ranked(project: Project, count: int, *, judged: int | None = None) -> None:
    """Items with four answers each, made by the database itself; ada ranks the first `judged`."""
    who = project.memberships.get(user__username="ada").pk
    most = count if judged is None else judged
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO annotation_item (project_id, key, position, prompt, context, topic, warning, "group", digest,
                   imported, free, task)
               SELECT %s, 'i' || n, n, jsonb_build_array(jsonb_build_object('role', 'user', 'content', 'River ' || n)),
                   '[]', '', '', 'g' || n, '', 0, 0, '' FROM generate_series(1, %s) n""",
            [project.pk, count],
        )
        cursor.execute(
            """INSERT INTO annotation_response (item_id, position, text, source)
               SELECT id, n, 'Answer ' || n, '' FROM annotation_item, generate_series(0, 3) n WHERE project_id = %s""",
            [project.pk],
        )
        cursor.execute(
            """INSERT INTO annotation_judgement (item_id, member_id, key, version, answers, "order", guidelines_version,
                   schema_version, origin, submitted_at)
               SELECT id, %s, gen_random_uuid(), 1, '{"ranking": {"ranks": [2, 1, 4, 3]}}', '[]', 0, %s, 'live', now()
               FROM annotation_item WHERE project_id = %s AND position <= %s""",
            [who, project.schema_version, project.pk, most],
        )


def demonstrations() -> Project:
    project = made("Demonstrations", [{"kind": "demonstration"}])
    judged(
        project,
        ({"demonstration": {"text": f"It bends for reason {number}.", "edited_from": None}} for number in range(300)),
        responses=0,
    )
    return project


def ratings() -> Project:
    aspects = [{"name": "truth"}, {"name": "help"}, {"name": "tone"}]
    project = made("Ratings", [{"kind": "rating", "options": {"aspects": aspects}}])
    said = [
        {
            "rating": {
                "scores": [{"truth": 1 + number % 5, "help": 1 + (number + place) % 5, "tone": 3} for place in range(3)]
            }
        }
        for number in range(300)
    ]
    judged(project, said, responses=3)
    return project


def prompts_and_a_judge() -> Project:
    project = made("Prompts", [{"kind": "comment"}])
    only_items(project, 300)
    model_of(project, "reward-model", ["score"], PROVEN)
    return project


def both_good_or_both_bad() -> Project:
    project = made("Good or bad", [{"kind": "comparison", "options": {"levels": 7, "tie_words": "both"}}])
    said = [
        {"comparison": {"winner": 0, "strength": None, "tie": ("good", "bad")[number % 2]}} for number in range(200)
    ]
    judged(project, said, responses=2)
    return project
