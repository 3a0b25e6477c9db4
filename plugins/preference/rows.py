"""People's judgements as tokens for the methods that learn from given answers, and what was lost on the way."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from feinschliff.rows import group_of, ranking_to_pairs
from plugins.lib.encoding import Encoded, Keep, encode_answers
from plugins.lib.policies import Policy

Row = dict[str, Any]


class Pair(NamedTuple):
    """Two answers to one prompt, cut the same for both. `longer`: 1 where the preferred one has more characters."""

    chosen: Encoded
    rejected: Encoded
    group: str
    longer: float
    prompt: str  # what tells it from other prompts

    @property
    def length(self) -> int:
        return max(len(self.chosen.ids), len(self.rejected.ids))


class Verdict(NamedTuple):
    """One answer that was called good or bad. `characters` is its length."""

    answer: Encoded
    good: bool
    group: str
    characters: int
    prompt: str


@dataclass
class Pairs:
    """`lost` counts by reason: ties, same (equal texts), left-out (too long), weightless; `cut` counts shortened prompts."""

    pairs: list[Pair] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)
    cut: int = 0


@dataclass
class Verdicts:
    verdicts: list[Verdict] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)
    cut: int = 0


def pairs_from(rows: Sequence[Row], policy: Policy, keep: Keep) -> Pairs:
    """Pairs as they are, and all pairs of rankings. A tie says nothing to a loss over pairs, nor do two equal texts."""
    found = Pairs()
    for row in rows:
        if not row.get("weight", 1.0):
            found.lost["weightless"] += 1
            continue
        projected = ranking_to_pairs(row) if "completions" in row else None
        found.lost["ties"] += projected.lost if projected else 0
        for pair in projected.rows if projected else [row]:
            _add_pair(found, pair, policy, keep)
    return found


def _add_pair(found: Pairs, row: Row, policy: Policy, keep: Keep) -> None:
    chosen, rejected = row["chosen"], row["rejected"]
    if chosen == rejected:
        found.lost["same"] += 1
        return
    first, second = encoded(row["prompt"], [chosen, rejected], policy, keep)
    if first is None or second is None:
        found.lost["left-out"] += 1
        return
    found.cut += first.cut
    longer = (len(chosen) > len(rejected)) + 0.5 * (len(chosen) == len(rejected))
    found.pairs.append(Pair(first, second, group_of(row), longer, str(row["prompt"])))


def verdicts_from(rows: Sequence[Row], policy: Policy, keep: Keep, border: float) -> Verdicts:
    """Unpaired rows as they are; a rated answer is good above the border, bad below, and says nothing upon it."""
    found = Verdicts()
    for row in rows:
        good = row["label"] if "label" in row else _side(mean_score(row), border)
        if not row.get("weight", 1.0):
            found.lost["weightless"] += 1
        elif good is None:
            found.lost["ties"] += 1
        elif (answer := encoded(row["prompt"], [row["completion"]], policy, keep)[0]) is None:
            found.lost["left-out"] += 1
        else:
            found.cut += answer.cut
            found.verdicts.append(Verdict(answer, good, group_of(row), len(row["completion"]), str(row["prompt"])))
    return found


def _side(score: float | None, border: float) -> bool | None:
    return None if score is None or score == border else score > border


def mean_score(row: Row) -> float | None:
    """The mean over a rating's aspects; None where it has none."""
    return sum(row["scores"].values()) / len(row["scores"]) if row["scores"] else None


def border_of(rows: Sequence[Row], wanted: float) -> float:
    """Where good begins: the score asked for, or (0) the middle between the lowest and the highest that was given."""
    scores = [score for row in rows if "scores" in row and (score := mean_score(row)) is not None]
    return wanted or ((min(scores) + max(scores)) / 2 if scores else 0.0)


def encoded(prompt: Any, answers: Sequence[str], policy: Policy, keep: Keep) -> list[Encoded | None]:  # noqa: ANN401
    """The answers after the same prompt; None for one that leaves no room for a single token of it."""
    found = encode_answers(policy.tokenizer, prompt, answers, causal=True, max_length=policy.longest, keep=keep)
    return [one if one is not None and 0 in one.types else None for one in found]


def parts(sequence: Encoded) -> tuple[list[int], list[int]]:
    """(tokens of the prompt, tokens of the answer)."""
    border = sequence.types.index(1)
    return sequence.ids[:border], sequence.ids[border:]
