"""TensorFlow's checkpoints: `variables.index` and its data files -> arrays, one at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats.emitter import check_size
from fanlight.formats.files import read_bytes, regular_size
from fanlight.formats.savedmodel.leveldb import masked_crc32c, read_table
from fanlight.formats.savedmodel.tensors import (
    STORED,
    STRING,
    misfit,
    no_numbers,
    sizes,
    widened,
)
from fanlight.formats.wire import Message, varints
from fanlight.ops.types import TensorType

_MOST_INDEX = 1 << 27
_MOST_TEXTS = 1 << 24
_MOST_SHARDS = 1 << 16
# Checksums take 0.1 us a byte in Python: small tensors are checked, and the index always is.
_CHECKED = 1 << 12


@dataclass(frozen=True)
class Entry:
    """Where a tensor lies.

    Attributes:
        slices: of a partitioned variable, its parts as (start, length) by dim; length None: all.
    """

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    crc: int
    slices: tuple[tuple[tuple[int, int | None], ...], ...] = ()


class Bundle:
    """A checkpoint; nothing is read of its data files but what is asked for."""

    def __init__(self, prefix: Path) -> None:
        """
        Args:
            prefix: path of the checkpoint without ".index".

        Raises:
            FanlightError: E-FORMAT-006 if there is no index, E-FORMAT-005 if it is damaged.
        """
        self.prefix = prefix
        path = prefix.with_name(prefix.name + ".index")
        self.where = str(path)
        data = read_bytes(path, "E-FORMAT-006", "the index of the variables", _MOST_INDEX)
        table = read_table(data, self.where)
        header = Message(table.pop(b"", b""), self.where)
        self._shards = header.whole(1)
        if not 1 <= self._shards <= _MOST_SHARDS or header.whole(2):
            raise FanlightError(
                "E-FORMAT-005",
                "the checkpoint has no data files, or they are big-endian.",
                where=path,
                expected="1 or more data files, little-endian",
                received=f"{self._shards} data files, byte order {header.whole(2)}",
            )
        self._raw = table
        self._sizes: dict[int, int] = {}

    def __contains__(self, key: str) -> bool:
        return key.encode() in self._raw

    def keys(self) -> list[str]:
        """The names of all tensors (parts of partitioned ones have keys that are no texts)."""
        return [k.decode("utf-8", "replace") for k in self._raw]

    def entry(self, key: str | bytes) -> Entry:
        """Where a tensor lies; E-FORMAT-011 if there is none of this name."""
        raw = self._raw.get(key.encode() if isinstance(key, str) else key)
        where = f"{key!r} in {self.where}"[:300]
        if raw is None:
            raise FanlightError(
                "E-FORMAT-011",
                "the checkpoint does not have a variable of the graph.",
                where=self.where,
                expected=repr(key)[:200],
                received=f"{len(self._raw)} others: {', '.join(sorted(self.keys())[:5])[:300]}",
                next="the graph and its variables belong to different models: export again.",
            )
        message = Message(raw, where)
        return Entry(
            message.whole(1),
            sizes(message.message(2), where),
            message.whole(3),
            message.whole(4),
            message.whole(5),
            message.uint(6),
            tuple(_slice(s) for s in message.messages(7)),
        )

    def array(self, key: str) -> np.ndarray:
        """A tensor in a buffer of its own, in the dtype of a graph; parts are put together.

        Raises:
            FanlightError: E-FORMAT-006, -007, -008, -011, -023.
        """
        entry = self.entry(key)
        check_size(TensorType(entry.shape), f"{key!r} in {self.where}")
        return self._whole(key, entry) if entry.slices else self._plain(repr(key), entry)

    def any_array(self, key: str) -> np.ndarray:
        """A tensor of numbers, or of texts as bytes objects; E-FORMAT-007 what does not fit."""
        entry = self.entry(key)
        if entry.dtype != STRING:
            return self.array(key)
        where = f"{key!r} in {self.where}"
        count = math.prod(entry.shape)
        if entry.size > _MOST_TEXTS or count > entry.size:
            raise misfit(where, min(count, _MOST_TEXTS), entry.size)
        data = memoryview(self._read(entry, where).tobytes())
        # The lengths, a checksum of them, the bytes.
        lengths: list[int] = []
        at = 0
        for _ in range(count):
            end = next((i for i in range(at, min(at + 10, len(data))) if data[i] < 0x80), -1)
            if end < 0:
                raise misfit(where, count, len(lengths))
            lengths.append(varints(data[at : end + 1], where)[0])
            at = end + 1
        if at + 4 + sum(lengths) != len(data):
            raise misfit(where, at + 4 + sum(lengths), len(data))
        found = np.empty(count, object)
        at += 4
        for index, length in enumerate(lengths):
            found[index] = bytes(data[at : at + length])
            at += length
        return found.reshape(entry.shape)

    def text(self, key: str) -> bytes:
        """A tensor of one text; E-FORMAT-007 if it is longer than it should be."""
        entry = self.entry(key)
        where = f"{key!r} in {self.where}"
        if entry.dtype != STRING or entry.shape or entry.size > _MOST_TEXTS:
            raise no_numbers(entry.dtype, where)
        data = memoryview(self._read(entry, where).tobytes())
        # The length, a checksum of the lengths, the bytes.
        at = next((i + 1 for i, b in enumerate(data[:10]) if b < 0x80), 10)
        length = varints(data[:at], where)[0] if len(data) else 0
        if at + 4 + length != len(data):
            raise misfit(where, at + 4 + length, len(data))
        return bytes(data[at + 4 :])

    def _plain(self, key: str, entry: Entry) -> np.ndarray:
        where = f"{key} in {self.where}"
        if entry.dtype not in STORED:
            raise no_numbers(entry.dtype, where)
        kind = np.dtype(STORED[entry.dtype])
        expected = math.prod(entry.shape) * kind.itemsize
        if entry.size != expected:
            raise misfit(where, expected, entry.size)
        raw = self._read(entry, where).view(kind)
        return widened(raw, entry.dtype).reshape(entry.shape)

    def _read(self, entry: Entry, where: str) -> np.ndarray:
        """The bytes of an entry, read straight into the array that will hold them."""
        if not 0 <= entry.shard < self._shards:
            raise misfit(f"data file of {where}", self._shards, entry.shard)
        path = self.prefix.with_name(
            f"{self.prefix.name}.data-{entry.shard:05d}-of-{self._shards:05d}"
        )
        if entry.shard not in self._sizes:
            self._sizes[entry.shard] = regular_size(path, "E-FORMAT-006", "a file of variables")
        there = self._sizes[entry.shard]
        if entry.offset < 0 or entry.size < 0 or entry.offset + entry.size > there:
            raise FanlightError(
                "E-FORMAT-007",
                "a file of variables is shorter than its index says.",
                where=path,
                expected=f"{entry.offset + entry.size:,} bytes",
                received=f"{there:,} bytes",
                next="the file is damaged: export or download the model again.",
            )
        raw = np.empty(entry.size, np.uint8)
        with path.open("rb", buffering=0) as file:
            file.seek(entry.offset)
            got = 0
            while got < entry.size:
                more = file.readinto(raw[got:].data)
                if not more:
                    raise misfit(where, entry.size, got)
                got += more
        # Texts have a checksum that counts their lengths otherwise than they are written.
        checked = entry.size <= _CHECKED and entry.crc and entry.dtype != STRING
        if checked and masked_crc32c(raw.tobytes()) != entry.crc:
            raise FanlightError(
                "E-FORMAT-007",
                "a variable is not what was saved: its checksum is another one.",
                where=where,
                expected=f"{entry.crc:#010x}",
                received=f"{masked_crc32c(raw.tobytes()):#010x}",
                next="the file is damaged: export or download the model again.",
            )
        return raw

    def _whole(self, key: str, entry: Entry) -> np.ndarray:
        """A partitioned variable, its parts put in their places."""
        where = f"{key!r} in {self.where}"
        made: np.ndarray | None = None
        covered = 0
        for part in entry.slices:
            found = self.entry(_slice_key(key, part))
            place, shape = _place(part, entry.shape, where)
            if found.slices or found.shape != shape or found.dtype != entry.dtype:
                raise misfit(where, math.prod(shape), math.prod(found.shape))
            array = self._plain(f"a part of {key!r}", found)
            if made is None:
                made = np.zeros(entry.shape, array.dtype)
            made[place] = array
            covered += array.size
        if made is None or covered != made.size:
            raise misfit(where, math.prod(entry.shape), covered)
        return made


def _slice(message: Message) -> tuple[tuple[int, int | None], ...]:
    """A TensorSliceProto: start and length by dim; no length: the whole dim."""
    return tuple((e.whole(1), e.whole(2) if 2 in e.fields else None) for e in message.messages(1))


def _place(
    part: tuple[tuple[int, int | None], ...], shape: tuple[int, ...], where: str
) -> tuple[tuple[slice, ...], tuple[int, ...]]:
    if len(part) != len(shape):
        raise misfit(where, len(shape), len(part))
    place, extent = [], []
    for (start, length), size in zip(part, shape, strict=True):
        count = size if length is None else length
        if start < 0 or count < 0 or start + count > size:
            raise misfit(where, size, start + count)
        place.append(slice(start, start + count))
        extent.append(count)
    return tuple(place), tuple(extent)


def _slice_key(name: str, part: tuple[tuple[int, int | None], ...]) -> bytes:
    """The key of a part (checkpoint::EncodeTensorNameSlice): 0, name, rank, starts, lengths."""
    out = _ordered(0) + name.encode().replace(b"\0", b"\0\xff")
    out += b"\0\1" + _ordered(len(part))
    for start, length in part:
        out += _signed(start) + _signed(-1 if length is None else length)
    return out


def _ordered(value: int) -> bytes:
    """OrderedCode of a number >= 0: how many bytes, then these, the highest first."""
    raw = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return bytes([len(raw)]) + raw


def _signed(value: int) -> bytes:
    """OrderedCode of a signed number: its length in leading ones, in the bits before it."""
    magnitude = ~value if value < 0 else value
    if magnitude < 64:
        return bytes([(value & 0xFF) ^ 0x80])
    length = magnitude.bit_length() // 7 + 1
    data = value & ((1 << 8 * length) - 1)
    # The sign's bit and length - 1 more ones (for what is negative: zeros) lead.
    header = ((1 << length) - 1) << (8 * length - length)
    return (data ^ header).to_bytes(length, "big")
