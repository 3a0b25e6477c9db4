"""Counts the judgements of a project that stand, however many: those given less those that a correction superseded.

Every superseded judgement has exactly one that supersedes it, so an index alone tells. A judgement is its member's, and so its
project's: members are few, items are many.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.db import connection

from annotation.models import Project

#: what is made here less what is made here and superseded; LATERAL keeps to the index of one member after the other
BY_MEMBER = """
SELECT m.id, told.standing, told.live FROM annotation_membership m, LATERAL (
    SELECT count(*) - count(j.supersedes_id) AS standing,
        count(*) FILTER (WHERE j.origin = 'live') - count(*) FILTER (WHERE CASE WHEN j.supersedes_id IS NOT NULL THEN
            (SELECT before.origin = 'live' FROM annotation_judgement before WHERE before.id = j.supersedes_id) END) AS live
    FROM annotation_judgement j WHERE j.member_id = m.id) told
WHERE m.project_id = %s
"""
#: corrections are few; each takes one away from the version that was answered before
BY_VERSION = """
SELECT version, sum(n)::bigint FROM (
    SELECT told.* FROM annotation_membership m, LATERAL (
        SELECT j.{version} AS version, count(*) AS n FROM annotation_judgement j WHERE j.member_id = m.id GROUP BY 1
        UNION ALL
        SELECT before.{version}, -1 FROM annotation_judgement j JOIN annotation_judgement before ON before.id = j.supersedes_id
        WHERE j.member_id = m.id AND j.supersedes_id IS NOT NULL) told
    WHERE m.project_id = %s) both_ways
GROUP BY 1 HAVING sum(n) > 0
"""
NEWEST = """
SELECT coalesce(max(told.id), 0) FROM annotation_membership m, LATERAL (
    SELECT max(j.id) AS id FROM annotation_judgement j WHERE j.member_id = m.id) told
WHERE m.project_id = %s
"""


@dataclass(frozen=True)
class Standing:
    """How many stand, and how many of them were made here: the others came with an import."""

    all: int = 0
    live: int = 0


def by_member(project: Project) -> Mapping[int, Standing]:
    """Id of the member -> theirs; also those who gave none."""
    return {member: Standing(count, live) for member, count, live in _rows(BY_MEMBER, project)}


def of_project(project: Project) -> Standing:
    told = by_member(project).values()
    return Standing(sum(one.all for one in told), sum(one.live for one in told))


def by_schema(project: Project) -> dict[int, int]:
    """Version of the questions -> judgements that stand and answered it."""
    counts = _rows(BY_VERSION.format(version="schema_version"), project)
    return {version: int(count) for version, count in counts}


def newest(project: Project) -> int:
    """The number of the newest judgement, 0 where there is none."""
    [(found,)] = _rows(NEWEST, project)
    return int(found)


def _rows(statement: str, project: Project) -> list[tuple[int, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, [project.pk])
        return cursor.fetchall()
