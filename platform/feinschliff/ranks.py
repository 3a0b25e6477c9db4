"""Several processes that share one run: `train` starts them through torchrun and says how they ended, all together.

The process that was started stays what the launcher watches: it becomes torchrun's agent, and its ranks end when it does.
Rank 0 writes the result; when a rank dies or fails first, the result says that instead.
"""

import importlib
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

TORCHRUN = "torch.distributed.run"
SHUTDOWN_S = 30  # what ranks have to save a checkpoint in, once asked to end
SCRATCH = ".ranks"


class Ended(NamedTuple):
    """How the ranks ended. `result` replaces rank 0's own where it is given; a negative code is a signal's number."""

    code: int
    result: dict[str, Any] | None = None


class _Asked(Exception):
    """SIGTERM: the ranks are asked to end, and waited for."""


def scratch(folder: Path, rank: int) -> Path:
    """Where a rank writes: the first into the run's folder, others into one that is thrown away in the end."""
    return folder if rank == 0 else folder / SCRATCH / str(rank)


def share(folder: Path, ranks: int) -> Ended:
    """Works the run folder with so many processes on this machine. How many cores it has changes no number."""
    shutil.rmtree(folder / SCRATCH, ignore_errors=True)
    os.environ["FEINSCHLIFF_PARENT"] = str(os.getpid())
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if sys.platform == "linux":  # what ranks of one machine say to each other stays on it
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        os.environ.setdefault("NCCL_SOCKET_IFNAME", "lo")
    signal.signal(signal.SIGTERM, _asked)
    try:
        importlib.import_module(TORCHRUN).main(_arguments(folder, ranks))
    except Exception as wrong:  # torchrun's own kinds, told apart without importing torch here
        return _ended(folder, wrong)
    finally:
        shutil.rmtree(folder / SCRATCH, ignore_errors=True)
    return Ended(0)


def _asked(_signal: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # asked twice (a cluster asks every process), they still may save
    raise _Asked


def _arguments(folder: Path, ranks: int) -> list[str]:
    here = ["--standalone", "--local-addr=127.0.0.1", f"--nproc-per-node={ranks}"]
    ends = ["--signals-to-handle=SIGINT", f"--shutdown-timeout={SHUTDOWN_S}"]
    return [*here, *ends, "-m", "feinschliff", "train", str(folder)]


def _ended(folder: Path, wrong: Exception) -> Ended:
    if isinstance(wrong, _Asked) or hasattr(wrong, "sigval"):  # the second is torchrun's own, for Ctrl-C
        return Ended(3, None if (folder / "result.json").exists() else _result("stopped", None))
    if not hasattr(wrong, "failures"):
        return Ended(1, _result("failed", f"the ranks could not be started: {type(wrong).__name__}: {wrong}"))
    rank, failure = wrong.get_first_failure()  # type: ignore[attr-defined]  # torchrun's ChildFailedError
    if failure.exitcode < 0:
        name = signal.Signals(-failure.exitcode).name
        said = f"rank {rank} was killed (signal {-failure.exitcode}, {name}), and the other ranks were ended with it"
        return Ended(failure.exitcode, _result("died", said))
    first = _first_to_fail(folder)
    if first is None:
        said = f"rank {rank} ended with status {failure.exitcode} and left no result"
        return Ended(failure.exitcode, _result("died", said))
    return Ended(1, first)


def _result(state: str, error: str | None) -> dict[str, Any]:
    return {"state": state, "numbers": {}, "error": error}


def _first_to_fail(folder: Path) -> dict[str, Any] | None:
    """The result of the rank that failed first: the others failed only because it was gone."""
    found = [folder / "result.json", *folder.glob(f"{SCRATCH}/*/result.json")]
    for path in sorted((path for path in found if path.exists()), key=lambda path: path.stat().st_mtime_ns):
        result = json.loads(path.read_text(encoding="utf-8"))
        if result["state"] not in ("succeeded", "stopped"):
            return result
    return None
