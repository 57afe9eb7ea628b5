"""From int32 sums to what is stored: scale, residual, rounding, narrowing (see docs/adr/0005)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fanlight.codegen.kernel import Weights
from fanlight.codegen.wasm.assembler import Function, Local
from fanlight.codegen.wasm.kernels.vectors import Registers, store_bytes
from fanlight.codegen.wasm.rounding import MAGIC, MAGIC_BITS
from fanlight.graph import Node
from fanlight.ops.quantized import sum_reach


def _floats(value: float) -> bytes:
    return struct.pack("<f", value) * 4


def _ints(value: int) -> bytes:
    return struct.pack("<i", value) * 4


@dataclass(frozen=True)
class Requantize:
    """What follows the sum of a `*_int8` row.

    Attributes:
        output: "uint8" or "float32".
        zero, high: zero point and greatest byte of the result.
        residual: whether a residual is added.
        residual_scale, residual_zero: its factor and zero point.
        deep: whether what is rounded can be so far below 0 that MAGIC does not make it positive.
    """

    output: str
    zero: int
    high: int
    residual: bool
    residual_scale: float
    residual_zero: int
    deep: bool

    @classmethod
    def of(cls, node: Node, weights: Weights) -> Requantize:
        """From the attributes and weights of a node; its residual is the fifth input."""
        a = node.attrs
        residual = len(node.inputs) > 4
        scale, zero = (a["residual_scale"], a["residual_zero"]) if residual else (1.0, 0)
        deep = _lowest(node, weights) - 255 * abs(scale) < -MAGIC / 2
        return cls(a["output"], a["zero"], a["high"], residual, scale, zero, deep)

    @property
    def width(self) -> int:
        """Bytes per element of the result."""
        return 1 if self.output == "uint8" else 4

    def constants(self) -> list[bytes]:
        """The v128 constants of `store`, for `Function.holding`."""
        used = []
        if self.residual:
            used += [_floats(self.residual_scale)]
            used += [struct.pack("<h", self.residual_zero) * 8] * bool(self.residual_zero)
        if self.output == "uint8":
            used += [_floats(MAGIC), _ints(MAGIC_BITS - self.zero)]
            used += [_ints(0)] * self.deep
            used += [bytes([self.high]) * 16] * (self.high < 255)
        return used

    def store(
        self,
        f: Function,
        registers: Registers,
        sums: Sequence[Sequence[Local]],
        columns: int,
        out: Local,
        step: int,
        scale: Local,
        residual: Local | None,
        channel: Local,
    ) -> None:
        """Finish and store a tile of sums; the sums are overwritten.

        Args:
            sums: per row, one or two vectors of four int32.
            columns: columns of the tile that count, at most 8.
            out: address of the tile's first result; rows lie `step` bytes apart.
            scale: address of the float32 scales of all channels.
            residual: address of the residual's element at `out`, minus `out`, where the result is
                bytes. For float32 results: of the residual's first element of the tile.
            channel: the tile's first channel.
        """
        factors = registers.take_many(len(sums[0]), "v128")
        for j, local in enumerate(factors):
            f.address(scale, channel, 4).load(16 * j).set(local)
        place = registers.take("i32")
        if residual is not None:
            f.get(residual)
            if self.output == "uint8":
                f.get(out).op("i32.add")
            f.set(place)
        for r, row in enumerate(sums):
            for v, factor in zip(row, factors, strict=True):
                f.get(v).op("f32x4.convert_i32x4_s").get(factor).op("f32x4.mul").set(v)
            if residual is not None:
                self._add_residual(f, registers, row, place, r * step // self.width)
            if self.output == "float32":
                for j, v in enumerate(row):
                    store_bytes(f, out, v, 4 * min(4, columns - 4 * j), r * step + 16 * j)
        registers.give(place, *factors)
        if self.output == "uint8":
            self._store_bytes(f, registers, sums, columns, out, step)

    def residual_place(
        self, f: Function, registers: Registers, residual: Local | None, base: Local, out: Local
    ) -> Local | None:
        """What `store` wants to know of where the residual lies.

        Args:
            residual: pointer to its first element; for bytes, less `base` already.
            base, out: addresses of the first result of all and of the tile.
        """
        if residual is None or self.width == 1:
            return residual
        place = registers.take("i32")
        f.get(out).get(base).op("i32.sub").i32(2).op("i32.shr_u")
        f.get(residual).op("i32.add").set(place)
        registers.give(place)
        return place

    def _add_residual(
        self, f: Function, registers: Registers, row: Sequence[Local], place: Local, at: int
    ) -> None:
        """row += (residual - residual_zero) * residual_scale, at `at` bytes after `place`."""
        eight = registers.take("v128")
        f.get(place).op("v128.load8x8_u", at)
        if self.residual_zero:
            f.v128(struct.pack("<h", self.residual_zero) * 8).op("i16x8.sub")
        f.set(eight)
        for v, half in zip(row, ("low", "high"), strict=False):
            f.get(v).get(eight).op(f"i32x4.extend_{half}_i16x8_s").op("f32x4.convert_i32x4_s")
            f.v128(_floats(self.residual_scale)).op("f32x4.mul").op("f32x4.add").set(v)
        registers.give(eight)

    def _store_bytes(
        self,
        f: Function,
        registers: Registers,
        sums: Sequence[Sequence[Local]],
        columns: int,
        out: Local,
        step: int,
    ) -> None:
        for row in sums:
            for v in row:
                self.round(f, v)
            f.get(row[0]).get(row[-1]).op("i16x8.narrow_i32x4_s").set(row[0])
        # Two rows of eight bytes fill a vector.
        for r in range(0, len(sums), 2):
            value = sums[r][0]
            f.get(value).get(sums[min(r + 1, len(sums) - 1)][0]).op("i8x16.narrow_i16x8_u")
            if self.high < 255:
                f.v128(bytes([self.high]) * 16).op("i8x16.min_u")
            f.set(value)
            for half in range(min(2, len(sums) - r)):
                _store_half(f, out, value, columns, (r + half) * step, 8 * half)

    def round(self, f: Function, v: Local) -> None:
        """Floats -> round(v) + zero as int32 that narrowing saturates rightly, in place.

        Floats of more than 22 bits give larger bits, so that narrowing saturates as it must; of
        those that stay below 0, see below.
        """
        f.get(v).v128(_floats(MAGIC)).op("f32x4.add")
        if self.deep:
            # A sum below 0 is a negative float, whose bits minus MAGIC_BITS would wrap around.
            f.v128(_ints(0)).op("i32x4.max_s")
        f.v128(_ints(MAGIC_BITS - self.zero)).op("i32x4.sub").set(v)


def join_halves(
    f: Function,
    acc: Sequence[Sequence[Sequence[Local]]],
    bias: Local,
    channel: Local,
) -> None:
    """Halves hold two sums per column side by side: add neighbours, then the bias, into the first.

    Args:
        acc: per row and four columns the two halves.
        bias: address of the int32 biases of all channels.
        channel: the tile's first channel.
    """
    even = [b for lane in (0, 2, 4, 6) for b in range(4 * lane, 4 * lane + 4)]
    odd = [b + 4 for b in even]
    for row in acc:
        for j, (low, high) in enumerate(row):
            f.get(low).get(high).op("i8x16.shuffle", *even)
            f.get(low).get(high).op("i8x16.shuffle", *odd).op("i32x4.add")
            f.address(bias, channel, 4).load(16 * j).op("i32x4.add").set(low)


def _lowest(node: Node, weights: Weights) -> float:
    """A bound from below for scaled sums, from what the weights are."""
    w, bias, scale = (weights[v] for v in node.inputs[1:4])
    reach = sum_reach(w, bias, node.attrs["x_high"]) * np.abs(scale.astype(np.float64))
    return -float(reach.max(initial=0))


def _store_half(
    f: Function, pointer: Local, value: Local, count: int, offset: int, start: int
) -> None:
    """Store `count` (1 .. 8) bytes of a vector from byte `start` (0 or 8) on."""
    done = 0
    for width, name in ((8, "64"), (4, "32"), (2, "16"), (1, "8")):
        if count - done >= width:
            f.get(pointer).get(value)
            f.op(f"v128.store{name}_lane", offset + done, (start + done) // width)
            done += width
