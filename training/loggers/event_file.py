"""Writes TensorBoard's event files: framed records, each a small protobuf message, with no package needed for it.

A record is: its length (8 bytes), the length's checksum, the message, the message's checksum; checksums are CRC-32C, rotated
and shifted by a constant (TensorFlow, `lib/io/record_writer.cc`). The messages are `Event` and `Summary` of
`tensorflow/core/util/event.proto` and `framework/summary.proto`, of which a handful of fields is enough.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Mapping
from pathlib import Path

DT_STRING, START, TENSOR_CLASS = 7, 1, 2
VARINT, DOUBLE, BYTES, FLOAT = 0, 1, 2, 5  # wire types


def _table() -> tuple[int, ...]:
    found = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        found.append(value)
    return tuple(found)


TABLE = _table()


def masked_crc32c(data: bytes) -> int:
    """The checksum of a record: CRC-32C (Castagnoli), rotated by 15 bits, plus a constant."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def record(message: bytes) -> bytes:
    length = struct.pack("<Q", len(message))
    return length + struct.pack("<I", masked_crc32c(length)) + message + struct.pack("<I", masked_crc32c(message))


class EventFile:
    """One event file, appended to. Steps of an earlier file in the folder that come again are replaced by TensorBoard."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.continues = any(folder.glob("events.out.tfevents.*"))
        now = time.time()
        name = f"events.out.tfevents.{int(now):010d}.{socket.gethostname()}.{os.getpid()}.{time.time_ns() % 10**9:09d}"
        self._file = (folder / name).open("xb")
        self._write(_field(1, now) + _field(3, b"brain.Event:2"))

    def restart(self, step: int, at: float) -> None:
        """What stands in older files from this step on is void."""
        self._write(_field(1, at) + _field(2, step) + _field(7, _field(1, START)))

    def scalars(self, step: int, values: Mapping[str, float], at: float) -> None:
        summary = b"".join(_field(1, _field(1, name.encode()) + _float(2, value)) for name, value in values.items())
        self._write(_field(1, at) + _field(2, step) + _field(5, summary))

    def text(self, step: int, tag: str, text: str, at: float) -> None:
        """Shown as Markdown by TensorBoard."""
        tensor = _field(1, DT_STRING) + _field(2, _field(2, _field(1, 1))) + _field(8, text.encode("utf-8", "replace"))
        metadata = _field(1, _field(1, b"text")) + _field(4, TENSOR_CLASS)
        value = _field(1, tag.encode()) + _field(8, tensor) + _field(9, metadata)
        self._write(_field(1, at) + _field(2, step) + _field(5, _field(1, value)))

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _write(self, message: bytes) -> None:
        self._file.write(record(message))


def _field(number: int, value: int | float | bytes) -> bytes:
    """A protobuf field: an int as a varint, a float as a double, bytes with their length."""
    if isinstance(value, bytes):
        return _varint(number << 3 | BYTES) + _varint(len(value)) + value
    if isinstance(value, float):
        return _varint(number << 3 | DOUBLE) + struct.pack("<d", value)
    return _varint(number << 3 | VARINT) + _varint(value)


def _float(number: int, value: float) -> bytes:
    """A single-precision field; what is too large for one becomes infinite."""
    try:
        packed = struct.pack("<f", value)
    except OverflowError:
        packed = struct.pack("<f", float("inf") if value > 0 else float("-inf"))
    return _varint(number << 3 | FLOAT) + packed


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
