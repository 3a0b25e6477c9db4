"""Reads the output of a run piece by piece, for launchers."""

from pathlib import Path

AT_MOST = 2**20


def read_from(log: Path, offset: int) -> tuple[bytes, int]:
    """At most 1 MiB from byte `offset` on, and where the next piece begins; an output that is not there yet is empty."""
    try:
        with log.open("rb") as file:
            file.seek(offset)
            found = file.read(AT_MOST)
    except FileNotFoundError:
        return b"", offset
    return found, offset + len(found)
