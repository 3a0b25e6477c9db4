"""The reward that a policy gives an answer by having moved towards it: beta * (log pi(answer) - log base(answer)).

The policy that maximises a reward under a KL penalty towards its base has exactly this relation to it (Rafailov et al. 2023,
equation 5, without the part that all answers to a prompt share), so that comparing answers by it trains the policy itself.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from plugins.comparative_ranking.reading import Ranked
from plugins.lib import listwise
from plugins.lib.batching import Lengths, packed
from plugins.lib.encoding import Encoded
from plugins.lib.kway import KWay
from plugins.lib.listwise import Lists
from plugins.lib.policies import Policy

if TYPE_CHECKING:
    import torch


class Answers:
    """A policy's view of answers. `config` is the trainer's: loss, beta, per_token, batch_tokens."""

    def __init__(self, policy: Policy, config: Any) -> None:  # noqa: ANN401
        self.policy, self.config = policy, config
        self.engine = KWay(policy.model, pad=policy.pad, device=policy.device)

    def logps(self, sequences: Sequence[Encoded]) -> "torch.Tensor":
        """Shape (sequences,): each answer's log-probability, EOS included, in nats, with gradients."""
        return self.engine.logps(sequences)[0].sum(-1)

    def rewards(self, rows: Sequence[Ranked]) -> "torch.Tensor":
        """Flat, one an answer, rows in order."""
        import torch

        logps = self.logps([one for row in rows for one in row.sequences])
        reference = torch.tensor([value for row in rows for value in row.reference], device=logps.device)
        moved = self.config.beta * (logps - reference.to(logps))
        if not self.config.per_token:
            return moved
        return moved / torch.tensor([count for row in rows for count in row.tokens], device=logps.device)

    def loss(self, rows: Sequence[Ranked], whole: float | None = None) -> "torch.Tensor":
        """These rows' part of the loss of a batch that weighs `whole`."""
        return listwise.loss(self.config.loss, self.rewards(rows), lists(rows), whole)

    def weight(self, rows: Sequence[Ranked]) -> float:
        return listwise.weight(self.config.loss, [row.ranks for row in rows], [row.weight for row in rows])

    def pieces(self, rows: Sequence[Ranked]) -> list[list[Ranked]]:
        """Rows that fit memory at once, the longest together. A ranking is never torn apart: its loss needs all answers."""
        ordered = sorted(rows, key=lambda row: max(map(len, row.keys)))
        return packed(
            ordered, self.lengths, budget=self.config.batch_tokens, most=max(1, len(rows)), cost=self.engine.tokens
        )

    def lengths(self, row: Ranked) -> Lengths:
        """The row's different sequences, and how long the engine takes them to be."""
        return {key: self.engine.length(one) for key, one in zip(row.keys, row.sequences, strict=True)}


def lists(rows: Sequence[Ranked]) -> Lists:
    """The rows' answers as places in the flat rewards."""
    places, start = [], 0
    for row in rows:
        places.append(range(start, start + len(row.sequences)))
        start += len(row.sequences)
    return Lists(places, [row.ranks for row in rows], [row.weight for row in rows], [row.margin for row in rows])


@contextmanager
def quiet(model: Any) -> Iterator[None]:  # noqa: ANN401
    """Inside, no gradients and no dropout."""
    import torch

    was = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was)
