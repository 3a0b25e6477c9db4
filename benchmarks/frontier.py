"""PPO, RLOO and best-of-n: what reward each buys for how much KL; and whether an ensemble's doubt holds over-optimisation off.

    python benchmarks/frontier.py frontier --picture docs/methods/frontier.svg
    python benchmarks/frontier.py ensemble --rankings 40 --noise 0.25 --episodes 192 --looks 6
    ... frontier --picture frontier.svg --from lines.jsonl     draws what was measured before

The small world of `tests/plugins/ppo_world.py`: a tiny policy was taught to write there, a reward model learned from 160 rankings
that people dislike "please". `gold` is what people really want: no "please", and four to ten words. No answer in the rankings has
fewer than four words, so that the reward model cannot know the half of it: what over-optimisation is made of.

A line a measurement, the same for every method: 16 answers to each of the world's twelve prompts, temperature 1, at most 32
tokens; `kl` is the mean over these answers of log policy - log reference, nats an answer (k1). Best of n comes from 256 answers
a prompt of the reference; its log ratio follows from the shares of these that score less and no more, ties counted (`kl`), and
`kl_bound` is log n - (n - 1)/n. Rewards are in standard deviations of the scores of the answers that the reward model learned
from. At the end lines of what the methods reach at equal KL: on the upper concave hull of a seed's measurements, which a mixture
of two policies reaches, since KL is convex.

`ensemble`: PPO without a price on KL against the mean of four heads on one trunk, and against the mean of four reward models
trained apart; each also with `uncertainty_weight` (UWO, Coste et al. 2024). Lines over training, then each weight beside weight 0
on the same seeds: the gold reward at its peak and at the end, and the KL at the peak, with bootstrap intervals.
"""

import argparse
import contextlib
import io
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "platform")]
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

from benchmarks.frontier_picture import at_equal_kl, picture  # noqa: E402
from benchmarks.frontier_world import ANSWERS, Apart, Line, World  # noqa: E402
from feinschliff.measuring import interval  # noqa: E402

RATES = {"ppo": 1.5e-4, "rloo": 3e-4}  # at which the two move about as far in as many answers
BETAS = (0.5, 0.1, 0.0)
HEADS = 4


def frontier(world: World, options: argparse.Namespace) -> Iterator[Line]:
    judge = world.judge()
    yield {"method": "reference", "setting": {}, "learned_from": 0, **world.measured(world.reference.model, judge)}
    for n, line in world.best_of(judge):
        yield {"method": "best-of-n", "setting": {"n": n}, "learned_from": 0, **line}
    for beta in BETAS:
        for method, train in (("ppo", world.ppo), ("rloo", world.rloo)):
            found: list[Line] = []

            def told(model: Any, answers: int, found: list[Line] = found) -> None:  # noqa: ANN401
                found.append({"learned_from": answers, **world.measured(model, judge)})

            with contextlib.redirect_stdout(io.StringIO()):
                train(
                    judge, told, episodes=options.episodes, looks=options.looks, beta=beta, learning_rate=RATES[method]
                )
            yield from ({"method": method, "setting": {"beta": beta}, **line} for line in found)


def ensemble(world: World, options: argparse.Namespace) -> Iterator[Line]:
    with contextlib.redirect_stdout(io.StringIO()):
        kinds = {"heads": world.judge(HEADS), "apart": Apart([world.judge(member=one + 1) for one in range(HEADS)])}
    for kind, judge in kinds.items():
        for weight in options.weights:
            found: list[Line] = []

            def told(model: Any, answers: int, judge: Any = judge, found: list[Line] = found) -> None:  # noqa: ANN401
                line = world.measured(model, judge)
                prompts, _, texts = world.written(model, ANSWERS)
                spreads = [one["spread"] for one in judge.score_details_each(prompts, texts)]
                found.append({"learned_from": answers, **line, "spread": statistics.fmean(spreads)})

            with contextlib.redirect_stdout(io.StringIO()):
                settings = {"beta": 0.0, "uncertainty_weight": weight}
                world.ppo(judge, told, episodes=options.episodes, looks=options.looks, **settings)
            yield from ({"method": kind, "setting": settings, **line} for line in found)


