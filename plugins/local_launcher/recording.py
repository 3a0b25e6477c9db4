"""Reads what a job prints, as fast as it prints it, and keeps what is worth keeping in output.log.

The log's beginning is kept as it comes. What is printed beyond its limit is counted and dropped, but for two things: lines of
the protocol still pass (up to a limit of their own), and the last lines are written when all is over, since a traceback is there.
"""

import fcntl
import os
import threading
from contextlib import suppress
from pathlib import Path

PIECE = 1 << 20
TAIL = 64 * 1024  # bytes at the end that are kept in any case
PROTOCOL_TIMES = 4  # so many limits' worth of protocol lines pass
LONGEST = 256 * 1024  # bytes of a line that may be an event
EVENT = b'{"type"'


class Recorder(threading.Thread):
    """A thread that reads the pipe until nobody can write to it any more. A disk that is full loses text, never the run."""

    def __init__(self, pipe: int, log: Path, limit: int) -> None:
        super().__init__(name="recorder", daemon=True)
        self._pipe, self._log = pipe, log.open("ab", buffering=0)
        kept = log.stat().st_size
        self._room = max(limit - kept, min(limit, 1_000_000))  # an attempt after a talkative one may say something, too
        self._protocol_room = PROTOCOL_TIMES * limit
        self._rest = self._tail = b""
        self._last = b"\n"  # the last byte of the log
        self._dropped = 0
        self._writing = threading.Lock()
        with suppress(OSError, AttributeError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIECE)

    def run(self) -> None:
        while True:
            try:
                piece = os.read(self._pipe, PIECE)
            except OSError:
                piece = b""
            if not piece:
                break
            with self._writing:
                self._take(piece)
        os.close(self._pipe)
        self.finish()

    def finish(self) -> None:
        """The end of the log. Called by whoever waits no longer, where a stranger still holds the pipe."""
        with self._writing:
            if self._log.closed:
                return
            self._drop(self._rest)
            if self._dropped > len(self._tail):
                lost = self._dropped - len(self._tail)
                self._write(f"\n… {lost / 1e6:.1f} MB were printed here and not kept …\n".encode())
            self._write(self._tail)
            self._log.close()

    def _take(self, piece: bytes) -> None:
        if self._log.closed:
            return
        if self._room > 0:
            whole = piece if len(piece) <= self._room else piece[: piece.rfind(b"\n", 0, self._room) + 1]
            self._room = self._room - len(whole) if len(whole) == len(piece) else 0
            self._write(whole)
            piece = piece[len(whole) :]
            if piece and self._last != b"\n":
                self._write(b"\n")
        if piece:
            self._beyond(self._rest + piece)

    def _beyond(self, text: bytes) -> None:
        """Lines after the limit. Most pieces hold no event, and are not looked at line by line."""
        end = text.rfind(b"\n") + 1
        whole, self._rest = text[:end], text[end:]
        if len(self._rest) > LONGEST:
            self._drop(self._rest)
            self._rest = b"\x00"  # the end of this line is no event, whatever it looks like
        if EVENT not in whole:
            return self._drop(whole)
        events = []
        for line in whole.splitlines(keepends=True):
            at = line.find(EVENT)
            if at >= 0 and not line.startswith(b"\x00") and len(line) - at <= self._protocol_room:
                events.append(line[at:])
                self._protocol_room -= len(line) - at
            else:
                self._drop(line.removeprefix(b"\x00"))
        self._write(b"".join(events))
        return None

    def _drop(self, text: bytes) -> None:
        self._dropped += len(text)
        self._tail = (self._tail + text[-TAIL:])[-TAIL:]

    def _write(self, text: bytes) -> None:
        self._last = text[-1:] or self._last
        try:
            while text:
                text = text[self._log.write(text) :]
        except OSError:
            self._dropped += len(text)
