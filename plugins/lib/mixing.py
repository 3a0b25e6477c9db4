"""Which task comes next where several are learned at once, as one order of draws that is known beforehand.

By size, by temperature, all equally, or by given weights; a cap on how often a small task repeats, and a floor so that none
starves. Departs from drawing tasks at random (Raffel et al. 2020, section 3.5.2): the order keeps to the shares at every
moment, never a whole draw away from any of them, after Tijdeman 1980, "The chairman assignment problem". The place in it is
all that a run has to remember.
"""

import heapq
import re
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from plugins.lib.prompts import permutation

Mix = Literal["size", "temperature", "equal", "weights"]
_WEIGHT = re.compile(r"\s*(.+?)\s*=\s*(\d+(?:\.\d+)?)\s*")


class Draw(NamedTuple):
    """One row of one task: `place` is the row's among those of its task."""

    task: str
    place: int


def asked_shares(
    sizes: Mapping[str, int],
    mix: Mix,
    *,
    temperature: float = 2.0,
    weights: Mapping[str, float] | None = None,
    floor: float = 0.0,
) -> dict[str, float]:
    """Task -> share of all draws; they add up to 1.

    `size` is by rows n, `temperature` by n^(1/T) (Raffel et al. 2020: T = 1 is by size, a high T is equally), `weights` as
    given, a task that is not named counting 1. No task has less than `floor` times an equal share, except by `weights`, which
    are taken at their word. ValueError for a task without rows, an unknown task in `weights` or a weight that is not above 0.
    """
    empty = [task for task, size in sizes.items() if size < 1]
    if empty or not sizes:
        raise ValueError(f"tasks without rows cannot be mixed: {empty}")
    given = dict(weights or {})
    if mix == "weights":
        unknown = sorted(given.keys() - sizes.keys())
        if unknown or any(weight <= 0 for weight in given.values()):
            raise ValueError(f"weights are above 0, for tasks among {sorted(sizes)}; {unknown or given} was given")
    power = {"size": 1.0, "temperature": 1.0 / temperature, "equal": 0.0, "weights": 0.0}[mix]
    parts = {task: given.get(task, 1.0) if mix == "weights" else size**power for task, size in sizes.items()}
    shares = {task: part / sum(parts.values()) for task, part in parts.items()}
    return shares if mix == "weights" else _lifted(shares, min(floor, 1.0) / len(shares))


def _lifted(shares: dict[str, float], least: float) -> dict[str, float]:
    """No share below `least`; what that takes is taken from the others in proportion."""
    low = {task for task, share in shares.items() if share < least}
    while True:
        rest = sum(share for task, share in shares.items() if task not in low)
        room = 1.0 - least * len(low)
        lifted = {task: least if task in low else share * room / rest for task, share in shares.items()}
        below = {task for task, share in lifted.items() if share < least * (1 - 1e-9)}
        if not below:
            return lifted
        low |= below


def draws_of(shares: Mapping[str, float], sizes: Mapping[str, int], *, total: int, most: float) -> dict[str, int]:
    """Task -> how many of `total` draws it gets; at least one, and no row more than about `most` times.

    What a capped task leaves goes to the others by their shares; where all are capped, there are fewer draws than `total`.
    Whole numbers by the largest remainder.
    """
    limits = {task: max(1.0, most * size) for task, size in sizes.items()}
    capped: dict[str, float] = {}
    while True:
        free = {task: share for task, share in shares.items() if task not in capped}
        left, whole = total - sum(capped.values()), sum(free.values())
        counts = capped | {task: left * share / whole for task, share in free.items()}
        over = [task for task in free if counts[task] > limits[task]]
        if not over:
            return _whole({task: counts[task] for task in shares})
        capped |= {task: limits[task] for task in over}


def _whole(counts: Mapping[str, float]) -> dict[str, int]:
    floors = {task: int(count) for task, count in counts.items()}
    left = round(sum(counts.values())) - sum(floors.values())
    for task in sorted(counts, key=lambda name: floors[name] - counts[name])[:left]:
        floors[task] += 1
    return {task: max(1, count) for task, count in floors.items()}


