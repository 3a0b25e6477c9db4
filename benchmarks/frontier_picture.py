"""What `benchmarks/frontier.py` measured, compared at equal KL, and drawn."""

import itertools
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

BUDGETS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
METHODS = {"ppo": "#4c78a8", "rloo": "#e45756", "best-of-n": "#54a24b"}
Line = dict[str, Any]
Point = tuple[float, float, float]  # KL, learned reward, gold reward


def hull(points: Sequence[Point]) -> list[Point]:
    """The upper concave hull of (KL, learned reward), from the least KL on, as far as it rises."""
    found: list[Point] = []
    for point in sorted(points):
        if found and point[1] <= found[-1][1]:
            continue
        if found and point[0] <= found[-1][0]:
            found.pop()
        while len(found) > 1 and _slope(found[-2], found[-1]) <= _slope(found[-2], point):
            found.pop()
        found.append(point)
    return found


def _slope(a: Point, b: Point) -> float:
    return (b[1] - a[1]) / (b[0] - a[0])


def within(edge: Sequence[Point], budget: float) -> tuple[float, float] | None:
    """Learned and gold reward of the mixture on the hull that has so much KL; None beyond its end."""
    for a, b in itertools.pairwise(edge):
        if a[0] <= budget <= b[0]:
            share = (budget - a[0]) / (b[0] - a[0])
            return a[1] + share * (b[1] - a[1]), a[2] + share * (b[2] - a[2])
    return None


def edges(lines: Sequence[Line], method: str) -> dict[int, list[Point]]:
    """Each seed's hull; every method begins at the reference, at KL 0."""
    found: dict[int, list[Point]] = {}
    for line in lines:
        if line["method"] in (method, "reference"):
            found.setdefault(line["seed"], []).append((max(line["kl"], 0.0), line["learned"], line["gold"]))
    return {seed: hull(points) for seed, points in found.items()}


def at_equal_kl(lines: Sequence[Line]) -> Iterator[Line]:
    """A line a budget: each method's mean over the seeds that reach it, the seeds, and each seed's difference to PPO."""
    known = {method: edges(lines, method) for method in METHODS}
    for budget in BUDGETS:
        row: Line = {"kl": budget}
        reached = {
            method: {seed: found for seed, edge in known[method].items() if (found := within(edge, budget))}
            for method in METHODS
        }
        for method, found in reached.items():
            both = [seed for seed in found if seed in reached["ppo"]]
            row[method] = {"seeds": sorted(found)} | {
                name: {
                    "mean": round(statistics.fmean(one[place] for one in found.values()), 3),
                    "less_ppo": [round(found[seed][place] - reached["ppo"][seed][place], 3) for seed in both],
                }
                for place, name in enumerate(("learned", "gold"))
                if found
            }
        yield row


def picture(lines: Sequence[Line], path: Path) -> None:
    """Learned and gold reward over KL: a dot a measurement, and each method's mean hull over the seeds that reach so far."""
    drawn, most = [], max(line["kl"] for line in lines)
    for place, (name, title) in enumerate((("learned", "learned reward"), ("gold", "gold reward"))):
        values = [line[name] for line in lines]
        low, high, left = min(values), max(values), 50 + 360 * place

        def at(kl: float, value: float, low: float = low, high: float = high, left: int = left) -> tuple[float, float]:
            return left + 300 * max(kl, 0) / most, 250 - 200 * (value - low) / (high - low)

        drawn.append(f'<text x="{left}" y="22" font-weight="600">{title}</text>')
        drawn.append(f'<path d="M{left} 40V250H{left + 305}" fill="none" stroke="#888"/>')
        for tick in range(0, int(most) + 1, max(1, round(most / 6))):
            drawn.append(f'<text x="{at(tick, 0)[0]:.0f}" y="266" text-anchor="middle" fill="#555">{tick}</text>')
        for value in (low, (low + high) / 2, high):
            drawn.append(
                f'<text x="{left - 6}" y="{at(0, value)[1] + 4:.0f}" text-anchor="end" fill="#555">{value:.1f}</text>'
            )
        for method, colour in METHODS.items():
            dots = [at(line["kl"], line[name]) for line in lines if line["method"] == method]
            drawn += [
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}" fill-opacity=".45"/>' for x, y in dots
            ]
            course = mean_course(edges(lines, method), most, place)
            points = " ".join("{:.1f},{:.1f}".format(*at(*point)) for point in course)
            drawn.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
    drawn.append('<text x="355" y="286" text-anchor="middle" fill="#555">KL to the reference, nats an answer</text>')
    for place, (method, colour) in enumerate(METHODS.items()):
        x = 250 + 90 * place
        drawn.append(f'<circle cx="{x}" cy="302" r="4" fill="{colour}"/><text x="{x + 8}" y="306">{method}</text>')
    body = "\n".join(drawn)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 730 316" font-family="sans-serif" font-size="12">\n'
        f'<rect width="730" height="316" fill="#fff"/>\n{body}\n</svg>\n',
        encoding="utf-8",
    )


def mean_course(known: dict[int, list[Point]], most: float, place: int, steps: int = 60) -> list[tuple[float, float]]:
    """(KL, mean over seeds) in small steps, as far as every seed's hull goes."""
    found = []
    for step in range(steps + 1):
        kl = most * step / steps
        values = [within(edge, kl) for edge in known.values()]
        if all(values) and values:
            found.append((kl, statistics.fmean(value[place] for value in values if value)))
    return found
