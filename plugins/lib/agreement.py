"""How well scores agree with people's ranks: pair accuracy and Kendall's tau-b, for a model and for plain baselines."""

import math
from collections.abc import Sequence

Ranks = Sequence[int | None]


def compared(ranks: Ranks) -> list[tuple[int, int]]:
    """(better, worse) for all answers that people told apart."""
    known = [(rank, place) for place, rank in enumerate(ranks) if rank is not None]
    return [(i, j) for a, i in known for b, j in known if a < b]


def right_pairs(ranks: Ranks, scores: Sequence[float]) -> tuple[float, int]:
    """(comparisons the scores get right, comparisons). Equal scores count one half; ties among people are left out."""
    pairs = compared(ranks)
    return sum((scores[i] > scores[j]) + 0.5 * (scores[i] == scores[j]) for i, j in pairs), len(pairs)


def kendall_tau(ranks: Ranks, scores: Sequence[float]) -> float | None:
    """Tau-b (Kendall 1945) between ranks and scores; None where people or scores tell nothing apart."""
    known = [(-rank, score) for rank, score in zip(ranks, scores, strict=True) if rank is not None]
    agree = ties_people = ties_scores = total = 0
    for first, (rank, score) in enumerate(known):
        for other_rank, other in known[first + 1 :]:
            total += 1
            a, b = (rank > other_rank) - (rank < other_rank), (score > other) - (score < other)
            agree += a * b
            ties_people += a == 0
            ties_scores += b == 0
    spread = (total - ties_people) * (total - ties_scores)
    return agree / math.sqrt(spread) if spread else None
