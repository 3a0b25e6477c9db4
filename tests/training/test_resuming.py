"""kill -9 of the trainer at random steps: a run that is resumed ends with the very numbers and weights of an undisturbed one.

Asked of every trainer that says it is resumable, so that a new one is asked, too.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.training.world_of_runs import frozen, planted
from training import launching, preparing
from training.catalogue import listing
from training.models import Run, Snapshot
from training.working import Worker

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
KILLS, KILLS_A_RUN = 10, 2
BASES = {"embed": "tiny:encoder", "generate": "tiny:causal"}
#: what keeps a trainer short and gives it steps enough to be killed at
SETTINGS = {"quick": {"steps": 40, "pause": 0.02}, "reward-model": {"epochs": 3, "batch_rows": 4, "evaluations": 3}}
RESUMABLE = ("quick", "reward-model")


def work(snapshot: Snapshot, offered: dict[str, Any], kill_at: list[float]) -> Run:
    """Works a run and kills its trainer when it has come so far (a share of the whole), once for each."""
    models = {role: BASES[verb] for role, verb in offered["needs"]["models"].items()}
    run = launching.launch(
        project=snapshot.project, trainer=offered["name"], snapshot=snapshot, config=SETTINGS.get(offered["name"], {}),
        models=models, seed=3,
    )  # fmt: skip
    left = sorted(kill_at)

    def heard(current: Run) -> None:
        if left and current.state == Run.RUNNING and current.total and current.done >= left[0] * current.total:
            left.pop(0)
            os.kill(json.loads(current.handle)["pid"], signal.SIGKILL)

    while run.is_live:
        Worker().work_one(run.pk, heard)
        run.refresh_from_db()
    assert (run.state, left) == (Run.SUCCEEDED, []), run.error
    assert run.attempts == 1 + len(kill_at)
    return run


def fingerprint(run: Run) -> dict[str, str]:
    """Hashes of the model's files, but for the one that names the run."""
    folder = preparing.folder(run) / "model"
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "feinschliff-model.json"]
    assert files
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(files)}


@pytest.mark.parametrize("name", RESUMABLE)
def test_a_run_killed_at_random_steps_ends_bit_for_bit_like_an_undisturbed_one(quick: Path, name: str) -> None:
    offered = listing.listing().trainers[name]
    snapshot = frozen(planted(40), offered["needs"]["rows"][0])
    rng = random.Random(name)
    undisturbed = work(snapshot, offered, [])
    for _ in range(KILLS // KILLS_A_RUN):
        shares = [rng.uniform(0.05, 0.9) for _ in range(KILLS_A_RUN)]
        run = work(snapshot, offered, shares)
        apart = {key for key in run.numbers if run.numbers[key] != undisturbed.numbers[key]} - {"resumed-from"}
        assert not apart, {key: (run.numbers[key], undisturbed.numbers[key]) for key in apart}
        assert fingerprint(run) == fingerprint(undisturbed)
        print(name, "killed at", [round(share, 2) for share in shares], "of the way: equal")


def test_every_trainer_that_says_it_is_resumable_is_asked(quick: Path) -> None:
    assert {name for name, offered in listing.listing().trainers.items() if offered["resumable"]} == set(RESUMABLE)
