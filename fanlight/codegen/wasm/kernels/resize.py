"""Resizing of float images and of RGBA bytes from a decoder.

Coordinates are computed in float64, as the NumPy meaning does, so that both pick the same pixels.
A unit of work is a row of the output, but a band of rows for the antialiased image resize, which
keeps its tables and one filtered row per band in scratch memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fanlight.codegen.wasm.assembler import Function, Local, Number
from fanlight.codegen.wasm.kernels.vectors import Registers, copy_run, store_bytes
from fanlight.codegen.wasm.module import Module
from fanlight.targets import Target

BANDS = 8  # most units that an antialiased resize splits into
_VECTORS = 4  # vectors of channels that are in flight together


@dataclass(frozen=True)
class Resize:
    """A resize of [N, H, W, C] float32 to [N, h, w, C]."""

    nearest: bool
    image: tuple[int, int, int, int]
    out: tuple[int, int]
    coordinates: str  # "half_pixel", "align_corners" or "asymmetric"

    @property
    def units(self) -> int:
        return self.image[0] * self.out[0]


@dataclass(frozen=True)
class ImageResize:
    """A resize of RGBA bytes [H, W, 4], H and W given or read at run time, to f32 [1, h, w, 3].

    `bound`: the largest H and W. `dims`: bytes into the dims block of H and W, None where fixed.
    """

    method: str  # "bilinear", "nearest" or "antialias"
    center: bool
    bound: tuple[int, int]
    dims: tuple[int | None, int | None]
    out: tuple[int, int]
    coordinates: str

    @property
    def units(self) -> int:
        return min(BANDS, self.out[0]) if self.method == "antialias" else self.out[0]

    @property
    def taps(self) -> tuple[int, int]:
        """Most weights of one output row and column of an antialiased resize."""
        height, width = (
            int(2 * max(size / out, 1.0)) + 3 for size, out in zip(self.bound, self.out, strict=True)
        )
        return height, width

    @property
    def slot(self) -> int:
        """Bytes of scratch per band: tables of the columns and of one row, one filtered row."""
        rows, columns = self.taps
        tables = self.out[1] * (8 + 4 * columns) + 8 + 4 * rows
        return -(-tables // 16) * 16 + (self.bound[1] + 8) * 16

    @property
    def scratch(self) -> int:
        return self.units * self.slot if self.method == "antialias" else 0


# --- coordinates ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Axis:
    """How one axis maps output positions to source positions; sizes known now or i32 locals."""

    size: Number
    out: int
    coordinates: str

    def ratio(self, f: Function) -> Local | float:
        """Source pixels per output pixel: a number, or an f64 local that this fills."""
        less = 1 if self.coordinates == "align_corners" else 0
        if self.out <= less:
            return 0.0
        if isinstance(self.size, int):
            return (self.size - less) / (self.out - less)
        local = f.local("f64")
        f.get(self.size).plus(-less).op("f64.convert_i32_s")
        f.f64(self.out - less).op("f64.div").set(local)
        return local

    def source(self, f: Function, position: Local, ratio: Local | float, nearest: bool) -> Function:
        """Push the source coordinate of an output position, as f64."""
        f.get(position).op("f64.convert_i32_s")
        half = self.coordinates == "half_pixel"
        if half:
            f.f64(0.5).op("f64.add")
        (f.get(ratio) if isinstance(ratio, Local) else f.f64(ratio)).op("f64.mul")
        if half and not nearest:
            f.f64(0.5).op("f64.sub")
        return f

    def last(self, f: Function) -> Function:
        """Push the last index of the source."""
        return f.value(self.size).plus(-1) if isinstance(self.size, Local) else f.i32(self.size - 1)

    def nearest(self, f: Function, position: Local, ratio: Local | float, into: Local) -> None:
        """into = the source index nearest to an output position."""
        self.source(f, position, ratio, True)
        if self.coordinates == "align_corners":
            f.f64(0.5).op("f64.add")
        f.op("i32.trunc_sat_f64_s").set(into)
        self._at_most_last(f, into)

    def _at_most_last(self, f: Function, index: Local) -> None:
        f.get(index)
        self.last(f).get(index)
        self.last(f).op("i32.lt_s").select().set(index)

    def between(
        self,
        f: Function,
        position: Local,
        ratio: Local | float,
        low: Local,
        high: Local,
        fraction: Local,
        spare: Local,
    ) -> None:
        """low, high = the two source indices around a position; fraction (v128) of the way."""
        self.source(f, position, ratio, False)
        f.f64(0.0).op("f64.max").tee(spare).op("i32.trunc_sat_f64_s").set(low)
        self._at_most_last(f, low)
        f.get(spare).get(low).op("f64.convert_i32_s").op("f64.sub").op("f32.demote_f64")
        f.op("f32x4.splat").set(fraction)
        f.get(low).plus(1).set(high)
        self._at_most_last(f, high)


def _lerp(f: Function, a: Local, b: Local, fraction: Local) -> Function:
    """Push a + (b - a) * fraction."""
    return f.get(b).get(a).op("f32x4.sub").get(fraction).op("f32x4.mul").get(a).op("f32x4.add")


# --- float images -----------------------------------------------------------------------------------


def emit_resize(f: Function, resize: Resize, x: Local, y: Local, low: Local, high: Local) -> None:
    """Rows [low, high) of the output."""
    n, height, width, channels = resize.image
    pixel = channels * 4
    registers = Registers(f)
    rows = _Axis(height, resize.out[0], resize.coordinates)
    columns = _Axis(width, resize.out[1], resize.coordinates)
    unit, position, image, out, column = registers.take_many(5, "i32")
    row_ratio, column_ratio = rows.ratio(f), columns.ratio(f)
    f.address(y, low, resize.out[1] * pixel).set(out)
    f.get(x).set(image)
    corners = registers.take_many(4, "i32")
    sides = registers.take_many(4, "i32")
    down, across = registers.take_many(2, "v128")
    spare = registers.take("f64")
    with f.range(unit, low, high):
        f.get(unit).set(position)
        if n > 1:
            f.get(unit).i32(resize.out[0]).op("i32.rem_u").set(position)
            f.get(unit).i32(resize.out[0]).op("i32.div_u").times(height * width * pixel)
            f.get(x).op("i32.add").set(image)
        if resize.nearest:
            rows.nearest(f, position, row_ratio, sides[0])
            f.address(image, sides[0], width * pixel).set(sides[0])
        else:
            rows.between(f, position, row_ratio, sides[0], sides[1], down, spare)
            for side in sides[:2]:
                f.address(image, side, width * pixel).set(side)
        with f.range(column, 0, resize.out[1]):
            if resize.nearest:
                columns.nearest(f, column, column_ratio, corners[0])
                f.address(sides[0], corners[0], pixel).set(corners[0])
                copy_run(f, registers, out, corners[0], pixel)
                f.advance(out, pixel)
            else:
                columns.between(f, column, column_ratio, sides[2], sides[3], across, spare)
                for i, corner in enumerate(corners):
                    f.address(sides[i // 2], sides[2 + i % 2], pixel).set(corner)
                _blend_channels(f, registers, channels, corners, out, down, across)


def _blend_channels(
    f: Function,
    registers: Registers,
    channels: int,
    corners: Sequence[Local],
    out: Local,
    down: Local,
    across: Local,
) -> None:
    """All channels of one pixel from its four corners; the pointers end behind them."""
    a, b, top = registers.take_many(3, "v128")

    def vector(offset: int, count: int) -> None:
        for upper in (True, False):
            left, right = corners[:2] if upper else corners[2:]
            f.get(left).load(offset).set(a).get(right).load(offset).set(b)
            _lerp(f, a, b, across).set(top if upper else b)
        _lerp(f, top, b, down).set(a)
        store_bytes(f, out, a, count, offset)

    whole, rest = divmod(channels, 4 * _VECTORS)
    with f.repeat(whole):
        for i in range(_VECTORS):
            vector(16 * i, 16)
        for pointer in (*corners, out):
            f.advance(pointer, 16 * _VECTORS)
    for at in range(0, rest, 4):
        vector(4 * at, 4 * min(4, rest - at))
    f.advance(out, rest * 4)
    registers.give(a, b, top)
