"""Sums of bytes, channel by channel, and their mean as a byte: what pools and means share.

Bytes add up as uint16, which holds 257 of them; longer sums are emptied into int32 in between.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fanlight.codegen.wasm.assembler import Function, Local, Number
from fanlight.codegen.wasm.kernels.vectors import Registers, store_bytes
from fanlight.codegen.wasm.rounding import Rounding, finish, start
from fanlight.graph import Node
from fanlight.ops import scalar as sc

BLOCK = 32  # channels that are summed together: four vectors of uint16
ROOM = 256  # bytes that may be added between two calls of `empty`


@dataclass(frozen=True)
class Mean:
    """clip(round(float32(sum - count * zero_x) * (scale / float32(count))) + zero)."""

    zero_x: int
    scale: float
    zero: int
    high: int

    @classmethod
    def of(cls, node: Node) -> Mean:
        """The mean of an avg_pool_int8 or mean_int8."""
        return cls(*(node.attrs[name] for name in ("zero_x", "scale", "zero", "high")))

    def factor(self, count: int) -> float:
        """What a sum of `count` bytes is multiplied by, a float32."""
        return float(np.float32(self.scale) / np.float32(count))

    @property
    def rounding(self) -> Rounding:
        return Rounding(sc.arg(0), self.zero, self.high)


class ByteSums:
    """Running sums of up to BLOCK neighbouring channels.

    Args:
        channels: how many.
        long: whether more than ROOM bytes may be added up.
    """

    def __init__(self, f: Function, registers: Registers, channels: int, *, long: bool) -> None:
        self.f, self.registers, self.channels = f, registers, channels
        self.short = registers.take_many(-(-channels // 8), "v128")
        self.long = registers.take_many(-(-channels // 4), "v128") if long else []
        self.bytes = registers.take("v128")

    def release(self) -> None:
        self.registers.give(*self.short, *self.long, self.bytes)

    def clear(self) -> None:
        """Start again from 0."""
        self.f.i32x4(0)
        for total in (*self.short, *self.long):
            self.f.tee(total)
        self.f.drop()

    def add(self, pointer: Local, offset: int = 0) -> None:
        """Add the channels that lie at `pointer` + `offset` bytes."""
        f = self.f
        for i, total in enumerate(self.short):
            if i % 2 == 0:
                f.get(pointer).load(offset + 8 * i).set(self.bytes)
            half = "high" if i % 2 else "low"
            f.get(self.bytes).op(f"i16x8.extend_{half}_i8x16_u")
            f.get(total).op("i16x8.add").set(total)

    def empty(self) -> None:
        """Move what was added into the long sums."""
        f = self.f
        for i, total in enumerate(self.long):
            half = "high" if i % 2 else "low"
            f.get(self.short[i // 2]).op(f"i32x4.extend_{half}_i16x8_u")
            f.get(total).op("i32x4.add").set(total)
        f.i32x4(0)
        for total in self.short:
            f.tee(total)
        f.drop()

    def store(self, out: Local, offset: int, mean: Mean, shift: Number, factor: Local) -> None:
        """Store the means at `out` + `offset`.

        Args:
            shift: count * zero_x, known now or an i32x4 local.
            factor: scale / count, an f32x4 local.
        """
        f = self.f
        for first in range(0, self.channels, 16):
            count = min(16, self.channels - first)
            halves: list[Local] = []
            for i in range(first // 4, (first + count + 3) // 4):
                start(f, mean.rounding)
                if self.long:
                    f.get(self.long[i])
                else:
                    half = "high" if i % 2 else "low"
                    f.get(self.short[i // 2]).op(f"i32x4.extend_{half}_i16x8_u")
                if isinstance(shift, Local):
                    f.get(shift).op("i32x4.sub")
                elif shift:
                    f.i32x4(shift).op("i32x4.sub")
                f.op("f32x4.convert_i32x4_s").get(factor).op("f32x4.mul")
                finish(f, mean.rounding, clip=False)
                result = self.registers.take("v128")
                f.set(result)
                if i % 2:
                    f.get(halves[-1]).get(result).op("i16x8.narrow_i32x4_s").set(halves[-1])
                    self.registers.give(result)
                else:
                    halves.append(result)
            if count % 8 and count % 8 <= 4:
                f.get(halves[-1]).get(halves[-1]).op("i16x8.narrow_i32x4_s").set(halves[-1])
            f.get(halves[0]).get(halves[-1]).op("i8x16.narrow_i16x8_u")
            if mean.high < 255:
                f.v128(bytes([mean.high]) * 16).op("i8x16.min_u")
            f.set(self.bytes)
            store_bytes(f, out, self.bytes, count, offset + first)
            self.registers.give(*halves)
