"""The job itself, on a node of the cluster: fetches the run's folder, trains in it, and sends what becomes of it home.

`python -m plugins.ray_launcher.working --store URL --name NAME`, started by Ray where our code was unpacked. Trains with the
same `python -m feinschliff train` as everywhere; its output goes through us, as whole lines of UTF-8, to Ray's log.
"""

import argparse
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import IO

from feinschliff.launcher import child_environment
from feinschliff.store import Store
from plugins.ray_launcher.packing import save_checkpoints, save_end, unpack

LOOK = 1.0  # seconds between looks for new checkpoints
GRACE = 30.0  # seconds a trainer has to end after being asked to
LINE = 1 << 20  # longer lines are cut into pieces


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m plugins.ray_launcher.working", description=__doc__)
    parser.add_argument("--store", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--log", type=int, default=10_000_000, help="bytes of log text that are kept")
    options = parser.parse_args()
    store = Store(options.store)
    folder, _ours = _scratch(options.name)
    try:
        unpack(store, options.name, folder / "run", _weights())
        code = _train(store, options.name, folder / "run", options.log)
        save_checkpoints(store, options.name, folder / "run")
        save_end(store, options.name, folder / "run", code)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return code if code >= 0 else 128 - code


def _scratch(name: str) -> tuple[Path, IO[bytes]]:
    """A folder for this job, ours while its lock is held; what jobs left that were killed is removed first."""
    jobs = Path(tempfile.gettempdir(), f"feinschliff-jobs-{os.getuid()}")
    jobs.mkdir(mode=0o700, exist_ok=True)
    if jobs.is_symlink() or jobs.stat().st_uid != os.getuid():
        raise SystemExit(f"{jobs} belongs to somebody else; nothing was done")
    for lock in jobs.glob("*/lock"):
        with suppress(OSError), lock.open("rb") as theirs:
            fcntl.flock(theirs, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=jobs))
    ours = (folder / "locking").open("wb")
    fcntl.flock(ours, fcntl.LOCK_EX)
    (folder / "locking").rename(folder / "lock")  # nobody sees it unlocked
    return folder, ours


def _weights() -> Path:
    """Converted base models, kept on the node for the next job."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "feinschliff" / "weights"


def _train(store: Store, name: str, folder: Path, log: int) -> int:
    """The exit status of the trainer's process, which ends with us. Asked to end, we wait for it and save."""
    asked: list[float] = []

    def asked_to_end(_signal: int, _frame: FrameType | None) -> None:
        asked.append(time.monotonic())

    signal.signal(signal.SIGTERM, asked_to_end)
    environment = child_environment({key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"})
    child = subprocess.Popen(
        [sys.executable, "-m", "feinschliff", "train", str(folder)],
        env=environment | {"FEINSCHLIFF_PARENT": str(os.getpid())},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert child.stdout  # noqa: S101 - a pipe was asked for
    pump = threading.Thread(target=_pass_on, args=(child.stdout, log), daemon=True)
    pump.start()
    told = False
    while child.poll() is None:
        save_checkpoints(store, name, folder)
        if asked and not told:
            child.terminate()
            told = True
        if asked and time.monotonic() - asked[0] > GRACE:
            child.kill()
        time.sleep(LOOK)
    pump.join(10)
    return child.returncode


def _pass_on(lines: IO[bytes], limit: int) -> None:
    """Line by line to our own output. Beyond the limit only what the platform reads passes."""
    passed, dropped = 0, 0
    while line := lines.readline(LINE):
        passed += len(line)
        if passed > limit and not line.startswith(b'{"type"'):
            dropped += len(line)
            continue
        sys.stdout.write(line.decode("utf-8", "replace"))
        sys.stdout.flush()
    if dropped:
        sys.stdout.write(f"… {dropped:,} bytes were printed here and not kept.\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
