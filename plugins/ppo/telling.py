"""What a reader of a run must know and its curves do not say at a glance: sentences, for the final number `warning`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from plugins.ppo.rewarding import SAME, mean_and_spread

ENDED = 0.5  # share of answers that end by themselves below which the limit decides what is learned
FLAT = 0.25  # share of batches without any difference in reward above which it is worth a word


@dataclass
class Batches:
    """What the batches had in common. `flat` counts those that gave all answers the same reward, `ended` is the last one's."""

    seen: int = 0
    flat: int = 0
    ended: float = 1.0

    def add(self, rewards: Sequence[float], ended: float) -> None:
        mean, spread = mean_and_spread(rewards)
        self.seen += 1
        self.flat += spread <= SAME * max(1.0, abs(mean))
        self.ended = ended


def unended(ended: float, config: Any, whose: str) -> str | None:  # noqa: ANN401 - PPOConfig
    """Where most answers meet the limit, and are paid for that rather than for what they say."""
    if ended >= ENDED or config.missing_eos == "ignore":
        return None
    value = f"{config.missing_eos_value:g}"
    got = f"got the fixed reward {value}" if config.missing_eos == "score" else f"had {value} added to their reward"
    return (
        f"{100 * (1 - ended):.0f} % of {whose} did not end within {config.max_new_tokens} tokens and {got}: raise "
        "max_new_tokens, take a base that ends its answers, or set missing_eos to ignore."
    )


def warnings(batches: Batches, config: Any) -> list[str]:  # noqa: ANN401 - PPOConfig
    """Nothing of a run in which answers end and rewards differ."""
    found = [unended(batches.ended, config, "the answers of the last batch")]
    if batches.flat and batches.flat >= FLAT * batches.seen:
        found.append(
            f"{batches.flat} of {batches.seen} batches gave all their answers the same reward: such a batch teaches nothing "
            "but to stay close to the reference."
        )
    return [sentence for sentence in found if sentence]
