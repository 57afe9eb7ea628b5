"""resize_image: RGBA bytes of any size from a decoder to the float image that a model wants.

A pixel is one vector: four bytes become R, G, B, A lanes. A unit of work is a row of the output,
but a band of rows for antialias, which keeps its tables and one filtered row per band in scratch.
"""

from __future__ import annotations

from dataclasses import dataclass

from fanlight.codegen.kernel import Kernel, Weights, node_bytes, register
from fanlight.codegen.wasm.assembler import Function, Local
from fanlight.codegen.wasm.kernels.resize import Axis, check_range, lerp, madd
from fanlight.codegen.wasm.kernels.vectors import store_bytes
from fanlight.codegen.wasm.module import Module
from fanlight.graph import Node
from fanlight.ops.types import Dim
from fanlight.targets import Target

BANDS = 8  # most units that an antialiased resize splits into


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
            int(2 * max(size / out, 1.0)) + 3
            for size, out in zip(self.bound, self.out, strict=True)
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


@register("resize_image")
def lower_image(node: Node, target: Target, weights: Weights) -> Kernel:
    """The kernel that brings a decoded picture to the size that a model wants.

    Symbolic sizes are read from the dims block, whose first entries are this image's Dims.
    """
    image = node.inputs[0].type
    height, width, _ = image.bound
    dims: list[Dim] = []
    for d in image.shape[:2]:
        if isinstance(d, Dim) and d not in dims:
            dims.append(d)
    places = [4 * dims.index(d) if isinstance(d, Dim) else None for d in image.shape[:2]]
    resize = ImageResize(
        node.attrs["method"],
        node.attrs["crop"] == "center",
        (height, width),
        (places[0], places[1]),
        tuple(node.attrs["size"]),
        node.attrs["coordinates"],
    )
    check_range(node, (height, width), resize.out)

    def emit(module: Module, name: str) -> None:
        extra = bool(resize.scratch) + bool(dims)
        f = module.function(name, ("i32",) * (4 + extra))
        x, y, *more, low, high = f.params
        scratch = more[0] if resize.scratch else None
        emit_image_resize(
            module, f, target, resize, x, y, scratch, more[-1] if dims else None, low, high
        )

    return Kernel(
        key=f"{resize}",
        emit=emit,
        work=resize.units,
        scratch=resize.scratch,
        flops=9 * node.outputs[0].type.size,
        bytes=node_bytes(node),
        dims=bool(dims),
    )


@dataclass(frozen=True)
class _Region:
    """The part of the source that is resized, in i32 locals. `line`: bytes per source row."""

    image: Local  # address of its first pixel
    height: Local
    width: Local
    line: Local


def emit_image_resize(
    module: Module,
    f: Function,
    target: Target,
    resize: ImageResize,
    x: Local,
    y: Local,
    scratch: Local | None,
    dims: Local | None,
    low: Local,
    high: Local,
) -> None:
    """Units [low, high) of the output at `y` from the RGBA bytes at `x`."""
    region = _region(f, resize, x, dims)
    if scratch is not None:
        _antialias(module, f, target, resize, region, y, scratch, low, high)
    else:
        _interpolate(f, target, resize, region, y, low, high)


def _region(f: Function, resize: ImageResize, x: Local, dims: Local | None) -> _Region:
    """Read the actual sizes and cut out the part that is used."""
    image, height, width, line, spare = f.locals(5, "i32")
    for size, known, at in zip((height, width), resize.bound, resize.dims, strict=True):
        if at is None or dims is None:
            f.i32(known).set(size)
        else:
            f.get(dims).op("i32.load", at).set(size)
    f.get(width).times(4).set(line)
    f.get(x).set(image)
    if resize.center:
        _center(f, resize.out, image, height, width, line, spare)
    return _Region(image, height, width, line)


def _center(
    f: Function,
    out: tuple[int, int],
    image: Local,
    height: Local,
    width: Local,
    line: Local,
    spare: Local,
) -> None:
    """Shrink the region to the largest centred rectangle of the output's aspect."""
    rows, columns = out
    # Wider than the output: keep all rows. The product of two sizes fits 32 bits.
    f.get(width).times(rows).get(height).times(columns).op("i32.gt_s")
    with f.if_():
        _part(f, height, columns, rows, width, spare)
        f.get(image).get(spare).times(4).op("i32.add").set(image)
        f.else_()
        _part(f, width, rows, columns, height, spare)
        f.get(image).get(spare).get(line).op("i32.mul").op("i32.add").set(image)


