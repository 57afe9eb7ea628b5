"""Rounding floats to bytes: the last steps of every byte op, by the magic number.

`uint8(clip(round(v) + zero, 0, high))` by the instructions of these names costs sixteen x64
instructions per vector, most of them for a saturating conversion. Instead v is raised to -zero,
which also makes NaN 0, and 1.5 * 2^23 is added, whose low bits then are the rounded number: halves
go to even, as float32 addition rounds. From 2^22 on the bits are no longer exact, but still far
above any byte, so that saturating gives the same.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from fanlight.codegen.wasm.assembler import Function
from fanlight.ops import scalar as sc

MAGIC = 12582912.0  # 1.5 * 2^23
MAGIC_BITS = 0x4B400000  # its bits


@dataclass(frozen=True)
class Rounding:
    """uint8(clip(round(value) + zero, 0, high)) of a float32 `value`; zero and high are bytes."""

    value: sc.Expr
    zero: int
    high: int


def rounding(expr: sc.Expr, dtypes: Sequence[str]) -> Rounding | None:
    """What a body rounds to bytes, and how; None if it has not that form.

    The clip may stand in either order or be left out (the cast saturates), and so may the zero.
    `dtypes` are those of the arguments.
    """
    if expr.op != "uint8":
        return None
    (inner,) = expr.args
    high: int | None = 255
    if inner.op == "min":
        inner, high = _with_byte(inner)
    if inner.op == "max":
        inner, low = _with_byte(inner)
        if low != 0:
            return None
        if inner.op == "min" and high == 255:
            inner, high = _with_byte(inner)
    zero: int | None = 0
    if inner.op == "add":
        inner, zero = _with_byte(inner)
    if high is None or zero is None or inner.op != "round":
        return None
    (value,) = inner.args
    return Rounding(value, zero, high) if sc.infer(value, dtypes) == "float32" else None


def _with_byte(expr: sc.Expr) -> tuple[sc.Expr, int | None]:
    """The operands of an instruction one of which is a whole constant in 0 .. 255, else None."""
    for part, constant in (expr.args, expr.args[::-1]):
        value = constant.value
        if constant.op == "const" and not isinstance(value, bool) and value in range(256):
            return part, int(value)
    return expr, None


def finish(f: Function, r: Rounding, *, clip: bool) -> Function:
    """From the vectors [-zero, value] on the stack to int32.

    Args:
        clip: leave nothing above `high`. Nothing is ever under 0.
    """
    # pmax(a, b) is b where a < b, else a.
    f.op("f32x4.pmax")
    if clip:
        f.f32x4(float(r.high - r.zero)).op("f32x4.pmin")
    return f.f32x4(MAGIC).op("f32x4.add").i32x4(MAGIC_BITS - r.zero).op("i32x4.sub")


def constants(r: Rounding) -> list[bytes]:
    """The v128 constants of rounding whose bytes are clipped after narrowing."""
    return [
        struct.pack("<f", float(-r.zero)) * 4,
        struct.pack("<f", MAGIC) * 4,
        struct.pack("<i", MAGIC_BITS - r.zero) * 4,
        bytes([r.high]) * 16,
    ]
