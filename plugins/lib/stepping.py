"""Takes a run's steps: a plan of batches, a loss, gradients, a schedule, and checkpoints that a killed run goes on from.

For every trainer that learns from rows in a fixed order; what it learns is the loss it gives. All that the next step
depends on is in the checkpoint: trained weights, moments, random state, place in the plan. Shared among ranks where a run
has several: each computes its part of a batch, and gradients are added up.
"""

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from feinschliff import Run
from plugins.lib import ranks
from plugins.lib.settings import Optimizer

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
CHECKPOINT_EVERY_S = 120
RECENT, CURVE = 50, 200  # losses behind `recent`; points of the loss curve


@dataclass
class Plan(Generic[T]):
    """What is learned from, in which order. Equal seeds must give equal plans: resuming rests on it.

    All batches are made beforehand: for 200,000 rows and 3 epochs 5 MB where they refer to rows that are there (reward-model,
    task-specific), 14 MB of places (masked-lm), 60 MB with a factor each (multi-task), 90 MB where every epoch pairs texts anew
    (contrastive, of labels).
    """

    epochs: Sequence[Sequence[Sequence[T]]]  # epochs of batches of rows; one batch is one step
    loss: Callable[[Sequence[T], float], "torch.Tensor"]  # (rows, weight of the whole batch) -> their share of its loss
    weight: Callable[[Sequence[T]], float] = field(default=lambda rows: float(len(rows)))
    pieces: Callable[[Sequence[T]], Sequence[Sequence[T]]] = field(
        default=lambda rows: [rows]
    )  # what fits memory at once
    look: Callable[[], Mapping[str, float | None]] | None = None  # numbers on held-out rows, for the curves
    looks: int = 0  # how often, evenly over the steps
    before: Callable[[], Mapping[str, Any]] | None = (
        None  # measured once, before the first step; kept in the checkpoint
    )

    @property
    def batches(self) -> list[Sequence[T]]:
        return [batch for epoch in self.epochs for batch in epoch]


