"""Protocol buffers without generated code: the wire format, as fields of a message.

Source: the Protocol Buffers encoding document (wire types 0, 1, 2, 5; groups are refused).
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from typing import Any

import numpy as np

from fanlight.errors import FanlightError

Data = memoryview
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_MOST_FIELDS = 1 << 23  # of one message: what unpacked numbers of old files may need
_NUMBER = (1 << 64) - 1


class Values:
    """The values of one field, in the order of the file: whole numbers or memoryviews.

    A field takes 16 bytes here: of bytes (and messages) where they begin and end, of a number
    itself and a mark. A file of millions of empty fields makes no objects until they are asked for.
    """

    __slots__ = ("_data", "_pairs")

    def __init__(self, data: Data) -> None:
        self._data = data
        self._pairs = array("Q")

    def __len__(self) -> int:
        return len(self._pairs) // 2

    def __getitem__(self, index: int) -> Any:
        at = 2 * (index + len(self) if index < 0 else index)
        first, second = self._pairs[at], self._pairs[at + 1]
        return first if second == _NUMBER else self._data[first:second]

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))


class Message:
    """One message: its fields by number, in the order of the file; nothing is copied.

    Attributes:
        fields: number -> whole numbers (varint, fixed) or memoryviews (bytes, messages).
        size: how many bytes it has.
        where: what it is, for messages of errors.
    """

    __slots__ = ("fields", "size", "where")

    def __init__(self, data: Data | bytes, where: str) -> None:
        self.where = where
        view = memoryview(data)
        self.size = len(view)
        self.fields: dict[int, Values] = {}
        last, add = -1, None
        for number, first, second in _scan(view, where):
            if number != last or add is None:
                values = self.fields.get(number)
                if values is None:
                    values = self.fields[number] = Values(view)
                last, add = number, values._pairs.append
            add(first)
            add(second)

    def message(self, number: int, what: str = "") -> Message | None:
        """The last message of this field (as proto3 takes it); None if there is none."""
        found = self.fields.get(number)
        return Message(self._bytes(found[-1], number), what or self.where) if found else None

    def messages(self, number: int, what: str = "") -> Iterator[Message]:
        """The messages of a repeated field."""
        for value in self.fields.get(number, ()):
            yield Message(self._bytes(value, number), what or self.where)

    def data(self, number: int) -> Data:
        """The bytes of a field; empty ones if it is missing."""
        found = self.fields.get(number)
        return self._bytes(found[-1], number) if found else memoryview(b"")

    def datas(self, number: int) -> list[Data]:
        return [self._bytes(v, number) for v in self.fields.get(number, ())]

    def text(self, number: int, default: str = "") -> str:
        """A text; E-FORMAT-005 if it is no UTF-8."""
        found = self.fields.get(number)
        return self._text(found[-1], number) if found else default

    def texts(self, number: int) -> list[str]:
        return [self._text(v, number) for v in self.fields.get(number, ())]

    def uint(self, number: int, default: int = 0) -> int:
        found = self.fields.get(number)
        return self._number(found[-1], number) if found else default

    def whole(self, number: int, default: int = 0) -> int:
        """A whole number of int32, int64 or enum: 64 bits in two's complement."""
        value = self.uint(number, default)
        return value - (1 << 64) if value >= 1 << 63 else value

    def real(self, number: int, default: float = 0.0) -> float:
        """A number of 32 bits."""
        found = self.fields.get(number)
        if not found:
            return default
        raw = struct.pack("<I", self._number(found[-1], number) & 0xFFFFFFFF)
        return float(struct.unpack("<f", raw)[0])

    def ints(self, number: int) -> list[int]:
        """A repeated field of whole numbers, packed or not."""
        out: list[int] = []
        for value in self.fields.get(number, ()):
            raw = varints(value, self.where) if isinstance(value, memoryview) else [value]
            out += [v - (1 << 64) if v >= 1 << 63 else v for v in raw]
        return out

    def whole_array(self, number: int) -> np.ndarray:
        """A repeated field of whole numbers as int64 [n]; quick where they are packed."""
        found = list(self.fields.get(number, ()))
        if not any(isinstance(value, memoryview) for value in found):
            return np.array(found, np.uint64).view(np.int64)
        parts = [
            varint_array(v, self.where)
            if isinstance(v, memoryview)
            else np.array([v], np.uint64).view(np.int64)
            for v in found
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def floats(self, number: int, dtype: str = "<f4") -> np.ndarray:
        """A repeated field of float (<f4) or double (<f8), packed or not."""
        kind = np.dtype(dtype)
        found = list(self.fields.get(number, ()))
        if len(found) == 1 and isinstance(found[0], memoryview):  # the usual form: not copied
            if len(found[0]) % kind.itemsize == 0:
                return np.frombuffer(found[0], kind)
        parts: list[bytes] = []
        for value in found:
            if isinstance(value, memoryview):
                if len(value) % kind.itemsize:
                    raise _broken(self.where, "packed numbers of whole size", f"{len(value)} bytes")
                parts.append(bytes(value))
            else:
                parts.append(value.to_bytes(8, "little")[: kind.itemsize])
        return np.frombuffer(b"".join(parts), kind)

    def _bytes(self, value: Any, number: int) -> Data:
        if isinstance(value, memoryview):
            return value
        raise _broken(self.where, f"bytes in field {number}", "a number")

    def _number(self, value: Any, number: int) -> int:
        if isinstance(value, int):
            return value
        raise _broken(self.where, f"a number in field {number}", "bytes")

    def _text(self, value: Any, number: int) -> str:
        try:
            return bytes(self._bytes(value, number)).decode("utf-8")
        except UnicodeDecodeError:
            raise _broken(self.where, f"a text in field {number}", "bytes of no UTF-8") from None


def _scan(data: Data, where: str) -> Iterator[tuple[int, int, int]]:
    """The fields of a message: number, and whole number and mark, or begin and end of bytes.

    Raises:
        FanlightError: E-FORMAT-005 it is malformed, E-FORMAT-004 it has too many fields.
    """
    at, end, count = 0, len(data), 0
    while at < end:
        key = data[at]
        if key < 0x80:
            at += 1
        else:
            key, at = _varint(data, at, where)
        number, kind = key >> 3, key & 7
        count += 1
        if number == 0:
            raise _broken(where, "fields of 1 and more", f"field {number}")
        if count > _MOST_FIELDS:
            raise FanlightError(
                "E-FORMAT-004",
                "a message of the file has too many fields.",
                where=where,
                expected=f"at most {_MOST_FIELDS:,}",
                received="more",
            )
        if kind == VARINT:
            value, at = _varint(data, at, where)
            yield number, value, _NUMBER
            continue
        if kind == BYTES:
            length, at = _varint(data, at, where)
        elif kind in (FIXED32, FIXED64):
            length = 4 if kind == FIXED32 else 8
        else:
            raise _broken(where, "wire types 0, 1, 2 and 5", f"wire type {kind}")
        if length > end - at:
            raise _broken(where, f"{length} more bytes", f"{end - at}: the file is cut short")
        if kind == BYTES:
            yield number, at, at + length
        else:
            yield number, int.from_bytes(data[at : at + length], "little"), _NUMBER
        at += length


def varints(data: Data, where: str) -> list[int]:
    """Packed varints."""
    out, at = [], 0
    while at < len(data):
        value, at = _varint(data, at, where)
        out.append(value)
    return out


def varint_array(data: Data, where: str) -> np.ndarray:
    """Packed varints as int64 [n], without a Python number for each."""
    raw = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(raw < 0x80)
    if len(raw) and (not len(ends) or ends[-1] != len(raw) - 1):
        raise _broken(where, "whole numbers", "the end of the data inside of one")
    starts = np.concatenate([[0], ends[:-1] + 1]).astype(np.int64)[: len(ends)]
    lengths = ends - starts + 1
    longest = int(lengths.max(initial=0))
    if longest > 10:
        raise _broken(where, "a number of at most 10 bytes", "more bytes")
    values = np.zeros(len(ends), np.uint64)
    for index in range(longest):
        has = lengths > index
        byte = raw[starts[has] + index].astype(np.uint64) & np.uint64(0x7F)
        values[has] |= byte << np.uint64(7 * index)
    return values.view(np.int64)


def _varint(data: Data, at: int, where: str) -> tuple[int, int]:
    value = shift = 0
    for index in range(at, min(at + 10, len(data))):
        byte = data[index]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, index + 1
        shift += 7
    raise _broken(where, "a number of at most 10 bytes", "the end of the data, or more bytes")


def _broken(where: str, expected: str, received: str) -> FanlightError:
    return FanlightError(
        "E-FORMAT-005",
        "the file is not a protocol buffer of this kind.",
        where=where,
        expected=expected,
        received=received,
        next="download or export the model again.",
    )
