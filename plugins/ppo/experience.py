"""One batch of experience: answers written, scored, weighed by the reference and the critic, turned into advantages."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from plugins.lib.prompts import Asked
from plugins.lib.rollout import Written
from plugins.ppo.advantages import Estimator, gae, kl_terms, masked_mean, masked_variance, token_rewards, whiten
from plugins.ppo.cast import Cast, text_of, write
from plugins.ppo.losses import explained_variance
from plugins.ppo.reading import Answer, Inputs, by_length, inputs, said
from plugins.ppo.rewarding import Normaliser, mean_and_spread, scored, scored_with_spread, with_eos_demanded

if TYPE_CHECKING:
    import torch

FARTHEST = 0.5  # nats a token; rounding is thousands of times smaller, even in half precision a good deal
QUIET = 4  # times as many answers go through a model at once where no gradients are kept


@dataclass(frozen=True)
class Judged:
    """Answers as they were written, and what they earned. `rewards` are normalised and demand EOS; `scores` are raw.

    `spreads` say how far the reward model's heads are apart, in units of the scores; empty where nobody asked.
    """

    prompts: list[Asked]
    written: list[Written]
    texts: list[str]
    scores: list[float]
    rewards: list[float]
    spreads: list[float] = field(default_factory=list)

    @property
    def answers(self) -> list[Answer]:
        return [Answer(asked.ids, written.ids) for asked, written in zip(self.prompts, self.written, strict=True)]

    @property
    def ended(self) -> float:
        """Share of the answers that ended by themselves."""
        return sum(one.ended for one in self.written) / len(self.written)

    @property
    def length(self) -> float:
        """Mean tokens an answer."""
        return sum(len(one.ids) for one in self.written) / len(self.written)


@dataclass(frozen=True)
class Experience:
    """What a round of updates learns from; tensors (answers, longest answer) on the policy's device."""

    answers: list[Answer]
    mask: "torch.Tensor"
    old: "torch.Tensor"
    values: "torch.Tensor"
    advantages: "torch.Tensor"
    returns: "torch.Tensor"
    numbers: Mapping[str, float | None]

    @property
    def kl(self) -> float:
        """Mean over the answers of their KL to the reference, in nats, by the sum of log ratios (k1)."""
        return float(self.numbers["kl/reference"] or 0.0)


def judged(
    model: Any,  # noqa: ANN401 - the policy's or the reference's
    cast: Cast,
    prompts: Sequence[Asked],
    normalise: Normaliser,
    *,
    config: Any,  # noqa: ANN401 - PPOConfig
    key: str,
) -> Judged:
    """Answers to the prompts, written by the model and scored by the reward model."""
    written = write(model, cast, prompts, config=config, key=key)
    texts = [text_of(cast, one) for one in written]
    asked, weight = [one.prompt for one in prompts], config.uncertainty_weight
    scores, spreads = (
        scored_with_spread(cast.reward, asked, texts) if weight else (scored(cast.reward, asked, texts), [])
    )
    cautious = [
        normalise.cautious(score, spread, weight)
        for score, spread in zip(scores, spreads or [0.0] * len(scores), strict=True)
    ]
    rewards = [
        with_eos_demanded(reward, one.ended, config.missing_eos, config.missing_eos_value)
        for reward, one in zip(cautious, written, strict=True)
    ]
    return Judged(list(prompts), written, texts, scores, rewards, spreads)


def experience(cast: Cast, found: Judged, *, beta: float, config: Any) -> Experience:  # noqa: ANN401 - PPOConfig
    """Log-probabilities, values, rewards a token, advantages; no gradients."""
    import torch

    answers, critic = found.answers, cast.critic
    longest = max(len(one.ids) for one in answers)
    mask = torch.zeros(len(answers), longest, device=cast.policy.device)
    old, reference, values = (torch.zeros_like(mask) for _ in range(3))
    sampled = config.old_logps == "sampled" and cast.engine is None  # vLLM's are near the policy's, not equal
    needed = not sampled or critic.trunk is None
    with torch.no_grad():
        for places, batch in _parts(cast, answers, QUIET * config.micro_batch):
            width = batch.mask.shape[1]
            mask[places, :width] = batch.mask
            if needed:
                own = said(cast.policy.model, batch, temperature=config.temperature)
                old[places, :width] = own.logps
            values[places, :width] = critic.values(batch, own.hidden if needed else None)
            with cast.reference.speaking() as model:
                reference[places, :width] = said(model, batch, temperature=config.temperature).logps
    written = torch.zeros_like(mask)
    for place, one in enumerate(found.written):
        written[place, : len(one.logps)] = torch.tensor(one.logps)
    if sampled:
        old = written
    terms = kl_terms(old, reference, config.kl_estimator)
    scores = torch.tensor(found.rewards, device=mask.device)
    rewards = token_rewards(terms, scores, mask, beta=beta)
    if config.whiten_rewards:
        rewards = whiten(rewards, mask, shift=False)
    advantages, returns = gae(rewards, values, mask, gamma=config.gamma, lam=config.lam)
    numbers = _numbers(found, old, reference, values, returns, mask, beta)
    if cast.engine is not None:
        numbers["answers/drift"] = _drift(written, old, mask)
    return Experience(answers, mask, old, values, whiten(advantages, mask), returns, numbers)


