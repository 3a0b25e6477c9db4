"""What starts a run: a light record that the worker loads, and the five verbs behind it.

A launcher only starts, watches and stops; retries and resume belong to the platform. A handle is a string the platform
stores, so that another worker can pick the job up after a restart.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from pydantic import Field, field_validator

from feinschliff.trainer import Record, check_place

#: what a child may know of its parent's environment; and whatever begins with HF_
PASSED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH")


def child_environment(outer: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that loads plugins: no database address, no keys of ours."""
    inner = {name: value for name, value in outer.items() if name in PASSED or name.startswith("HF_")}
    contract = Path(__file__).parent.parent
    paths = [outer["PYTHONPATH"]] if outer.get("PYTHONPATH") else []
    if contract.name != "site-packages":  # run from a checkout: the child must find the same contract
        paths.append(str(contract))
    return inner | ({"PYTHONPATH": os.pathsep.join(paths)} if paths else {}) | {"PYTHONUNBUFFERED": "1"}


@dataclass(frozen=True)
class Job:
    """One run to start: its folder (with job.json and rows), the interpreter, where `plugins` is imported from.

    `name` is ours and unique to this attempt (letters, digits, hyphens), so that submitting twice starts one job. How many
    processes share the work stands in job.json alone: `python -m feinschliff train FOLDER` starts its own ranks.
    """

    folder: Path
    root: Path
    name: str = ""
    python: str = ""
    memory: int | None = None  # bytes that all its processes together may hold
    log: int = 10_000_000  # bytes of log text that are kept


@dataclass(frozen=True)
class JobStatus:
    """What became of a job. `ended` and `lost` are final, and whatever it left that can be had stands in its folder by then.

    `ended` with exit None: the process is gone and nobody waited for it; the folder's result.json tells the rest.
    `lost`: where it ran is gone (a cluster, a node); it is resumed elsewhere. `cause`: why the launcher ended it, or what it
    knows about its end, as one sentence.
    """

    state: Literal["running", "ended", "lost"]
    exit: int | None = None
    cause: str = ""


@runtime_checkable
class Launches(Protocol):
    """What the function named by `Launcher.makes` returns."""

    def submit(self, job: Job) -> str:
        """Start the job; the handle can be stored and given to another process."""

    def status(self, handle: str) -> JobStatus: ...

    def logs(self, handle: str, offset: int) -> tuple[bytes, int]:
        """What the job wrote from byte `offset` on (bounded), and the offset to ask for next."""

    def cancel(self, handle: str) -> None:
        """Ask the job to end; asked again, make it end."""

    def reattach(self, handle: str) -> bool:
        """Take over the job of a worker that is gone: True if it runs and is watched by us now.

        False: nothing of it runs any more. What cannot be watched again (a child of that worker) is ended here.
        """


class Launcher(Record):
    """A way of starting runs that a plugin offers."""

    summary: str = Field(description="one line: where do runs go with this?")
    makes: str = Field(description="package.module:function, called without arguments, returns a `Launches`")
    outlives: bool = Field(default=False, description="its jobs go on when the worker ends, and are reattached to")

    _makes_is_a_place = field_validator("makes")(check_place)
