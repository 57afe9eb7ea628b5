"""The tables of LevelDB, in which TensorFlow keeps the index of a checkpoint: bytes -> bytes.

Source: "LevelDB table format" and "snappy format description"; checksums are CRC-32C, masked.
"""

from __future__ import annotations

from collections.abc import Iterator

from fanlight.errors import FanlightError
from fanlight.formats.wire import _varint

_MAGIC = 0xDB4775248B80FB57
_FOOTER, _TRAILER = 48, 5
_MOST_KEY = 1 << 16
# All keys and values together: blocks shrink them, so a small file could ask for much memory.
_MOST_BYTES = 1 << 28
_MOST_CHECKED = 1 << 20  # bytes of a block whose checksum is worth its time in Python


def read_table(data: bytes, where: str) -> dict[bytes, bytes]:
    """All entries of a table.

    Raises:
        FanlightError: E-FORMAT-005 if it is none or is damaged, E-FORMAT-004 if it grows too much.
    """
    if len(data) < _FOOTER or int.from_bytes(data[-8:], "little") != _MAGIC:
        raise _broken(where, "the end mark of a LevelDB table", repr(bytes(data[-8:])))
    footer = memoryview(data)[-_FOOTER:]
    at = 0
    for _ in range(2):  # the handle of the meta index, which is of no use here
        _, at = _varint(footer, at, where)
    offset, at = _varint(footer, at, where)
    size, _ = _varint(footer, at, where)
    entries: dict[bytes, bytes] = {}
    total = 0
    # Handles of the same bytes would repeat them as often as the index likes.
    used = 0
    for _, found in _entries(_block(data, offset, size, where), where):
        handle = memoryview(found)
        start, at = _varint(handle, 0, where)
        size, _ = _varint(handle, at, where)
        used += size + _TRAILER
        if used > len(data):
            raise _broken(where, "blocks that do not overlap", f"the block at {start}")
        for key, value in _entries(_block(data, start, size, where), where):
            total += len(key) + len(value)
            if total > _MOST_BYTES:
                raise _large(where)
            entries[key] = value
    return entries


def _block(data: bytes, offset: int, size: int, where: str) -> bytes:
    """The content of a block, checked and unpacked."""
    end = offset + size
    if end + _TRAILER > len(data) - _FOOTER:
        raise _broken(where, f"a block inside of {len(data):,} bytes", f"one that ends at {end:,}")
    content, kind = data[offset:end], data[end]
    if size <= _MOST_CHECKED:
        stored = int.from_bytes(data[end + 1 : end + _TRAILER], "little")
        if masked_crc32c(data[offset : end + 1]) != stored:
            raise _broken(where, "the checksum of its block", "another one")
    if kind == 0:
        return content
    if kind == 1:
        return unpack_snappy(content, where)
    raise _broken(where, "a block as it is, or packed by Snappy", f"kind {kind}")


def _entries(block: bytes, where: str) -> Iterator[tuple[bytes, bytes]]:
    """The entries of a block: each key is given as what differs from the one before."""
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 * (restarts + 1)
    if len(block) < 4 or end < 0:
        raise _broken(where, "a block with its restarts", f"{restarts} of them")
    at, key, view = 0, b"", memoryview(block)
    while at < end:
        shared, at = _varint(view, at, where)
        more, at = _varint(view, at, where)
        length, at = _varint(view, at, where)
        if shared > len(key) or at + more + length > end or shared + more > _MOST_KEY:
            raise _broken(where, "an entry inside of its block", "one that is longer")
        key = key[:shared] + block[at : at + more]
        at += more
        yield key, block[at : at + length]
        at += length


def unpack_snappy(data: bytes, where: str) -> bytes:
    """What Snappy has packed; a copy is of at most 64 bytes, so 22 times as much at most."""
    size, at = _varint(memoryview(data), 0, where)
    if size > 32 * len(data) or size > _MOST_BYTES:
        raise _large(where)
    out = bytearray()
    while at < len(data):
        tag = data[at]
        at += 1
        kind, length = tag & 3, tag >> 2
        if kind == 0:
            if length >= 60:
                extra = length - 59
                length = int.from_bytes(data[at : at + extra], "little")
                at += extra
            length += 1
            if at + length > len(data):
                raise _broken(where, f"{length} packed bytes", f"{len(data) - at}")
            out += data[at : at + length]
            at += length
        else:
            if kind == 1:
                offset, length, width = (tag >> 5) << 8, (length & 7) + 4, 1
            else:
                offset, length, width = 0, length + 1, 2 if kind == 2 else 4
            offset |= int.from_bytes(data[at : at + width], "little")
            at += width
            if not 0 < offset <= len(out):
                raise _broken(where, "a copy of what came before", f"{offset} bytes back")
            start = len(out) - offset
            # A copy may overlap its own result: it repeats what it has of it.
            piece = bytes(out[start : start + length])
            out += (piece * (length // len(piece) + 1))[:length]
        if len(out) > size:
            break
    if len(out) != size:
        raise _broken(where, f"{size} unpacked bytes", f"{len(out)}")
    return bytes(out)


def _table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_CRC = _table()


def masked_crc32c(data: bytes) -> int:
    """The checksum of LevelDB and of TensorFlow's files."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _broken(where: str, expected: str, received: str) -> FanlightError:
    return FanlightError(
        "E-FORMAT-005",
        "the index of the variables is damaged.",
        where=where,
        expected=expected,
        received=received,
        next="export or download the model again.",
    )


def _large(where: str) -> FanlightError:
    return FanlightError(
        "E-FORMAT-004",
        "the index of the variables is larger than any honest one.",
        where=where,
        expected=f"at most {_MOST_BYTES:,} bytes",
        received="more",
    )
