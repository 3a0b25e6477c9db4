"""From texts to the numbers that PPO maximises: the reward model's scores, normalised under the reference, EOS demanded.

The reward model reads text, not the policy's tokens, so it may speak another tokenizer (4). What is rewarded is the answer
up to its EOS; one that did not end in time is judged for that (13).
"""

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from feinschliff import NeedsNotMet

Prompt = str | list[dict[str, str]]
Missing = Literal["score", "penalty", "ignore"]
ONE_HEAD = (
    "uncertainty_weight is above 0, but this reward model does not say how far its heads are apart: train one with several "
    "(heads=4 of reward-model), or set uncertainty_weight to 0"
)
SAME = 1e-6  # scores that spread less than this (relative to their size) tell no answer from another


class Normaliser(NamedTuple):
    """reward = gain * score + bias (10): mean 0 and variance 1 over the reference's answers."""

    gain: float = 1.0
    bias: float = 0.0

    def __call__(self, score: float) -> float:
        return self.gain * score + self.bias

    def cautious(self, score: float, spread: float, weight: float) -> float:
        """The reward less `weight` times the variance of the reward model's heads about it, both normalised.

        Uncertainty-weighted optimisation: Coste et al. 2024, section 3.2. `spread` is the heads' population standard
        deviation, in units of the score; with weight 0 this is the plain reward.
        """
        return self(score) - weight * (self.gain * spread) ** 2


def normaliser(scores: Sequence[float]) -> Normaliser:
    """As measured on the reference's answers (Ziegler et al. 2019). NeedsNotMet where they all have the same score."""
    mean, spread = mean_and_spread(scores)
    if spread <= SAME * max(1.0, abs(mean)):
        raise NeedsNotMet(
            f"the reward model gives all {len(scores)} answers of the base the same score ({mean:.4g}), so there is "
            "nothing to learn from: take another reward model, or longer answers (max_new_tokens)"
        )
    return Normaliser(1 / spread, -mean / spread)


def with_eos_demanded(reward: float, ended: bool, missing: Missing, value: float) -> float:
    """The reward of an answer that did not end in time: a fixed one, a penalty added to it, or its own (13)."""
    if ended or missing == "ignore":
        return reward
    return value if missing == "score" else reward + value


def scored(reward: Any, prompts: Sequence[Prompt], texts: Sequence[str]) -> list[float]:  # noqa: ANN401 - any judge
    """The reward model's number for each text. NeedsNotMet where it cannot read one, FloatingPointError for NaN.

    Uses `score_each(prompts, texts)` where the model has it, which batches over prompts; else `score`, one by one.
    """
    return _finite([float(score) for score in _asked(reward, "score", prompts, texts)], texts)


def scored_with_spread(reward: Any, prompts: Sequence[Prompt], texts: Sequence[str]) -> tuple[list[float], list[float]]:  # noqa: ANN401 - any judge
    """Each text's score, and how far the reward model's heads are apart about it (`spread` of its `score_details`).

    Raises as `scored` does, and NeedsNotMet where the model has no such spread.
    """
    if not callable(getattr(reward, "score_details", None)):
        raise NeedsNotMet(ONE_HEAD)
    found = _asked(reward, "score_details", prompts, texts)
    if any("spread" not in details for details in found):
        raise NeedsNotMet(ONE_HEAD)
    scores, spreads = ([float(details[name]) for details in found] for name in ("score", "spread"))
    return _finite(scores, texts), _finite(spreads, texts)


def _asked(reward: Any, verb: str, prompts: Sequence[Prompt], texts: Sequence[str]) -> list[Any]:  # noqa: ANN401
    """What a verb says of each text: of many prompts at once where the model has `<verb>_each`."""
    each = getattr(reward, f"{verb}_each", None)
    try:
        if each is not None:
            return list(each(prompts, texts))
        one = getattr(reward, verb)
        return [one(prompt, [text])[0] for prompt, text in zip(prompts, texts, strict=True)]
    except ValueError as error:
        raise NeedsNotMet(f"the reward model cannot read an answer: {error}; lower max_new_tokens") from None


def _finite(found: list[float], texts: Sequence[str]) -> list[float]:
    if not all(map(math.isfinite, found)):
        place = next(place for place, score in enumerate(found) if not math.isfinite(score))
        raise FloatingPointError(f"the reward model's score is {found[place]} for the answer {texts[place][:80]!r}")
    return found


def mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and population standard deviation; zeros for nothing."""
    if not values:
        return 0.0, 0.0
    mean = math.fsum(values) / len(values)
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