def interleaved(counts: Mapping[str, int]) -> list[str]:
    """The tasks in an order in which each comes as often as `counts` says, and at every moment in its share.

    After m draws each of k tasks was drawn within 1 - 1/(2k - 2) of m times its share (Tijdeman 1980), which cannot be bettered
    for all shares. So every run of ceil(2 / share) draws has it. The n-th draw of a task has a moment before which it would be
    too early and one after which it would be too late; of those that are not too early, the most urgent is taken.
    """
    tasks, total, parts = list(counts), sum(counts.values()), 2 * len(counts) - 2
    if not parts:
        return tasks * total

    def early(number: int, drawn: int) -> tuple[int, int]:
        return -(-(parts * drawn + 1) * total // (parts * counts[tasks[number]])), number

    def late(number: int, drawn: int) -> tuple[int, int]:
        return (parts * drawn + parts - 1) * total // (parts * counts[tasks[number]]), number

    waiting = [early(number, 0) for number in range(len(tasks))]
    heapq.heapify(waiting)
    ready: list[tuple[int, int]] = []
    drawn, found = [0] * len(tasks), []
    for moment in range(1, total + 1):
        while waiting and waiting[0][0] <= moment:
            number = heapq.heappop(waiting)[1]
            heapq.heappush(ready, late(number, drawn[number]))
        number = heapq.heappop(ready)[1]
        found.append(tasks[number])
        drawn[number] += 1
        if drawn[number] < counts[tasks[number]]:
            heapq.heappush(waiting, early(number, drawn[number]))
    return found


def drawn(sizes: Mapping[str, int], counts: Mapping[str, int], *, seed: int) -> list[Draw]:
    """The draws of a whole run. A task's rows come in a fresh order each time round, none twice before all have come."""
    rows = {task: _rounds(sizes[task], count, f"{seed}/{task}") for task, count in counts.items()}
    taken = dict.fromkeys(counts, 0)
    found = []
    for task in interleaved(counts):
        found.append(Draw(task, rows[task][taken[task]]))
        taken[task] += 1
    return found


def _rounds(size: int, count: int, key: str) -> list[int]:
    rounds = -(-count // size)
    return [place for number in range(rounds) for place in permutation(size, f"{key}/{number}")][:count]


def steps(draws: Sequence[Draw], rows: int) -> list[Sequence[Draw]]:
    """So many draws a step; a remainder shorter than half a step joins the last one."""
    cuts = list(range(0, len(draws), rows))
    if len(cuts) > 1 and len(draws) - cuts[-1] < rows / 2:
        cuts.pop()
    return [draws[start:end] for start, end in zip(cuts, [*cuts[1:], len(draws)], strict=True)]


def fit(counts: Mapping[str, int], shares: Mapping[str, float]) -> float:
    """The chance that draws at random from these shares would lie as far from them as `counts` do (Pearson's chi-square).

    Near 1 for an order that keeps to its shares; next to 0 where a cap or a fault has bent the mix.
    """
    from scipy.special import chdtrc

    total = sum(counts.values())
    statistic = sum((counts.get(task, 0) - total * share) ** 2 / (total * share) for task, share in shares.items())
    return float(chdtrc(len(shares) - 1, statistic))


def read_weights(text: str) -> dict[str, float]:
    """Task -> weight, of 'summaries=2, titles=0.5'. ValueError says what is wrong."""
    found: dict[str, float] = {}
    for part in text.split(",") if text.strip() else []:
        match = _WEIGHT.fullmatch(part)
        if match is None:
            raise ValueError(f"{part.strip()!r} is no task with a weight; write task=weight, such as 'titles=2'")
        name, weight = match[1], float(match[2])
        if name in found or weight <= 0:
            raise ValueError(f"task {name!r} needs one weight above 0")
        found[name] = weight
    return found