def _drift(written: "torch.Tensor", own: "torch.Tensor", mask: "torch.Tensor") -> float:
    """How far vLLM's log-probabilities lie from the policy's, nats a token. RuntimeError where those are other weights."""
    drift = float(masked_mean((written - own).abs(), mask))
    if drift > FARTHEST:
        raise RuntimeError(
            f"vLLM writes by other weights than the policy's (its log-probabilities are {drift:.2g} nats a token away): "
            "set writer to own"
        )
    return drift


def calibrate(cast: Cast, found: Judged, normalise: Normaliser, *, config: Any) -> None:  # noqa: ANN401 - PPOConfig
    """Puts a critic that began as the reward model on the scale of the normalised rewards (10, 26).

    The line that best tells the normalised scores of the reference's answers, less the price of their doubt, from what the
    critic says at their ends; exact where the critic reads the very tokens that the reward model read. Another critic begins
    at 0, the rewards' mean.
    """
    import torch

    if cast.critic.origin != "reward":
        return
    ends = [Answer(one.prompt, [*one.ids, cast.policy.eos]) for one in found.answers]  # a value comes before its token
    doubts = found.spreads or [0.0] * len(found.scores)
    wanted = [
        normalise.cautious(score, doubt, config.uncertainty_weight)
        for score, doubt in zip(found.scores, doubts, strict=True)
    ]
    said_at_end = [0.0] * len(ends)
    with torch.no_grad():
        for places, batch in _parts(cast, ends, QUIET * config.micro_batch):
            last = batch.mask.sum(1, keepdim=True).long() - 1
            for place, value in zip(places, cast.critic.values(batch).gather(1, last).flatten().tolist(), strict=True):
                said_at_end[place] = value
    (mean, spread), (target, _) = mean_and_spread(said_at_end), mean_and_spread(wanted)
    if spread > 0:
        pairs = zip(said_at_end, wanted, strict=True)
        gain = sum((a - mean) * (b - target) for a, b in pairs) / len(wanted) / spread**2
        cast.critic.rescale(gain, target - gain * mean)


def kl_of(cast: Cast, answers: Sequence[Answer], *, config: Any, estimator: Estimator = "k1") -> list[float]:  # noqa: ANN401 - PPOConfig
    """Each answer's KL of policy to reference in nats, estimated from it alone: by k1 the log ratio, which may be negative."""
    import torch

    found = [0.0] * len(answers)
    with torch.no_grad():
        for places, batch in _parts(cast, answers, QUIET * config.micro_batch):
            own = said(cast.policy.model, batch, temperature=config.temperature).logps
            with cast.reference.speaking() as model:
                other = said(model, batch, temperature=config.temperature).logps
            terms = kl_terms(own, other, estimator) * batch.mask
            for place, value in zip(places, terms.sum(1).tolist(), strict=True):
                found[place] = value
    return found


def _parts(cast: Cast, answers: Sequence[Answer], size: int) -> Iterator[tuple[list[int], Inputs]]:
    """The answers by length, so many at once: places and inputs."""
    for places in by_length(answers, range(len(answers)), size):
        yield places, inputs([answers[place] for place in places], pad=cast.policy.pad, device=cast.policy.device)


def _numbers(
    found: Judged,
    old: "torch.Tensor",
    reference: "torch.Tensor",
    values: "torch.Tensor",
    returns: "torch.Tensor",
    mask: "torch.Tensor",
    beta: float,
) -> dict[str, float | None]:
    """What the curves show of a batch before it is learned from; all means over tokens are masked (19)."""
    kl = float(kl_terms(old, reference, "k1").sum(1).mean())
    reward, spread = mean_and_spread(found.rewards)
    return {
        "reward/mean": reward,
        "reward/spread": spread,
        "reward/raw": mean_and_spread(found.scores)[0],
        **({"reward/disagreement": mean_and_spread(found.spreads)[0]} if found.spreads else {}),
        "reward/after-kl": reward - beta * kl,
        "kl/reference": kl,
        "kl/reference-k3": float((kl_terms(old, reference, "k3") * mask).sum(1).mean()),
        "kl/beta": beta,
        "answers/ended": found.ended,
        "answers/tokens": found.length,
        "critic/value": float(masked_mean(values, mask)),
        "critic/spread": float(masked_variance(values, mask)) ** 0.5,
        "critic/explained": explained_variance(values, returns, mask),
    }