def over_optimised(lines: Sequence[Line]) -> Iterator[Line]:
    """For each ensemble and weight: peak and end of the gold reward, and the paired differences to weight 0."""
    runs: dict[tuple[str, float, int], list[Line]] = {}
    for line in lines:
        runs.setdefault((line["method"], line["setting"]["uncertainty_weight"], line["seed"]), []).append(line)
    told: dict[tuple[str, float, int], dict[str, float]] = {}
    for key, run in runs.items():
        peak = max(run, key=lambda line: line["gold"])
        told[key] = {"gold_peak": peak["gold"], "kl_at_peak": peak["kl"], "gold_end": run[-1]["gold"]}
        told[key] |= {
            "lost": peak["gold"] - run[-1]["gold"],
            "learned_end": run[-1]["learned"],
            "kl_end": run[-1]["kl"],
        }
    for kind, weight in dict.fromkeys((kind, weight) for kind, weight, _ in told):
        seeds = [seed for one, many, seed in told if (one, many) == (kind, weight)]
        row: Line = {"ensemble": kind, "weight": weight, "seeds": seeds}
        for name in told[kind, weight, seeds[0]]:
            values = [told[kind, weight, seed][name] for seed in seeds]
            row[name] = round(statistics.fmean(values), 3)
            gained = [value - told[kind, 0.0, seed][name] for value, seed in zip(values, seeds, strict=True)]
            between = interval(gained, [1.0] * len(seeds), [str(seed) for seed in seeds])
            row[f"{name}/gain"] = [round(one, 3) for one in (statistics.fmean(gained), between.low, between.high)]
        yield row


def measured(options: argparse.Namespace) -> Iterator[Line]:
    from tests.plugins.ppo_world import taught

    lines = {"frontier": frontier, "ensemble": ensemble}[options.what]
    with tempfile.TemporaryDirectory() as scratch, contextlib.redirect_stdout(sys.stderr):
        base = taught(Path(scratch) / "policy")
        for seed in map(int, options.seeds.split(",")):
            folder = Path(scratch) / str(seed)
            folder.mkdir()
            world = World(base, folder, seed, rankings=options.rankings, noise=options.noise)
            about = {"seed": seed, "rankings": options.rankings, "noise": options.noise}
            yield from (about | line for line in lines(world, options))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["frontier", "ensemble"])
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--rankings", type=int, default=160, help="that the reward model learns from")
    parser.add_argument("--noise", type=float, default=0.0, help="share of these that are turned upside down")
    parser.add_argument("--episodes", type=int, default=256, help="answers that PPO and RLOO learn from")
    parser.add_argument("--looks", type=int, default=4, help="measurements on the way, evenly; the last is at the end")
    parser.add_argument(
        "--weights", default="0,4", help="of ensemble: uncertainty_weight; 0 is what the others stand beside"
    )
    parser.add_argument("--picture", type=Path, help="draws the frontier")
    parser.add_argument("--from", dest="lines", type=Path, help="lines of an earlier call, instead of new ones")
    options = parser.parse_args()
    if options.what == "ensemble" and "0" not in options.weights.split(","):
        parser.error("--weights needs 0, which the others are held against")
    options.weights = [float(weight) for weight in options.weights.split(",")]
    lines: list[Line] = []
    if options.lines:
        read = [json.loads(line) for line in options.lines.read_text("utf-8").splitlines()]
        lines = [line for line in read if "method" in line]
    if not options.lines:
        for line in measured(options):
            lines.append(line)
            print(json.dumps(line), file=sys.__stdout__, flush=True)
    for line in at_equal_kl(lines) if options.what == "frontier" else over_optimised(lines):
        print(json.dumps(line), flush=True)
    if options.picture:
        picture(lines, options.picture)


if __name__ == "__main__":
    main()
