"""Where to compute: the device a job asked for, and as many threads as it was given."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

THREADS = 2


def choose_device(wanted: str = "auto") -> "torch.device":
    """`auto` is the first GPU, or else the CPU. Sets the threads on the way (OMP_NUM_THREADS, or two)."""
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or THREADS))
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted)
