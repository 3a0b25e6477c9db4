"""Rows as a policy learns from them: answers as tokens behind one prompt, with what people said about them.

A pair is a ranking of two; the ratings that one person gave to answers of one prompt are a ranking, too. An answer that alone
is too long is left out of its ranking, not the ranking with it: the rest was compared all the same.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from feinschliff.rows import group_of
from plugins.lib.encoding import Encoded, Keep, encode_answers
from plugins.lib.listwise import Loss, compares
from plugins.lib.policies import Policy
from plugins.lib.rankings import as_rankings

Row = dict[str, Any]


@dataclass(frozen=True)
class Ranked:
    """One ranking. `reference`: its answers' log-probabilities under the base, in nats, once they are known."""

    sequences: tuple[Encoded, ...]
    ranks: tuple[int | None, ...]
    lengths: tuple[int, ...]  # characters
    weight: float
    margin: float | None
    group: str
    prompt: str
    reference: tuple[float, ...] = ()

    @cached_property
    def keys(self) -> tuple[tuple[int, ...], ...]:
        """What tells its sequences apart."""
        return tuple(tuple(one.ids) for one in self.sequences)

    @cached_property
    def tokens(self) -> tuple[int, ...]:
        """Of each answer, its end included."""
        return tuple(sum(one.types) for one in self.sequences)

    def teaches(self, loss: Loss) -> bool:
        """Whether there is anything to learn: weight, two different answers that were ranked, and what the loss reads."""
        known = {key for key, rank in zip(self.keys, self.ranks, strict=True) if rank is not None}
        return self.weight > 0 and len(known) > 1 and compares(loss, self.ranks)

    @property
    def tells_apart(self) -> bool:
        """Whether people preferred any answer to another. Ties alone move no policy: it begins with all rewards equal."""
        return len({rank for rank in self.ranks if rank is not None}) > 1


class Read(NamedTuple):
    """Rankings of a split; answers that were too long; rankings whose prompt was cut."""

    rows: list[Ranked]
    left_out: int
    cut: int


def read(rows: Iterable[Row], policy: Policy, keep: Keep) -> Read:
    """All rankings that have an answer left; whether they teach anything is not asked here."""
    found, left_out, cut = [], 0, 0
    for row in as_rankings(rows):
        encoded = encode_answers(
            policy.tokenizer, row["prompt"], row["completions"], causal=True, max_length=policy.longest - 1, keep=keep
        )
        kept = [place for place, one in enumerate(encoded) if one is not None]
        left_out += len(encoded) - len(kept)
        if kept:
            sequences = tuple(_begun(one, policy.eos) for one in encoded if one is not None)
            found.append(_ranked(row, kept, sequences))
            cut += sequences[0].cut
    return Read(found, left_out, cut)


def _begun(sequence: Encoded, first: int) -> Encoded:
    """An answer whose prompt is empty, or was cut to nothing, follows an end of text: its first token needs one before."""
    if sequence.types[0] == 0:
        return sequence
    return Encoded([first, *sequence.ids], [0, *sequence.types], sequence.cut)


def _ranked(row: Row, kept: Sequence[int], sequences: tuple[Encoded, ...]) -> Ranked:
    return Ranked(
        sequences=sequences,
        ranks=tuple(row["ranks"][place] for place in kept),
        lengths=tuple(len(row["completions"][place]) for place in kept),
        weight=row.get("weight", 1.0),
        margin=row.get("margin"),
        group=group_of(row),
        prompt=group_of({**row, "group": ""}),
    )
