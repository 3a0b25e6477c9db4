"""What a ranking is worth: Plackett-Luce, all pairs, and best against worst, on rankings of which the truth is known.

    python benchmarks/ranking_losses.py --seeds 0,1,2,3,4

A linear score over made-up features is learned from few rankings by each loss of `plugins.lib.listwise`, to the optimum and
without regularisation, and compared with the planted one. People's noise is made in three ways: `plackett-luce` (Gumbel noise on
utilities, the world in which that likelihood is right), `thurstone` (normal noise), `mallows` (each insertion slips with a
fixed chance, however large the difference); `agreement` is the mean tau of the rankings learned from with the truth. One JSON
line a seed, world and loss, then the paired differences over all trials with their 95 % bootstrap intervals.
"""

import argparse
import json
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from feinschliff.measuring import interval
from plugins.lib.agreement import kendall_tau

if TYPE_CHECKING:
    import torch

FEATURES, STRENGTH = 8, 1.5  # of the planted weights: utilities have this standard deviation
HELD_OUT, TRIALS = 100, 20
LOSSES = ("plackett-luce", "pairwise", "best-vs-worst")
Order = Callable[[list[float], random.Random], list[int]]


def gumbel(utilities: list[float], rng: random.Random) -> list[int]:
    return ranked([utility - math.log(rng.expovariate(1)) for utility in utilities])


def normal(utilities: list[float], rng: random.Random) -> list[int]:
    return ranked([utility + rng.gauss(0, math.pi / math.sqrt(6)) for utility in utilities])  # a Gumbel's deviation


def mallows(utilities: list[float], rng: random.Random, dispersion: float = 0.55) -> list[int]:
    """Repeated insertion (Doignon et al. 2004): the n-th best slips up by j places with a chance of dispersion**j."""
    order: list[int] = []
    for count, place in enumerate(sorted(range(len(utilities)), key=lambda one: -utilities[one]), start=1):
        slips = rng.choices(range(count), [dispersion**slip for slip in range(count)])[0]
        order.insert(count - 1 - slips, place)
    return [order.index(place) + 1 for place in range(len(utilities))]


def ranked(values: list[float]) -> list[int]:
    return [1 + sum(other > value for other in values) for value in values]


WORLDS: dict[str, Order] = {"plackett-luce": gumbel, "thurstone": normal, "mallows": mallows}


@dataclass(frozen=True)
class Trial:
    """One fit: the angle between learned and planted weights in degrees, and tau with the true order of new answers."""

    angle: float
    tau: float
    agreement: float


def trial(world: str, seed: str, *, rankings: int, answers: int) -> dict[str, Trial]:
    """All losses on the same rankings."""
    import torch

    rng = random.Random(seed)  # noqa: S311 - a made-up world
    planted = [rng.gauss(0, 1) for _ in range(FEATURES)]
    length = math.sqrt(sum(weight**2 for weight in planted)) / STRENGTH
    planted = [weight / length for weight in planted]

    def drawn(count: int) -> list[list[list[float]]]:
        return [[[rng.gauss(0, 1) for _ in planted] for _ in range(answers)] for _ in range(count)]

    def utilities(items: list[list[float]]) -> list[float]:
        return [sum(a * b for a, b in zip(planted, item, strict=True)) for item in items]

    train, heldout = drawn(rankings), drawn(HELD_OUT)
    ranks = [WORLDS[world](utilities(items), rng) for items in train]
    agreement = mean_tau(
        [(ranked(utilities(items)), [-rank for rank in own]) for items, own in zip(train, ranks, strict=True)]
    )
    truth = torch.tensor(planted, dtype=torch.float64)
    found = {}
    for loss in LOSSES:
        weights = fitted(loss, torch.tensor(train, dtype=torch.float64), ranks)
        cosine = float(torch.nn.functional.cosine_similarity(weights, truth, dim=0))
        scores = (torch.tensor(heldout, dtype=torch.float64) @ weights).tolist()
        tau = mean_tau([(ranked(utilities(items)), own) for items, own in zip(heldout, scores, strict=True)])
        found[loss] = Trial(math.degrees(math.acos(min(1.0, cosine))), tau, agreement)
    return found


def mean_tau(pairs: list[tuple[list[int], list[float]]]) -> float:
    taus = [tau for ranks, scores in pairs if (tau := kendall_tau(ranks, scores)) is not None]
    return sum(taus) / len(taus)


def fitted(loss: str, features: "torch.Tensor", ranks: list[list[int]]) -> "torch.Tensor":
    """The weights of least loss (the losses are convex), by L-BFGS; `features` has shape (rankings, answers, features)."""
    import torch

    from plugins.lib import listwise

    rows, answers, width = features.shape
    places = [list(range(row * answers, (row + 1) * answers)) for row in range(rows)]
    lists = listwise.Lists(places, ranks, [1.0] * rows, [None] * rows)
    weights = torch.zeros(width, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe", tolerance_grad=1e-6)

    def closure() -> "torch.Tensor":
        optimizer.zero_grad()
        value = listwise.loss(loss, (features @ weights).reshape(-1), lists)  # type: ignore[arg-type]
        value.backward()
        return value

    optimizer.step(closure)
    return weights.detach()


def compared(world: str, seeds: list[int], *, rankings: int, answers: int, trials: int) -> list[dict[str, object]]:
    """The lines of one world: means of each seed and loss, then Plackett-Luce against each other loss, paired."""
    lines: list[dict[str, object]] = []
    gains: dict[str, list[tuple[float, float]]] = {loss: [] for loss in LOSSES[1:]}
    agreement = 0.0
    about = {"world": world, "rankings": rankings, "answers": answers}
    for seed in seeds:
        found = [
            trial(world, f"{world}/{seed}/{number}", rankings=rankings, answers=answers) for number in range(trials)
        ]
        agreement += sum(one["pairwise"].agreement for one in found)
        for loss in LOSSES:
            angle = sum(one[loss].angle for one in found) / trials
            tau = sum(one[loss].tau for one in found) / trials
            lines.append(about | {"seed": seed, "loss": loss, "angle": round(angle, 3), "tau": round(tau, 4)})
        for loss, pairs in gains.items():
            pairs += [
                (one[loss].angle - one["plackett-luce"].angle, one["plackett-luce"].tau - one[loss].tau)
                for one in found
            ]
    for loss, pairs in gains.items():
        line = about | {"plackett-luce over": loss, "trials": len(pairs), "agreement": round(agreement / len(pairs), 3)}
        for name, values in zip(("angle", "tau"), zip(*pairs, strict=True), strict=True):
            low, high = interval(values, [1.0] * len(values), [str(place) for place in range(len(values))])
            mean = sum(values) / len(values)
            line |= {f"{name} gained": round(mean, 4), f"{name} low": round(low, 4), f"{name} high": round(high, 4)}
        lines.append(line)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", choices=[*WORLDS], action="append", help="default: all")
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--rankings", type=int, default=60)
    parser.add_argument("--answers", type=int, default=8)
    parser.add_argument("--trials", type=int, default=TRIALS, help="fits a seed, each of a world of its own")
    options = parser.parse_args()
    seeds = [int(seed) for seed in options.seeds.split(",")]
    for world in options.world or WORLDS:
        sizes = {"rankings": options.rankings, "answers": options.answers, "trials": options.trials}
        for line in compared(world, seeds, **sizes):
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
