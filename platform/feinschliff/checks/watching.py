"""The process in which a trainer is checked: `python -m feinschliff` as ever, with a witness beside it.

Started as `python -m feinschliff.checks.watching ORDERS COMMAND ...`; the checks have two questions beside its commands.
Python's audit hook writes down connections that leave the machine (and refuses them) and files that are written elsewhere
than allowed. Every `run.log`, `run.progress` and checkpoint is counted; at a count given in the orders the process sends
itself a real signal, so that a kill falls on the same step each time. What a C library does behind Python's back is not seen
here; left-over files are found by looking afterwards.
"""

import ipaddress
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CALLS_OUT = ("socket.connect", "socket.sendto", "socket.sendmsg")
LOOKS_UP = ("socket.getaddrinfo", "socket.gethostbyname")
CHANGES: dict[str, Callable[[str], bool]] = {  # event -> whether it would change anything at that path
    "os.mkdir": lambda path: not os.path.lexists(path),
    "os.remove": os.path.lexists,
    "os.rmdir": os.path.lexists,
    "os.rename": os.path.lexists,
}


class Witness:
    """Notes to the report, one JSON object a line, written at once so that they outlive a kill."""

    def __init__(self, report: str, writable: list[str]) -> None:
        self.file = os.open(report, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.writable = tuple(os.path.realpath(path) for path in writable)

    def note(self, **fields: object) -> None:
        os.write(self.file, (json.dumps(fields) + "\n").encode())

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """The audit hook: called for everything Python's runtime thinks worth auditing, so it decides quickly."""
        if event in CALLS_OUT:
            self._refuse(host_of(arguments[1]))
        elif event in LOOKS_UP:
            self._refuse(str(arguments[0] or ""))
        elif event == "open":
            path, mode, flags = arguments
            if isinstance(path, str | bytes) and ((flags or 0) & WRITING or set(mode or "") & set("wax+")):
                self._written(path)
        elif event in CHANGES and arguments[-1] == -1 and CHANGES[event](arguments[0]):
            self._written(arguments[0])

    def _refuse(self, host: str) -> None:
        if not is_loopback(host):
            self.note(connects=host)
            raise ConnectionRefusedError(f"a trainer connects nowhere but loopback; this was {host}")

    def _written(self, path: str | bytes) -> None:
        real = os.path.realpath(os.fsdecode(path))
        if not any(real == root or real.startswith(root + os.sep) for root in self.writable):
            self.note(writes=real)


def host_of(address: object) -> str:
    """The host of a socket address; a path of the file system (AF_UNIX) is none."""
    return str(address[0]) if isinstance(address, tuple) and address else ""


def is_loopback(host: str) -> bool:
    if host in ("", "localhost", "0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def count_calls(witness: Witness, number: int | None, at: int) -> None:
    """Note every `run.log` and `run.progress`, and send this process signal `number` at the `at`-th of them."""
    from feinschliff.run import Run

    calls = 0

    def counted(name: str, told: Callable[..., None]) -> Callable[..., None]:
        def call(run: Run, first: int, *rest: Any, **more: Any) -> None:  # noqa: ANN401 - whatever the method takes
            nonlocal calls
            told(run, first, *rest, **more)
            calls += 1
            witness.note(call=name, value=int(first))
            if number and calls == at:
                os.kill(os.getpid(), number)

        return call

    for name in ("log", "progress"):
        setattr(Run, name, counted(name, getattr(Run, name)))


def count_checkpoints(witness: Witness, number: int | None, at: int) -> None:
    """Note every checkpoint that is complete, and send this process signal `number` right after the `at`-th."""
    from feinschliff.run import Run

    save, done = Run.checkpoint, 0

    @contextmanager
    def checkpoint(run: Run) -> Iterator[Path]:
        nonlocal done
        with save(run) as folder:
            yield folder
        done += 1
        witness.note(checkpoint=done)
        if number and done == at:
            os.kill(os.getpid(), number)

    Run.checkpoint = checkpoint  # type: ignore[method-assign,assignment]


def settings(trainer: str, *modules: str) -> int:
    """Print what is wrong with a trainer's settings."""
    from feinschliff.checks.configuring import faults

    sys.stdout.write(json.dumps(faults(trainer, modules)) + "\n")
    return 0


def look(name: str, *modules: str) -> int:
    """Load one plugin as listing does, and print which modules that brought and how much processor time it took."""
    from feinschliff.manager import load

    before, began = set(sys.modules), time.process_time()
    load(modules, entry_points=[] if modules else [name])
    took = time.process_time() - began
    brought = sorted({module.partition(".")[0] for module in set(sys.modules) - before})
    sys.stdout.write(json.dumps({"modules": brought, "seconds": took}) + "\n")
    return 0


QUESTIONS: dict[str, Callable[..., int]] = {"settings": settings, "look": look}


def main() -> int:
    orders = json.loads(sys.argv[1])
    witness = Witness(orders["report"], orders["writable"])
    from feinschliff.__main__ import main as command

    after = orders.get("after", "calls")
    count_calls(witness, orders.get("signal") if after == "calls" else None, orders.get("at", 0))
    count_checkpoints(witness, orders.get("signal") if after == "checkpoints" else None, orders.get("at", 0))
    sys.addaudithook(witness.hear)
    if sys.argv[2] in QUESTIONS:
        return QUESTIONS[sys.argv[2]](*sys.argv[3:])
    return command(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
