"""PPO's two losses (Schulman et al. 2017), as sums over the tokens of a part of a minibatch divided by those of the whole.

So the parts' losses add up to the minibatch's however it is torn into micro-batches (25): `tokens` is the number of answer
tokens in the whole minibatch. Tensors are of shape (answers, tokens); what stands where the mask is 0 changes nothing.
"""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch


class PolicyLoss(NamedTuple):
    """The loss; for the curves, sums over the masked tokens (divide by the minibatch's tokens) and extremes of them."""

    loss: "torch.Tensor"
    clipped: float
    approximate_kl: float
    ratio_max: float
    drift: float  # the largest |log ratio|, in nats


class ValueLoss(NamedTuple):
    loss: "torch.Tensor"
    clipped: float


def policy_loss(
    new: "torch.Tensor",
    old: "torch.Tensor",
    advantages: "torch.Tensor",
    mask: "torch.Tensor",
    *,
    clip: float,
    tokens: float,
) -> PolicyLoss:
    """The clipped surrogate (23): max(-A r, -A clip(r, 1 - clip, 1 + clip)), r = exp(new - old).

    The approximate KL is half the mean squared log ratio (Schulman 2020, k2).
    """
    inside = mask.bool()
    difference = (new - old).masked_fill(~inside, 0.0)
    ratio = difference.exp()
    plain = -advantages * ratio
    limited = -advantages * ratio.clamp(1 - clip, 1 + clip)
    loss = (plain.maximum(limited) * mask).sum() / max(tokens, 1)
    return PolicyLoss(
        loss,
        clipped=float(((limited > plain) & inside).sum()),
        approximate_kl=float((0.5 * difference.detach() ** 2).sum()),
        ratio_max=float(ratio.detach()[inside].max()) if inside.any() else 1.0,
        drift=float(difference.detach().abs().max()),
    )


def value_loss(
    new: "torch.Tensor",
    old: "torch.Tensor",
    returns: "torch.Tensor",
    mask: "torch.Tensor",
    *,
    clip: float,
    tokens: float,
) -> ValueLoss:
    """Half the larger of the squared errors of the value and of the value held within `clip` of the old one (24)."""
    held = old + (new - old).clamp(-clip, clip)
    plain, limited = (new - returns) ** 2, (held - returns) ** 2
    loss = 0.5 * (plain.maximum(limited) * mask).sum() / max(tokens, 1)
    return ValueLoss(loss, clipped=float(((limited > plain) & mask.bool()).sum()))


def explained_variance(values: "torch.Tensor", returns: "torch.Tensor", mask: "torch.Tensor") -> float | None:
    """1 - Var(returns - values) / Var(returns) over the masked tokens: 1 is perfect, 0 as good as a constant."""
    from plugins.ppo.advantages import masked_variance

    spread = float(masked_variance(returns, mask))
    return 1 - float(masked_variance(returns - values, mask)) / spread if spread > 0 else None
