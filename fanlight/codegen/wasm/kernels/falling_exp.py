"""exp of what is never positive, in twelve instructions where the general one takes twenty-one.

e^x = 2^n 2^r with n = round(x log2(e)) and |r| <= 1/2. Nothing overflows, and what would need a
denormal becomes 0, so that one factor does for 2^n: n and the bias of an exponent are the low bits
of a sum with 1.5 * 2^23, and a shift makes a float32 of them. 2^r is a polynomial of degree 5 that
is 1 at 0 (minimax, 9.2e-8 relative), so that e^0 is exactly 1. The error grows with |x| as that of
x log2(e) does: 2.8e-7 of the result at -10, 1.4e-6 at -87. exp(-inf) = 0, and NaN stays.
"""

from __future__ import annotations

import struct

from fanlight.codegen.wasm.assembler import Function, Local

_LEAST = -88.02969193111305  # -127 ln(2): 2^-127 has the bits of 0
_LOG2_E = 1.4426950408889634
_MAGIC = 12582912.0 + 127.0
# q(r) of 2^r = 1 + r q(r), from r^4 down.
_POLYNOMIAL = (
    0.0013264727247242446,
    0.009671512688154651,
    0.055507337435739795,
    0.24022242084635062,
    0.6931469775987167,
)
OPERATIONS = 24  # per result: twelve instructions, each as long as a multiply-add


def constants() -> list[bytes]:
    """What `falling_exp` wants to be held."""
    values = (_LEAST, _LOG2_E, _MAGIC, *_POLYNOMIAL)
    return [struct.pack("<f", value) * 4 for value in values]


def falling_exp(f: Function, x: Local, spare: Local, *, fused: bool) -> Function:
    """Push e^x of four numbers that are not positive; `x` and `spare` change.

    Args:
        fused: whether relaxed multiply-adds may be used.
    """

    def multiply_add() -> None:
        f.op("f32x4.relaxed_madd")

    # pmax(a, b) is b where a < b, else a: NaN stays.
    f.get(x).f32x4(_LEAST).op("f32x4.pmax").set(x)
    if fused:
        f.get(x).f32x4(_LOG2_E).f32x4(_MAGIC)
        multiply_add()
        f.set(spare).get(x).f32x4(_LOG2_E).f32x4(_MAGIC).get(spare).op("f32x4.sub")
        multiply_add()
    else:
        f.get(x).f32x4(_LOG2_E).op("f32x4.mul").tee(x).f32x4(_MAGIC).op("f32x4.add").set(spare)
        f.get(x).f32x4(_MAGIC).get(spare).op("f32x4.sub").op("f32x4.add")
    f.set(x).f32x4(_POLYNOMIAL[0])
    for coefficient in _POLYNOMIAL[1:]:
        f.get(x)
        if fused:
            f.f32x4(coefficient)
            multiply_add()
        else:
            f.op("f32x4.mul").f32x4(coefficient).op("f32x4.add")
    # 2^n (1 + r q(r)) as 2^n + 2^n r q(r): the 1 needs no register.
    f.get(spare).i32(23).op("i32x4.shl").tee(spare).get(x).op("f32x4.mul")
    if fused:
        f.get(spare)
        multiply_add()
        return f
    return f.op("f32x4.mul").get(spare).op("f32x4.add")
