"""Reads the curves of runs: what each reported by step, thinned so that no peak and no gap is lost. Before reporting.

The thinning is the database's work (a run may keep 200,000 points and its page asks every few seconds). Where a step was
reported again after a resume, the later report stands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.db import connection

from training.models import Metric, Run

POINTS = 400  # of a longer curve about this many are kept: each stretch's lowest, highest, last, and a gap
MOST = 8  # more lines than this nobody tells apart
Curve = list[list[float | None]]

THINNED = """
WITH latest AS (
    SELECT DISTINCT ON (run_id, name, step) run_id, name, step, value FROM training_metric WHERE run_id = ANY(%(runs)s)
    ORDER BY run_id, name, step, attempt DESC, id DESC
), placed AS (
    SELECT *, row_number() OVER (PARTITION BY run_id, name ORDER BY step) - 1 AS place,
        count(*) OVER (PARTITION BY run_id, name) AS points FROM latest
)
SELECT run_id, name, min(ARRAY[value, step]) FILTER (WHERE value IS NOT NULL),
    max(ARRAY[value, step]) FILTER (WHERE value IS NOT NULL), max(ARRAY[step, value]),
    min(step) FILTER (WHERE value IS NULL)
FROM placed GROUP BY run_id, name, CASE WHEN points <= %(points)s THEN place ELSE place * (%(points)s / 3) / points END
"""

#: jumps through the index from name to name, where DISTINCT would read every point
NAMES = """
WITH RECURSIVE one AS (
    SELECT run.id, (SELECT min(name) FROM training_metric WHERE run_id = run.id) AS name
    FROM unnest(%(runs)s::bigint[]) AS run(id)
    UNION ALL
    SELECT id, (SELECT min(name) FROM training_metric WHERE run_id = one.id AND name > one.name)
    FROM one WHERE name IS NOT NULL
)
SELECT DISTINCT name FROM one WHERE name IS NOT NULL ORDER BY name
"""


def names(runs: Sequence[Run]) -> list[str]:
    """The metrics that any of the runs reported, by the alphabet."""
    with connection.cursor() as cursor:
        cursor.execute(NAMES, {"runs": [run.pk for run in runs]})
        return [name for (name,) in cursor.fetchall()]


def curves(runs: Sequence[Run]) -> dict[int, dict[str, Curve]]:
    """Run id -> metric -> [[step, value], ...] in the order of the steps. NaN and infinity are None: a gap."""
    found: dict[int, dict[str, dict[int, float | None]]] = {run.pk: {} for run in runs}
    with connection.cursor() as cursor:
        cursor.execute(THINNED, {"runs": list(found), "points": POINTS})
        for run_id, name, low, high, last, gap in cursor.fetchall():
            points = found[run_id].setdefault(name, {})
            if gap is not None:
                points[int(gap)] = None
            points[int(last[0])] = last[1]
            points.update({int(step): value for value, step in (low, high) if value is not None} if low else {})
    return {
        run_id: {name: [[step, value] for step, value in sorted(points.items())] for name, points in sorted(of.items())}
        for run_id, of in found.items()
    }


def told(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """What a page draws: the runs in their order, each with a name, whether it lives, and its curves."""
    of = curves(runs)
    return [{"id": run.pk, "name": run.title, "live": run.is_live, "metrics": of[run.pk]} for run in runs]


def shared(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same with the curves alone that several of the runs have; with all of them where none is shared."""
    counts = Counter(name for run in told for name in run["metrics"])
    kept = {name for name, count in counts.items() if count > 1} or set(counts)
    return [run | {"metrics": {name: of for name, of in run["metrics"].items() if name in kept}} for run in told]


def comparable(run: Run) -> list[Run]:
    """The project's latest other runs that report a number this one reports too."""
    names = set(Metric.objects.filter(run=run).values_list("name", flat=True).distinct())
    others = run.project.runs.filter(archived_at=None).exclude(pk=run.pk)
    return list(others.filter(metrics__name__in=names).distinct()[:20])


def chosen(project_runs: Any, texts: Sequence[str]) -> tuple[list[Run], list[str]]:  # noqa: ANN401 - a manager of runs
    """Runs named as `3,5,8` or one by one, each once, in that order; and what named none of them."""
    words = [word.strip()[:40] for text in texts for word in text.split(",") if word.strip()]
    words = list(dict.fromkeys(words))
    known = {word for word in words if word.isascii() and word.isdigit() and len(word) < 19}
    there = {run.pk: run for run in project_runs.filter(pk__in=[int(word) for word in known])}
    picked = [there[int(word)] for word in words if word in known and int(word) in there]
    return picked, [word for word in words if word not in known or int(word) not in there]
