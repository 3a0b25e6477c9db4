"""How far each annotator's comparisons can be trusted, from those that several people made of the same two answers.

The one-coin model of Dawid & Skene (1979): every comparison has a true winner, every annotator names it with a probability
of their own, the same for all comparisons; both are found by EM. Votes are best added up by their log odds (Nitzan &
Paroush 1982), and that is the weight. Departs from the textbook in a Beta prior, so that somebody with two comparisons is
neither a sage nor a fool, and in weights that are never negative: nobody's judgement is turned round.
"""

import math
from collections.abc import Mapping, Sequence

PRIOR_RIGHT, PRIOR_WRONG = 8.0, 2.0  # as if everybody had been right in eight of ten comparisons before
STEPS = 100
LEAST = 1e-6
Votes = Mapping[str, bool]  # annotator -> whether they take the first answer for the better one


def reliabilities(comparisons: Sequence[Votes]) -> dict[str, float]:
    """Annotator -> estimated share of comparisons they get right. One entry of `comparisons` is one pair of answers.

    Comparisons of a single annotator tell nothing and are passed over; who has no others gets the prior's 0.8.
    """
    known = {name: PRIOR_RIGHT / (PRIOR_RIGHT + PRIOR_WRONG) for votes in comparisons for name in votes}
    shared = [votes for votes in comparisons if len(votes) > 1]
    for _ in range(STEPS if shared else 0):
        right, count = dict.fromkeys(known, PRIOR_RIGHT), dict.fromkeys(known, PRIOR_RIGHT + PRIOR_WRONG)
        for votes in shared:
            first = _first_is_better(votes, known)
            for name, says_first in votes.items():
                right[name] += first if says_first else 1 - first
                count[name] += 1
        found = {name: right[name] / count[name] for name in known}
        moved = max(abs(found[name] - known[name]) for name in known)
        known = found
        if moved < LEAST:
            break
    return known


def _first_is_better(votes: Votes, known: Mapping[str, float]) -> float:
    """The probability that the first answer is better, given who says so; both are as likely beforehand."""
    odds = sum(math.log(known[name] / (1 - known[name])) * (1 if first else -1) for name, first in votes.items())
    return 1 / (1 + math.exp(-odds))


def trust(reliability: float) -> float:
    """The weight of a vote: the log odds of its being right, and 0 for those who are right half of the time or less."""
    return max(0.0, math.log(reliability / (1 - reliability)))
