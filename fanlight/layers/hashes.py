"""Numbers of texts: Fingerprint64, or SipHash where there is a key (a salt)."""

from __future__ import annotations

from collections.abc import Sequence

from fanlight.tensor.fingerprint import fingerprint

_WORD = 2**64 - 1


def siphash(data: bytes, first: int, second: int) -> int:
    """SipHash-2-4 with a key of two words: Aumasson & Bernstein 2012."""
    v = [
        first ^ 0x736F6D6570736575,
        second ^ 0x646F72616E646F6D,
        first ^ 0x6C7967656E657261,
        second ^ 0x7465646279746573,
    ]

    def turn(x: int, bits: int) -> int:
        return ((x << bits) | (x >> (64 - bits))) & _WORD

    def rounds(count: int) -> None:
        a, b, c, d = v
        for _ in range(count):
            a, c = (a + b) & _WORD, (c + d) & _WORD
            b, d = turn(b, 13) ^ a, turn(d, 16) ^ c
            a = turn(a, 32)
            c, a = (c + b) & _WORD, (a + d) & _WORD
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


def bucket(text: str, buckets: int, salt: Sequence[int] | None) -> int:
    """The bucket of a text, as TensorFlow has it."""
    data = text.encode("utf-8", "surrogatepass")
    if salt is None:
        return int(fingerprint(data) % buckets)
    return siphash(data, salt[0] % 2**64, salt[1] % 2**64) % buckets


_FACTOR = 0xC6A4A7935BD1E995


def _joined(first: int, second: int) -> int:
    """One fingerprint of two: TensorFlow's FingerprintCat64."""
    mixed = second * _FACTOR & _WORD
    found = first ^ _FACTOR ^ ((mixed ^ mixed >> 47) * _FACTOR & _WORD)
    found = found * _FACTOR & _WORD
    found = (found ^ found >> 47) * _FACTOR & _WORD
    return found ^ found >> 47


def crossed(features: Sequence[str | int], buckets: int) -> int:
    """The bucket of several features together, as tf.sparse.cross_hashed has it."""
    found = 0xDECAFCAFFE
    for feature in features:
        if isinstance(feature, int):
            own = feature % 2**64
        else:
            own = fingerprint(str(feature).encode("utf-8", "surrogatepass"))
        found = _joined(found, own)
    return found % buckets
