"""The antialiased resize of RGBA bytes: a triangle filter down the columns, then along the row.

A unit of work is a band of rows. One call keeps the weights of all columns and one filtered row in
scratch, in the slot of its first band. All columns get the same number of weights, the last ones 0,
so that four of them are summed side by side without a branch that depends on the column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fanlight.codegen.wasm.assembler import Function, Local
from fanlight.codegen.wasm.kernels.resize import madd
from fanlight.codegen.wasm.kernels.vectors import shuffle, store_bytes
from fanlight.codegen.wasm.module import Module
from fanlight.targets import Target

BANDS = 8  # most units that a resize splits into
GROUP = 4  # columns of the output side by side
PIXELS = 12  # columns of the source that are filtered together: nine vectors of sums
RGB = 12  # bytes of a filtered pixel: alpha is left out from the start
# The bytes of four RGBA pixels as three vectors of int32: R G B R, G B R G, B R G B. Lanes out of
# range become 0.
_SPREAD = [
    bytes(b for i in range(first, first + 4) for b in (4 * (i // 3) + i % 3, 255, 255, 255))
    for first in (0, 4, 8)
]


@dataclass(frozen=True)
class Region:
    """The part of the source that is resized, in i32 locals. `line`: bytes per source row."""

    image: Local  # address of its first pixel
    height: Local
    width: Local
    line: Local


@dataclass(frozen=True)
class Antialias:
    """A resize from at most `bound` (H, W) to `out`, and how it uses a slot of scratch.

    In a slot lie: the weights of all columns and of one row (first source index, count, weights),
    those of the columns again in groups, one filtered row.
    """

    bound: tuple[int, int]
    out: tuple[int, int]

    @property
    def units(self) -> int:
        return min(BANDS, self.out[0])

    @property
    def taps(self) -> tuple[int, int]:
        """Most weights of one output row and column."""
        height, width = (
            int(2 * max(size / out, 1.0)) + 3
            for size, out in zip(self.bound, self.out, strict=True)
        )
        return height, width

    @property
    def entry(self) -> int:
        """Bytes of a column's weights."""
        return 8 + 4 * self.taps[1]

    @property
    def group(self) -> int:
        """Bytes of the weights of a group: offsets of its first pixels, weights side by side."""
        return 4 * GROUP + 4 * GROUP * self.taps[1]

    @property
    def groups(self) -> int:
        """Where the groups lie in a slot."""
        return _aligned(self.out[1] * self.entry + 8 + 4 * self.taps[0])

    @property
    def filtered(self) -> int:
        """Where the filtered row lies in a slot."""
        return self.groups + -(-self.out[1] // GROUP) * self.group

    @property
    def slot(self) -> int:
        """Bytes of scratch per band."""
        return self.filtered + _aligned((self.bound[1] + PIXELS + self.taps[1] + 1) * RGB)

    @property
    def scratch(self) -> int:
        return self.units * self.slot


def _aligned(size: int) -> int:
    return -(-size // 16) * 16


def emit_antialias(
    module: Module,
    f: Function,
    target: Target,
    resize: Antialias,
    region: Region,
    y: Local,
    scratch: Local,
    low: Local,
    high: Local,
) -> None:
    """Bands [low, high) of the output at `y`."""
    rows, columns = resize.out
    taps = module.define("resize taps", _emit_taps)
    row, last, at, out = f.locals(4, "i32")
    table, groups, filtered, begin, end, most = f.locals(6, "i32")
    f.address(scratch, low, resize.slot).set(table)
    f.get(table).plus(resize.groups).set(groups)
    f.get(table).plus(resize.filtered).set(filtered)
    f.i32(0).set(most)
    with f.range(at, 0, columns):
        f.address(table, at, resize.entry).set(out)
        f.get(out).get(at).get(region.width).i32(columns).call(taps)
        f.get(out).op("i32.load", 4).tee(last).get(most).get(last).get(most).op("i32.gt_s")
        f.select().set(most)
    # The source columns that any output column reads: [begin, end).
    f.get(table).op("i32.load").set(begin)
    f.get(table).op("i32.load", (columns - 1) * resize.entry)
    f.get(table).op("i32.load", (columns - 1) * resize.entry + 4).op("i32.add").set(end)
    _group(f, resize, table, groups, filtered, begin, most)
    for edge, into in ((low, row), (high, last)):
        f.get(edge).times(rows).i32(resize.units).op("i32.div_u").set(into)
    f.address(y, row, columns * RGB).set(out)
    f.get(table).plus(columns * resize.entry).set(at)
    with f.holding(_SPREAD), f.range(row, row, last):
        f.get(at).get(row).get(region.height).i32(rows).call(taps)
        _filter_columns(f, target, region, at, filtered, begin, end)
        _clear(f, resize, filtered, begin, end)
        _filter_row(f, target, resize, groups, out, most)
        f.advance(out, columns * RGB)


def _group(
    f: Function,
    resize: Antialias,
    table: Local,
    groups: Local,
    filtered: Local,
    begin: Local,
    most: Local,
) -> None:
    """Write the columns' weights in groups: the addresses of their first filtered pixels, then for
    each of `most` weights the group's side by side, 0 where a column has no more.
    """
    columns = resize.out[1]
    column, source, to, tap, count = f.locals(5, "i32")
    with f.range(column, 0, _round_up(columns)):
        # The columns that fill the last group repeat the last one.
        f.get(column).i32(columns - 1).get(column).i32(columns - 1).op("i32.lt_s").select()
        f.times(resize.entry).get(table).op("i32.add").set(source)
        f.get(groups).get(column).i32(2).op("i32.shr_u").times(resize.group).op("i32.add")
        f.get(column).i32(3).op("i32.and").times(4).op("i32.add").tee(to)
        f.get(source).op("i32.load").get(begin).op("i32.sub").times(RGB)
        f.get(filtered).op("i32.add").op("i32.store")
        f.get(source).op("i32.load", 4).set(count)
        with f.range(tap, 0, most):
            f.advance(to, 4 * GROUP)
            f.get(to)
            f.get(source).op("f32.load", 8).f32(0.0).get(tap).get(count).op("i32.lt_s").select()
            f.op("f32.store").advance(source, 4)


def _round_up(columns: int) -> int:
    return -(-columns // GROUP) * GROUP


def _clear(f: Function, resize: Antialias, filtered: Local, begin: Local, end: Local) -> None:
    """Zero the pixels behind the filtered row that weights of 0 meet: they may not be NaN."""
    behind = f.local("i32")
    f.get(filtered).get(end).get(begin).op("i32.sub").times(RGB).op("i32.add").set(behind)
    f.get(behind).i32(0).i32(RGB * resize.taps[1]).op("memory.fill")


def _filter_columns(
    f: Function,
    target: Target,
    region: Region,
    taps: Local,
    filtered: Local,
    begin: Local,
    end: Local,
) -> None:
    """filtered[i] = sum over the taps of source row * weight, for columns begin + i: R, G, B."""
    column, source, weights, left, out, first = f.locals(6, "i32")
    sums = f.locals(PIXELS * RGB // 16, "v128")
    weight, bytes_ = f.locals(2, "v128")
    f.get(filtered).set(out)
    f.get(region.image).get(taps).op("i32.load").get(region.line).op("i32.mul").op("i32.add")
    f.set(first)
    with f.range(column, begin, end, PIXELS):
        f.address(first, column, 4).set(source)
        f.get(taps).plus(8).set(weights)
        f.get(taps).op("i32.load", 4).set(left)
        f.f32x4(0.0)
        for acc in sums:
            f.tee(acc)
        f.drop()
        with f.loop() as again:
            f.get(weights).op("v128.load32_splat").set(weight)
            for i, acc in enumerate(sums):
                if i % 3 == 0:
                    f.get(source).load(16 * (i // 3)).set(bytes_)
                f.get(bytes_).v128(_SPREAD[i % 3]).op("i8x16.swizzle")
                f.op("f32x4.convert_i32x4_s")
                madd(f.get(weight), target, acc).set(acc)
            f.get(source).get(region.line).op("i32.add").set(source)
            f.advance(weights, 4)
            f.get(left).i32(1).op("i32.sub").tee(left).br_if(again)
        for i, acc in enumerate(sums):
            f.get(out).get(acc).store(16 * i)
        f.advance(out, RGB * PIXELS)


def _filter_row(
    f: Function, target: Target, resize: Antialias, groups: Local, out: Local, most: Local
) -> None:
    """One row of the output from the filtered columns."""
    group, to, at = f.locals(3, "i32")
    f.get(groups).set(at)
    f.get(out).set(to)
    whole, rest = divmod(resize.out[1], GROUP)
    pixels = f.locals(GROUP, "v128")
    sources = f.locals(GROUP, "i32")
    weights, left = f.locals(2, "i32")

    def weigh(count: int) -> None:
        for tap in range(count):
            for i, (source, acc) in enumerate(zip(sources, pixels, strict=True)):
                f.get(weights).op("v128.load32_splat", 4 * (GROUP * tap + i))
                f.get(source).load(RGB * tap)
                madd(f, target, acc).set(acc)
        for source in sources:
            f.advance(source, count * RGB)
        f.advance(weights, count * 4 * GROUP)

    def sums() -> None:
        for i, source in enumerate(sources):
            f.get(at).op("i32.load", 4 * i).set(source)
        f.get(at).plus(4 * GROUP).set(weights)
        f.f32x4(0.0)
        for acc in pixels:
            f.tee(acc)
        f.drop()
        # Two weights a round; an odd one is left over.
        f.get(most).i32(1).op("i32.shr_u").set(left)
        with f.block() as done:
            f.get(left).op("i32.eqz").br_if(done)
            with f.loop() as again:
                weigh(2)
                f.get(left).i32(1).op("i32.sub").tee(left).br_if(again)
        f.get(most).i32(1).op("i32.and")
        with f.if_():
            weigh(1)

    if whole:
        with f.range(group, 0, whole):
            sums()
            _store_four(f, to, pixels)
            f.advance(to, RGB * GROUP).advance(at, resize.group)
    if rest:
        sums()
        for i, pixel in enumerate(pixels[:rest]):
            store_bytes(f, to, pixel, RGB, RGB * i)


def _store_four(f: Function, to: Local, pixels: Sequence[Local]) -> None:
    """Store the first three lanes of four vectors one after another."""
    a, b, c, d = pixels
    shuffle(f.get(to).get(a).get(b), 0, 1, 2, 4).store()
    shuffle(f.get(to).get(b).get(c), 1, 2, 4, 5).store(16)
    shuffle(f.get(to).get(c).get(d), 2, 4, 5, 6).store(32)


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