def _part(f: Function, other: Local, times: int, by: int, size: Local, begin: Local) -> None:
    """size -> other * times / by, rounded, at least 1; begin = how much is cut off before it."""
    whole = f.local("i32")
    f.get(size).set(whole)
    f.get(other).times(2 * times).plus(by).i32(2 * by).op("i32.div_u").tee(size)
    f.i32(1).get(size).select().set(size)
    f.get(whole).get(size).op("i32.sub").i32(1).op("i32.shr_s").set(begin)


def _pixel(f: Function, address: Local) -> Function:
    """Push the four bytes at an address as floats."""
    f.get(address).op("v128.load32_zero").op("i16x8.extend_low_i8x16_u")
    return f.op("i32x4.extend_low_i16x8_u").op("f32x4.convert_i32x4_u")


def _interpolate(
    f: Function,
    target: Target,
    resize: ImageResize,
    region: _Region,
    y: Local,
    low: Local,
    high: Local,
) -> None:
    """Rows [low, high) by the nearest pixel, or between the nearest four."""
    rows = Axis(region.height, resize.out[0], resize.coordinates)
    columns = Axis(region.width, resize.out[1], resize.coordinates)
    row, column, out, at = f.locals(4, "i32")
    sides = f.locals(4, "i32")
    down, across, value, other, top = f.locals(5, "v128")
    f.address(y, low, resize.out[1] * 12).set(out)
    nearest = resize.method == "nearest"
    with f.range(row, low, high):
        if nearest:
            rows.nearest(f, row, sides[0])
        else:
            rows.between(f, row, sides[0], sides[1], down)
        for side in sides[: 1 if nearest else 2]:
            f.get(region.image).get(side).get(region.line).op("i32.mul").op("i32.add").set(side)
        with f.range(column, 0, resize.out[1]):
            if nearest:
                columns.nearest(f, column, at)
                f.address(sides[0], at, 4).set(at)
                _pixel(f, at).set(value)
            else:
                columns.between(f, column, sides[2], sides[3], across)
                for upper in (True, False):
                    for into, side in ((value, sides[2]), (other, sides[3])):
                        f.address(sides[0 if upper else 1], side, 4).set(at)
                        _pixel(f, at).set(into)
                    lerp(f, target, value, other, across).set(top if upper else other)
                lerp(f, target, top, other, down).set(value)
            store_bytes(f, out, value, 12)
            f.advance(out, 12)


