"""Rounding floats to bytes: the last steps of every byte op, by the magic number.

`uint8(clip(round(v) + zero, 0, high))` by the instructions of these names costs sixteen x64
instructions per vector, most of them for a saturating conversion. Instead 1.5 * 2^23 is added,
whose low bits then are the rounded number: halves go to even, as float32 addition rounds. From 2^22
on the bits are no longer exact, but still far above any byte, so that saturating gives the same.
What may lie far below 0, or be NaN, is first raised to -zero.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from fanlight.codegen.wasm.assembler import Function
from fanlight.ops import scalar as sc

MAGIC = 12582912.0  # 1.5 * 2^23
MAGIC_BITS = 0x4B400000  # its bits


@dataclass(frozen=True)
class Rounding:
    """uint8(clip(round(value) + zero, 0, high)) of a float32 `value`; zero and high are bytes.

    `tame`: the value is never NaN nor so large that the magic number fails.
    """

    value: sc.Expr
    zero: int
    high: int
    tame: bool = False


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
    if sc.infer(value, dtypes) != "float32":
        return None
    return Rounding(value, zero, high, bound(value, dtypes) < MAGIC / 4)


def _with_byte(expr: sc.Expr) -> tuple[sc.Expr, int | None]:
    """The operands of an instruction one of which is a whole constant in 0 .. 255, else None."""
    for part, constant in (expr.args, expr.args[::-1]):
        value = constant.value
        if constant.op == "const" and not isinstance(value, bool) and value in range(256):
            return part, int(value)
    return expr, None


def bound(expr: sc.Expr, dtypes: Sequence[str]) -> float:
    """The largest magnitude that an expression may have, infinite where nothing is known.

    Only bytes and constants are known. Where the bound is finite, NaN cannot occur.
    """
    known: dict[int, float] = {}
    for node in sc.topological(expr):
        parts = [known[id(a)] for a in node.args]
        most = math.inf
        if node.op == "arg":
            most = 255.0 if dtypes[node.value] == "uint8" else math.inf
        elif node.op == "const":
            most = abs(float(node.value))
        elif node.op in ("add", "sub"):
            most = sum(parts)
        elif node.op == "mul":
            most = parts[0] * parts[1]
        elif node.op in ("min", "max"):
            most = max(parts)
        elif node.op in ("neg", "abs", "float32", "int32"):
            most = parts[0]
        elif node.op in ("lt", "le", "eq"):
            most = 1.0
        elif node.op == "select":
            most = max(parts[1:])
        # Beyond int32, whole numbers would wrap around.
        known[id(node)] = most if most < 2**31 else math.inf
    return known[id(expr)]


def start(f: Function, r: Rounding) -> None:
    """Push what `finish` needs below the value."""
    if not r.tame:
        f.f32x4(float(-r.zero))


def finish(f: Function, r: Rounding, *, clip: bool) -> Function:
    """From the value on the stack (and what `start` pushed) to int32.

    Args:
        clip: leave nothing outside 0 .. `high`. Else saturated narrowing and a minimum must follow.
    """
    if not r.tame:
        # pmax(a, b) is b where a < b, else a.
        f.op("f32x4.pmax")
    if clip:
        f.f32x4(float(r.high - r.zero)).op("f32x4.pmin")
    f.f32x4(MAGIC).op("f32x4.add").i32x4(MAGIC_BITS - r.zero).op("i32x4.sub")
    if clip and r.tame:
        f.i32x4(0).op("i32x4.max_s")
    return f


def real_rounding(expr: sc.Expr, dtypes: Sequence[str]) -> tuple[Rounding, int] | None:
    """What float32(int32(uint8(...)) - shift) rounds, and the shift: a byte amid a chain."""
    if expr.op != "float32":
        return None
    (inner,) = expr.args
    shift: int | None = 0
    if inner.op == "sub" and inner.args[1].op == "const":
        inner, shift = _with_byte(inner)
    if inner.op != "int32" or shift is None:
        return None
    rounded = rounding(inner.args[0], dtypes)
    return None if rounded is None else (rounded, shift)


def finish_real(f: Function, r: Rounding, shift: int) -> Function:
    """From [-zero, value] on the stack to float32(byte) - shift, without leaving float32.

    The magic number rounds; it, less the zero point and the shift, is taken off again, exactly.
    """
    f.op("f32x4.pmax").f32x4(float(r.high - r.zero)).op("f32x4.pmin")
    return f.f32x4(MAGIC).op("f32x4.add").f32x4(MAGIC - r.zero + shift).op("f32x4.sub")


def constants(r: Rounding) -> list[bytes]:
    """The v128 constants of rounding whose bytes are clipped after narrowing."""
    return [
        *([] if r.tame else [struct.pack("<f", float(-r.zero)) * 4]),
        struct.pack("<f", MAGIC) * 4,
        struct.pack("<i", MAGIC_BITS - r.zero) * 4,
        bytes([r.high]) * 16,
    ]
