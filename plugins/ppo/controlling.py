"""How strongly the policy is held to its reference: a fixed coefficient, or one steered towards a KL target."""

from dataclasses import dataclass

CLIP = 0.2


@dataclass
class FixedKL:
    """The same coefficient all the time."""

    beta: float

    def update(self, kl: float, answers: int) -> None:
        """Nothing changes."""


@dataclass
class AdaptiveKL:
    """Ziegler et al. 2019, section 2.2: a proportional controller in log space (17).

    error = clip(KL / target - 1, -0.2, 0.2); beta *= 1 + error * answers / horizon. `target` is in nats an answer.
    """

    beta: float
    target: float
    horizon: float

    def update(self, kl: float, answers: int) -> None:
        """After a batch of so many answers whose mean KL to the reference was `kl`."""
        error = min(max(kl / self.target - 1, -CLIP), CLIP)
        self.beta *= 1 + error * answers / self.horizon


Controller = FixedKL | AdaptiveKL
