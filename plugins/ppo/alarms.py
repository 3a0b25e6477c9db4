"""When a run should stop itself: too far from its reference, or rewarded for something that people did not ask for.

Reward hacking shows where the reward (the proxy) rises while what it stands for does not (Gao et al. 2022): here, when
answers run away in length, or when the policy's own preferences agree less with people's held-out comparisons than they
did. Each alarm looks at a mean over a few batches, so that one odd batch stops nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

WINDOW = 4  # batches behind each mean
FEWEST_PAIRS = 20  # held-out comparisons below which an agreement is no number
ENDED = 0.5  # of the reference's answers: below it their length is the limit's, not theirs


#: what each limit is counted in, and the setting that it comes from
LIMITS = {
    "kl-budget": ("nats an answer", "kl_budget"),
    "length": ("tokens an answer", "length_factor"),
    "preferences": ("of the comparisons", "preference_drop"),
}


class Alarm(NamedTuple):
    """What fired: `name` for programs, `told` for people."""

    name: str
    value: float
    limit: float
    told: str

    def said(self, iteration: int, total: int) -> str:
        """The whole of it in a sentence: when, by what, how far beyond which limit, and which setting that is."""
        unit, setting = LIMITS[self.name]
        return (
            f"Stopped itself at batch {iteration} of {total} ({self.name}): {self.told}; the limit was {self.limit:.3g} "
            f"{unit} (set by {setting})."
        )


@dataclass
class Alarms:
    """Watches a run. All of its state is in `history` and `agreements`, which a checkpoint holds."""

    kl_budget: float
    length_factor: float
    preference_drop: float
    reference_length: float
    reference_ended: float
    history: list[dict[str, float]] = field(default_factory=list)  # of each batch: reward, kl, length
    agreements: list[list[float]] = field(default_factory=list)  # of each look: accuracy, pairs

    def batch(self, *, reward: float, kl: float, length: float) -> Alarm | None:
        """After each batch: mean reward, KL to the reference (nats an answer) and length (tokens)."""
        self.history.append({"reward": reward, "kl": kl, "length": length})
        if len(self.history) < WINDOW:
            return None
        return self._kl() or self._length()

    def look(self, accuracy: float | None, pairs: int) -> Alarm | None:
        """After each measurement of how far the policy agrees with people's held-out comparisons."""
        if accuracy is None or pairs < FEWEST_PAIRS:
            return None
        self.agreements.append([accuracy, pairs])
        best = max(value for value, _ in self.agreements)
        limit = best - self.preference_drop
        # twice below the limit: one measurement may be unlucky
        low = len(self.agreements) > 1 and all(value < limit for value, _ in self.agreements[-2:])
        if not self.preference_drop or not low or not self.reward_rose:
            return None
        told = f"the reward rises while agreement with people fell from {best:.2f} to {accuracy:.2f}"
        return Alarm("preferences", accuracy, limit, told)

    @property
    def reward_rose(self) -> bool:
        """Whether the mean reward of the last batches is above that of the first ones."""
        rewards = [batch["reward"] for batch in self.history]
        return _mean(rewards[-WINDOW:]) > _mean(rewards[:WINDOW])

    def _kl(self) -> Alarm | None:
        kl = self._recent("kl")
        if not self.kl_budget or kl <= self.kl_budget:
            return None
        return Alarm("kl-budget", kl, self.kl_budget, f"the KL to the reference is {kl:.3g} nats an answer")

    def _length(self) -> Alarm | None:
        if not self.length_factor or not self.reference_length or not self.reward_rose:
            return None
        length, most = self._recent("length"), self.length_factor * self.reference_length
        least = self.reference_length / self.length_factor if self.reference_ended >= ENDED else 0.0
        if least <= length <= most:
            return None
        told = f"the reward rises while answers went from {self.reference_length:.0f} to {length:.0f} tokens"
        return Alarm("length", length, most if length > most else least, told)

    def _recent(self, name: str) -> float:
        return _mean([batch[name] for batch in self.history[-WINDOW:]])

    def rows(self, fired: Alarm | None, iteration: int) -> list[list[str | float | None]]:
        """For the run's table: alarm, what is watched, limit, last value, batch at which it fired."""
        at = {fired.name: float(iteration)} if fired else {}
        known: Sequence[tuple[str, str, float, Any]] = (
            ("kl-budget", "KL to the reference, nats an answer, at most", self.kl_budget, self._last("kl")),
            (
                "length",
                "length of answers beside the reference's, at most so many times as long or as short",
                self.length_factor,
                self._last("length") / self.reference_length if self.reference_length else None,
            ),
            (
                "preferences",
                f"agreement with held-out comparisons (at least {FEWEST_PAIRS}), fallen from its best by at most",
                self.preference_drop if self.agreements else 0.0,
                max(a for a, _ in self.agreements) - self.agreements[-1][0] if self.agreements else None,
            ),
        )
        return [[name, what, limit or None, value, at.get(name)] for name, what, limit, value in known]

    def _last(self, name: str) -> float:
        return self._recent(name) if self.history else 0.0


def _mean(values: Sequence[float]) -> float:
    return sum(values) / max(1, len(values))
