"""Numbers of texts: Fingerprint64, or SipHash where there is a key (a salt)."""

from __future__ import annotations

from collections.abc import Sequence

from fanlight.tensor.fingerprint import fingerprint, siphash

_WORD = 2**64 - 1


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
