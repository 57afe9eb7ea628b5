"""Event files of TensorBoard, written without it: records of protocol buffers with checksums.

Sources: tensorflow/core/lib/io/record_writer.h (records), event.proto and summary.proto (messages),
RFC 3720 appendix B.4 (the checksum, CRC-32C).
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

BUCKETS = 30  # as TensorBoard's own writer has it

_TABLE: list[int] = []


def _table() -> list[int]:
    if not _TABLE:
        for byte in range(256):
            value = byte
            for _ in range(8):
                value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
            _TABLE.append(value)
    return _TABLE


def crc32c(data: bytes) -> int:
    """The Castagnoli checksum of bytes."""
    table, value = _table(), 0xFFFFFFFF
    for byte in data:
        value = table[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFF


def masked(data: bytes) -> int:
    """The checksum as records have it: turned by 15 bits, and moved."""
    value = crc32c(data)
    return (((value >> 15) | (value << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def record(data: bytes) -> bytes:
    """Length and its checksum, the data and theirs."""
    length = struct.pack("<Q", len(data))
    return b"".join(
        (length, struct.pack("<I", masked(length)), data, struct.pack("<I", masked(data)))
    )


# --- protocol buffers: a field is its number and kind, then its value -----------------------------


def _varint(number: int) -> bytes:
    out = bytearray()
    number &= (1 << 64) - 1
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*out, number))


def _whole(field: int, number: int) -> bytes:
    return _varint(field << 3) + _varint(number)


def _double(field: int, number: float) -> bytes:
    return _varint(field << 3 | 1) + struct.pack("<d", number)


def _bytes(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _doubles(field: int, numbers: Sequence[float]) -> bytes:
    """Several numbers in one field."""
    return _bytes(field, struct.pack(f"<{len(numbers)}d", *numbers))


def _histogram(values: np.ndarray) -> bytes:
    """A HistogramProto: limits, sums, and how many numbers are up to the limit of each bucket."""
    flat = np.asarray(values, np.float64).ravel()
    flat = flat[np.isfinite(flat)]
    least, most = (float(flat.min()), float(flat.max())) if flat.size else (0.0, 0.0)
    counts, edges = np.histogram(flat, BUCKETS, (least, most if most > least else least + 1.0))
    return b"".join(
        (
            _double(1, least), _double(2, most), _double(3, float(flat.size)),
            _double(4, float(flat.sum())), _double(5, float((flat * flat).sum())),
            _doubles(6, edges[1:].tolist()), _doubles(7, counts.tolist()),
        )
    )  # fmt: skip


def _float(field: int, number: float) -> bytes:
    return _varint(field << 3 | 5) + struct.pack("<f", number)


class EventWriter:
    """One event file in a folder, which is made."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        import socket  # takes a while

        now = time.time()
        stem = f"events.out.tfevents.{int(now)}.{socket.gethostname()}.{os.getpid()}"
        number = 0
        while (folder / f"{stem}.{number}").exists():
            number += 1
        self.path = folder / f"{stem}.{number}"
        self._file = self.path.open("wb")
        self._event(_double(1, now) + _bytes(3, b"brain.Event:2"))

    def _event(self, data: bytes) -> None:
        self._file.write(record(data))
        self._file.flush()

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers by name at a step."""
        summary = b"".join(
            _bytes(1, _bytes(1, name.encode()) + _float(2, value)) for name, value in values.items()
        )
        self._event(_double(1, time.time()) + _whole(2, step) + _bytes(5, summary))

    def histograms(self, step: int, values: Mapping[str, np.ndarray]) -> None:
        """How the numbers of arrays are spread, by name, at a step."""
        summary = b"".join(
            _bytes(1, _bytes(1, name.encode()) + _bytes(5, _histogram(array)))
            for name, array in values.items()
        )
        self._event(_double(1, time.time()) + _whole(2, step) + _bytes(5, summary))

    def close(self) -> None:
        """Nothing is written any more."""
        self._file.close()
