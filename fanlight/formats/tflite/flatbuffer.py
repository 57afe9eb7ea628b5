"""FlatBuffers without generated code: tables and vectors, every offset checked before it is used.

Source: the FlatBuffers internals document. A table starts with a signed offset back to its vtable,
which holds, as uint16, its own size, the table's size, and per field where in the table it lies
(0: absent). References are unsigned offsets from where they are stored, so they lead forwards
only: a file cannot make a circle of them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from fanlight.errors import FanlightError

# Format characters of `struct` by the names that the schema uses.
KINDS = {"bool": "?", "i8": "b", "u8": "B", "i16": "h", "i32": "i", "u32": "I", "i64": "q",
         "u64": "Q", "f32": "f"}  # fmt: skip
DTYPES = {"bool": "u1", "i8": "i1", "u8": "u1", "i16": "<i2", "u16": "<u2", "i32": "<i4",
          "u32": "<u4", "i64": "<i8", "f32": "<f4"}  # fmt: skip
# A model of this many operators or tensors is no model.
MOST_TABLES = 1 << 20
# All that is decoded of a file is at most so many times its size, and a little more.
_TIMES, _SPARE = 4, 1 << 20


class Table:
    """One table of a flatbuffer. A missing field gives its default; a broken one E-FORMAT-005."""

    __slots__ = ("_fields", "_left", "at", "data", "where")

    def __init__(
        self, data: memoryview, at: int, where: str, left: list[int] | None = None
    ) -> None:
        """
        Args:
            left: bytes that may still be decoded, in one list for the whole file.
        """
        self.data, self.at, self.where = data, at, where
        self._left = [_SPARE + _TIMES * len(data)] if left is None else left
        vtable = at - self._unpack("i", at)
        size, room = self._unpack("H", vtable), self._unpack("H", vtable + 2)
        if size < 4 or size % 2 or vtable + size > len(data) or room < 4 or at + room > len(data):
            raise self.broken("a table and its vtable inside the file", f"{size} and {room} bytes")
        self._fields = struct.unpack_from(f"<{size // 2 - 2}H", data, vtable + 4)
        if any(offset >= room for offset in self._fields):
            raise self.broken("fields inside their table", f"a table of {room} bytes")

    def broken(self, expected: str, received: str) -> FanlightError:
        """E-FORMAT-005 about this table."""
        return FanlightError(
            "E-FORMAT-005",
            "the file is not a sound flatbuffer.",
            where=self.where,
            expected=expected,
            received=received,
            next="download or export the model again.",
        )

    def _unpack(self, kind: str, at: int) -> Any:
        if not 0 <= at <= len(self.data) - struct.calcsize(kind):
            raise self.broken(f"offsets below {len(self.data):,}", f"{at:,}")
        return struct.unpack_from("<" + kind, self.data, at)[0]

    def _decode(self, size: int) -> None:
        """Vectors may be those of other tables, but not so that little makes much."""
        self._left[0] -= size
        if self._left[0] < 0:
            raise self.broken(
                "vectors of its own for every table", f"more than {_TIMES} times the file in all"
            )

    def _place(self, field: int) -> int:
        """Where the field is stored; 0 if it is absent."""
        if field >= len(self._fields) or not self._fields[field]:
            return 0
        return self.at + int(self._fields[field])

    def _follow(self, place: int) -> int:
        offset = self._unpack("I", place)
        if offset < 4:
            raise self.broken("a reference that leads forwards", f"an offset of {offset}")
        return place + int(offset)

    def has(self, field: int) -> bool:
        return bool(self._place(field))

    def scalar(self, field: int, kind: str, default: Any = 0) -> Any:
        """A number or truth value; kinds are the keys of KINDS."""
        place = self._place(field)
        return self._unpack(KINDS[kind], place) if place else default

    def table(self, field: int, where: str | None = None) -> Table | None:
        place = self._place(field)
        if not place:
            return None
        return Table(self.data, self._follow(place), where or self.where, self._left)

    def _vector(self, field: int, width: int) -> tuple[int, int]:
        """(count, where the first element lies) of a vector; (0, 0) if it is absent."""
        place = self._place(field)
        if not place:
            return 0, 0
        start = self._follow(place)
        count = self._unpack("I", start)
        if count * width > len(self.data) - start - 4:
            raise self.broken("vectors inside the file", f"{count:,} elements")
        return count, start + 4

    def count(self, field: int) -> int:
        """How many tables a vector of tables has."""
        return self._vector(field, 4)[0]

    def tables(self, field: int, where: str) -> Iterator[Table]:
        """The tables of a vector; `where` is what each one is, and gets its number."""
        count, start = self._vector(field, 4)
        if count > MOST_TABLES:
            raise self.broken(f"at most {MOST_TABLES:,} of {where}", f"{count:,}")
        self._decode(4 * count)
        for index in range(count):
            yield Table(self.data, self._follow(start + 4 * index), f"{where} {index}", self._left)

    def array(self, field: int, kind: str) -> np.ndarray:
        """A vector of numbers, as a view of the file."""
        dtype = np.dtype(DTYPES[kind])
        count, start = self._vector(field, dtype.itemsize)
        self._decode(count * dtype.itemsize)
        return np.frombuffer(self.data, dtype, count, start)

    def ints(self, field: int, kind: str = "i32", most: int = 1 << 20) -> tuple[int, ...]:
        """A short vector of whole numbers."""
        found = self.array(field, kind)
        if found.size > most:
            raise self.broken(f"at most {most:,} numbers", f"{found.size:,}")
        return tuple(int(v) for v in found)

    def raw(self, field: int) -> memoryview:
        """A vector of bytes, as a view of the file."""
        count, start = self._vector(field, 1)
        return self.data[start : start + count]

    def text(self, field: int, default: str = "") -> str:
        """A text; what is no UTF-8 in it is replaced. Texts of a model are names: 64 KiB do."""
        if not self.has(field):
            return default
        short = self.raw(field)[: 1 << 16]
        self._decode(len(short))
        return bytes(short).decode("utf-8", "replace")


def root(data: memoryview, where: str, identifier: bytes | None = None) -> Table:
    """The root table of a flatbuffer; E-FORMAT-005 if it is none, or another one."""
    if len(data) < 8 or (identifier and bytes(data[4:8]) != identifier):
        raise FanlightError(
            "E-FORMAT-005",
            "the file is not a flatbuffer of this kind.",
            where=where,
            expected=f"the letters {identifier.decode() if identifier else ''} at byte 4",
            received=repr(bytes(data[:8])),
            next="download or export the model again.",
        )
    return Table(data, struct.unpack_from("<I", data, 0)[0], where)