class Steps(Generic[T]):
    """The optimisation of one model. `untrained` holds what `plan.before` measured."""

    def __init__(
        self,
        run: Run,
        model: Any,  # noqa: ANN401
        plan: Plan[T],
        settings: Optimizer,
        *,
        rate: float,
        scales: Mapping[str, float] | None = None,
        keep: bool = True,
    ) -> None:
        """`model` is a torch module, of which the parameters that ask for gradients are trained; `rate` is the peak.

        `scales` says by name which parameters take smaller steps: the share of the rate that is theirs. Without `keep` no
        checkpoint is written, and none resumed from.
        """
        self.keep = keep
        self.run, self.model, self.plan, self.settings, self.rate = run, model, plan, settings, rate
        self.total, self.step = len(plan.batches), 0
        self.untrained: dict[str, Any] = {}
        self.losses: list[float] = []
        self.trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self.weights = list(self.trained.values())
        shares = [(scales or {}).get(name, 1.0) for name in self.trained]
        self.optimizer = adamw(self.weights, rate=rate, decay=settings.weight_decay, scales=shares)

    def work(self) -> bool:
        """All steps from the last checkpoint on; False when asked to stop before the end."""
        import torch

        torch.manual_seed(self.run.seed)
        if not self._resume() and self.plan.before:
            self.run.state("evaluating", "before training")
            self.untrained = dict(self.plan.before())
        self.run.state("training")
        self.model.train()
        looks = {round(self.total * (look + 1) / self.plan.looks) for look in range(self.plan.looks)}
        ends, saved = self._epoch_ends(), time.monotonic()
        for batch in self.plan.batches[self.step :]:
            if ranks.agreed(self.run):
                self._save()
                return False
            self._one_step(batch)
            self.run.progress(self.step, self.total)
            if self.step in looks and self.plan.look:
                self.run.log(self.step, **self.plan.look())
                self.model.train()
            if self.step in ends or time.monotonic() - saved > CHECKPOINT_EVERY_S:
                self._save()
                saved = time.monotonic()
        stopped = ranks.agreed(self.run)
        if stopped:
            self._save()
        return not stopped

    def _one_step(self, batch: Sequence[T]) -> None:
        import torch

        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * group.get("scale", 1.0) * linear(self.step, self.total, self.settings.warmup)
        ranks.seed(self.run, self.step)
        self.optimizer.zero_grad(set_to_none=True)
        whole, value = self.plan.weight(batch), 0.0
        for piece in self.plan.pieces(ranks.share(self.run, batch)) if batch else ():
            if piece:
                loss = self.plan.loss(piece, whole)
                value += loss.item()
                loss.backward()
        value = ranks.total(self.run, value)
        self._check("loss", value)
        ranks.add_gradients(self.run, self.weights)
        norm = torch.nn.utils.clip_grad_norm_(self.weights, self.settings.max_grad_norm)
        self._check("gradient", float(norm))  # clipped to nothing, an infinite one makes weights that are no numbers
        self.optimizer.step()
        self.step += 1
        self.losses = [*self.losses[-(RECENT - 1) :], value]
        if self.step % max(1, self.total // CURVE) == 0 or self.step == self.total:
            rate = max(group["lr"] for group in self.optimizer.param_groups)
            recent = sum(self.losses[-10:]) / len(self.losses[-10:])
            self.run.log(self.step, **{"loss/train": recent, "learning-rate": rate})

    def _check(self, what: str, value: float) -> None:
        if not math.isfinite(value):
            raise FloatingPointError(
                f"the {what} became {value} at step {self.step + 1} of {self.total}: take a lower learning_rate "
                f"(it was {self.rate:g}) or a smaller max_grad_norm"
            )

    def recent(self) -> float:
        """Mean loss of the last 50 steps."""
        return sum(self.losses) / max(1, len(self.losses))

    def _epoch_ends(self) -> set[int]:
        return {sum(len(epoch) for epoch in self.plan.epochs[: n + 1]) for n in range(len(self.plan.epochs) - 1)}

    def _save(self) -> None:
        if self.keep and self.run.rank == 0:
            with self.run.checkpoint() as folder:
                place = {"step": self.step, "untrained": self.untrained, "losses": self.losses}
                save_state(folder, self.trained, {"optimizer": self.optimizer}, place)

    def _resume(self) -> bool:
        folder = self.run.last_checkpoint if self.keep else None
        if folder is None:
            return False
        place = load_state(folder, self.trained, {"optimizer": self.optimizer})
        self.step, self.untrained, self.losses = place["step"], place["untrained"], place["losses"]
        self.run.state("loading", f"resumed from the checkpoint at step {self.step}")
        return True


def adamw(
    weights: Sequence["torch.nn.Parameter"],
    *,
    rate: float,
    decay: float,
    eps: float = 1e-8,
    scales: Sequence[float] | None = None,
) -> "torch.optim.AdamW":
    """AdamW; biases and norms (one dimension) are not pulled to zero. `scales`: each weight's share of the rate, or all of it.

    Each group of weights carries its share as `scale`.
    """
    import torch

    shares = list(scales) if scales is not None else [1.0] * len(weights)
    groups = [
        {"params": some, "weight_decay": decay if matrices else 0.0, "scale": share, "lr": rate * share}
        for share in sorted(set(shares), reverse=True)
        for matrices in (True, False)
        if (some := [w for w, own in zip(weights, shares, strict=True) if own == share and (w.ndim > 1) == matrices])
    ]
    return torch.optim.AdamW(groups, lr=rate, eps=eps)


def linear(step: int, total: int, warmup: float) -> float:
    """The share of the highest step size: linear up over the warm-up, then linear down to zero."""
    rise = max(1, round(total * warmup))
    return (step + 1) / rise if step < rise else max(0.0, (total - step) / max(1, total - rise))


def save_state(
    folder: Path,
    weights: Mapping[str, "torch.Tensor"],
    optimizers: Mapping[str, "torch.optim.Optimizer"],
    place: Mapping[str, Any],
) -> None:
    """Weights as safetensors, moments and random state as tensors, the rest as JSON."""
    import torch
    from safetensors.torch import save_file

    save_file(
        {name: weight.detach().contiguous().cpu() for name, weight in weights.items()}, folder / "weights.safetensors"
    )
    state: dict[str, Any] = {name: optimizer.state_dict() for name, optimizer in optimizers.items()}
    state["random"] = torch.get_rng_state()
    if torch.cuda.is_available():
        state["random/cuda"] = torch.cuda.get_rng_state_all()
    torch.save(state, folder / "state.pt")
    (folder / "place.json").write_text(json.dumps(place), encoding="utf-8")


def load_state(
    folder: Path, weights: Mapping[str, "torch.Tensor"], optimizers: Mapping[str, "torch.optim.Optimizer"]
) -> dict[str, Any]:
    """Puts back what `save_state` wrote, and gives its JSON part."""
    import torch
    from safetensors.torch import load_file

    saved = load_file(folder / "weights.safetensors")
    with torch.no_grad():
        for name, weight in weights.items():
            weight.copy_(saved[name])
    state = torch.load(folder / "state.pt", weights_only=True, map_location="cpu")
    for name, optimizer in optimizers.items():
        optimizer.load_state_dict(state[name])
    torch.set_rng_state(state["random"])
    if "random/cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["random/cuda"])
    return json.loads((folder / "place.json").read_text(encoding="utf-8"))
