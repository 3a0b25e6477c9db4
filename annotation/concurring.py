"""Reads judgements as voices and says how far they agree: in a project, by version of its guidelines, and of one member by week.

Leads see agreement as it stands now, corrections included. A member sees it only over items that all their annotators have
judged, only for weeks that are over, only where enough items stand behind a number, and by what everybody said first: so
that neither a correction nor a new judgement of a colleague moves a number by itself, which would tell what they said.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from django.core.cache import cache
from django.db import connection
from django.utils import timezone

from annotation import asking, standing
from annotation.agreeing import Agreement, Compare, Tally, Voice, agreement, between, labels, orders, scores
from annotation.kinds import Rankable
from annotation.models import Membership, Project

MOST_ITEMS = 2000  # the newest; more would make a page wait and move the interval little
FEWEST_ITEMS = 5  # of a week or a version, for its number to be said
WEEKS = 12
#: seconds for which what leads see is kept, if nothing was judged meanwhile and it was read from so many judgements or more
KEPT_SECONDS, WORTH_KEEPING = 60, 500

#: items are looked for first among so many of the newest judgements for each item that is wanted
LOOKED_AT = 5

#: The newest items that two people or more have judged, by the last that one of them said first. Only of the newest judgements:
#: of thousands of items it takes a fraction of what EVERYWHERE does, and whatever it misses is older than all that it finds.
RECENT = """
WITH newest AS MATERIALIZED (
    SELECT j.id, j.item_id FROM annotation_judgement j JOIN annotation_membership m ON m.id = j.member_id
    WHERE m.project_id = %(project)s AND j.version = 1 ORDER BY j.id DESC LIMIT %(looked_at)s
), last AS MATERIALIZED (SELECT item_id, max(id) AS id FROM newest GROUP BY item_id)
SELECT last.item_id FROM last, LATERAL (
    SELECT FROM annotation_judgement j WHERE j.item_id = last.item_id AND j.version = 1 OFFSET 1 LIMIT 1) several
ORDER BY last.id DESC LIMIT %(most)s
"""
#: The same among all judgements.
EVERYWHERE = """
SELECT j.item_id FROM annotation_judgement j JOIN annotation_membership m ON m.id = j.member_id
WHERE m.project_id = %(project)s AND j.version = 1 GROUP BY j.item_id HAVING count(*) > 1
ORDER BY max(j.id) DESC LIMIT %(most)s
"""
#: The same among those that one member has judged and that are complete: no free slot, and nobody at work on them.
COMPLETE = """
SELECT j.item_id FROM annotation_judgement mine JOIN annotation_item i ON i.id = mine.item_id AND i.free = 0
    JOIN annotation_judgement j ON j.item_id = mine.item_id AND j.version = 1
WHERE mine.member_id = %(member)s AND mine.version = 1
  AND NOT EXISTS (SELECT FROM annotation_assignment a WHERE a.item_id = i.id AND a.state = 'open')
GROUP BY j.item_id HAVING count(*) > 1 ORDER BY max(j.id) DESC LIMIT %(most)s
"""
#: What is said of items: what stands now, or what everybody said first.
VOICES = """
SELECT j.item_id, j.member_id, j.answers, j.schema_version, j.guidelines_version, j.submitted_at,
       (SELECT count(*) FROM annotation_response r WHERE r.item_id = j.item_id) AS responses
FROM annotation_judgement j
WHERE j.item_id = ANY(%(items)s)
  AND CASE WHEN %(first)s::boolean THEN j.version = 1
           ELSE NOT EXISTS (SELECT FROM annotation_judgement later WHERE later.supersedes_id = j.id) END
ORDER BY j.id
"""


@dataclass(frozen=True)
class Measured:
    """One question's agreement; `way` says what a pair is: order, score or label."""

    name: str
    title: str
    way: str
    found: Agreement

    @property
    def percent(self) -> int:
        return round(100 * self.found.share)

    @property
    def near_percent(self) -> int:
        return round(100 * self.found.near)

    @property
    def interval(self) -> tuple[int, int]:
        return round(100 * self.found.low), round(100 * self.found.high)


class Said(NamedTuple):
    """One judgement that can be compared."""

    item: int
    member: int
    answers: Mapping[str, Any]
    schema: int
    guidelines: int
    at: datetime
    responses: int


def of_project(project: Project, most: int = MOST_ITEMS) -> list[Measured]:
    """Agreement on each question that can be compared, as it stands, over the newest items that several judged."""
    return _kept("project", project, lambda said: _measured(project, said), most)


def by_guidelines(project: Project) -> list[tuple[int, list[Measured]]]:
    """Version of the guidelines -> agreement on items that all their annotators judged under it, oldest version first."""
    return _kept("guidelines", project, lambda said: _by_guidelines(project, said))


def _kept(what: str, project: Project, make: Callable[[list[Said]], list[Any]], most: int = MOST_ITEMS) -> list[Any]:
    """What `make` finds in the project's voices; comparing thousands of them takes a tenth of a second."""
    key = f"agreement:{what}:{most}:{project.pk}:{project.schema_version}:{standing.newest(project)}"
    found: list[Any] | None = cache.get(key)
    if found is None:
        said = _said(_newest_items(project, most))
        found = make(said)
        if len(said) >= WORTH_KEEPING:
            cache.set(key, found, KEPT_SECONDS)
    return found


