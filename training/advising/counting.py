"""Counts the rows that a freeze would give now, without writing one; quick in a project of any size.

Up to `EXACT` judgements everything is projected as freezing does it, and the count is exact. Beyond, the newest `EXACT` are, and
what they give is multiplied; much text is counted by its size, and prompts that are asked twice count twice. It is then said to
be about so many. Labels are counted by the database in the newest `LABELLED` judgements, so that rare ones are seen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.core.cache import cache
from django.db import connection

from annotation import asking, concurring, standing
from annotation.kinds import KINDS
from annotation.models import Item, Judgement, Project
from training import freezing, grouping, passages

EXACT, LABELLED = 400, 5000
COMPARED = 500  # items that several judged, of which agreement is told
HELDOUT = 0.2  # what a freeze holds out by itself
KEPT_SECONDS = 600
EXACT_BYTES = 500_000  # of raw text that is cut into passages to count them

#: NOT EXISTS lets the database walk back from the newest, and stop when it has enough
NEWEST = """
SELECT j.id FROM annotation_judgement j JOIN annotation_membership m ON m.id = j.member_id
WHERE m.project_id = %s AND NOT EXISTS (SELECT FROM annotation_judgement k WHERE k.supersedes_id = j.id)
ORDER BY j.id DESC LIMIT %s
"""
#: labels by question, in the newest judgements that stand
LABELS = """
WITH newest AS (
    SELECT j.answers FROM annotation_judgement j JOIN annotation_membership m ON m.id = j.member_id
    WHERE m.project_id = %(project)s AND NOT EXISTS (SELECT FROM annotation_judgement k WHERE k.supersedes_id = j.id)
    ORDER BY j.id DESC LIMIT %(most)s)
SELECT asked.name, label.value, count(*)
FROM newest, unnest(%(questions)s::text[]) AS asked(name),
     jsonb_array_elements(newest.answers -> asked.name -> 'labels') AS labelled,
     jsonb_array_elements_text(labelled.value) AS label
