"""What a ranking is worth to a policy: the losses of comparative-ranking on rankings of which the truth is known.

    python benchmarks/policy_rankings.py --seeds 0,1,2,3,4

A tiny causal model learns from few rankings of six answers. An answer is six words, each of a hidden worth; people rank by the
sum of these, with noise made in three ways: `plackett-luce` (Gumbel, the world in which that likelihood is right), `thurstone`
(normal) and `mallows` (each insertion slips with a fixed chance, however large the difference). What is measured is Kendall's
tau between the policy's own rewards and the truth on new answers. One JSON line a seed, world and loss, then the paired
differences over seeds and held-out rankings, with 95 % bootstrap intervals resampled by seed and ranking.
"""

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "platform")]
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from benchmarks.ranking_losses import WORLDS, ranked  # noqa: E402
from feinschliff.measuring import interval  # noqa: E402
from plugins.comparative_ranking.config import ComparativeRankingConfig  # noqa: E402
from plugins.comparative_ranking.reading import Ranked, read  # noqa: E402
from plugins.comparative_ranking.reference import values  # noqa: E402
from plugins.comparative_ranking.rewards import Answers, quiet  # noqa: E402
from plugins.lib.agreement import kendall_tau  # noqa: E402
from plugins.lib.batching import batches  # noqa: E402
from plugins.lib.listwise import LOSSES, Loss  # noqa: E402
from plugins.lib.policies import policy_from  # noqa: E402
from plugins.lib.stepping import adamw, linear  # noqa: E402

WORDS = ["river", "stone", "bread", "letter", "garden", "window", "train", "paper", "music", "winter", "table", "water"]
ANSWERS, LENGTH, STRENGTH = 6, 6, 1.5  # STRENGTH: the standard deviation of an answer's worth; the noise's is 1.28
LEARNED, HELD_OUT, EPOCHS, RATE = 64, 64, 2, 1e-3
COMPARED: tuple[tuple[Loss, Loss], ...] = (
    ("plackett-luce", "pairwise"),
    ("lambda", "pairwise"),
    ("plackett-luce", "best-vs-worst"),
    ("pairwise", "best-vs-worst"),
)
Rows = list[dict[str, Any]]


def rows_of(world: str, seed: int) -> tuple[Rows, Rows]:
    """Rankings to learn from, in people's noisy order, and new ones in their true order."""
    rng = random.Random(f"{world}/{seed}")  # noqa: S311 - a made-up world
    scale = STRENGTH / LENGTH**0.5
    worth = {word: rng.gauss(0, scale) for word in WORDS}
    learned, held_out = [], []
    for number in range(LEARNED + HELD_OUT):
        texts = [" ".join(rng.choice(WORDS) for _ in range(LENGTH)) for _ in range(ANSWERS)]
        truth = [sum(worth[word] for word in text.split()) for text in texts]
        ranks = WORLDS[world](truth, rng) if number < LEARNED else ranked(truth)
        row = {
            "prompt": f"Write about the {rng.choice(WORDS)}.",
            "completions": texts,
            "ranks": ranks,
            "group": f"{number}",
        }
        (learned if number < LEARNED else held_out).append(row)
    return learned, held_out


def taus(base: Path, losses: Sequence[Loss], world: str, seed: int) -> dict[str, list[float]]:
    """Of each held-out ranking, after training as the trainer does it, without its checkpoints and its page."""
    splits = rows_of(world, seed)
    answers = answers_of(base, losses[0], seed)
    rows, asked = (_known(answers, read(some, answers.policy, "start").rows) for some in splits)
    return {loss: _trained(answers_of(base, loss, seed), rows, asked, seed) for loss in losses}


def answers_of(base: Path, loss: Loss, seed: int) -> Answers:
    policy = policy_from(base, seed=seed, device="cpu")
    return Answers(policy, ComparativeRankingConfig(loss=loss, batch_tokens=8192))


def _trained(answers: Answers, rows: Sequence[Ranked], asked: Sequence[Ranked], seed: int) -> list[float]:
    import torch

    plan = [batch for epoch in range(EPOCHS) for batch in in_order(rows, seed, epoch)]
    weights = list(answers.policy.model.parameters())
    optimizer = adamw(weights, rate=RATE, decay=0.01)
    for step, batch in enumerate(plan):
        for group in optimizer.param_groups:
            group["lr"] = RATE * linear(step, len(plan), 0.1)
        optimizer.zero_grad()
        answers.loss(batch).backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
    with quiet(answers.policy.model):
        found = iter(answers.rewards(asked).tolist())
    return [kendall_tau(row.ranks, [next(found) for _ in row.ranks]) or 0.0 for row in asked]


def in_order(rows: Sequence[Ranked], seed: int, epoch: int) -> list[list[Ranked]]:
    return batches(
        rows,
        lambda row: {key: len(key) for key in row.keys},
        lambda row: row.prompt,
        budget=2**62,
        seed=seed,
        epoch=epoch,
        most=8,
    )


def _known(answers: Answers, rows: Iterable[Ranked]) -> list[Ranked]:
    return [replace(row, reference=tuple(values(answers, row))) for row in rows]


def difference(one: dict[int, list[float]], other: dict[int, list[float]]) -> dict[str, float]:
    """Mean of the paired differences over seeds and held-out rankings, with its interval."""
    found = [
        (a - b, f"{seed}/{n}") for seed in one for n, (a, b) in enumerate(zip(one[seed], other[seed], strict=True))
    ]
    low, high = interval([gain for gain, _ in found], [1.0] * len(found), [unit for _, unit in found])
    return {"gain": statistics.mean(gain for gain, _ in found), "low": low, "high": high}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--world", choices=[*WORLDS], action="append", help="default: all three")
    parser.add_argument("--loss", choices=LOSSES, action="append", help="default: all four")
    options = parser.parse_args()
    from feinschliff import Opening
    from plugins.base_models.opening import open_tiny

    with tempfile.TemporaryDirectory() as scratch:
        base = open_tiny("tiny:causal", Opening(weights=Path(scratch))).folder
        for world in options.world or WORLDS:
            found: dict[Loss, dict[int, list[float]]] = {loss: {} for loss in options.loss or LOSSES}
            for seed in map(int, options.seeds.split(",")):
                trained = taus(base, [*found], world, seed)
                for loss, by_seed in found.items():
                    by_seed[seed] = trained[loss]
                    line = {"world": world, "seed": seed, "loss": loss, "tau": round(statistics.mean(by_seed[seed]), 4)}
                    print(json.dumps(line), flush=True)
            for loss, other in COMPARED:
                if loss in found and other in found:
                    numbers = {name: round(value, 4) for name, value in difference(found[loss], found[other]).items()}
                    print(json.dumps({"world": world, "loss": loss, "over": other, **numbers}), flush=True)


if __name__ == "__main__":
    main()
