"""Max and average pooling: four channels to a lane, windows clipped at the borders.

A unit of work is a row of the output. Pixels whose window lies inside the image have their window
columns unrolled; the others run the same code with counted loops.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import inf

from fanlight.codegen.kernel import Kernel, Weights, node_bytes, register
from fanlight.codegen.wasm.assembler import Function, Local
from fanlight.codegen.wasm.kernels import pool_bytes
from fanlight.codegen.wasm.kernels.sweep import Windows
from fanlight.codegen.wasm.kernels.vectors import Registers, store_bytes
from fanlight.codegen.wasm.module import Module
from fanlight.graph import Node
from fanlight.targets import Target

VECTORS = 4  # vectors of channels that are in flight together
UNROLLED = 8  # widest window whose columns are unrolled


@register("max_pool", "avg_pool")
def lower(node: Node, target: Target, weights: Weights) -> Kernel:
    """The kernel of a pooling node."""
    if node.inputs[0].dtype == "uint8":
        return pool_bytes.lower(node, target, weights)
    maximum, windows = node.op == "max_pool", Windows.of(node)

    def emit(module: Module, name: str) -> None:
        f = module.function(name, ("i32",) * 4)
        x, y, low, high = f.params
        _Emitter(f, maximum, windows, x, y).rows(low, high)

    return Kernel(
        key=f"pool {maximum} {windows}",
        emit=emit,
        work=windows.rows,
        in_order=True,
        flops=node.outputs[0].type.size * windows.size[0] * windows.size[1],
        bytes=node_bytes(node),
    )


class _Emitter:
    def __init__(self, f: Function, maximum: bool, pool: Windows, x: Local, y: Local) -> None:
        self.f, self.maximum, self.pool, self.x, self.y = f, maximum, pool, x, y
        self.registers = Registers(f)
        take = self.registers.take_many
        # First row of the window inside the image, rows and columns of it, column of the window.
        self.row, self.window_rows, self.window_columns, self.column = take(4, "i32")
        self.corner, self.out, self.at, self.line, self.cell = take(5, "i32")
        self.left, self.across = take(2, "i32")
        self.sums, self.nans = take(VECTORS, "v128"), take(VECTORS, "v128")
        self.value, self.count = take(2, "v128")

    def rows(self, low: Local, high: Local) -> None:
        f, pool = self.f, self.pool
        n, height, width, channels = pool.image
        unit, ox, spare = self.registers.take_many(3, "i32")
        first, last = self._interior()
        out_rows, out_columns = pool.out
        f.address(self.y, low, out_columns * channels * 4).set(self.out)
        with f.range(unit, low, high):
            # row = the window's first row; then clipped to the image.
            f.get(unit)
            if n > 1:
                f.i32(out_rows).op("i32.rem_u")
            f.times(pool.strides[0]).plus(-pool.pad[0]).set(self.row)
            self._clip(0, self.row, self.window_rows, spare)
            if n > 1:
                f.get(unit).i32(out_rows).op("i32.div_u").times(height)
                f.get(self.row).op("i32.add").set(self.row)
            f.address(self.x, self.row, width * channels * 4).set(self.row)
            with f.range(ox, 0, out_columns):
                f.get(ox).times(pool.strides[1]).plus(-pool.pad[1]).set(self.column)
                if first == 0 and last == out_columns:
                    self._pixel(inside=True)
                elif first >= last:
                    self._clip(1, self.column, self.window_columns, spare)
                    self._pixel(inside=False)
                else:
                    f.get(ox).plus(-first).i32(last - first).op("i32.lt_u")
                    with f.if_():
                        self._pixel(inside=True)
                        f.else_()
                        self._clip(1, self.column, self.window_columns, spare)
                        self._pixel(inside=False)
                f.advance(self.out, channels * 4)

    def _interior(self) -> tuple[int, int]:
        """The columns of the output whose window lies inside the image, if it is written out."""
        return (0, 0) if self.pool.size[1] > UNROLLED else self.pool.sweep(1).whole()

    def _clip(self, axis: int, start: Local, count: Local, spare: Local) -> None:
        """Move `start` (maybe negative) into the image; `count` = what is left of the window."""
        f, limit = self.f, self.pool.image[1 + axis]
        f.get(start).plus(self.pool.size[axis]).tee(count).i32(limit)
        f.get(count).i32(limit).op("i32.lt_s").select().set(count)
        f.i32(0).get(start).get(start).i32(0).op("i32.lt_s").select().tee(start).set(spare)
        f.get(count).get(spare).op("i32.sub").set(count)
        if self.pool.sweep(axis).misses():
            f.get(count).i32(0).get(count).i32(0).op("i32.gt_s").select().set(count)

    @contextmanager
    def _times(self, axis: int, count: Local, left: Local) -> Iterator[None]:
        """Run the body `count` times: at least once, unless a window may miss the image."""
        f = self.f
        f.get(count).set(left)
        with f.block() as done:
            if self.pool.sweep(axis).misses():
                f.get(left).op("i32.eqz").br_if(done)
            with f.loop() as again:
                yield
                f.get(left).i32(1).op("i32.sub").tee(left).br_if(again)

    def _pixel(self, inside: bool) -> None:
        f, channels = self.f, self.pool.image[3]
        f.address(self.row, self.column, channels * 4).set(self.corner)
        if not self.maximum:
            f.get(self.window_rows)
            if inside:
                f.times(self.pool.size[1])
            else:
                f.get(self.window_columns).op("i32.mul")
            f.op("f32.convert_i32_s").op("f32x4.splat").set(self.count)
        whole, rest = divmod(channels, 4 * VECTORS)
        f.get(self.out).set(self.at)
        with f.repeat(whole):
            self._block(inside, 4 * VECTORS)
            f.advance(self.corner, 16 * VECTORS).advance(self.at, 16 * VECTORS)
        if rest:
            self._block(inside, rest)

    def _block(self, inside: bool, channels: int) -> None:
        """Some channels of one output pixel."""
        f, pool = self.f, self.pool
        step = pool.image[3] * 4
        used = -(-channels // 4)
        sums, nans = self.sums[:used], self.nans[:used]
        f.f32x4(-inf if self.maximum else 0.0)
        for acc in sums:
            f.tee(acc)
        f.drop()
        if self.maximum:
            f.i32x4(0)
            for nan in nans:
                f.tee(nan)
            f.drop()
        f.get(self.corner).set(self.line)
        with self._times(0, self.window_rows, self.left):
            if inside:
                for column in range(pool.size[1]):
                    self._take(self.line, column * step, sums, nans)
            else:
                f.get(self.line).set(self.cell)
                with self._times(1, self.window_columns, self.across):
                    self._take(self.cell, 0, sums, nans)
                    f.advance(self.cell, step)
            f.advance(self.line, step * pool.image[2])
        for i, (acc, nan) in enumerate(zip(sums, nans, strict=True)):
            if self.maximum:
                f.get(acc).get(nan).op("v128.or").set(acc)
            else:
                f.get(acc).get(self.count).op("f32x4.div").set(acc)
            store_bytes(f, self.at, acc, min(16, channels * 4 - 16 * i), 16 * i)

    def _take(self, cell: Local, offset: int, sums: Sequence[Local], nans: Sequence[Local]) -> None:
        """One cell of the window.

        f32x4.max costs seven instructions on x64 because it must propagate NaN. pmax costs one;
        NaNs are collected beside it: an all-ones mask is a NaN, and so is anything ORed with it.
        """
        f, v = self.f, self.value
        for i, (acc, nan) in enumerate(zip(sums, nans, strict=True)):
            f.get(cell).load(offset + 16 * i)
            if not self.maximum:
                f.get(acc).op("f32x4.add").set(acc)
                continue
            f.set(v).get(acc).get(v).op("f32x4.pmax").set(acc)
            f.get(v).get(v).op("f32x4.ne").get(nan).op("v128.or").set(nan)