def _by_guidelines(project: Project, said: Iterable[Said]) -> list[tuple[int, list[Measured]]]:
    said = list(said)
    versions: dict[int, set[int]] = defaultdict(set)
    for one in said:
        versions[one.item].add(one.guidelines)
    pure: dict[int, list[Said]] = defaultdict(list)
    for one in said:
        if len(versions[one.item]) == 1:
            pure[one.guidelines].append(one)
    told = [(version, _measured(project, pure[version], fewest=FEWEST_ITEMS)) for version in sorted(pure) if version]
    return [(version, measured) for version, measured in told if measured]


@dataclass(frozen=True)
class Week:
    """A member's agreement with the others on the items that were completed in a week; it begins on a Monday."""

    begins: date
    measured: list[Measured]


def of_member(member: Membership, *, now: datetime | None = None) -> list[Week]:
    """The member's agreement with the others, week by week, oldest first. See the module's first lines for what is left out."""
    this_week = _monday(now or timezone.now())
    said = _said(_ids(COMPLETE, member=member.pk, most=MOST_ITEMS), first=True)
    told_at: dict[int, datetime] = {}  # item -> when the last of its annotators spoke
    for one in said:
        told_at[one.item] = max(one.at, told_at.get(one.item, one.at))
    by_week: dict[date, list[Said]] = defaultdict(list)
    for one in said:
        week = _monday(told_at[one.item])
        if this_week - timedelta(weeks=WEEKS) <= week < this_week:
            by_week[week].append(one)
    weeks = [
        Week(week, _measured(member.project, by_week[week], member=member.pk, fewest=FEWEST_ITEMS))
        for week in sorted(by_week)
    ]
    return [week for week in weeks if week.measured]


def _monday(moment: datetime) -> date:
    day = timezone.localtime(moment).date()
    return day - timedelta(days=day.weekday())


def _newest_items(project: Project, most: int) -> list[int]:
    """The newest `most` items that several have judged, the newest first."""
    recent = _ids(RECENT, project=project.pk, most=most, looked_at=LOOKED_AT * most)
    return recent if len(recent) == most else _ids(EVERYWHERE, project=project.pk, most=most)


def _ids(statement: str, **values: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return [item for (item,) in cursor.fetchall()]


def _said(items: list[int], *, first: bool = False) -> list[Said]:
    with connection.cursor() as cursor:
        cursor.execute(VOICES, {"items": items, "first": first})
        rows = cursor.fetchall()
    return [Said(item, who, json.loads(answers), *rest) for item, who, answers, *rest in rows]


def _measured(project: Project, said: Iterable[Said], *, member: int | None = None, fewest: int = 1) -> list[Measured]:
    """Question by question, in the order in which they are asked now; answers under several schemas are counted together
    where a question kept its name and kind, and only with answers under the same schema."""
    said = list(said)
    tallies: dict[str, dict[int, Tally]] = defaultdict(dict)
    asked_now = {asked.name: asked for asked in asking.questions_of(project)}
    for schema in {one.schema for one in said}:
        of_schema = [one for one in said if one.schema == schema]
        for asked in asking.questions_of(project, schema):
            now, way = asked_now.get(asked.name), _way(asked)
            if way is None or now is None or now.kind.name != asked.kind.name:
                continue
            voices = [
                Voice(one.item, one.member, way.hear(answer, one.responses), one.guidelines)
                for one in of_schema
                if (answer := one.answers.get(asked.name)) is not None
            ]
            for item, tally in between(voices, way.compare, member).items():
                tallies[asked.name][item] = tallies[asked.name].get(item, Tally()) + tally
    found: list[Measured] = []
    for name, asked in asked_now.items():
        way, measured = _way(asked), agreement(tallies.get(name, {}))
        if way and measured and measured.items >= fewest:
            found.append(Measured(name, asked.title, way.name, measured))
    return found


class Way(NamedTuple):
    """What a pair of answers is, how it is compared, and the shape in which an answer (of so many responses) is heard."""

    name: str
    compare: Compare
    hear: Callable[[Any, int], Any]


def _way(asked: asking.Asked) -> Way | None:
    """None for texts, which nothing here compares."""
    if isinstance(asked.kind, Rankable):
        return Way("order", orders, asked.kind.ranks)
    ways = {"rating": Way("score", scores, _rated), "label": Way("label", labels, _labelled)}
    return ways.get(asked.kind.name)


def _rated(answer: Mapping[str, Any], _responses: int) -> dict[tuple[int, str], float | None]:
    return {(place, aspect): value for place, of in enumerate(answer["scores"]) for aspect, value in of.items()}


def _labelled(answer: Mapping[str, Any], _responses: int) -> dict[int, frozenset[str]]:
    return {place: frozenset(chosen) for place, chosen in enumerate(answer["labels"])}
