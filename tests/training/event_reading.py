"""Reads TensorBoard's event files back, from the format's description and without our writer: records, checksums, fields."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Event:
    """What one record says."""

    wall_time: float = 0.0
    step: int = 0
    version: str = ""
    restarts: bool = False
    scalars: dict[str, float] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)


def events(folder: Path) -> list[Event]:
    """Every event of every file of a run, in TensorBoard's order: by file name, then by place."""
    return [
        _event(data) for path in sorted(folder.glob("events.out.tfevents.*")) for data in records(path.read_bytes())
    ]


def curve(found: list[Event], tag: str) -> dict[int, float]:
    """A scalar by step, as TensorBoard shows it: a restart voids what stood from its step on."""
    kept: dict[int, float] = {}
    for event in found:
        if event.restarts:
            kept = {step: value for step, value in kept.items() if step < event.step}
        if tag in event.scalars:
            kept[event.step] = event.scalars[tag]
    return kept


def records(content: bytes) -> Iterator[bytes]:
    """The messages of a file; both checksums of each must be right."""
    while content:
        (length,) = struct.unpack_from("<Q", content)
        (length_sum,) = struct.unpack_from("<I", content, 8)
        assert length_sum == _masked(content[:8])
        data = content[12 : 12 + length]
        assert struct.unpack_from("<I", content, 12 + length) == (_masked(data),)
        yield data
        content = content[16 + length :]


def _masked(data: bytes) -> int:
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17 & 0xFFFFFFFF) + 0xA282EAD8) % 2**32


def crc32c(data: bytes) -> int:
    """Bit by bit, from the polynomial."""
    crc = 2**32 - 1
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x82F63B78 * (crc & 1)
    return crc ^ 2**32 - 1


def _event(data: bytes) -> Event:
    event = Event()
    for number, value in _fields(data):
        match number:
            case 1:
                (event.wall_time,) = struct.unpack("<d", value)
            case 2:
                event.step = value
            case 3:
                event.version = value.decode()
            case 5:
                for _, one in _fields(value):
                    _value(dict(_fields(one)), event)
            case 7:
                event.restarts = dict(_fields(value)) == {1: 1}
    return event


def _value(said: dict[int, Any], event: Event) -> None:
    tag = said[1].decode()
    if 2 in said:
        (event.scalars[tag],) = struct.unpack("<f", said[2])
    else:
        assert dict(_fields(dict(_fields(said[9]))[1]))[1] == b"text"
        event.texts[tag] = dict(_fields(said[8]))[8].decode()


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        match key & 7:
            case 0:
                value, at = _varint(data, at)
                yield key >> 3, value
                continue
            case 1:
                size = 8
            case 2:
                size, at = _varint(data, at)
            case 5:
                size = 4
            case other:
                raise AssertionError(f"wire type {other}")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 0x80:
            return value, at
