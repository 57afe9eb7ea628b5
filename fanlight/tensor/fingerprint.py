"""FarmHash's Fingerprint64 and SipHash: what TensorFlow's fast and its strong buckets use.

The first never changes; it is for spreading, not for secrets. Sources: Pike 2014, FarmHash (its
Fingerprint64 is the function that it calls farmhashna::Hash64); Aumasson and Bernstein 2012.
"""

from __future__ import annotations

_K0, _K1, _K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F
_ALL = 2**64 - 1
Pair = tuple[int, int]


def fingerprint(data: bytes) -> int:
    """The 64-bit fingerprint of some bytes, without sign."""
    size = len(data)
    if size <= 16:
        return _to_16(data, size)
    if size <= 32:
        return _to_32(data, size)
    return _to_64(data, size) if size <= 64 else _longer(data, size)


def _word(data: bytes, at: int, width: int = 8) -> int:
    return int.from_bytes(data[at : at + width], "little")


def _right(x: int, distance: int) -> int:
    """The low 64 bits of x, turned to the right."""
    x &= _ALL
    return (x >> distance | x << (64 - distance)) & _ALL


def _fold(x: int) -> int:
    x &= _ALL
    return x ^ x >> 47


def _joined(u: int, v: int, factor: int) -> int:
    """One word of two."""
    a = _fold(((u ^ v) & _ALL) * factor)
    return _fold(((v & _ALL) ^ a) * factor) * factor & _ALL


def _to_16(data: bytes, size: int) -> int:
    factor = _K2 + 2 * size
    if size >= 8:
        a, b = _word(data, 0) + _K2, _word(data, size - 8)
        c = _right(b, 37) * factor + a
        return _joined(c, (_right(a, 25) + b) * factor, factor)
    if size >= 4:
        return _joined(size + (_word(data, 0, 4) << 3), _word(data, size - 4, 4), factor)
    if not size:
        return _K2
    y = data[0] + (data[size >> 1] << 8)
    z = size + (data[size - 1] << 2)
    return _fold(y * _K2 & _ALL ^ z * _K0 & _ALL) * _K2 & _ALL


def _ends(data: bytes, size: int) -> tuple[int, int, int, int]:
    """The factor, the two words of 17 bytes or more, and the first word."""
    factor = _K2 + 2 * size
    return factor, _word(data, size - 8) * factor, _word(data, size - 16) * _K2, _word(data, 8)


def _to_32(data: bytes, size: int) -> int:
    factor, c, d, b = _ends(data, size)
    a = _word(data, 0) * _K1
    return _joined(_right(a + b, 43) + _right(c, 30) + d, a + _right(b + _K2, 18) + c, factor)


def _to_64(data: bytes, size: int) -> int:
    factor, c, d, b = _ends(data, size)
    a = _word(data, 0) * _K2
    y = _right(a + b, 43) + _right(c, 30) + d
    z = _joined(y, a + _right(b + _K2, 18) + c, factor)
    e, f = _word(data, 16) * factor, _word(data, 24)
    g = (y + _word(data, size - 32)) * factor
    h = (z + _word(data, size - 24)) * factor
    return _joined(_right(e + f, 43) + _right(g, 30) + h, e + _right(f + a, 18) + g, factor)


def _of_32(data: bytes, at: int, a: int, b: int) -> Pair:
    """A pair mixed with 32 bytes."""
    w, x, y, z = (_word(data, at + 8 * i) for i in range(4))
    a += w
    b = _right(b + a + z, 21)
    c = a
    a += x + y
    return (a + z) & _ALL, (b + _right(a, 44) + c) & _ALL


def _longer(data: bytes, size: int) -> int:
    x, y = 81, 81 * _K1 + 113 & _ALL
    z = _fold(y * _K2 + 113) * _K2 & _ALL
    v: Pair = (0, 0)
    w: Pair = (0, 0)
    x = x * _K2 + _word(data, 0) & _ALL
    for at in range(0, (size - 1) // 64 * 64, 64):
        x = _right(x + y + v[0] + _word(data, at + 8), 37) * _K1 & _ALL
        y = _right(y + v[1] + _word(data, at + 48), 42) * _K1 & _ALL
        x ^= w[1]
        y = y + v[0] + _word(data, at + 40) & _ALL
        z = _right(z + w[0], 33) * _K1 & _ALL
        v = _of_32(data, at, v[1] * _K1, x + w[0])
        w = _of_32(data, at + 32, z + w[1], y + _word(data, at + 16))
        x, z = z, x
    factor, at = _K1 + ((z & 0xFF) << 1), size - 64
    first = w[0] + (size - 1 & 63) & _ALL
    v = (v[0] + first & _ALL, v[1])
    w = (first + v[0] & _ALL, w[1])
    x = _right(x + y + v[0] + _word(data, at + 8), 37) * factor & _ALL
    y = _right(y + v[1] + _word(data, at + 48), 42) * factor & _ALL
    x ^= w[1] * 9 & _ALL
    y = y + v[0] * 9 + _word(data, at + 40) & _ALL
    z = _right(z + w[0], 33) * factor & _ALL
    v = _of_32(data, at, v[1] * factor, x + w[0])
    w = _of_32(data, at + 32, z + w[1], y + _word(data, at + 16))
    x, z = z, x
    left = _joined(v[0], w[0], factor) + _fold(y) * _K0 + z
    return _joined(left, _joined(v[1], w[1], factor) + x, factor)


def siphash(data: bytes, first: int, second: int) -> int:
    """SipHash-2-4 with a key of two words: Aumasson & Bernstein 2012."""
    v = [
        first ^ 0x736F6D6570736575,
        second ^ 0x646F72616E646F6D,
        first ^ 0x6C7967656E657261,
        second ^ 0x7465646279746573,
    ]

    def turn(x: int, bits: int) -> int:
        return ((x << bits) | (x >> (64 - bits))) & _ALL

    def rounds(count: int) -> None:
        a, b, c, d = v
        for _ in range(count):
            a, c = (a + b) & _ALL, (c + d) & _ALL
            b, d = turn(b, 13) ^ a, turn(d, 16) ^ c
            a = turn(a, 32)
            c, a = (c + b) & _ALL, (a + d) & _ALL
            b, d = turn(b, 17) ^ c, turn(d, 21) ^ a
            c = turn(c, 32)
        v[:] = a, b, c, d

    whole = len(data) // 8 * 8
    words = [int.from_bytes(data[i : i + 8], "little") for i in range(0, whole, 8)]
    words.append(int.from_bytes(data[whole:], "little") | (len(data) & 0xFF) << 56)
    for word in words:
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xFF
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]
