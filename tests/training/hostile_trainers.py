"""A trainer that does what no trainer should: each deed of it must cost one run, and nothing else."""

import json
import mmap
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from feinschliff import Needs, Run, Trainer, hookimpl

Deed = Literal[
    "exit", "segfault", "allocate", "share", "breed", "print", "nan", "write-beside", "deaf", "fork", "flood",
    "close-output", "no-end-of-line", "empty-model", "recurse", "burn",
]  # fmt: skip


class HostileConfig(BaseModel):
    model_config = ConfigDict(extra="forbid")

    deed: Deed = Field(default="exit", description="What it does.")
    megabytes: int = Field(default=1000, ge=1, le=100_000, description="How much of it.")
    seconds: float = Field(default=0.0, ge=0, le=1000, description="How long it then stays.")


@hookimpl
def feinschliff_trainers() -> Iterator[Trainer]:
    yield Trainer(
        api=1, name="hostile", title="Hostile", summary="Does harm.", family="human-feedback", config=HostileConfig,
        train="tests.training.hostile_trainers:train", opens="tests.training.quick_trainers:Scorer",
        needs=Needs(rows=("ranking",)), yields=("score",),
    )  # fmt: skip


def train(run: Run) -> dict[str, Any]:
    run.progress(1, 2)
    numbers = globals()["_" + run.config.deed.replace("-", "_")](run, run.config.megabytes)
    time.sleep(run.config.seconds)
    (run.out / "model").mkdir()
    (run.out / "model" / "scale.json").write_text("2", "utf-8")
    return numbers or {}


def _exit(run: Run, _: int) -> None:
    print("the last thing it said")
    os._exit(7)


def _segfault(run: Run, _: int) -> None:
    import ctypes

    ctypes.string_at(0)


def _allocate(run: Run, megabytes: int) -> None:
    """Private memory: what RLIMIT_DATA bounds."""
    held = []
    for _ in range(megabytes):
        held.append(bytearray(os.urandom(1024) * 1024))


def _share(run: Run, megabytes: int) -> None:
    """Memory shared with nobody: no limit of the kernel's counts it, only looking does."""
    held = []
    for _ in range(megabytes // 10):
        held.append(mmap.mmap(-1, 10_000_000))
        held[-1].write(b"x" * 10_000_000)
    time.sleep(60)


def _breed(run: Run, megabytes: int) -> None:
    """Many children, each of which stays below the limit by itself."""
    for _ in range(4):
        if os.fork() == 0:
            os.setsid()
            held = b"x" * (megabytes * 1_000_000 // 4)
            time.sleep(60)
            os._exit(len(held) % 2)
    time.sleep(60)


def _print(run: Run, megabytes: int) -> None:
    line = b"a line that says nothing, again and again, and goes on a little " * 16 + b"\n"
    block = line * (1_000_000 // len(line))
    out = sys.stdout.buffer
    for _ in range(megabytes):
        out.write(block)
    out.flush()
    run.log(1, **{"loss/train": 0.5})
    raise ValueError("said all there was to say")


def _nan(run: Run, _: int) -> dict[str, Any]:
    run.log(1, **{"loss/train": float("nan")})
    run.log(2, **{"loss/train": float("inf")})
    return {"loss/train": float("nan"), "accuracy/model": float("-inf")}


def _write_beside(run: Run, _: int) -> None:
    Path(f"{run.out}/../evil.txt").write_text("boo", "utf-8")


def _deaf(run: Run, _: int) -> None:
    for number in set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    with run.checkpoint() as folder:
        (folder / "state.json").write_text("1", "utf-8")
    run.progress(2, 2)
    time.sleep(120)


def _fork(run: Run, _: int) -> None:
    """A child in a session of its own, one that has lost its parent, too, and one that wiped its environment."""
    for wiped in (False, True):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                sleep = [sys.executable, "-c", "import time; time.sleep(1000)", run.out.name]
                os.execve(sleep[0], sleep, {} if wiped else os.environ)  # noqa: S606
            time.sleep(1.0 if wiped else 0)
            os._exit(0)
    time.sleep(0.5)
    raise ValueError("my children live on")


def _flood(run: Run, megabytes: int) -> None:
    text = "".join(
        json.dumps({"type": "metric", "step": n, "values": {"loss/train": n / 7, "a": 1, "b": 2}}) + "\n"
        for n in range(10_000)
    )
    for _ in range(max(1, megabytes * 1_000_000 // len(text))):
        sys.stdout.write(text)


def _close_output(run: Run, _: int) -> None:
    os.close(1)
    os.close(2)
    os._exit(9)


def _no_end_of_line(run: Run, megabytes: int) -> None:
    for _ in range(megabytes):
        sys.stdout.write("x" * 1_000_000)
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGABRT)


def _empty_model(run: Run, _: int) -> None:
    """A result that says it succeeded, written by the trainer itself."""
    (run.out / "result.json").write_text('{"state": "succeeded", "numbers": {}}', "utf-8")
    os._exit(0)


def _burn(run: Run, _: int) -> None:
    """More busy processes than there are cores."""
    for _ in range(2 * (os.cpu_count() or 1) - 1):
        if os.fork() == 0:
            break
    until = time.monotonic() + 20
    while time.monotonic() < until:
        sum(range(10_000))
    os._exit(3)


def _recurse(run: Run, megabytes: int) -> None:
    _recurse(run, megabytes)
