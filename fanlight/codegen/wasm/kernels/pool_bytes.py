"""Max and average pooling of bytes, sixteen channels to a vector; windows clipped at the borders.

A unit of work is a row of the output. Where a window lies inside the image, small windows are
written out in full; elsewhere the same code runs with counted loops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fanlight.codegen.kernel import Kernel, Weights, node_bytes, register
from fanlight.codegen.wasm.assembler import Function, Local, Number
from fanlight.codegen.wasm.kernels.byte_sums import BLOCK, ROOM, ByteSums, Mean
from fanlight.codegen.wasm.kernels.sweep import Windows
from fanlight.codegen.wasm.kernels.vectors import Registers, store_bytes
from fanlight.codegen.wasm.module import Module
from fanlight.graph import Node
from fanlight.targets import Target

MAX_BLOCK = 64  # channels of a maximum that are in flight together
UNROLLED = 9  # largest window that is written out in full


@register("avg_pool_int8")
def lower(node: Node, target: Target, weights: Weights) -> Kernel:
    """The kernel of avg_pool_int8, and of max_pool over bytes."""
    mean = None if node.op == "max_pool" else Mean.of(node)
    windows = Windows.of(node)

    def emit(module: Module, name: str) -> None:
        f = module.function(name, ("i32",) * 4)
        _Emitter(f, mean, windows, *f.params[:2]).rows(*f.params[2:])

    return Kernel(
        key=f"byte pool {mean} {windows}",
        emit=emit,
        work=windows.rows,
        flops=node.outputs[0].type.size * windows.size[0] * windows.size[1],
        bytes=node_bytes(node),
    )


@dataclass(frozen=True)
class _Window:
    """Rows and columns of the window inside the image: numbers, or i32 locals where clipped."""

    rows: Number
    columns: Number


class _Emitter:
    def __init__(self, f: Function, mean: Mean | None, pool: Windows, x: Local, y: Local) -> None:
        # The greatest byte where `mean` is None.
        self.f, self.mean, self.pool, self.x, self.y = f, mean, pool, x, y
        self.registers = Registers(f)
        take = self.registers.take_many
        # First row of the window, rows and columns of it inside the image, its first column.
        self.row, self.window_rows, self.window_columns, self.column = take(4, "i32")
        self.corner, self.out, self.at, self.line, self.cell = take(5, "i32")
        self.factor, self.shift = take(2, "v128")

    def rows(self, low: Local, high: Local) -> None:
        """Rows [low, high) of the output."""
        f, pool = self.f, self.pool
        n, height, width, channels = pool.image
        rows, columns = pool.out
        unit, place = self.registers.take_many(2, "i32")
        f.address(self.y, low, columns * channels).set(self.out)
        first, last = pool.sweep(0).whole()
        with f.range(unit, low, high):
            f.get(unit)
            if n > 1:
                f.i32(rows).op("i32.rem_u")
            f.tee(place).times(pool.strides[0]).plus(-pool.pad[0]).set(self.row)
            self._clip(0, self.row, self.window_rows)
            if n > 1:
                f.get(unit).i32(rows).op("i32.div_u").times(height)
                f.get(self.row).op("i32.add").set(self.row)
            f.address(self.x, self.row, width * channels).set(self.row)
            small = pool.size[0] * pool.size[1] <= UNROLLED
            if (first, last) == (0, rows):
                self._line(pool.size[0])
            elif small and first < last:
                f.get(place).plus(-first).i32(last - first).op("i32.lt_u")
                with f.if_():
                    self._line(pool.size[0])
                    f.else_()
                    self._line(self.window_rows)
            else:
                self._line(self.window_rows)

    def _clip(self, axis: int, start: Local, count: Local) -> None:
        """Move `start` (maybe negative) into the image; `count` = what is left of the window."""
        f, limit = self.f, self.pool.image[1 + axis]
        end = self.registers.take("i32")
        f.get(start).plus(self.pool.size[axis]).tee(end).i32(limit)
        f.get(end).i32(limit).op("i32.lt_s").select().set(end)
        f.i32(0).get(start).get(start).i32(0).op("i32.lt_s").select().set(start)
        f.get(end).get(start).op("i32.sub").set(count)
        if self.pool.sweep(axis).misses():
            f.get(count).i32(0).get(count).i32(0).op("i32.gt_s").select().set(count)
        self.registers.give(end)

    def _line(self, rows: Number) -> None:
        """One row of the output, `rows` of whose windows lie inside the image."""
        pool = self.pool
        first, last = pool.sweep(1).whole()
        last = max(first, last)
        self._pixels(0, first, _Window(rows, self.window_columns))
        self._pixels(first, last, _Window(rows, pool.size[1]))
        self._pixels(last, pool.out[1], _Window(rows, self.window_columns))

    def _pixels(self, low: int, high: int, window: _Window) -> None:
        """Pixels low .. high - 1 of the row."""
        f, pool = self.f, self.pool
        if low >= high:
            return
        inside = isinstance(window.columns, int)
        step = pool.strides[1] * pool.image[3]
        begin = (low * pool.strides[1] - pool.pad[1]) * pool.image[3]
        place = self.registers.take("i32")
        if inside:
            f.get(self.row).plus(begin).set(self.corner)
            self._count(window)
        with f.range(place, low, high):
            if not inside:
                f.get(place).times(pool.strides[1]).plus(-pool.pad[1]).set(self.column)
                self._clip(1, self.column, self.window_columns)
                f.address(self.row, self.column, pool.image[3]).set(self.corner)
                self._count(window)
            self._pixel(window)
            if inside:
                f.advance(self.corner, step)
            f.advance(self.out, pool.image[3])
        self.registers.give(place)

    def _count(self, window: _Window) -> None:
        """What the sums of a window are less, and multiplied by."""
        f, mean = self.f, self.mean
        if mean is None:
            return
        if isinstance(window.rows, int) and isinstance(window.columns, int):
            area = window.rows * window.columns
            f.i32x4(area * mean.zero_x).set(self.shift)
            f.f32x4(mean.factor(area)).set(self.factor)
            return
        count = self.registers.take("i32")
        f.value(window.rows).value(window.columns).op("i32.mul").tee(count)
        f.times(mean.zero_x).op("i32x4.splat").set(self.shift)
        f.f32(mean.scale).get(count).op("f32.convert_i32_s").op("f32.div")
        f.op("f32x4.splat").set(self.factor)
        self.registers.give(count)

    def _pixel(self, window: _Window) -> None:
        """All channels of one pixel of the output; `corner` and `out` stay."""
        f, pool = self.f, self.pool
        channels = pool.image[3]
        block = MAX_BLOCK if self.mean is None else BLOCK
        whole, rest = divmod(channels, block)
        if whole + (rest > 0) == 1:
            self._block(window, self.corner, self.out, channels)
            return
        source, to = self.registers.take_many(2, "i32")
        f.get(self.corner).set(source).get(self.out).set(to)
        with f.repeat(whole):
            self._block(window, source, to, block)
            f.advance(source, block).advance(to, block)
        if rest:
            self._block(window, source, to, rest)
        self.registers.give(source, to)

    def _block(self, window: _Window, source: Local, to: Local, channels: int) -> None:
        pool = self.pool
        if self.mean is None:
            self._greatest(window, source, to, channels)
            return
        area = pool.size[0] * pool.size[1]
        sums = ByteSums(self.f, self.registers, channels, long=area > ROOM)
        sums.clear()
        by_row = pool.size[1] <= ROOM

        def cell(pointer: Local, offset: int) -> None:
            sums.add(pointer, offset)
            if area > ROOM and not by_row:
                sums.empty()

        def row() -> None:
            if area > ROOM and by_row:
                sums.empty()

        self._cells(window, source, cell, row)
        sums.store(to, 0, self.mean, self.shift, self.factor)
        sums.release()

    def _greatest(self, window: _Window, source: Local, to: Local, channels: int) -> None:
        f = self.f
        best = self.registers.take_many(-(-channels // 16), "v128")
        f.i32x4(0)
        for acc in best:
            f.tee(acc)
        f.drop()

        def cell(pointer: Local, offset: int) -> None:
            for i, acc in enumerate(best):
                f.get(acc).get(pointer).load(offset + 16 * i).op("i8x16.max_u").set(acc)

        self._cells(window, source, cell, lambda: None)
        for i, acc in enumerate(best):
            store_bytes(f, to, acc, min(16, channels - 16 * i), 16 * i)
        self.registers.give(*best)

    def _cells(
        self,
        window: _Window,
        source: Local,
        cell: Callable[[Local, int], None],
        row: Callable[[], None],
    ) -> None:
        """Call `cell(pointer, offset)` for all of a window that begins at `source`, `row` after
        every row of it.
        """
        f, pool = self.f, self.pool
        step = pool.image[3]
        line = step * pool.image[2]
        rows, columns = window.rows, window.columns
        if isinstance(rows, int) and isinstance(columns, int) and rows * columns <= UNROLLED:
            for i in range(rows):
                for j in range(columns):
                    cell(source, i * line + j * step)
                row()
            return
        f.get(source).set(self.line)
        with self._times(0, rows):
            if isinstance(columns, int) and columns <= UNROLLED:
                for j in range(columns):
                    cell(self.line, j * step)
            else:
                f.get(self.line).set(self.cell)
                with self._times(1, columns):
                    cell(self.cell, 0)
                    f.advance(self.cell, step)
            row()
            f.advance(self.line, line)

    @contextmanager
    def _times(self, axis: int, count: Number) -> Iterator[None]:
        """Run the body `count` times: at least once, unless a window may miss the image."""
        f = self.f
        left = self.registers.take("i32")
        f.value(count).set(left)
        with f.block() as done:
            if isinstance(count, Local) and self.pool.sweep(axis).misses():
                f.get(left).op("i32.eqz").br_if(done)
            with f.loop() as again:
                yield
                f.get(left).i32(1).op("i32.sub").tee(left).br_if(again)
        self.registers.give(left)
