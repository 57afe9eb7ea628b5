"""Products of whole numbers that are exact, made of float32 products that are.

A float32 holds every whole number up to 2^24, so a product of matrices is exact as long as no sum
can pass that. What could is cut: long rows into blocks whose sums are added as int32, and
numbers of more than 8 bits into parts of 8 bits, whose products are shifted and added. Sums wrap
around in 32 bits, as int32 does everywhere.
"""

from __future__ import annotations

import numpy as np

from fanlight.formats.emitter import Tensor, dtype_of
from fanlight.formats.onnx import kinds
from fanlight.formats.onnx.call import Call

EXACT = 1 << 24
_BYTE = 255


def magnitude(call: Call, x: Tensor, kind: int) -> int:
    """How far from 0 the numbers of a tensor can lie: what they are, or what their kind holds."""
    if isinstance(x, np.ndarray):
        return int(np.abs(x.astype(np.float64)).max(initial=0))
    low, high = kinds.LIMITS.get(kind, (-(2**31), 2**31 - 1))
    return 1 if dtype_of(x) == "bool" else max(-low, high)


def product(call: Call, a: Tensor, b: Tensor, most_a: int, most_b: int) -> Tensor:
    """[..., m, k] x [..., k, n] of whole numbers -> int32 [..., m, n], exact modulo 2^32.

    Args:
        a, b: int32, or float32 where at most 255 from 0.
        most_a, most_b: how far from 0 their numbers lie at most.
    """
    total: Tensor | None = None
    for shift_a, left, one in _parts(call, a, most_a, "a"):
        for shift_b, right, other in _parts(call, b, most_b, "b"):
            if shift_a + shift_b < 32:
                made = _added(call, left, right, one, other)
                if shift_a + shift_b:
                    bits = call.const(shift_a + shift_b, "int32")
                    made = call.op("left_shift", made, bits, part="shifted")
                total = made if total is None else call.op("add", total, made, part="total")
    assert total is not None
    return total


def _parts(call: Call, x: Tensor, most: int, name: str) -> list[tuple[int, Tensor, int]]:
    """Parts of 8 bits as float32: how far each is shifted, and how far from 0 it lies at most."""
    if most <= _BYTE:
        return [(0, call.cast(x, "float32", f"{name}/float"), max(most, 1))]
    x = call.cast(x, "int32", f"{name}/whole")
    count = next(n for n in (2, 3, 4) if n == 4 or most < 1 << (8 * n - 1))
    made = []
    for i in range(count):
        part = x
        if i:
            bits = call.const(8 * i, "int32")
            part = call.op("right_shift", x, bits, part=f"{name}/part{i}")
        if i < count - 1:  # the last has the sign
            part = call.op("bitwise_and", part, call.const(_BYTE, "int32"), part=f"{name}/byte{i}")
        made.append((8 * i, call.cast(part, "float32", f"{name}/float{i}"), _BYTE))
    return made


def _added(call: Call, a: Tensor, b: Tensor, most_a: int, most_b: int) -> Tensor:
    """The product of float32 matrices as int32, in blocks as long as sums stay exact."""
    inner, longest = a.shape[-1], EXACT // (most_a * most_b)
    if inner > longest and isinstance(b, np.ndarray):  # real numbers are seldom the worst
        if most_a * int(np.abs(b.astype(np.float64)).sum(-2).max(initial=0)) <= EXACT:
            longest = inner
    blocks = -(-inner // longest)
    if blocks > 1:
        a, b = _blocks(call, a, -1, blocks, longest), _blocks(call, b, -2, blocks, longest)
    y = call.op("matmul", a, b, part="product")
    y = call.cast(call.op("round", y, part="whole"), "int32", "int")
    return call.op("sum", y, part="sums", axes=(len(y.shape) - 3,)) if blocks > 1 else y


def _blocks(call: Call, x: Tensor, axis: int, count: int, size: int) -> Tensor:
    """[..., k, n] as [..., blocks, size, n], or [..., m, k] as [..., blocks, m, size]."""
    at = len(x.shape) + axis
    missing = count * size - x.shape[at]
    if missing:
        wide = [(0, missing if d == at else 0) for d in range(len(x.shape))]
        x = call.op("pad", x, part="filled", paddings=tuple(wide), value=0.0)
    x = call.reshape(x, (*x.shape[:at], count, size, *x.shape[at + 1 :]), "blocks")
    if axis == -1:
        rank = len(x.shape)
        x = call.transpose(x, (*range(rank - 3), rank - 2, rank - 3, rank - 1), "first")
    return x
