"""Convolution, dense layers and matrix products: one family of register tiles.

A tile is up to 6 rows (output pixels) by 8 columns (output channels): 12 accumulators, two vectors
of the right side and one of the left fill the 15 vector registers that x64 leaves us. Per step of
K each row's element is splat-loaded and multiplied into both column vectors. The left side is read
in place: a convolution is a product whose K runs over taps and channels, and in NHWC the taps of
one kernel row are neighbours. The right side is packed in panels of 8 columns, so it streams.

Rows are divided into tiles of almost equal height (49 = 4 x 6 + 5 x 5), because a tile of one
or two rows costs nearly as much as one of six.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from fanlight.codegen.kernel import Kernel, Weights, node_bytes, panels, register, unsupported
from fanlight.codegen.wasm.assembler import Function, Local, Number
from fanlight.codegen.wasm.kernels.epilogue import Epilogue, difference_pointers
from fanlight.codegen.wasm.kernels.vector_product import is_wide, vector_by_matrix
from fanlight.codegen.wasm.kernels.vectors import Registers, store_bytes, transpose4
from fanlight.codegen.wasm.module import Module
from fanlight.graph import Node
from fanlight.targets import Target

WIDTH = 8  # columns of a tile
FLAT = 16
FEW_COLUMNS = 3  # up to here vectors run along K instead of along the columns
WIDE = 16  # columns of a tile where the engine fuses pairs of vectors into 256 bits
VECTOR_WIDTH = 32  # most columns of the one-row tile of a matrix-vector product
# Bytes of the left side and of the results that are kept near (L2) while the panels of the right
# side pass over them: every panel touches half a cache line of each row of results.
# A small right side stays near too, and may pass again over every small block.
BLOCK_BYTES = 256 << 10
LARGE_BLOCK_BYTES = 448 << 10
# Fewer pieces of work than this make shares of the threads too unequal.
FEW_UNITS = 24
SMALL_RIGHT_BYTES = 256 << 10
# A computed right side is put into panels first where it outgrows L1 and that is little work.
GATHER_BYTES = 32 << 10
GATHER_ROWS = 24


def split(count: int, tallest: int) -> tuple[int, int, int]:
    """(tiles, height, taller): `taller` tiles of height + 1 rows, then the rest of `height`."""
    tiles = -(-count // tallest)
    return tiles, count // tiles, count % tiles


def unroll_of(length: int, most: int = 4) -> tuple[int, int, int]:
    """(turns, steps per turn, steps after the last turn) of the innermost loop over K."""
    per_turn = 3 if length % most and length % 3 == 0 and most > 3 else most
    return length // per_turn, per_turn, length % per_turn


def tallest(width: int, target: Target) -> int:
    """Most rows of a tile of `width` columns whose vectors fit the registers."""
    if width <= FEW_COLUMNS:
        return (8, 6, 4)[width - 1]
    if width != WIDTH:
        return 1
    return 6 if target.relaxed_simd else 5


def vector_width(columns: int) -> int:
    """Columns of a one-row tile: few are padded, and at least half of the most at a time."""
    if columns <= VECTOR_WIDTH:
        return -(-columns // 4) * 4
    widths = range(VECTOR_WIDTH, VECTOR_WIDTH // 2 - 1, -4)
    return min(widths, key=lambda width: (-(-columns // width) * width, -width))


@dataclass(frozen=True)
class Product:
    """The shape of the work, in elements.

    Attributes:
        lines: groups of rows that lie evenly spaced: all pixels at once for a pointwise
            convolution, one output row at a time for others.
        rows: rows (output pixels) per line.
        line_step: left-side elements from one line to the next.
        row_step: left-side elements from one row to the next.
        runs: pieces of K that are contiguous in the left side.
        run: length of such a piece.
        run_step: left-side elements from one piece to the next; `jump` more after `per_jump`.
        columns: N.
        packed: the right side lies in panels; else row by row.
        gathered: it comes row by row, and each share of panels is put together in scratch first.
        by_panels: [lo, hi) counts panels of columns; else units of rows.
        images, image_step: lines per image and left-side elements per image, if there are several.
    """

    lines: int
    rows: int
    line_step: int
    row_step: int
    runs: int
    run: int
    run_step: int
    per_jump: int
    jump: int
    columns: int
    packed: bool = True
    image_lines: int = 0
    image_step: int = 0
    by_panels: bool = False
    gathered: bool = False

    @property
    def scratch(self) -> int:
        """Bytes of the panels that are put together."""
        return 4 * WIDTH * self.k * -(-self.columns // WIDTH) if self.gathered else 0

    @property
    def k(self) -> int:
        return self.runs * self.run


class TileEmitter:
    """The code of one product; `width` columns to a panel of the right side."""

    most_steps = 4  # of K per turn of the innermost loop

    def __init__(
        self, f: Function, shape: Product, epilogue: Epilogue, target: Target, width: int
    ) -> None:
        self.f, self.shape, self.target = f, shape, target
        self.finish = epilogue
        self.bias, self.epilogue = epilogue.started()
        self.width = width
        self.left, self.right, *rest = f.params
        self.low, self.high = rest[-2:]
        self.scratch = rest.pop(-3) if shape.gathered else None
        self.out = rest[-3]
        self.extras = rest[:-3]
        self.registers = Registers(f)
        self.tallest = self.height(width, target)
        self.tiles = split(shape.rows, self.tallest)[0]
        self.acc = f.locals(self.accumulators, "v128")
        self.column = f.locals(self.held, "v128")
        self.element = f.local("v128")
        self.a, self.b, self.c, self.k = f.locals(4, "i32")
        self.channel = f.local("i32")
        self.panel = f.local("i32")
        self.ahead, self.ahead_step = f.locals(2, "i32")
        self.reads_ahead = ""  # "left", "right" or nothing

    @staticmethod
    def height(width: int, target: Target) -> int:
        """Most rows of a tile."""
        return tallest(width, target)

    @staticmethod
    def panel_width(width: int) -> int:
        """Columns of a panel of the right side."""
        return width

    @property
    def accumulators(self) -> int:
        """Vectors of sums that the tallest tile needs."""
        return self.tallest * -(-self.width // 4)

    @property
    def held(self) -> int:
        """Vectors of the right side that are loaded once for all rows of a tile."""
        return WIDTH // 4 if self.width == WIDTH else 1

    # --- loops around the tiles -------------------------------------------------------------------

    def run(self) -> None:
        """The whole function body."""
        f = self.f
        difference_pointers(f, self.extras, self.epilogue.kinds, self.out)
        self._gather()
        with f.holding(self.epilogue.constants):
            self._blocks()

    def _gather(self) -> None:
        """Put the share's panels of the right side together, and read them from there."""
        f, shape = self.f, self.shape
        if self.scratch is None:
            return
        panel, stop = f.locals(2, "i32")
        per_unit = self.width // WIDTH
        whole, rest = divmod(shape.columns, WIDTH)
        f.get(self.low).times(per_unit).set(panel)
        f.get(self.high).times(per_unit).tee(stop).i32(whole)
        f.get(stop).i32(whole).op("i32.lt_s").select().set(stop)
        with f.range(panel, panel, stop):
            self._gather_panel(panel, WIDTH // 4)
        if rest:
            f.get(self.high).times(per_unit).i32(whole).op("i32.gt_s")
            with f.if_():
                f.i32(whole).set(panel)
                self._gather_panel(panel, rest // 4)
        f.get(self.scratch).set(self.right)

    def _gather_panel(self, panel: Local, vectors: int) -> None:
        f, k = self.f, self.shape.k
        assert self.scratch is not None
        source, target = f.locals(2, "i32")
        f.address(self.right, panel, 4 * WIDTH).set(source)
        f.address(self.scratch, panel, 4 * WIDTH * k).set(target)
        with f.repeat(k):
            for j in range(vectors):
                f.get(target)
                f.get(source).load(16 * j)
                f.store(16 * j)
            f.advance(source, 4 * self.shape.columns)
            f.advance(target, 4 * WIDTH)

    def _blocks(self) -> None:
        f, shape = self.f, self.shape
        if shape.lines == 1:
            rows = shape.rows // self.tiles
            line_bytes = max(1, rows * shape.row_step * 4)
            near = line_bytes + rows * shape.columns * 4
        else:
            near = line_bytes = max(1, abs(shape.line_step) * 4)
        small = 4 * shape.k * shape.columns <= SMALL_RIGHT_BYTES
        block = max(1, (BLOCK_BYTES if small else LARGE_BLOCK_BYTES) // near)
        units = self.units
        low: Number = self.low
        high: Number = self.high
        if shape.by_panels:
            low, high = 0, units
        if block * 2 > units:
            self._read_ahead_right(low, high)
            self._panels(low, high)
            return
        begin, end = f.locals(2, "i32")
        with f.range(begin, low, high, block):
            f.get(begin).plus(block).tee(end).value(high)
            f.get(end).value(high).op("i32.lt_s").select().set(end)
            self._read_ahead_left(end, block * line_bytes, block)
            self._panels(begin, end)

    # WASM has no prefetch, and the hardware's stops at every page. So each turn of the innermost
    # loop also loads a byte, which nobody uses, of what the next panel or block will need.

    @property
    def flat(self) -> bool:
        """Whether K is so short that it needs no loop."""
        return self.shape.runs == 1 and self.shape.run <= FLAT

    @property
    def turns(self) -> int:
        """Turns of the innermost loop per tile."""
        return self.shape.runs * unroll_of(self.shape.run, self.most_steps)[0]

    def _read_ahead_right(self, low: Number, high: Number) -> None:
        """Touch the next panel while one is used."""
        f, shape = self.f, self.shape
        if not shape.packed or shape.columns <= self.width or self.width != WIDTH or self.flat:
            return
        self.reads_ahead = "right"
        tiles = 1 if shape.lines == 1 else self.tiles
        f.i32(shape.k * self.width * 4)
        f.value(high).value(low).op("i32.sub").times(tiles * self.turns)
        f.i32(1).op("i32.or").op("i32.div_u").set(self.ahead_step)  # | 1: the range may be empty

    def _read_ahead_left(self, end: Local, size: int, units: int) -> None:
        """Touch the block that starts at unit `end` while the one before it is used.

        The place is kept inside the left side: at the end the last block is touched again.
        """
        f, shape = self.f, self.shape
        tiles = units if shape.lines == 1 else units * self.tiles
        if self.flat:
            return
        step = size // (-(-shape.columns // self.width) * tiles * max(self.turns, 1))
        total = 4 * (shape.line_step * (shape.lines - 1) or shape.row_step * shape.rows)
        if shape.image_lines or not step or total < size:
            return
        self.reads_ahead = "left"
        f.get(end).times(size // units).tee(self.ahead).i32(total - size)
        f.get(self.ahead).i32(total - size).op("i32.lt_u").select()
        f.get(self.left).op("i32.add").set(self.ahead)
        f.i32(step).set(self.ahead_step)

    @property
    def units(self) -> int:
        """Units of rows: tiles of the only line, or lines."""
        return self.tiles if self.shape.lines == 1 else self.shape.lines

    def _panels(self, begin: Number, end: Number) -> None:
        """Units of rows [begin, end) against all panels, or those of the share."""
        f, shape = self.f, self.shape
        whole, rest = divmod(shape.columns, self.width)
        step = shape.k * self.width if shape.packed else self.width
        first: Number = 0
        stop: Number = whole * self.width * 4
        if shape.by_panels:
            first, stop = f.locals(2, "i32")
            f.get(self.low).times(self.width * 4).set(first)
            f.get(self.high).i32(whole).get(self.high).i32(whole).op("i32.lt_s").select()
            f.times(self.width * 4).set(stop)
            f.address(self.right, self.low, step * 4).set(self.panel)
        else:
            f.get(self.right).set(self.panel)
        f.value(first).set(self.channel)
        if whole:
            with f.range(self.channel, first, stop, self.width * 4):
                if self.reads_ahead == "right":
                    last = (shape.columns - 1) // self.width * self.width * 4
                    f.get(self.panel).plus(step * 4).get(self.panel)
                    f.get(self.channel).i32(last).op("i32.lt_u").select().set(self.ahead)
                self._lines(begin, end, self.width)
                f.advance(self.panel, step * 4)
        if rest:
            with f.block() as done:
                if shape.by_panels:
                    f.get(self.high).i32(whole).op("i32.le_s").br_if(done)
                if self.reads_ahead == "right":
                    f.get(self.panel).set(self.ahead)
                self._lines(begin, end, rest)

    def _lines(self, begin: Number, end: Number, columns: int) -> None:
        """All lines of a block against one panel, of which `columns` columns count."""
        f, shape = self.f, self.shape
        if shape.lines == 1:
            if isinstance(begin, Local) and isinstance(end, Local):
                self._line(self.left, self.out, begin, end, columns)
            else:
                self._line(self.left, self.out, None, None, columns)
            return
        line, left, out = f.locals(3, "i32")
        with f.range(line, begin, end):
            f.get(self.left).get(line).times(shape.line_step * 4).op("i32.add")
            if shape.image_lines:
                # Lines of the next image start elsewhere.
                skip = shape.image_step - shape.image_lines * shape.line_step
                f.get(line).i32(shape.image_lines).op("i32.div_u").times(skip * 4).op("i32.add")
            f.set(left)
            f.address(self.out, line, shape.rows * shape.columns * 4).set(out)
            self._line(left, out, None, None, columns)

    def _line(
        self, left: Local, out: Local, begin: Local | None, end: Local | None, columns: int
    ) -> None:
        """The tiles [begin, end) of one line (None: all of them), tall ones first."""
        f = self.f
        # One vector of columns leaves room for twice the rows, where nobody counts tiles.
        double = begin is None and columns <= 4 and self.width == WIDTH
        tiles, height, taller = split(self.shape.rows, self.tallest * (2 if double else 1))
        phases = []
        if taller:
            phases.append((0, taller, height + 1, 0))
        if tiles > taller:
            phases.append((taller, tiles, height, taller * (height + 1)))
        if begin is None or end is None:
            f.get(left).set(self.a)
            f.get(out).get(self.channel).op("i32.add").set(self.c)
            for first, last, rows, _ in phases:
                with f.repeat(last - first):
                    self._tile(rows, columns)
            return
        tile, stop = f.locals(2, "i32")
        for first, last, rows, done in phases:
            # tile = max(begin, first), stop = min(end, last)
            f.get(begin).i32(first).get(begin).i32(first).op("i32.gt_s").select().set(tile)
            f.get(end).i32(last).get(end).i32(last).op("i32.lt_s").select().set(stop)
            start = f.local("i32")
            f.get(tile).times(rows).plus(done - first * rows).set(start)
            f.address(left, start, self.shape.row_step * 4).set(self.a)
            f.address(out, start, self.shape.columns * 4).get(self.channel).op("i32.add")
            f.set(self.c)
            if columns <= 4 and last - first > 1 and self.width == WIDTH:
                # One vector of columns: two tiles at a time keep the multipliers busy.
                with f.range(tile, tile, stop, 2):
                    f.get(tile).plus(1).get(stop).op("i32.lt_s")
                    with f.if_():
                        self._tile(2 * rows, columns)
                        f.else_()
                        self._tile(rows, columns)
            else:
                with f.range(tile, tile, stop):
                    self._tile(rows, columns)

    # --- one tile ---------------------------------------------------------------------------------

    def _tile(self, rows: int, columns: int) -> None:
        """Accumulate, finish and store; a and c move on to the next tile."""
        f, shape = self.f, self.shape
        vectors = -(-columns // 4)
        acc = [self.acc[r * vectors : (r + 1) * vectors] for r in range(rows)]
        self._start(acc)
        f.get(self.panel).set(self.b)
        if self.flat:
            self._flat(acc)
            f.advance(self.a, rows * shape.row_step * 4)
        else:
            start = f.local("i32")
            f.get(self.a).set(start)
            self._runs(acc)
            f.get(start).plus(rows * shape.row_step * 4).set(self.a)
        step = shape.columns * 4
        extras, out, channel = self.extras, self.c, self.channel
        for r, row in enumerate(acc):
            for j, v in enumerate(row):
                self.epilogue(f, v, self.registers, extras, out, channel, r * step, 16 * j)
            # Stores follow the loads of a whole row: between two loads, one would keep the engine
            # from fusing them.
            for j, v in enumerate(row):
                store_bytes(f, out, v, 4 * min(4, columns - 4 * j), r * step + 16 * j)
        f.advance(self.c, rows * step)

    def _start(self, acc: Sequence[Sequence[Local]]) -> None:
        """What the sums start from: 0, or the bias of their channel."""
        f = self.f
        for j, v in enumerate(acc[0]):
            if self.bias is None:
                f.f32x4(0.0).set(v)
            else:
                f.get(self.extras[self.bias]).get(self.channel).op("i32.add").load(16 * j).set(v)
        for row in acc[1:]:
            for v, above in zip(row, acc[0], strict=True):
                f.get(above).set(v)

    def _flat(self, acc: Sequence[Sequence[Local]]) -> None:
        """All of K without a loop; a and b stay."""
        for step in range(self.shape.run):
            self._step(acc, step, step)

    def _runs(self, acc: Sequence[Sequence[Local]]) -> None:
        """K in pieces: kernel rows, or single taps where the kernel is dilated."""
        f, shape = self.f, self.shape
        outer, inner = shape.runs // shape.per_jump, shape.per_jump
        after = (shape.run_step - shape.run) * 4
        with f.repeat(outer):
            with f.repeat(inner):
                self._accumulate(acc, shape.run)
                f.advance(self.a, after)
            f.advance(self.a, shape.jump * 4)

    def _accumulate(self, acc: Sequence[Sequence[Local]], length: int) -> None:
        """acc += left[:, :length] @ right[:length]; a and b move past what was used."""
        turns, per_turn, rest = unroll_of(length, self.most_steps)
        f = self.f
        with f.repeat(turns):
            self._touch_ahead()
            for step in range(per_turn):
                self._step(acc, step, step)
            f.advance(self.a, per_turn * 4)
            f.advance(self.b, per_turn * self._right_step)
        for step in range(rest):
            self._step(acc, step, step)
        f.advance(self.a, rest * 4)
        f.advance(self.b, rest * self._right_step)

    def _touch_ahead(self) -> None:
        f = self.f
        if self.reads_ahead:
            f.get(self.ahead).op("i32.load8_u").drop()
            f.get(self.ahead).get(self.ahead_step).op("i32.add").set(self.ahead)

    @property
    def _right_step(self) -> int:
        return 4 * (self.width if self.shape.packed else self.shape.columns)

    def _step(self, acc: Sequence[Sequence[Local]], left: int, right: int) -> None:
        """One step of K: element `left` after a, row `right` after b."""
        f, at = self.f, right * self._right_step
        vectors = len(acc[0])
        if len(acc) == 1 and vectors > len(self.column):
            # One row: keep the element, stream the columns.
            f.get(self.a).op("v128.load32_splat", left * 4).set(self.element)
            for j in range(vectors):
                self._multiply_add(acc[0][j], at + 16 * j)
            return
        for j in range(vectors):
            f.get(self.b).load(at + self._column_at(j)).set(self.column[j])
        for r, row in enumerate(acc):
            offset = (r * self.shape.row_step + left) * 4
            f.get(self.a).op("v128.load32_splat", offset).set(self.element)
            for j in range(vectors):
                self._multiply_add(row[j], self.column[j])

    def _column_at(self, j: int) -> int:
        """From the first vector of columns of a tile to number `j`."""
        return 16 * j

    def _multiply_add(self, acc: Local, column: Local | int) -> None:
        """acc += element * column, which is a local or lies at an offset from b."""
        f = self.f
        f.get(self.element)
        if isinstance(column, Local):
            f.get(column)
        else:
            f.get(self.b).load(column)
        if self.target.relaxed_simd:
            f.get(acc).op("f32x4.relaxed_madd").set(acc)
        else:
            f.op("f32x4.mul").get(acc).op("f32x4.add").set(acc)


class WideEmitter(TileEmitter):
    """A tile over two neighbouring panels: 6 x 16.

    Its 24 accumulators do not fit the registers of 128 bits; where the engine fuses neighbouring
    vectors into 256 bits they are 12, which keep both multipliers busy as 6 would not. Its code is
    an extra in every module, so it is kept short.
    """

    most_steps = 2

    @staticmethod
    def height(width: int, target: Target) -> int:
        return tallest(WIDTH, target)

    @staticmethod
    def panel_width(width: int) -> int:
        return WIDTH

    @property
    def held(self) -> int:
        return WIDE // 4

    @property
    def flat(self) -> bool:
        return False

    @property
    def _right_step(self) -> int:
        return 4 * WIDTH

    def _column_at(self, j: int) -> int:
        return j // 2 * self.shape.k * 4 * WIDTH + j % 2 * 16


class DotEmitter(TileEmitter):
    """A product with one to three columns: vectors run along K, and their lanes are added up last.

    The right side lies column by column. All columns belong to a tile, so its results follow one
    another in memory: they are made and stored four at a time, whatever rows they belong to.
    """

    @staticmethod
    def panel_width(width: int) -> int:
        return 1

    @property
    def accumulators(self) -> int:
        return self.tallest * self.width

    @property
    def held(self) -> int:
        return self.width

    @property
    def flat(self) -> bool:
        return False

    @property
    def turns(self) -> int:
        return self.shape.runs * unroll_of(self.shape.run // 4)[0]

    def _tile(self, rows: int, columns: int) -> None:
        f, shape = self.f, self.shape
        acc = [self.acc[r * columns : (r + 1) * columns] for r in range(rows)]
        for v in (v for row in acc for v in row):
            f.f32x4(0.0).set(v)
        f.get(self.panel).set(self.b)
        start = f.local("i32")
        f.get(self.a).set(start)
        self._runs(acc)
        f.get(start).plus(rows * shape.row_step * 4).set(self.a)
        sums = self.acc[: rows * columns]
        for at in range(0, len(sums), 4):
            four = sums[at : at + 4]
            value = four[0]
            self._add_lanes(four)
            lanes = [(at + i) % columns for i in range(4)]
            self.finish(f, value, self.registers, self.extras, self.c, None, 0, 4 * at, lanes)
            store_bytes(f, self.c, value, 4 * len(four), 4 * at)
        f.advance(self.c, rows * columns * 4)

    def _add_lanes(self, sums: Sequence[Local]) -> None:
        """Lane i of the first vector = the sum of the lanes of vector i."""
        f, registers = self.f, self.registers
        spare = registers.take_many(7, "v128")
        rows = [*sums, *spare[: 4 - len(sums)]]  # what a missing one holds is not stored
        first, *others = transpose4(f, rows, spare[3:])
        for v in others:
            f.get(first).get(v).op("f32x4.add").set(first)
        registers.give(*spare)

    def _accumulate(self, acc: Sequence[Sequence[Local]], length: int) -> None:
        f = self.f
        turns, per_turn, rest = unroll_of(length // 4)
        with f.repeat(turns):
            self._touch_ahead()
            for step in range(per_turn):
                self._step(acc, 4 * step, 4 * step)
            f.advance(self.a, 16 * per_turn)
            f.advance(self.b, 16 * per_turn)
        for step in range(rest):
            self._step(acc, 4 * step, 4 * step)
        f.advance(self.a, 16 * rest)
        f.advance(self.b, 16 * rest)

    def _step(self, acc: Sequence[Sequence[Local]], left: int, right: int) -> None:
        """Four steps of K: elements from `left` after a, from `right` after the columns' starts."""
        f, shape = self.f, self.shape
        for n, column in enumerate(self.column):
            f.get(self.b).load((n * shape.k + right) * 4).set(column)
        for r, row in enumerate(acc):
            f.get(self.a).load((r * shape.row_step + left) * 4).set(self.element)
            for v, column in zip(row, self.column, strict=True):
                self._multiply_add(v, column)


def _splits_better(shape: Product, rows: int, columns: int) -> bool:
    """Whether threads share the panels, of which there are `columns`, and not the units of rows.

    Each thread then reads all of the left side and its part of the right one, instead of the other
    way round; and where rows are few, shares of panels are more nearly equal.
    """
    left, right = shape.lines * shape.rows * shape.row_step, shape.k * shape.columns
    return columns > rows and (right > left or rows < FEW_UNITS)


def _gathers(shape: Product) -> bool:
    """Whether a right side that lies row by row should be put into panels first.

    Rows whose distance is a power of two would all want the same few lines of a cache.
    """
    worth = 4 * shape.k * shape.columns > GATHER_BYTES and shape.lines * shape.rows >= GATHER_ROWS
    return worth and shape.columns >= WIDTH and shape.columns % 4 == 0


def _kernel(node: Node, shape: Product, epilogue: Epilogue, target: Target) -> Kernel:
    lone = shape.columns == WIDTH and shape.lines * shape.rows > 1  # it lies as its panel would
    if lone or (shape.columns == 1 and shape.run % 4 == 0):
        shape = replace(shape, packed=True)
    elif not shape.packed and _gathers(shape):
        shape = replace(shape, packed=True, gathered=True)
    if shape.packed and shape.columns <= FEW_COLUMNS and shape.run % 4 == 0:
        return _made(node, shape, epilogue, target, DotEmitter, shape.columns, may_turn=False)
    if shape.packed and shape.lines * shape.rows == 1:
        return _made(node, shape, epilogue, target, TileEmitter, vector_width(shape.columns))
    made = _made(node, shape, epilogue, target, TileEmitter, WIDTH)
    if not (shape.packed and shape.columns >= WIDE and target.relaxed_simd):
        return made
    return replace(made, twins={"wide": _made(node, shape, epilogue, target, WideEmitter, WIDE)})


def _made(
    node: Node,
    shape: Product,
    epilogue: Epilogue,
    target: Target,
    emitter: type[TileEmitter],
    width: int,
    *,
    may_turn: bool = True,
) -> Kernel:
    """The kernel that an emitter makes; its work is in panels where that is better and may be."""
    tiles = split(shape.rows, emitter.height(width, target))[0]
    units, columns = tiles if shape.lines == 1 else shape.lines, -(-shape.columns // width)
    whole, by_rows = (node, shape, epilogue, target, emitter, width), None
    if shape.gathered or (may_turn and _splits_better(shape, units, columns)):
        by_rows = None if shape.gathered else _made(*whole, may_turn=False)
        shape, units = replace(shape, by_panels=True), columns
    packs = shape.packed and not shape.gathered and (width, shape.columns) != (1, 1)

    def emit(module: Module, name: str) -> None:
        params = ("i32",) * (2 + len(epilogue.kinds) + 1 + bool(shape.scratch) + 2)
        emitter(module.function(name, params), shape, epilogue, target, width).run()

    return Kernel(
        key=f"gemm {shape} {epilogue.key} {target.relaxed_simd} {emitter.__name__} {width}",
        emit=emit,
        work=units,
        in_order=not shape.by_panels,
        by_rows=by_rows,
        packing={1: panels(emitter.panel_width(width))} if packs else {},
        scratch=shape.scratch,
        flops=node.output.type.size * (2 * shape.k + epilogue.cost),
        bytes=node_bytes(node),
    )


@register("conv2d")
def lower_conv2d(node: Node, target: Target, weights: Weights) -> Kernel:
    """conv2d on an input that is already padded: `explicit_padding` sees to it."""
    w = node.inputs[1]  # where it is not constant its rows are read where they lie
    if any(map(any, node.attrs["padding"])):
        raise unsupported(node, "its padding is not explicit")
    return _kernel(
        node, conv_product(node, packed=w in weights), Epilogue.of(node, 2, target), target
    )


def conv_product(node: Node, *, packed: bool) -> Product:
    """The product that a convolution of an input without padding is."""
    n, h, width, c = node.inputs[0].type.bound
    kh, kw, _, columns = node.inputs[1].type.bound
    (sh, sw), (dh, dw) = node.attrs["strides"], node.attrs["dilations"]
    _, oh, ow, _ = node.output.type.bound
    if (kh, kw, sh, sw) == (1, 1, 1, 1):
        return Product(1, n * h * width, 0, c, 1, c, c, 1, 0, columns, packed=packed)
    row = width * c
    if dw == 1:
        runs, run, run_step, per_jump, jump = kh, kw * c, dh * row, kh, 0
    else:
        runs, run, run_step, per_jump, jump = kh * kw, c, dw * c, kw, dh * row - kw * dw * c
    if run_step == run and not jump:
        runs, run, per_jump = 1, runs * run, 1  # a kernel as wide as the picture
    column = ow == 1  # then the rows of a tile run down the picture
    return Product(
        lines=n if column else n * oh,
        rows=oh if column else ow,
        line_step=h * row if column else sh * row,
        row_step=sh * row if column else sw * c,
        runs=runs,
        run=run,
        run_step=run_step,
        per_jump=per_jump,
        jump=jump,
        columns=columns,
        image_lines=oh if n > 1 and not column else 0,
        image_step=h * row,
        packed=packed,
    )


@register("matmul")
def lower_matmul(node: Node, target: Target, weights: Weights) -> Kernel:
    """matmul: packed where the right side is a constant matrix, else in place."""
    a, b = (v.type.bound for v in node.inputs[:2])
    if node.attrs["transpose_a"] or node.attrs["transpose_b"]:
        raise unsupported(node, "its transposition is not explicit")
    k, columns = b[-2:]
    epilogue = Epilogue.of(node, 2, target)
    batched = prod(b[:-2]) > 1
    constant = node.inputs[1] in weights and not batched
    if not batched:
        rows = prod(a[:-1])
        if not constant and is_wide(node):
            return vector_by_matrix(node)
        shape = Product(1, rows, 0, k, 1, k, k, 1, 0, columns, packed=constant)
        return _kernel(node, shape, epilogue, target)
    return _batched(node, target, epilogue)


def _batched(node: Node, target: Target, epilogue: Epilogue) -> Kernel:
    """A product per batch entry: one inner function, called with moved pointers."""
    a, b = (v.type.bound for v in node.inputs[:2])
    batch = node.output.type.bound[:-2]
    rows, k = a[-2:]
    columns = b[-1]
    shape = Product(1, rows, 0, k, 1, k, k, 1, 0, columns, packed=False)
    inner = f"gemm {shape} {epilogue.key} {target.relaxed_simd} {WIDTH}"
    count = 2 + len(epilogue.kinds) + 1

    def emit_inner(module: Module, name: str) -> None:
        params = ("i32",) * (count + 2)
        TileEmitter(module.function(name, params), shape, epilogue, target, WIDTH).run()

    def emit(module: Module, name: str) -> None:
        called = module.define(inner, emit_inner)
        f = module.function(name, ("i32",) * (count + 2))
        entry = f.local("i32")
        tiles = split(rows, tallest(WIDTH, target))[0]
        steps = [_moves(a[:-2], batch, rows * k), _moves(b[:-2], batch, k * columns)]
        for kind in epilogue.kinds:
            steps.append(_moves(batch, batch, rows * columns) if kind == "full" else [])
        steps.append(_moves(batch, batch, rows * columns))
        with f.range(entry, f.params[-2], f.params[-1]):
            for pointer, moves in zip(f.params, steps, strict=False):
                f.get(pointer)
                for divisor, size, stride in moves:
                    f.get(entry).i32(divisor).op("i32.div_u").i32(size).op("i32.rem_u")
                    f.times(stride * 4).op("i32.add")
            f.i32(0).i32(tiles).call(called)

    return Kernel(
        key=f"batched {a} {b} {inner}",
        emit=emit,
        work=prod(batch),
        in_order=True,
        flops=node.output.type.size * (2 * k + epilogue.cost),
        bytes=node_bytes(node),
    )


def _moves(dims: Sequence[int], batch: Sequence[int], entry: int) -> list[tuple[int, int, int]]:
    """(divisor, size, stride) per batch dim that moves a pointer, for a linear batch index."""
    dims = (1,) * (len(batch) - len(dims)) + tuple(dims)
    moves, stride, divisor = [], entry, 1
    for own, size in zip(reversed(dims), reversed(batch), strict=True):
        if own > 1:
            moves.append((divisor, size, stride))
            stride *= own
        divisor *= size
    return moves
