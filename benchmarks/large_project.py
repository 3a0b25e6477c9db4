"""A project of any size, by bulk SQL, for page_figures.py: items with four answers, rankings, snapshots and runs.

Half of the items have both of their judgements, a fifth has one: 200,000 items have 240,000. They came over a hundred days, item
by item, and one in a hundred was corrected. Nothing here goes by the steps of the site.
"""

from __future__ import annotations

from typing import Any

from django.db import connection, transaction

ANNOTATORS = 24
JUDGED = 0.7  # of the items: five of seven of them by two, the others by one so far

IMPORT = """
INSERT INTO annotation_import (project_id, file_name, stored_as, sha256, size, mapping, counts, created_at, done_at)
VALUES (%(project)s, 'large.jsonl', '', '', 0, '{}', '{}', now(), now())
"""
ITEMS = """
INSERT INTO annotation_item (project_id, batch_id, key, position, prompt, context, topic, warning, task, "group", digest,
    imported, free)
SELECT %(project)s, (SELECT max(id) FROM annotation_import WHERE project_id = %(project)s), 'large-' || n, n,
    jsonb_build_array(jsonb_build_object('role', 'user', 'content', 'Question ' || n || ': why is the sea salty?')),
    '[]', CASE WHEN n %% 3 = 0 THEN 'water' ELSE '' END, '', '', 'large-' || n, md5(n::text), 0,
    2 - (n <= %(judged)s)::int - (n <= %(judged)s AND n %% 7 < 5)::int
FROM generate_series(1, %(items)s) n
"""
RESPONSES = """
INSERT INTO annotation_response (item_id, position, text, source)
SELECT i.id, a, repeat('Rivers carry salt to the sea, and the sun takes only the water away. ', 4 + a), 'model-' || a
FROM annotation_item i, generate_series(0, 3) a WHERE i.project_id = %(project)s
"""
#: the two who judge an item are never the same: 5 is no multiple of the number of annotators
SAID = """
CREATE TEMPORARY TABLE said AS
SELECT i.id AS item_id, s AS slot, (%(members)s::bigint[])[1 + (i.position * 7 + s * 5) %% %(annotators)s] AS member_id,
    now() - interval '100 days' * (1 - i.position::float / %(judged)s) AS at,
    CASE WHEN hashint4(i.position * 3 + s) %% 10 < 5 THEN '[1, 2, 3, 4]' WHEN hashint4(i.position * 5 + s) %% 2 = 0
        THEN '[2, 1, 4, 3]' WHEN hashint4(i.position * 7 + s) %% 2 = 0 THEN '[4, 3, 1, 2]' ELSE '[1, 1, 3, 4]' END AS ranks
FROM annotation_item i, generate_series(1, 2) s
WHERE i.project_id = %(project)s AND i.position <= %(judged)s AND (s = 1 OR i.position %% 7 < 5)
ORDER BY i.position, s
"""
ASSIGNMENTS = """
INSERT INTO annotation_assignment (item_id, member_id, slot, "order", state, skip_reason, started_at, leased_until)
SELECT item_id, member_id, slot, '[0, 1, 2, 3]', 'done', '', at - interval '1 minute', at FROM said
"""
JUDGEMENTS = """
INSERT INTO annotation_judgement (item_id, member_id, key, version, answers, "order", guidelines_version, schema_version, origin,
    active_ms, started_at, submitted_at)
SELECT item_id, member_id, gen_random_uuid(), 1, jsonb_build_object('ranking', jsonb_build_object('ranks', ranks::jsonb)),
    '[0, 1, 2, 3]', 1, 1, 'live', 40000, at - interval '1 minute', at
FROM said ORDER BY at, slot
"""
CORRECTIONS = """
INSERT INTO annotation_judgement (item_id, member_id, key, version, supersedes_id, answers, "order", guidelines_version,
    schema_version, origin, active_ms, started_at, submitted_at)
SELECT j.item_id, j.member_id, gen_random_uuid(), 2, j.id, '{"ranking": {"ranks": [1, 2, 4, 3]}}', j."order", 1, 1, 'live', 9000,
    j.submitted_at, j.submitted_at + interval '1 minute'
FROM annotation_judgement j JOIN annotation_item i ON i.id = j.item_id WHERE i.project_id = %(project)s AND j.id %% 100 = 0
ORDER BY j.id
"""
FLAGS = """
INSERT INTO annotation_flag (item_id, member_id, reason, note, created_at, settled_note)
SELECT item_id, member_id, 'harmful', '', at, '' FROM said ORDER BY item_id LIMIT %(flags)s
"""
SNAPSHOTS = """
INSERT INTO training_snapshot (project_id, hash, rows, counts, options, created_at)
SELECT %(project)s, md5(%(project)s || '-' || n), 'ranking',
    '{"train": 190000, "heldout": 48000, "groups": {"train": 110000, "heldout": 28000}, "judgements": 240000, "dropped": {}}',
    '{"heldout": 0.2, "split_seed": 0}', now()
FROM generate_series(1, %(snapshots)s) n
"""
FROZEN = """
INSERT INTO training_frozenjudgements (snapshot_id, ids)
SELECT s.id, told.ids FROM training_snapshot s, (
    SELECT array_agg(j.id ORDER BY j.id) AS ids FROM annotation_judgement j JOIN annotation_membership m ON m.id = j.member_id
    WHERE m.project_id = %(project)s AND j.version = 1) told
WHERE s.project_id = %(project)s
"""
RUNS = """
INSERT INTO training_run (project_id, snapshot_id, name, trainer, trainer_version, plugin, environment, ranks, resumable, config,
    seed, models_used, versions, state, message, attempts, lease_epoch, worker, launcher, handle, log_offset, done, total,
    numbers, error, created_at, started_at, ended_at)
SELECT %(project)s, (SELECT min(id) FROM training_snapshot WHERE project_id = %(project)s) + n %% %(snapshots)s,
    '', 'reward-model', '1', 'plugins.reward_model', '', 1, true, '{"epochs": 3, "learning_rate": 0.001}', n,
    '{"base": "tiny:encoder"}', '{}', 'succeeded', '', 1, 1, '', 'local', '', 0, 90, 90,
    '{"accuracy/model": 0.71, "accuracy/model/low": 0.62, "accuracy/model/high": 0.79, "accuracy/random": 0.5,
      "accuracy/longer": 0.58, "pairs/heldout": 24000, "prompts/heldout": 4000, "loss/heldout": 0.61}',
    '', now(), now(), now()
FROM generate_series(1, %(runs)s) n
"""
MODELS = """
INSERT INTO training_model (project_id, run_id, name, yields, created_at)
SELECT project_id, id, 'reward-model ' || id, '["score"]', now() FROM training_run WHERE project_id = %(project)s
ORDER BY id LIMIT %(models)s
"""


@transaction.atomic
def fill(
    project: int, members: list[int], *, items: int, snapshots: int = 10, runs: int = 1000, models: int = 300
) -> None:
    """Fills the project that has this id, asks one `ranking` and has an overlap of two."""
    values: dict[str, Any] = {
        "project": project, "members": members, "annotators": len(members), "items": items, "flags": 20,
        "judged": int(items * JUDGED), "snapshots": snapshots, "runs": runs, "models": models,
    }  # fmt: skip
    with connection.cursor() as cursor:
        for statement in (
            IMPORT, ITEMS, RESPONSES, SAID, ASSIGNMENTS, JUDGEMENTS, CORRECTIONS, FLAGS, SNAPSHOTS, FROZEN, RUNS, MODELS,
            "DROP TABLE said",
        ):  # fmt: skip
            cursor.execute(statement, values if "%(" in statement else None)
