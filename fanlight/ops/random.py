"""Random bits: a cipher of a counter, so that each is known by its key and its place alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from math import prod
from typing import Any

import numpy as np

from fanlight.ops import check
from fanlight.ops import scalar as sc
from fanlight.ops.backward import NotDifferentiable
from fanlight.ops.row import REQUIRED, Attr, Row, register
from fanlight.ops.types import TensorType

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA  # of the third word of a key
ROUNDS = 20


def threefry(key: tuple[Any, Any, Any], counter: tuple[Any, Any]) -> tuple[sc.Expr, sc.Expr]:
    """Threefry-2x32 with 20 rounds, as two int32 bodies.

    Args:
        key: its two words, and the third one (`third_word`) that follows from them.
        counter: two words.

    Source: Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3",
    section 3.3 and table 2.
    """
    x, y = sc.lift(counter[0]) + key[0], sc.lift(counter[1]) + key[1]
    for block in range(ROUNDS // 4):
        for distance in _ROTATIONS[block % 2]:
            x = x + y
            y = _rotate(y, distance) ^ x
        x = x + key[(block + 1) % 3]
        y = y + key[(block + 2) % 3] + (block + 1)
    return x, y


def third_word(first: Any, second: Any) -> Any:
    """The word of a key that follows from the other two: Exprs, or numbers without sign."""
    return first ^ second ^ _PARITY


def _rotate(x: sc.Expr, distance: int) -> sc.Expr:
    return sc.make("bit_or", sc.make("shl", x, distance), sc.make("shr_u", x, 32 - distance))


@cache
def body(stream: int) -> sc.Expr:
    """Word a0 of a stream under the key (a1, a2), whose third word is a3."""
    x, y = threefry((sc.arg(1), sc.arg(2), sc.arg(3)), (sc.const(stream), sc.arg(0)))
    return x ^ y


def _infer(types: Sequence[TensorType], attrs: Mapping[str, Any]) -> list[TensorType]:
    check.tensor("random_bits", "key", types[0], ("int32",), 1, "[2]")
    if types[0].bound != (2,):
        raise check.shape_error("random_bits", "key", "two words: i32[2]", types[0])
    shape = check.integers("random_bits", attrs, "shape", None, 0)
    if prod(shape) >= 2**31:
        raise check.attr_error("random_bits", "shape", "fewer than 2^31 elements", shape)
    check.integer("random_bits", attrs, "stream", 0, 2**31 - 1)
    return [TensorType(shape, "int32")]


def _eval(arrays: Sequence[np.ndarray], attrs: Mapping[str, Any]) -> list[np.ndarray]:
    (key,), shape = arrays, attrs["shape"]
    first, second = (int(word) for word in np.asarray(key, np.int32).view(np.uint32))
    words = [np.uint32(w) for w in (first, second, third_word(first, second))]
    made = np.empty(prod(shape), np.uint32)
    for low in range(0, made.size, sc.CHUNK):
        part = made[low : low + sc.CHUNK]
        part[...] = np.arange(low, low + part.size, dtype=np.uint32)
        _encipher(words, np.uint32(attrs["stream"]), part)
    return [made.view(np.int32).reshape(shape)]


def _encipher(key: Sequence[np.uint32], stream: np.uint32, y: np.ndarray) -> None:
    """`body` for places y, in their own memory: what `threefry` says, in NumPy's steps."""
    x, spare = np.full_like(y, stream), np.empty_like(y)
    x += key[0]
    y += key[1]
    for block in range(ROUNDS // 4):
        for distance in _ROTATIONS[block % 2]:
            x += y
            np.right_shift(y, np.uint32(32 - distance), out=spare)
            y <<= np.uint32(distance)
            y |= spare
            y ^= x
        x += key[(block + 1) % 3]
        y += key[(block + 2) % 3]
        y += np.uint32(block + 1)
    y ^= x


register(
    Row(
        name="random_bits",
        family="random",
        arity=(1, 1),
        attrs={
            "shape": Attr(REQUIRED, "of the result"),
            "stream": Attr(0, "which of 2^31 sequences of the key"),
        },
        infer=_infer,
        eval=_eval,
        doc="key i32[2] -> int32 of the given shape, every bit random: element i (row-major) is "
        "x ^ y for (x, y) = Threefry-2x32 with 20 rounds of the counter (stream, i) under the "
        "key. The same numbers on every machine. Source: Salmon et al. 2011, Parallel random "
        "numbers: as easy as 1, 2, 3.",
        wasm="kernel",
        tol={"int32": 0.0},
        nan="cannot occur",
        vjp=NotDifferentiable("its result is random bits of a key, both whole numbers"),
    )
)
