"""The drill: workers and trainers are killed and frozen while many runs are worked. Every run has one effect, and nobody who
lost a run writes to it. The database itself notes who writes what, and is asked in the end.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from plugins.local_launcher.processes import mark, processes
from tests.builders import child_environment
from tests.training.world_of_runs import frozen, install_quick_trainers, planted, wait_for
from tests.world import ROOT
from training.models import Model, Run, Snapshot

pytestmark = [pytest.mark.django_db(transaction=True)]
#: every write to a run and to what belongs to it, with the name its writer connected under
NOTE_WRITES = """
CREATE TABLE drill_writes (at bigserial, run_id bigint, epoch int, claims bool, writer text);
CREATE FUNCTION drill_note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'training_run' THEN
        INSERT INTO drill_writes (run_id, epoch, claims, writer) VALUES (
            NEW.id, NEW.lease_epoch, NEW.lease_epoch <> OLD.lease_epoch, current_setting('application_name'));
    ELSE
        INSERT INTO drill_writes (run_id, claims, writer) VALUES (NEW.run_id, false, current_setting('application_name'));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER drill AFTER UPDATE ON training_run FOR EACH ROW EXECUTE FUNCTION drill_note();
CREATE TRIGGER drill AFTER INSERT ON training_metric FOR EACH ROW EXECUTE FUNCTION drill_note();
CREATE TRIGGER drill AFTER INSERT ON training_model FOR EACH ROW EXECUTE FUNCTION drill_note();
"""
FORGET = "DROP TABLE IF EXISTS drill_writes; DROP FUNCTION IF EXISTS drill_note CASCADE;"
#: writes of somebody other than the one who claimed the run last before them
STALE = """
SELECT count(*) FROM drill_writes w WHERE NOT w.claims AND w.writer <> (
    SELECT c.writer FROM drill_writes c WHERE c.claims AND c.run_id = w.run_id AND c.at < w.at ORDER BY c.at DESC LIMIT 1)
"""


@pytest.fixture
def snapshot(quick: Path) -> Iterator[Snapshot]:
    with connection.cursor() as cursor:
        cursor.execute(FORGET + NOTE_WRITES)
    yield frozen(planted(4))
    with connection.cursor() as cursor:
        cursor.execute(FORGET)


class Crew:
    """Real workers, each of which connects under a name of its own."""

    def __init__(self, home: Path, lease: int) -> None:
        self.home, self.lease, self.started = home, lease, 0
        self.packages = install_quick_trainers(home / "packages")
        self.workers: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        self.started += 1
        environment = child_environment() | {
            "FEINSCHLIFF_HOME": str(self.home), "RUN_LEASE_SECONDS": str(self.lease), "PYTHONPATH": self.packages,
            "PGAPPNAME": f"worker-{self.started}",
        }  # fmt: skip
        self.workers.append(subprocess.Popen([sys.executable, "manage.py", "work"], cwd=ROOT, env=environment))

    def kill_worker(self, rng: random.Random) -> None:
        victim = rng.choice(self.workers)
        victim.kill()
        victim.wait()
        self.workers.remove(victim)
        self.start()

    def kill_trainer(self, rng: random.Random) -> None:
        with suppress(ProcessLookupError):
            os.kill(rng.choice(wait_for(lambda: trainers(self.home), 60, lambda: states())), signal.SIGKILL)

    def freeze_one(self, rng: random.Random) -> None:
        """For longer than its lease; then it wakes, and another has its run."""
        victim = rng.choice(self.workers)
        victim.send_signal(signal.SIGSTOP)
        time.sleep(self.lease * 1.5)
        victim.send_signal(signal.SIGCONT)

    def end(self) -> None:
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            worker.wait(30)


def trainers(home: Path) -> list[int]:
    """Processes that work a run of this home."""
    marks = [(one.pid, mark(one.pid)) for one in processes()]
    return [pid for pid, about in marks if about and about.folder.startswith(str(home))]


def drill(
    home: Path, snapshot: Snapshot, *, runs: int, kills: int, freezes: int, workers: int, lease: int
) -> dict[str, Any]:
    """Faults come at random moments while at least `runs` runs are worked: a fault always finds some at work, since more are
    queued where few are left. What is left is counted.
    """
    rng, began = random.Random(runs), time.monotonic()
    queue(snapshot, runs)
    crew = Crew(home, lease)
    for _ in range(workers):
        crew.start()
    faults = ["kill_worker", "kill_trainer"] * (kills // 2) + ["freeze_one"] * freezes
    rng.shuffle(faults)
    try:
        for number, fault in enumerate(faults):
            due = (number + 0.5) * (runs - 2 * workers) / len(faults)
            wait_for(lambda due=due: ended() >= due, 600, lambda: states())  # type: ignore[misc]
            queue(snapshot, 2 * workers - left())
            time.sleep(rng.uniform(0, 0.5))
            getattr(crew, fault)(rng)
        wait_for(lambda: left() == 0, 600, lambda: states())
    finally:
        crew.end()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*), count(DISTINCT writer) FROM drill_writes")
        writes, writers = cursor.fetchone()
    effects = Counter(Model.objects.values_list("run_id", flat=True))
    return {
        "runs": Run.objects.count(), "kills": kills, "freezes": freezes,
        "succeeded": Run.objects.filter(state=Run.SUCCEEDED).count(),
        "effects": effects.total(), "distinct": len(effects), "writes": writes, "writers": writers, "stale": stale_writes(),
        "orphans": len(trainers(home)), "again": Run.objects.filter(attempts__gt=1).count(),
        "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip


def stale_writes() -> int:
    with connection.cursor() as cursor:
        cursor.execute(STALE)
        return int(cursor.fetchone()[0])


def queue(snapshot: Snapshot, count: int) -> None:
    Run.objects.bulk_create(
        Run(project=snapshot.project, snapshot=snapshot, trainer="quick", config={"steps": 4, "pause": 0.05},
            models_used={}, resumable=True) for _ in range(count)
    )  # fmt: skip


def left() -> int:
    return Run.objects.exclude(state__in=Run.ENDED).count()


def ended() -> int:
    return Run.objects.filter(state__in=Run.ENDED).count()


def states() -> object:
    return Counter(Run.objects.values_list("state", "attempts", "error"))


def check(found: dict[str, Any]) -> None:
    print(found)
    wanted = {"succeeded": found["runs"], "effects": found["runs"], "distinct": found["runs"], "stale": 0, "orphans": 0}
    assert {name: found[name] for name in wanted} == wanted, states()
    assert found["writes"] > found["runs"] * 4
    assert found["writers"] > found["kills"] // 2
    Run.objects.filter(pk=Run.objects.earliest("pk").pk).update(message="written by somebody who never claimed it")
    assert stale_writes() == 1, "the database notices a stale write"
    assert {run.numbers["total"] for run in Run.objects.all()} == {10}


def test_runs_survive_killed_and_frozen_workers_and_trainers(snapshot: Snapshot, quick: Path) -> None:
    check(drill(quick, snapshot, runs=12, kills=2, freezes=1, workers=3, lease=3))


@pytest.mark.slow
def test_five_hundred_runs_survive_twenty_kills_and_six_freezes(snapshot: Snapshot, quick: Path) -> None:
    check(drill(quick, snapshot, runs=500, kills=20, freezes=6, workers=4, lease=5))
