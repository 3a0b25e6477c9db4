"""The loss: Bradley-Terry over all pairs of one prompt's answers, from one score an answer.

Departs from the exploded-pairs textbook: every answer is scored once however many comparisons it stands in (Ouyang et
al. 2022, section 3.5), which gives the same loss and gradients (a test). Ties are a soft label of one half (Rao &
Kupper 1967 have a tie parameter; this is its limit without one), margins shift the difference as in Llama 2 (Touvron
et al. 2023).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Comparisons:
    """A batch's comparisons, as places in its flat list of scores. `share` sums to the row's weight over a row."""

    first: list[int]
    second: list[int]
    label: list[float]
    margin: list[float]
    share: list[float]


def comparisons(
    ranks: Sequence[Sequence[int | None]],
    places: Sequence[Sequence[int]],
    weights: Sequence[float],
    margins: Sequence[float | None],
) -> Comparisons:
    """All pairs within each row: the better answer first (label 1), ties one half, unranked answers left out."""
    found = Comparisons([], [], [], [], [])
    for row_ranks, row_places, weight, margin in zip(ranks, places, weights, margins, strict=True):
        known = [(rank, place) for rank, place in zip(row_ranks, row_places, strict=True) if rank is not None]
        pairs = [(a, b) for number, a in enumerate(known) for b in known[number + 1 :]]
        for (rank, place), (other_rank, other) in pairs:
            better, worse = (place, other) if rank <= other_rank else (other, place)
            found.first.append(better)
            found.second.append(worse)
            found.label.append(0.5 if rank == other_rank else 1.0)
            found.margin.append(0.0 if rank == other_rank else margin or 0.0)
            found.share.append(weight / len(pairs))
    return found


def pairwise_loss(scores: "torch.Tensor", pairs: Comparisons, whole: float | None = None) -> "torch.Tensor":
    """Weighted mean over rows of the mean over a row's pairs; `scores` is flat, one an answer.

    `whole` is the weight of all rows where these are a part of them: then the parts' losses add up to the mean.
    """
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits

    def tensor(values: Sequence[float]) -> "torch.Tensor":
        return torch.tensor(values, dtype=scores.dtype, device=scores.device)

    difference = scores[pairs.first] - scores[pairs.second] - tensor(pairs.margin)
    share = tensor(pairs.share)
    losses = binary_cross_entropy_with_logits(difference, tensor(pairs.label), reduction="none")
    weight = share.sum() if whole is None else tensor([whole])[0]
    return (losses * share).sum() / weight.clamp(min=1e-12)
