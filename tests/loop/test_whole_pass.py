"""The whole pass by public commands: what people wrote and ranked becomes a model that writes, a judge, and a model that learned
from the judge. Tiny models: a proof of the way, not of quality."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from tests.loop.running_site import House, site_for_a_test
from tests.training.world_of_runs import WORDS, planted_row

pytestmark = pytest.mark.slow
ITEMS = 36


@pytest.fixture(scope="module")
def house() -> Any:  # noqa: ANN401 - a generator's value
    """A site at work, with a project whose items were ranked, and answered by people too."""
    with site_for_a_test() as site:
        made = site.house
        rng = random.Random(5)
        rows = [planted_row(number, rng) | {"demonstration": f"{rng.choice(WORDS)} it is."} for number in range(ITEMS)]
        file = made.home.parent / "planted.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        made.command("create_project", "Tides", "--questions", "ranking,demonstration")
        counts = made.command("import_items", "tides", str(file))
        assert (counts["items"], counts["judgements"]) == (ITEMS, ITEMS)
        yield made


def frozen(house: House, rows: str) -> str:
    counts = house.command("freeze", "tides", "--rows", rows, "--heldout", "0.25")
    assert counts["train"] + counts["heldout"] == ITEMS
    return str(counts["hash"])


def trained(house: House, trainer: str, rows: str, *words: str, **settings: object) -> tuple[str, dict[str, Any]]:
    """The model's string, and its numbers."""
    chosen = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    done = house.command("train", trainer, "--snapshot", frozen(house, rows), *words, *chosen, "--wait")
    assert done["state"] == "succeeded", done["error"]
    return f"run:{done['run']}", done["numbers"]


def told_of(house: House, model: str) -> int:
    """Tables and pictures on the page of its run."""
    run = int(model.removeprefix("run:"))
    [(count,)] = house.query("SELECT count(*) FROM training_report WHERE run_id = %s", run)
    return int(count)


def shown_pairs(house: House, model: str) -> int:
    run = int(model.removeprefix("run:"))
    [(count,)] = house.query("SELECT count(*) FROM training_sample WHERE run_id = %s AND before IS NOT NULL", run)
    return int(count)


def test_from_demonstrations_and_rankings_to_a_policy_that_learned_from_the_judge(house: House) -> None:
    judge, measured = trained(house, "reward-model", "ranking", "--base", "tiny:encoder", epochs=6)
    assert measured["accuracy/model"] > measured["accuracy/random"]
    start, told = trained(
        house, "task-specific", "demonstration", "--base", "tiny:causal", "--model", f"judge={judge}",
        epochs=1, samples=4, sample_tokens=8,
    )  # fmt: skip
    assert "winrate/judge" in told
    policy, reached = trained(
        house, "ppo", "prompt", "--base", start, "--model", f"reward={judge}",
        episodes=32, batch=16, max_new_tokens=8, compared=4, reference_samples=16, evaluations=1,
    )  # fmt: skip
    assert {"score/before", "score/after", "winrate/reward"} <= reached.keys()
    for model in (start, policy):
        assert shown_pairs(house, model) == 4
        assert told_of(house, model) >= 1


def test_from_rankings_to_a_policy_that_learned_from_them_at_once(house: House) -> None:
    policy, told = trained(
        house, "comparative-ranking", "ranking", "--base", "tiny:causal", epochs=1, samples=4, sample_tokens=8
    )
    assert {"accuracy/model", "tau/model"} <= told.keys()
    assert shown_pairs(house, policy) == 4


def test_a_role_that_nobody_can_play_yet_is_said_before_anything_starts(house: House) -> None:
    words = ["--snapshot", frozen(house, "prompt"), "--base", "tiny:causal", "--model", "reward=tiny:causal"]
    status, _, said = house.try_command("train", "ppo", *words)
    assert status != 0
    assert "it needs one that can score" in said or "needs one that can score" in said
    assert "Nothing was launched" in said
