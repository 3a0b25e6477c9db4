"""What is learned from a batch: the order of its answers, or the scores that people gave them, by every head.

One forward for each different sequence of the batch, however many rows and comparisons it stands in.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from plugins.lib import listwise
from plugins.reward_model.model import RewardModel
from plugins.reward_model.reading import Judged

if TYPE_CHECKING:
    import torch

Loss = Literal["plackett-luce", "pairwise", "regression"]  # the first two are listwise.Loss


class Objective:
    """The loss of a batch. `resamples` says how often each head's resample holds a group; `smoothing` is the share of
    judgements that is taken to be upside down (Szegedy et al. 2016; for comparisons, Mitchell 2023's conservative DPO)."""

    def __init__(
        self,
        reward: RewardModel,
        loss: Loss,
        *,
        smoothing: float = 0.0,
        resamples: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        self.reward, self.loss, self.smoothing = reward, loss, smoothing
        self.resamples = resamples or {}

    def __call__(self, batch: Sequence[Judged], whole: float | None = None) -> "torch.Tensor":
        """The batch's mean over rows by weight and over heads.

        `whole` is the weight of the batch that these rows are a part of; the parts add up to its mean.
        """
        unique: dict[tuple[int, ...], int] = {}
        places = [[unique.setdefault(key, len(unique)) for key in row.keys] for row in batch]
        sequences = {key: one for row in batch for key, one in zip(row.keys, row.sequences, strict=True)}
        numbers = self.reward.forward([sequences[key] for key in unique])
        weight = self.weight(batch) if whole is None else whole
        if self.loss == "regression":
            return self._regression(numbers, batch, [place[0] for place in places]) / max(weight, 1e-12)
        return self._ranking(numbers, batch, places, weight)

    @property
    def _order(self) -> listwise.Loss:
        return "plackett-luce" if self.loss == "plackett-luce" else "pairwise"

    def weight(self, batch: Sequence[Judged]) -> float:
        """The weight of the rows that say something, which alone count in the mean."""
        if self.loss == "regression":
            return sum(row.weight for row in batch)
        return listwise.weight(self._order, [row.ranks for row in batch], [row.weight for row in batch])

    def _ranking(
        self, numbers: "torch.Tensor", batch: Sequence[Judged], places: Sequence[Sequence[int]], whole: float
    ) -> "torch.Tensor":
        heads = self.reward.outputs.heads
        said = [
            ([place * heads + head for place in own], ranks, row.weight * times * share, sign * (row.margin or 0.0))
            for row, own in zip(batch, places, strict=True)
            for head, times in enumerate(self._times(row))
            for share, ranks, sign in self._believed(row)
            if times and share
        ]
        lists = listwise.Lists(*map(list, zip(*said, strict=True))) if said else listwise.Lists([], [], [], [])
        return listwise.loss(self._order, numbers.reshape(-1), lists, whole * heads)

    def _believed(self, row: Judged) -> list[tuple[float, list[int | None], float]]:
        """(share, ranks, sign of the margin): the row as it was judged, and upside down as far as labels are smoothed."""
        known = [rank for rank in row.ranks if rank is not None]
        lowest = max(known, default=0) + 1
        turned = [None if rank is None else lowest - rank for rank in row.ranks]
        return [(1 - self.smoothing, list(row.ranks), 1.0), (self.smoothing, turned, -1.0)]

    def _regression(self, numbers: "torch.Tensor", batch: Sequence[Judged], places: Sequence[int]) -> "torch.Tensor":
        """Squared error, the mean over the aspects that an answer was rated in and over heads, times the row's weight."""
        import torch

        outputs = self.reward.outputs

        def tensor(values: Sequence[Sequence[float]]) -> "torch.Tensor":
            return torch.tensor(values, dtype=numbers.dtype, device=numbers.device)

        found = numbers[list(places)].reshape(len(batch), outputs.heads, len(outputs.aspects))
        targets = tensor([[0.0 if value is None else value for value in row.targets] for row in batch])
        rated = tensor([[float(value is not None) for value in row.targets] for row in batch])
        weights = tensor([[row.weight * times for times in self._times(row)] for row in batch])
        errors = ((found - targets[:, None]) ** 2 * rated[:, None]).sum(-1) / rated.sum(-1).clamp(min=1)[:, None]
        return (errors * weights).sum() / outputs.heads

    def _times(self, row: Judged) -> Sequence[int]:
        return self.resamples.get(row.group) or (1,) * self.reward.outputs.heads
