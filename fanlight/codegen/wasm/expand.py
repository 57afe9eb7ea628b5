"""`expand(address, count)`: float16 weights, as they came, into the float32 that kernels read."""

from __future__ import annotations

import struct

from fanlight.codegen.wasm.assembler import Function, Local
from fanlight.codegen.wasm.module import Module

NAME = "expand"
GROUP = 8  # halves per step
_SMALL, _SPECIAL = 1 << 23, 31 << 23  # the least exponent, and that of inf and NaN, once shifted
_REBASE = 112 << 23  # from float16's exponent bias, 15, to float32's, 127
_TINY = 113 << 23  # 2^-14 as float32


def emit_expand(module: Module) -> None:
    """Add and export the function.

    `count` halves, a multiple of 8 and not 0, lie at the end of their place of 4 * count bytes at
    `address`; the floats fill it from its start. A step reads 16 bytes before it writes 32, and
    what it writes never passes what is still to be read: after i of n halves,
    4 i + 32 <= 2 n + 2 i + 16.
    Every value is exact, and NaN keeps its sign and payload.
    """
    f = module.function(NAME, ("i32", "i32"), export=True)
    address, count = f.params
    source = f.local("i32")
    low, high = f.locals(2, "v128")
    f.address(address, count, 2).set(source)
    words = (1 << 31, _SMALL, _SPECIAL, _REBASE, _TINY)
    with f.holding(struct.pack("<4I", *[word] * 4) for word in words), f.loop() as again:
        f.get(source).op("v128.load16x4_u").i32(16).op("i32x4.shl").set(low)
        f.get(source).op("v128.load16x4_u", 8).i32(16).op("i32x4.shl").set(high)
        for offset, half in ((0, low), (16, high)):
            f.get(address)
            _float_of(f, half)
            f.store(offset)
        f.advance(source, 2 * GROUP).advance(address, 4 * GROUP)
        f.get(count).i32(GROUP).op("i32.sub").tee(count).i32(0).op("i32.gt_s").br_if(again)


def _float_of(f: Function, half: Local) -> None:
    """Push four floats for the halves in the upper 16 bits of each lane.

    Integers only, but for the subnormals, whose exact value is (1 + m) 2^-14 - 2^-14: multiplying
    them up as float32 subnormals is exact too, and takes a hundred times longer on some machines.
    """
    bits = f.local("v128")
    f.get(half).i32x4(1 << 31).op("v128.andnot").i32(3).op("i32x4.shr_u").tee(bits)
    f.i32x4(_TINY).op("i32x4.add").i32x4(_TINY).op("f32x4.sub")
    f.get(bits).i32x4(_REBASE).op("i32x4.add")
    f.get(bits).i32x4(_SPECIAL).op("i32x4.ge_u").i32x4(_REBASE).op("v128.and").op("i32x4.add")
    f.get(bits).i32x4(_SMALL).op("i32x4.lt_u").op("v128.bitselect")
    f.get(half).i32x4(1 << 31).op("v128.and").op("v128.or")
