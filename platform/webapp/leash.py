"""Runs a command that ends with the process named in FEINSCHLIFF_PARENT, however that one ends.

A script of its own, started by `webapp.supervising` between the supervisor and its children: it asks the kernel for a
SIGTERM at the parent's death and becomes the command. Linux alone offers that; elsewhere the command just runs.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent = int(os.environ["FEINSCHLIFF_PARENT"])
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("The process this one belongs to has ended.")
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606


if __name__ == "__main__":
    main()