def _antialias(
    module: Module,
    f: Function,
    target: Target,
    resize: ImageResize,
    region: _Region,
    y: Local,
    scratch: Local,
    low: Local,
    high: Local,
) -> None:
    """Bands [low, high): filter the columns of each row's source rows, then along the row."""
    rows, columns = resize.out
    row_taps, column_taps = resize.taps
    entry = 8 + 4 * column_taps
    tables = -(-(columns * entry + 8 + 4 * row_taps) // 16) * 16
    taps = module.define("resize taps", _emit_taps)
    band, row, last, at, out = f.locals(5, "i32")
    table, filtered, begin, end = f.locals(4, "i32")
    with f.range(band, low, high):
        f.address(scratch, band, resize.slot).set(table)
        f.get(table).plus(tables).set(filtered)
        with f.range(at, 0, columns):
            f.address(table, at, entry).get(at).get(region.width).i32(columns).call(taps)
        # The source columns that any output column reads: [begin, end).
        f.get(table).op("i32.load").set(begin)
        f.get(table).op("i32.load", (columns - 1) * entry)
        f.get(table).op("i32.load", (columns - 1) * entry + 4).op("i32.add").set(end)
        for edge, into in ((0, row), (1, last)):
            f.get(band).plus(edge).times(rows).i32(resize.units).op("i32.div_u").set(into)
        f.address(y, row, columns * 12).set(out)
        with f.range(row, row, last):
            f.get(table).plus(columns * entry).set(at)
            f.get(at).get(row).get(region.height).i32(rows).call(taps)
            _filter_columns(f, target, region, at, filtered, begin, end)
            _filter_row(f, target, table, entry, filtered, begin, out, columns)
            f.advance(out, columns * 12)


def _filter_columns(
    f: Function,
    target: Target,
    region: _Region,
    taps: Local,
    filtered: Local,
    begin: Local,
    end: Local,
) -> None:
    """filtered[i] = sum over the taps of source row * weight, for columns begin + i, as f32x4."""
    column, source, weights, left, out, first = f.locals(6, "i32")
    sums = f.locals(8, "v128")
    weight, bytes_, half = f.locals(3, "v128")
    f.get(filtered).set(out)
    f.get(region.image).get(taps).op("i32.load").get(region.line).op("i32.mul").op("i32.add")
    f.set(first)
    with f.range(column, begin, end, 8):
        f.address(first, column, 4).set(source)
        f.get(taps).plus(8).set(weights)
        f.get(taps).op("i32.load", 4).set(left)
        f.f32x4(0.0)
        for acc in sums:
            f.tee(acc)
        f.drop()
        with f.loop() as again:
            f.get(weights).op("v128.load32_splat").set(weight)
            for i in range(0, 8, 4):
                f.get(source).load(4 * i).set(bytes_)
                for j, outer in enumerate(("low", "high")):
                    f.get(bytes_).op(f"i16x8.extend_{outer}_i8x16_u").set(half)
                    for k, inner in enumerate(("low", "high")):
                        f.get(half).op(f"i32x4.extend_{inner}_i16x8_u")
                        f.op("f32x4.convert_i32x4_s")
                        madd(f.get(weight), target, sums[i + 2 * j + k]).set(sums[i + 2 * j + k])
            f.get(source).get(region.line).op("i32.add").set(source)
            f.advance(weights, 4)
            f.get(left).i32(1).op("i32.sub").tee(left).br_if(again)
        for i, acc in enumerate(sums):
            f.get(out).get(acc).store(16 * i)
        f.advance(out, 128)


def _filter_row(
    f: Function,
    target: Target,
    table: Local,
    entry: int,
    filtered: Local,
    begin: Local,
    out: Local,
    columns: int,
) -> None:
    """One row of the output from the filtered columns."""
    column, to, taps, source, weights, left = f.locals(6, "i32")
    total, weight = f.locals(2, "v128")
    f.get(table).set(taps)
    f.get(out).set(to)
    with f.range(column, 0, columns):
        f.get(filtered).get(taps).op("i32.load").get(begin).op("i32.sub").times(16)
        f.op("i32.add").set(source)
        f.get(taps).plus(8).set(weights)
        f.get(taps).op("i32.load", 4).set(left)
        f.f32x4(0.0).set(total)
        with f.loop() as again:
            f.get(weights).op("v128.load32_splat").set(weight)
            f.get(source).load()
            madd(f.get(weight), target, total).set(total)
            f.advance(source, 16).advance(weights, 4)
            f.get(left).i32(1).op("i32.sub").tee(left).br_if(again)
        store_bytes(f, to, total, 12)
        f.advance(to, 12).advance(taps, entry)


def _emit_taps(module: Module, name: str) -> None:
    """taps(table, position, size, out): the weights of one output position of an axis.

    The triangle filter of Pillow's BILINEAR: as wide as two output pixels, at least two source
    pixels. Writes the first source index, the number of weights, and the weights (f32, sum 1).
    """
    f = module.function(name, ("i32",) * 4)
    table, position, size, out = f.params
    scale, support, center, weight, total = f.locals(5, "f64")
    first, count, at, p = f.locals(4, "i32")
    f.get(size).op("f64.convert_i32_s").get(out).op("f64.convert_i32_s").op("f64.div").tee(scale)
    f.f64(1.0).op("f64.max").set(support)
    f.get(position).op("f64.convert_i32_s").f64(0.5).op("f64.add").get(scale).op("f64.mul")
    f.set(center)
    f.get(center).get(support).op("f64.sub").f64(0.5).op("f64.add").f64(0.0).op("f64.max")
    f.op("i32.trunc_sat_f64_s").set(first)
    f.get(center).get(support).op("f64.add").f64(0.5).op("f64.add")
    f.get(size).op("f64.convert_i32_s").op("f64.min").op("i32.trunc_sat_f64_s")
    f.get(first).op("i32.sub").set(count)
    f.get(table).get(first).op("i32.store").get(table).get(count).op("i32.store", 4)
    f.get(table).set(p)
    with f.range(at, 0, count):
        f.f64(1.0)
        f.get(at).get(first).op("i32.add").op("f64.convert_i32_s").f64(0.5).op("f64.add")
        f.get(center).op("f64.sub").get(support).op("f64.div").op("f64.abs").op("f64.sub")
        f.f64(0.0).op("f64.max").tee(weight).get(total).op("f64.add").set(total)
        f.get(p).get(weight).op("f32.demote_f64").op("f32.store", 8).advance(p, 4)
    f.get(table).set(p)
    with f.range(at, 0, count):
        f.get(p).get(p).op("f32.load", 8).op("f64.promote_f32").get(total).op("f64.div")
        f.op("f32.demote_f64").op("f32.store", 8).advance(p, 4)
