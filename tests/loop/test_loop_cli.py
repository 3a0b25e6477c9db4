"""Once round the loop by commands alone, in a home that nothing was started in before."""

from __future__ import annotations

import json
import random

from tests.loop.running_site import house_for_a_test
from tests.training.world_of_runs import planted_row


def test_from_an_empty_home_to_a_score_by_commands_alone() -> None:
    with house_for_a_test() as house:
        rng = random.Random(11)
        rows = [planted_row(number, rng) for number in range(48)]
        file = house.home.parent / "planted.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")

        assert house.command("create_project", "Planted truth", "--questions", "ranking") == {
            "project": "planted-truth"
        }
        counts = house.command("import_items", "planted-truth", str(file))
        assert (counts["items"], counts["responses"], counts["judgements"]) == (48, 192, 48)

        frozen = house.command("freeze", "planted-truth", "--rows", "ranking", "--heldout", "0.25")
        assert frozen["train"] + frozen["heldout"] == frozen["judgements"] == 48
        assert house.command("freeze", "planted-truth", "--heldout", "0.25")["hash"] == frozen["hash"]

        words = ["--snapshot", frozen["hash"], "--base", "tiny:encoder", "--set", "epochs=6", "--seed", "1", "--wait"]
        trained = house.command("train", "reward-model", *words)
        assert trained["state"] == "succeeded"
        numbers = trained["numbers"]
        assert numbers["accuracy/model"] > 0.8 > numbers["accuracy/untrained"]  # the planted truth is found again

        [model] = house.command("models")["models"]
        assert (model["model"], model["snapshot"]) == (f"run:{trained['run']}", frozen["hash"])
        texts = ["--completion", "river stone bread", "--completion", "river stone please please please"]
        good, bad = house.command("score", model["model"], "--prompt", "Write about rivers.", *texts)["scores"]
        assert good > bad

        status, _, said = house.try_command("train", "reward-model", "--snapshot", "abc")
        assert status == 1
        assert said.strip().count("\n") <= 1
        assert "Traceback" not in said
