"""The options of custom operators: a FlexBuffers map of numbers, every offset checked.

Source: the FlexBuffers internals document. The last byte is the width of the root, the byte before
it its packed type (type * 4 + log2 of the width of what it holds). A map lies where the root points
back to: before it are the offset of its keys, their width, and its size; behind its values one
packed type for each.
"""

from __future__ import annotations

import struct

from fanlight.errors import FanlightError

_INT, _UINT, _FLOAT, _MAP, _BOOL = 1, 2, 3, 9, 26
_INDIRECT = {6: _INT, 7: _UINT, 8: _FLOAT}
_FLOATS = {2: "<e", 4: "<f", 8: "<d"}
# Options of a custom operator are few and small.
_MOST_BYTES, _MOST_KEYS, _MOST_NAME = 1 << 16, 256, 128


def read_map(raw: bytes | memoryview, where: str) -> dict[str, float]:
    """The numbers and truth values of a map, by their keys; what else it holds is left out.

    Raises:
        FanlightError: E-FORMAT-005 it is no sound map.
    """
    return _Reader(bytes(raw[: _MOST_BYTES + 1]), where).root()


class _Reader:
    def __init__(self, data: bytes, where: str) -> None:
        self.data, self.where = data, where

    def broken(self, expected: str, received: object) -> FanlightError:
        return FanlightError(
            "E-FORMAT-005",
            "the options of a custom operator are not sound.",
            where=self.where,
            expected=expected,
            received=received,
            next="download or export the model again.",
        )

    def root(self) -> dict[str, float]:
        if not 3 <= len(self.data) <= _MOST_BYTES:
            raise self.broken(f"3 to {_MOST_BYTES:,} bytes", f"{len(self.data):,} or more bytes")
        packed, width = self.data[-2], self.data[-1]
        if packed >> 2 != _MAP or width not in (1, 2, 4, 8):
            raise self.broken("a map", f"type {packed >> 2} of {width} bytes")
        return self.map(self.back(len(self.data) - 2 - width, width), 1 << (packed & 3))

    def whole(self, at: int, width: int, signed: bool = False) -> int:
        if at < 0 or at + width > len(self.data):
            raise self.broken(f"places below {len(self.data):,}", at)
        return int.from_bytes(self.data[at : at + width], "little", signed=signed)

    def back(self, at: int, width: int) -> int:
        """Where an offset leads: always back."""
        return at - self.whole(at, width)

    def map(self, at: int, width: int) -> dict[str, float]:
        count = self.whole(at - width, width)
        keys, key_width = self.back(at - 3 * width, width), self.whole(at - 2 * width, width)
        if count > _MOST_KEYS or key_width not in (1, 2, 4, 8):
            raise self.broken(f"at most {_MOST_KEYS} options", f"{count}, keys of {key_width}")
        if self.whole(keys - key_width, key_width) != count:
            raise self.broken("a key for each option", count)
        made = {}
        for i in range(count):
            name = self.key(self.back(keys + i * key_width, key_width))
            packed = self.whole(at + count * width + i, 1)
            found = self.number(at + i * width, width, packed)
            if found is not None:
                made[name] = found
        return made

    def key(self, at: int) -> str:
        end = self.data.find(b"\0", max(at, 0), max(at, 0) + _MOST_NAME)
        if at < 0 or end < 0:
            raise self.broken("keys that end in a zero", at)
        return self.data[at:end].decode("utf-8", "replace")

    def number(self, at: int, width: int, packed: int) -> float | None:
        kind = packed >> 2
        if kind in _INDIRECT:
            at, width, kind = self.back(at, width), 1 << (packed & 3), _INDIRECT[kind]
        if kind in (_INT, _UINT, _BOOL):
            found = self.whole(at, width, kind == _INT)
            return bool(found) if kind == _BOOL else found
        if kind != _FLOAT:
            return None
        if width not in _FLOATS:
            raise self.broken("a float of 2, 4 or 8 bytes", width)
        self.whole(at, width)
        return float(struct.unpack_from(_FLOATS[width], self.data, at)[0])