GROUP BY 1, 2
"""
#: octet_length tells the size of a long text without reading it
PASSAGES = """
SELECT "group", greatest(1, ceil(octet_length(text) / %s::float))::int FROM annotation_text WHERE project_id = %s
"""
TEXTS = "SELECT count(*), coalesce(sum(octet_length(text)), 0) FROM annotation_text WHERE project_id = %s"


@dataclass(frozen=True)
class Counted:
    """Kind of rows -> how many a freeze would give, and how many of them to train on; and what else was seen on the way."""

    judgements: int = 0
    annotators: int = 0
    items: int = 0
    texts: int = 0
    text_bytes: int = 0
    is_about: bool = False
    rows: Mapping[str, int] = field(default_factory=dict)
    train: Mapping[str, int] = field(default_factory=dict)
    #: kinds that some answer gives itself, not only by way of another kind
    direct: frozenset[str] = frozenset()
    #: task (the question) -> label -> rows
    labels: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    #: kind -> tasks that its rows name
    tasks: Mapping[str, int] = field(default_factory=dict)
    answers: float = 0.0  # of a ranking, on average
    aspects: int = 0  # that answers are rated on
    agreement: float | None = None  # percent, of the question with the most pairs of answers
    agreement_pairs: int | None = None


def counted(project: Project) -> Counted:
    """What the project could freeze as it stands; kept for ten minutes, or until it changes.

    It changes when something is imported, grouped or asked otherwise, and by each judgement; of more than `LABELLED` judgements,
    when the first three digits of their number do.
    """
    given = [one.all for one in standing.by_member(project).values() if one.all]
    judgements, annotators, newest = sum(given), len(given), standing.newest(project)
    with connection.cursor() as cursor:
        cursor.execute(TEXTS, [project.pk])
        texts, text_bytes = cursor.fetchone()
    items = Item.objects.filter(project=project).count()
    # one judgement more tells a large project nothing, and counting it again takes most of a second
    judged = f"{judgements}:{newest}" if judgements <= LABELLED else f"{judgements:.3g}"
    grouped = grouping.newest(project)  # another split trains on other rows
    key = f"counted:{project.pk}:{project.schema_version}:{judged}:{annotators}:{items}:{texts}:{text_bytes}:{grouped}"
    found: Counted | None = cache.get(key)
    if found is None:
        seen = _Seen(project, judgements)
        rows, train = seen.of_judgements()
        for kind, groups in _without_judgements(project, items, texts, int(text_bytes)):
            rows[kind], train[kind] = len(groups), _to_train_on(groups)
        found = Counted(
            judgements=judgements, annotators=annotators, items=items, text_bytes=int(text_bytes),
            is_about=max(judgements, items) > EXACT or text_bytes > EXACT_BYTES, rows=rows, train=train,
            direct=frozenset(seen.direct) | {freezing.PROMPTS, freezing.TEXTS}, labels=seen.labels(),
            tasks={kind: len(names) for kind, names in seen.tasks.items()}, answers=seen.answers(),
            aspects=len(seen.aspects), **(_agreement(project) if annotators > 1 else {}),
        )  # fmt: skip
        cache.set(key, found, KEPT_SECONDS)
    return found


class _Seen:
    """What the newest judgements hold."""

    def __init__(self, project: Project, judgements: int) -> None:
        self.project, self.judgements = project, judgements
        self.direct: set[str] = set()
        self.tasks: dict[str, set[str]] = defaultdict(set)
        self.aspects: set[str] = set()
        self.lengths: list[int] = []

    def of_judgements(self) -> tuple[dict[str, int], dict[str, int]]:
        """Kind -> rows, and kind -> rows to train on."""
        newest = self._newest()
        if not newest:
            return {}, {}
        joined = freezing.joined(judgement.item for judgement in newest)
        side = freezing.sides((joined.of(judgement.item.group) for judgement in newest), HELDOUT, 0)
        times = self.judgements / len(newest)
        rows, train = {}, {}
        for kind in dict.fromkeys(row for one in KINDS.values() for row in one.rows):
            groups = [joined.of(row["group"]) for row in self._rows(kind, newest)]
            rows[kind] = round(len(groups) * times)
            held = sum(side[group] == "train" for group in groups)
            train[kind] = held if times == 1 else int(rows[kind] * (1 - HELDOUT))
        return {kind: count for kind, count in rows.items() if count}, train

    def _newest(self) -> list[Judgement]:
        with connection.cursor() as cursor:
            cursor.execute(NEWEST, [self.project.pk, EXACT])
            ids = [one for (one,) in cursor.fetchall()]
        found = Judgement.objects.filter(pk__in=ids).select_related("member", "item")
        return list(found.prefetch_related("item__responses"))

    def _rows(self, kind: str, newest: Iterable[Judgement]) -> Iterator[dict[str, Any]]:
        versions = freezing.Versions(self.project, kind, "")
        for judgement in newest:
            if not (asked := versions.of(judgement)):
                continue
            for row in freezing.projected(kind, asked, judgement.item, judgement, {}):
                self._look_at(kind, asked, row)
                yield row

    def _look_at(self, kind: str, asked: Iterable[asking.Asked], row: Mapping[str, Any]) -> None:
        if any(kind not in one.kind.derived for one in asked):
            self.direct.add(kind)
        if row.get("task"):
            self.tasks[kind].add(str(row["task"]))
        if kind == "ranking":
            self.lengths.append(sum(rank is not None for rank in row["ranks"]))
        self.aspects.update(row.get("scores", ()))

    def answers(self) -> float:
        return sum(self.lengths) / len(self.lengths) if self.lengths else 0.0

    def labels(self) -> dict[str, dict[str, int]]:
        names = self.project.questions.filter(kind="label").values_list("name", flat=True)
        found: dict[str, dict[str, int]] = defaultdict(dict)
        if not names:
            return found
        with connection.cursor() as cursor:
            cursor.execute(LABELS, {"project": self.project.pk, "questions": sorted(set(names)), "most": LABELLED})
            for task, label, count in cursor.fetchall():
                found[task][label] = count
        return found


def _agreement(project: Project) -> dict[str, Any]:
    """Of orders before scores and labels."""
    measured = concurring.of_project(project, most=COMPARED)
    if not measured:
        return {}
    best = max(measured, key=lambda one: (one.way == "order", one.found.pairs))
    return {"agreement": float(best.percent), "agreement_pairs": best.found.pairs}


def _without_judgements(project: Project, items: int, texts: int, text_bytes: int) -> Iterator[tuple[str, list[str]]]:
    """Kind -> the groups of its rows, of what needs nobody to judge it: prompts and texts.

    Of many items the same prompt twice counts twice: comparing them all would take too long.
    """
    if items:
        yield freezing.PROMPTS, _prompt_groups(project, items)
    if texts:
        yield freezing.TEXTS, _passage_groups(project, text_bytes)


def _passage_groups(project: Project, text_bytes: int) -> list[str]:
    """The group of every passage into which a freeze would cut the raw texts; of much text by its size."""
    if text_bytes > EXACT_BYTES:
        with connection.cursor() as cursor:
            cursor.execute(PASSAGES, [passages.USUAL, project.pk])
            return [group for group, count in cursor.fetchall() for _ in range(count)]
    found: dict[str, str] = {}  # a passage is of the first text that has it
    for group, text in project.texts.order_by("pk").values_list("group", "text"):
        for part in passages.cut(text, passages.USUAL):
            found.setdefault(part, group)
    return list(found.values())


def _prompt_groups(project: Project, items: int) -> list[str]:
    asked = Item.objects.filter(project=project)
    if items > EXACT:
        return [""] * items
    joined = freezing.joined(asked)
    return list({(str(item.prompt), str(item.context)): joined.of(item.group) for item in asked}.values())


def _to_train_on(groups: list[str]) -> int:
    if len(groups) > EXACT:
        return int(len(groups) * (1 - HELDOUT))
    side = freezing.sides(groups, HELDOUT, 0)
    return sum(side[group] == "train" for group in groups)
