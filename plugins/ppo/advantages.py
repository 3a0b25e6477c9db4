"""From scores to advantages: per-token rewards with the KL penalty in them, GAE, whitening. Pure functions on tensors.

All tensors are of shape (answers, tokens) and `mask` is 1 at an answer's own tokens, its EOS included, and 0 beyond; what
stands where the mask is 0 never changes a result. Numbers in brackets are the details of docs/methods/ppo.md.
"""

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

Estimator = Literal["k1", "k3"]
EPSILON = 1e-8


def masked_mean(values: "torch.Tensor", mask: "torch.Tensor") -> "torch.Tensor":
    """The mean over the tokens where the mask is 1 (19); 0 where there is none."""
    return (values * mask).sum() / mask.sum().clamp(min=1)


def masked_variance(values: "torch.Tensor", mask: "torch.Tensor") -> "torch.Tensor":
    """The population variance (22): that of TensorFlow's `moments`, which the original code used; torch's is unbiased."""
    return masked_mean((values - masked_mean(values, mask)) ** 2, mask)


def kl_terms(logps: "torch.Tensor", reference: "torch.Tensor", estimator: Estimator = "k1") -> "torch.Tensor":
    """Each token's estimate of KL(policy || reference), from tokens that the policy drew (16).

    k1 = log p - log q is unbiased and may be negative; k3 = q/p - 1 - log(q/p) is unbiased too and never negative
    (Schulman 2020, "Approximating KL Divergence").
    """
    difference = logps - reference
    return difference if estimator == "k1" else (-difference).exp() - 1 + difference


def token_rewards(kl: "torch.Tensor", scores: "torch.Tensor", mask: "torch.Tensor", *, beta: float) -> "torch.Tensor":
    """-beta times each token's KL (15), and the answer's score at its last token, which is EOS where it ended (6, 18).

    Summarize-from-feedback and TRL add the score one token after EOS, where it reaches the policy through the value of
    that slot alone. `scores` is of shape (answers,); an answer without any token gets no reward.
    """
    rewards = -beta * kl * mask
    last = mask.sum(1).long() - 1
    rows = (last >= 0).nonzero(as_tuple=True)[0]
    rewards[rows, last[rows]] += scores[rows]
    return rewards


def gae(
    rewards: "torch.Tensor", values: "torch.Tensor", mask: "torch.Tensor", *, gamma: float, lam: float
) -> tuple["torch.Tensor", "torch.Tensor"]:
    """(advantages, returns), both before any whitening (20, 21): Schulman et al. 2015, equation 16, from right to left.

    The answer's last token is the end of the episode: no value follows it. Returns are advantages plus values.
    """
    import torch

    values = values * mask
    advantages = torch.zeros_like(rewards)
    carried = torch.zeros_like(rewards[:, 0])
    following = torch.zeros_like(carried)
    for place in reversed(range(rewards.shape[1])):
        inside = mask[:, place]
        delta = rewards[:, place] + gamma * following - values[:, place]
        carried = (delta + gamma * lam * carried) * inside
        advantages[:, place] = carried
        following = values[:, place]
    return advantages, (advantages + values) * mask


def whiten(values: "torch.Tensor", mask: "torch.Tensor", *, shift: bool = True) -> "torch.Tensor":
    """Variance one over the masked tokens (22), and mean zero unless `shift` is off (rewards keep their mean)."""
    import torch

    mean = masked_mean(values, mask)
    whitened = (values - mean) * torch.rsqrt(masked_variance(values, mask) + EPSILON)
    return (whitened if shift else whitened + mean) * mask
