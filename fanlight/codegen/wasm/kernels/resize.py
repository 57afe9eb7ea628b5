"""Resizing of float images and of RGBA bytes from a decoder.

Coordinates are whole numbers, as in the NumPy meaning, so that both pick the same pixels.
A unit of work is a row of the output, but a band of rows for the antialiased image resize, which
keeps its tables and one filtered row per band in scratch memory.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

from fanlight.codegen.kernel import Kernel, node_bytes, register, unsupported
from fanlight.codegen.wasm.assembler import Function, Local, Number
from fanlight.codegen.wasm.kernels.vectors import Registers, copy_run, no_work, store_bytes
from fanlight.codegen.wasm.module import Module
from fanlight.graph import Node, Value
from fanlight.ops.types import Dim
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


# --- coordinates ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Axis:
    """Where one axis of the result lies in the source, whose size is known now or an i32 local.

    A result pixel lies at numerator / unit, all whole numbers.
    """

    size: Number
    out: int
    coordinates: str

    @property
    def unit(self) -> int:
        if self.coordinates == "half_pixel":
            return 2 * self.out
        return max(self.out - 1, 1) if self.coordinates == "align_corners" else self.out

    def _less(self, f: Function, less: int) -> Function:
        """Push the size of the source, less a constant."""
        if isinstance(self.size, int):
            return f.i32(self.size - less)
        return f.get(self.size).plus(-less)

    def nearest(self, f: Function, position: Local, into: Local) -> None:
        """into = the source index nearest to an output position."""
        f.get(position)
        if self.coordinates == "align_corners":
            self._less(f, 1).op("i32.mul").times(2).plus(self.unit).i32(2 * self.unit)
        elif self.coordinates == "half_pixel":
            f.times(2).plus(1)
            self._less(f, 0).op("i32.mul").i32(self.unit)
        else:
            self._less(f, 0).op("i32.mul").i32(self.unit)
        f.op("i32.div_u").set(into)

    def between(self, f: Function, position: Local, low: Local, high: Local, weight: Local) -> None:
        """low, high = the source indices around a position; weight (v128) of the higher one."""
        f.get(position)
        if self.coordinates == "half_pixel":
            f.times(2).plus(1)
            self._less(f, 0).op("i32.mul").plus(-self.out).tee(low)
            f.i32(0).get(low).i32(0).op("i32.gt_s").select()
        else:
            self._less(f, 1 if self.coordinates == "align_corners" else 0).op("i32.mul")
        f.tee(high).i32(self.unit).op("i32.div_u").set(low)
        f.get(high).get(low).times(self.unit).op("i32.sub").op("f32.convert_i32_s")
        f.f32(self.unit).op("f32.div").op("f32x4.splat").set(weight)
        f.get(low).plus(1).tee(high)
        self._less(f, 1).get(high)
        self._less(f, 1).op("i32.lt_s").select().set(high)


def _lerp(f: Function, a: Local, b: Local, fraction: Local) -> Function:
    """Push a + (b - a) * fraction."""
    return f.get(b).get(a).op("f32x4.sub").get(fraction).op("f32x4.mul").get(a).op("f32x4.add")


@register("resize_bilinear", "resize_nearest")
def lower(node: Node, target: Target, weights: Set[Value]) -> Kernel:
    """The kernel of a resize of a feature map."""
    if not node.outputs[0].type.size:
        return no_work(node)
    n, height, width, channels = node.inputs[0].type.bound
    resize = Resize(
        node.op == "resize_nearest",
        (n, height, width, channels),
        tuple(node.attrs["size"]),
        node.attrs["coordinates"],
    )
    _check_range(node, (height, width), resize.out)

    def emit(module: Module, name: str) -> None:
        f = module.function(name, ("i32",) * 4)
        emit_resize(f, resize, *f.params)

    return Kernel(
        key=f"{resize}",
        emit=emit,
        work=resize.units,
        flops=0 if resize.nearest else 9 * node.outputs[0].type.size,
        bytes=node_bytes(node),
    )


@register("resize_image")
def lower_image(node: Node, target: Target, weights: Set[Value]) -> Kernel:
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
    _check_range(node, (height, width), resize.out)

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


def _check_range(node: Node, sizes: tuple[int, int], out: tuple[int, int]) -> None:
    """Positions are fractions of 32-bit numbers."""
    if any(2 * n * m >= 2**31 for n, m in zip(sizes, out, strict=True)):
        raise unsupported(node, "the product of a source size and a result size exceeds 2^30")


# --- float images ---------------------------------------------------------------------------------


def emit_resize(f: Function, resize: Resize, x: Local, y: Local, low: Local, high: Local) -> None:
    """Rows [low, high) of the output."""
    n, height, width, channels = resize.image
    pixel = channels * 4
    registers = Registers(f)
    rows = _Axis(height, resize.out[0], resize.coordinates)
    columns = _Axis(width, resize.out[1], resize.coordinates)
    unit, position, image, out, column = registers.take_many(5, "i32")
    f.address(y, low, resize.out[1] * pixel).set(out)
    f.get(x).set(image)
    corners = registers.take_many(4, "i32")
    sides = registers.take_many(4, "i32")
    down, across = registers.take_many(2, "v128")
    with f.range(unit, low, high):
        f.get(unit).set(position)
        if n > 1:
            f.get(unit).i32(resize.out[0]).op("i32.rem_u").set(position)
            f.get(unit).i32(resize.out[0]).op("i32.div_u").times(height * width * pixel)
            f.get(x).op("i32.add").set(image)
        if resize.nearest:
            rows.nearest(f, position, sides[0])
            f.address(image, sides[0], width * pixel).set(sides[0])
        else:
            rows.between(f, position, sides[0], sides[1], down)
            for side in sides[:2]:
                f.address(image, side, width * pixel).set(side)
        with f.range(column, 0, resize.out[1]):
            if resize.nearest:
                columns.nearest(f, column, corners[0])
                f.address(sides[0], corners[0], pixel).set(corners[0])
                copy_run(f, registers, out, corners[0], pixel)
                f.advance(out, pixel)
            else:
                columns.between(f, column, sides[2], sides[3], across)
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


# --- images ---------------------------------------------------------------------------------------


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
        _interpolate(f, resize, region, y, low, high)


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
    f: Function, resize: ImageResize, region: _Region, y: Local, low: Local, high: Local
) -> None:
    """Rows [low, high) by the nearest pixel, or between the nearest four."""
    rows = _Axis(region.height, resize.out[0], resize.coordinates)
    columns = _Axis(region.width, resize.out[1], resize.coordinates)
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
                    _lerp(f, value, other, across).set(top if upper else other)
                _lerp(f, top, other, down).set(value)
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


def _madd(f: Function, target: Target, value: Local | None, weight: Local, acc: Local) -> None:
    """acc += value * weight; without a value it is on the stack."""
    if value is not None:
        f.get(value)
    f.get(weight)
    if target.relaxed_simd:
        f.get(acc).op("f32x4.relaxed_madd").set(acc)
    else:
        f.op("f32x4.mul").get(acc).op("f32x4.add").set(acc)


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
                        _madd(f, target, None, weight, sums[i + 2 * j + k])
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
            _madd(f, target, None, weight, total)
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
