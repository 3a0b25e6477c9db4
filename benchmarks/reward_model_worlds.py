"""What the reward model does in a world whose truth and noise are known: two claims, each over seeds 0 to 4.

    python benchmarks/reward_model_worlds.py --claim grouped --seeds 0,1,2,3,4

`grouped`: all comparisons of a ranking in one step, against the same comparisons shuffled over steps, one epoch, the same number
of comparisons a step: held-out log loss (InstructGPT, section 3.5, found the shuffled ones to overfit). `calibration`: a model
trained for many epochs on few rankings, its expected calibration error before and after a temperature fitted on one half of the
held-out prompts, measured on the other. One JSON line a seed, then the mean difference with its 95 % bootstrap interval.
"""

import argparse
import json
import math
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from feinschliff import Opening, Run
from feinschliff.checks.worlds import answer
from feinschliff.measuring import interval

ANSWERS = 6
Rows = list[dict[str, Any]]


def rankings(count: int, seed: str, strength: float = 0.7) -> Rows:
    """People dislike "please"; their rankings follow a Plackett-Luce model of that, so they err now and then."""
    rng = random.Random(seed)  # noqa: S311 - a made-up world
    rows = []
    for number in range(count):
        pleases = [rng.randrange(6) for _ in range(ANSWERS)]
        noisy = [-strength * many - math.log(rng.expovariate(1)) for many in pleases]
        ranks = [1 + sum(other > own for other in noisy) for own in noisy]
        texts = [answer(rng, many) for many in pleases]
        rows.append({"prompt": f"Write text {number} of {seed}.", "completions": texts, "ranks": ranks, "weight": 1.0})
    return rows


def opened(scratch: Path) -> Any:  # noqa: ANN401
    from plugins.base_models.opening import open_tiny

    return open_tiny("tiny:encoder", Opening(weights=scratch / "weights"))


def grouped(seed: int, scratch: Path) -> dict[str, float]:
    """Held-out log loss of both orders after one epoch, and of chance."""
    from plugins.lib.calibration import log_loss
    from plugins.lib.rankings import as_rankings
    from plugins.reward_model.evaluating import comparisons
    from plugins.reward_model.reading import read

    rows, heldout = rankings(160, f"train/{seed}"), rankings(80, f"heldout/{seed}")
    found: dict[str, float] = {"chance": math.log(2)}
    for way in ("grouped", "shuffled"):
        reward = fresh(seed, scratch)
        judged = read(as_rankings(rows), reward.encode).rows
        together = 4
        if way == "shuffled":
            pairs = read(as_rankings([pair for row in rows for pair in exploded(row)]), reward.encode).rows
            random.Random(seed).shuffle(pairs)  # noqa: S311
            judged, together = pairs, together * ANSWERS * (ANSWERS - 1) // 2
        learn(reward, [judged[start : start + together] for start in range(0, len(judged), together)])
        held = read(heldout, reward.encode).rows
        scores = [[reward.outputs.score(one) for one in reward.numbers(row.sequences)] for row in held]
        found[way] = log_loss([one.margin for one in comparisons(held, scores)])
    return found


def exploded(row: dict[str, Any]) -> Rows:
    from feinschliff.rows import ranking_to_pairs

    return ranking_to_pairs(row).rows


def fresh(seed: int, scratch: Path) -> Any:  # noqa: ANN401
    from plugins.reward_model.config import RewardModelConfig
    from plugins.reward_model.outputs import Outputs
    from plugins.reward_model.starting import from_base

    base = opened(scratch)
    return from_base(base.folder, RewardModelConfig(), causal=False, outputs=Outputs(), seed=seed, device="cpu")


def learn(reward: Any, batches: Sequence[Any]) -> None:  # noqa: ANN401
    """One epoch as the trainer does it: the same optimiser, schedule and step size."""
    import torch

    from plugins.lib.stepping import adamw, linear
    from plugins.reward_model.learning import Objective
    from plugins.reward_model.starting import step_size

    objective, rate = Objective(reward, "pairwise"), step_size(reward.model)
    weights = list(reward.model.parameters())
    optimizer = adamw(weights, rate=rate, decay=0.01)
    reward.model.train()
    for step, batch in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = rate * linear(step, len(batches), 0.1)
        optimizer.zero_grad()
        objective(batch).backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
    reward.model.eval()


def calibration(seed: int, scratch: Path) -> dict[str, float]:
    """ECE and Brier score before and after, as the run reports them."""
    from plugins.reward_model.config import RewardModelConfig
    from plugins.reward_model.training import train

    folder = scratch / f"run-{seed}"
    folder.mkdir()
    for split, rows in (("train", rankings(64, f"train/{seed}")), ("heldout", rankings(80, f"heldout/{seed}"))):
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    run = Run(
        folder=folder,
        config=RewardModelConfig(epochs=12, evaluations=0, loss="pairwise"),
        seed=seed,
        rows={split: folder / f"{split}.jsonl" for split in ("train", "heldout")},
        kinds=("ranking",),
        opener=lambda _: opened(scratch),
        device="cpu",
    )
    numbers = train(run)
    return {
        name: numbers[name] for name in numbers if name.startswith(("ece/", "brier/", "temperature", "accuracy/model"))
    }


CLAIMS = {
    "grouped": (grouped, "shuffled", "grouped"),
    "calibration": (calibration, "ece/before-temperature", "ece/after-temperature"),
}


def shown(claim: str, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """A line a seed, and one with how much lower the second number is than the first."""
    work, worse, better = CLAIMS[claim]
    with tempfile.TemporaryDirectory() as scratch:
        found = [work(seed, Path(scratch)) for seed in seeds]
    gains = [one[worse] - one[better] for one in found]
    low, high = interval(gains, [1.0] * len(gains), [str(seed) for seed in seeds])
    lines = [
        {"claim": claim, "seed": seed, **{name: round(value, 4) for name, value in one.items()}}
        for seed, one in zip(seeds, found, strict=True)
    ]
    summary = {"claim": claim, f"{worse} minus {better}": round(sum(gains) / len(gains), 4)}
    return [*lines, summary | {"low": round(low, 4), "high": round(high, 4)}]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--claim", choices=[*CLAIMS], action="append", help="default: both")
    parser.add_argument("--seeds", default="0,1,2,3,4")
    options = parser.parse_args()
    for claim in options.claim or CLAIMS:
        for line in shown(claim, [int(seed) for seed in options.seeds.split(",")]):
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
