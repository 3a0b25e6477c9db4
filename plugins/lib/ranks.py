"""What a trainer needs to share its work among processes: start, share out, add up, and stop at the same step.

A trainer that says `ranks=8` may be started eight times, each with its `run.rank` of `run.ranks`. All take the same steps,
each works on its share of a batch, and gradients are added up, so that all hold the same weights at every moment. With one
rank every function here does nothing. Only the first rank speaks and saves: what others log is dropped, what they write is
thrown away.
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

from feinschliff import Run

if TYPE_CHECKING:
    import torch

T = TypeVar("T")


def start(run: Run) -> None:
    """Joins the ranks, before any model is on its device. NCCL where each has a GPU of its own, gloo otherwise."""
    if run.ranks == 1:
        return
    import torch
    from torch import distributed

    here, local = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["LOCAL_RANK"])
    gpus = 0 if run.device == "cpu" else torch.cuda.device_count()
    if gpus:
        torch.cuda.set_device(local % gpus)
    distributed.init_process_group("nccl" if gpus >= here else "gloo")


def share(run: Run, rows: Sequence[T]) -> Sequence[T]:
    """This rank's part of a batch; the parts of all ranks are the batch. May be empty."""
    return rows[run.rank :: run.ranks]


def agreed(run: Run) -> bool:
    """Whether to stop, the same answer on all ranks: a signal reaches them a moment apart. Ask once a step."""
    return run.stopping if run.ranks == 1 else total(run, float(run.stopping)) > 0


def total(run: Run, value: float) -> float:
    """The sum of a number over all ranks."""
    if run.ranks == 1:
        return value
    import torch
    from torch import distributed

    summed = torch.tensor(value, dtype=torch.float64, device=_device())
    distributed.all_reduce(summed)
    return float(summed.item())


def gathered(run: Run, values: Sequence[T]) -> list[T]:
    """What all ranks have found, put together in the order that `share` took apart."""
    if run.ranks == 1:
        return list(values)
    from torch import distributed

    parts: list[list[T]] = [[] for _ in range(run.ranks)]
    distributed.all_gather_object(parts, list(values))
    return [part[row] for row in range(max(map(len, parts))) for part in parts if row < len(part)]


def add_gradients(run: Run, parameters: Iterable["torch.nn.Parameter"]) -> None:
    """Every parameter's gradient becomes the sum over the ranks; one that no rank has stays None, as with one rank.

    Divide the loss by the weight of the whole batch, not of the share, and the sum is the gradient of the whole batch.
    """
    if run.ranks == 1:
        return
    import torch
    from torch import distributed

    known = list(parameters)
    has = torch.tensor([weight.grad is not None for weight in known], dtype=torch.float32, device=known[0].device)
    pieces = [torch.zeros_like(w) if w.grad is None else w.grad for w in known]
    flat = torch.cat([has, *(piece.reshape(-1).to(has) for piece in pieces)])
    distributed.all_reduce(flat)
    place = len(known)
    for number, weight in enumerate(known):
        if flat[number] > 0:
            weight.grad = flat[place : place + weight.numel()].view_as(weight).to(weight)
        place += weight.numel()


def seed(run: Run, step: int) -> None:
    """Randomness of its own for each rank and step (dropout), so that a resumed run draws the same. One rank: as it is."""
    if run.ranks == 1:
        return
    import torch

    digest = hashlib.sha256(f"{run.seed}/{step}/{run.rank}".encode()).digest()
    torch.manual_seed(int.from_bytes(digest[:7]))


def _device() -> "torch.device":
    import torch
    from torch import distributed

    return torch.device("cuda" if distributed.get_backend() == "nccl" else "cpu")
