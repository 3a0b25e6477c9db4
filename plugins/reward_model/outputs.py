"""How the numbers at a model's end become one score: aspects by their weights, heads by their mean, then shift and scale.

Lies beside the weights as part of the model's settings. Plain arithmetic, so that what `score` says can be followed by hand.
"""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

Normalise = Literal["none", "centre", "standardise"]
LEAST_SPREAD = 1e-6  # reference scores closer together than this are one number: nothing to divide by


@dataclass(frozen=True)
class Outputs:
    """`heads` times as many numbers as there are aspects, a head's together; without aspects a head's one is its score.

    `shares` of the aspects in the score add up to 1. `means` and `spreads` turn an aspect's standardised number back into the
    units people used. `centres` are the heads' means over the reference answers.
    """

    heads: int = 1
    aspects: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()
    means: tuple[float, ...] = ()
    spreads: tuple[float, ...] = ()
    centres: tuple[float, ...] = ()
    shift: float = 0.0
    scale: float = 1.0

    @classmethod
    def read(cls, saved: dict[str, Any]) -> "Outputs":
        known: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in saved.items()}
        return cls(**known)

    def saved(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def width(self) -> int:
        """How many numbers the model gives for an answer."""
        return self.heads * max(1, len(self.aspects))

    def score(self, values: Sequence[float]) -> float:
        return (statistics.fmean(self._of_heads(values)) - self.shift) / self.scale

    def details(self, values: Sequence[float]) -> dict[str, float]:
        """The score; with several heads their standard deviation in the score's units; each aspect in people's units."""
        found = {"score": self.score(values)}
        if self.heads > 1:
            centred = [a - b for a, b in zip(self._of_heads(values), self.centres or [0.0] * self.heads, strict=True)]
            found["spread"] = statistics.pstdev(centred) / self.scale
        for place, aspect in enumerate(self.aspects):
            mean = statistics.fmean(values[place :: len(self.aspects)])
            found[f"aspect/{aspect}"] = self.means[place] + self.spreads[place] * mean
        return found

    def referring_to(self, references: Sequence[Sequence[float]], normalise: Normalise) -> "Outputs":
        """The same, shifted so that the reference answers score 0 on average, and scaled to variance 1 where asked."""
        if not references:
            return self
        plain = replace(self, shift=0.0, scale=1.0)
        by_head = zip(*(self._of_heads(values) for values in references), strict=True)
        centred = replace(plain, centres=tuple(statistics.fmean(scores) for scores in by_head))
        if normalise == "none":
            return centred
        scores = [plain.score(values) for values in references]
        spread = statistics.pstdev(scores)
        scaled = normalise == "standardise" and spread > LEAST_SPREAD
        return replace(centred, shift=statistics.fmean(scores), scale=spread if scaled else 1.0)

    def _of_heads(self, values: Sequence[float]) -> list[float]:
        if not self.aspects:
            return list(values)
        step = len(self.aspects)
        return [
            sum(share * value for share, value in zip(self.shares, values[start : start + step], strict=True))
            for start in range(0, len(values), step)
        ]
