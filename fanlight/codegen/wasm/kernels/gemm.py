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
from dataclasses import dataclass
from math import prod

from fanlight.codegen.kernel import Kernel, Weights, node_bytes, panels, register, unsupported
from fanlight.codegen.wasm.assembler import Function, Local
from fanlight.codegen.wasm.kernels.epilogue import Epilogue, difference_pointers
from fanlight.codegen.wasm.kernels.vectors import Registers, store_bytes
from fanlight.codegen.wasm.module import Module
from fanlight.graph import Node
from fanlight.targets import Target

WIDTH = 8  # columns of a tile
VECTOR_WIDTH = 32  # columns of the one-row tile of a matrix-vector product
# Bytes of the left side that are kept near (L2) while the panels of the right side pass over them.
# A small right side stays near too, and may pass again over every small block; a large one comes
# from afar each time.
BLOCK_BYTES = 128 << 10
LARGE_BLOCK_BYTES = 448 << 10
SMALL_RIGHT_BYTES = 256 << 10


def split(count: int, tallest: int) -> tuple[int, int, int]:
    """(tiles, height, taller): `taller` tiles of height + 1 rows, then the rest of `height`."""
    tiles = -(-count // tallest)
    return tiles, count // tiles, count % tiles


def unroll_of(length: int) -> int:
    """Steps of K per turn of the innermost loop."""
    return next(u for u in (4, 3, 2, 1) if length % u == 0)


def tallest(width: int, target: Target) -> int:
    """Most rows of a tile of `width` columns whose vectors fit the registers."""
    return 1 if width == VECTOR_WIDTH else 6 if target.relaxed_simd else 5


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

    @property
    def k(self) -> int:
        return self.runs * self.run


class _Emitter:
    def __init__(
        self, f: Function, shape: Product, epilogue: Epilogue, target: Target, width: int
    ) -> None:
        self.f, self.shape, self.epilogue, self.target = f, shape, epilogue, target
        self.width = width
        self.left, self.right, *rest = f.params
        self.low, self.high = rest[-2:]
        self.out = rest[-3]
        self.extras = rest[:-3]
        self.registers = Registers(f)
        self.tallest = tallest(width, target)
        self.tiles = split(shape.rows, self.tallest)[0]
        self.acc = f.locals(self.tallest * width // 4, "v128")
        self.column = f.locals(width // 4 if width == WIDTH else 1, "v128")
        self.element = f.local("v128")
        self.a, self.b, self.c, self.k = f.locals(4, "i32")
        self.channel = f.local("i32")
        self.panel = f.local("i32")
        self.ahead, self.ahead_step = f.locals(2, "i32")
        self.reads_ahead = ""  # "left", "right" or nothing

    # --- loops around the tiles -------------------------------------------------------------------

    def run(self) -> None:
        """The whole function body."""
        f, shape = self.f, self.shape
        difference_pointers(f, self.extras, self.epilogue.kinds, self.out)
        if shape.lines == 1:
            line_bytes = max(1, shape.rows // self.tiles * shape.row_step * 4)
        else:
            line_bytes = max(1, abs(shape.line_step) * 4)
        small = 4 * shape.k * shape.columns <= SMALL_RIGHT_BYTES
        block = max(1, (BLOCK_BYTES if small else LARGE_BLOCK_BYTES) // line_bytes)
        units = self.units
        if block * 2 > units:
            self._read_ahead_right()
            self._panels(self.low, self.high)
            return
        begin, end = f.locals(2, "i32")
        with f.range(begin, self.low, self.high, block):
            f.get(begin).plus(block).tee(end).get(self.high)
            f.get(end).get(self.high).op("i32.lt_s").select().set(end)
            self._read_ahead_left(end, block * line_bytes, block)
            self._panels(begin, end)

    # WASM has no prefetch, and the hardware's stops at every page. So each turn of the innermost
    # loop also loads a byte, which nobody uses, of what the next panel or block will need.

    @property
    def turns(self) -> int:
        """Turns of the innermost loop per tile."""
        return self.shape.k // unroll_of(self.shape.run)

    def _read_ahead_right(self) -> None:
        """Touch the next panel while one is used."""
        f, shape = self.f, self.shape
        if not shape.packed or shape.columns <= self.width or self.width != WIDTH:
            return
        self.reads_ahead = "right"
        tiles = 1 if shape.lines == 1 else self.tiles
        f.i32(shape.k * self.width * 4)
        f.get(self.high).get(self.low).op("i32.sub").times(tiles * self.turns)
        f.i32(1).op("i32.or").op("i32.div_u").set(self.ahead_step)  # | 1: the range may be empty

    def _read_ahead_left(self, end: Local, size: int, units: int) -> None:
        """Touch the block that starts at unit `end` while the one before it is used.

        The place is kept inside the left side: at the end the last block is touched again.
        """
        f, shape = self.f, self.shape
        tiles = units if shape.lines == 1 else units * self.tiles
        step = size // (-(-shape.columns // self.width) * tiles * self.turns)
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
        """What [lo, hi) counts: tiles of the only line, or lines."""
        return self.tiles if self.shape.lines == 1 else self.shape.lines

    def _panels(self, begin: Local, end: Local) -> None:
        f, shape = self.f, self.shape
        whole, rest = divmod(shape.columns, self.width)
        step = shape.k * self.width if shape.packed else self.width
        f.get(self.right).set(self.panel)
        f.i32(0).set(self.channel)
        if whole:
            with f.range(self.channel, 0, whole * self.width * 4, self.width * 4):
                if self.reads_ahead == "right":
                    last = (shape.columns - 1) // self.width * self.width * 4
                    f.get(self.panel).plus(step * 4).get(self.panel)
                    f.get(self.channel).i32(last).op("i32.lt_u").select().set(self.ahead)
                self._lines(begin, end, self.width)
                f.advance(self.panel, step * 4)
        if rest:
            if self.reads_ahead == "right":
                f.get(self.panel).set(self.ahead)
            self._lines(begin, end, rest)

    def _lines(self, begin: Local, end: Local, columns: int) -> None:
        """All lines of a block against one panel, of which `columns` columns count."""
        f, shape = self.f, self.shape
        if shape.lines == 1:
            self._line(self.left, self.out, begin, end, columns)
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
        double = begin is None and columns <= 4
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
            with f.range(tile, tile, stop):
                self._tile(rows, columns)

    # --- one tile ---------------------------------------------------------------------------------

    def _tile(self, rows: int, columns: int) -> None:
        """Accumulate, finish and store; a and c move on to the next tile."""
        f, shape = self.f, self.shape
        vectors = -(-columns // 4)
        acc = [self.acc[r * vectors : (r + 1) * vectors] for r in range(rows)]
        for row in acc:
            for v in row:
                f.f32x4(0.0).set(v)
        f.get(self.panel).set(self.b)
        runs, run, start = shape.runs, shape.run, f.local("i32")
        if runs == 1:
            f.get(self.a).set(start)
            self._accumulate(acc, run)
            f.get(start).plus(rows * shape.row_step * 4).set(self.a)
        else:
            f.get(self.a).set(start)
            self._runs(acc)
            f.get(start).plus(rows * shape.row_step * 4).set(self.a)
        step = shape.columns * 4
        for r, row in enumerate(acc):
            for j, v in enumerate(row):
                self.epilogue(
                    f, v, self.registers, self.extras, self.c, self.channel, r * step, 16 * j
                )
                count = min(4, columns - 4 * j)
                store_bytes(f, self.c, v, 4 * count, r * step + 16 * j)
        f.advance(self.c, rows * step)

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
        unroll = unroll_of(length)
        f = self.f
        with f.repeat(length // unroll):
            if self.reads_ahead:
                f.get(self.ahead).op("i32.load8_u").drop()
                f.get(self.ahead).get(self.ahead_step).op("i32.add").set(self.ahead)
            for step in range(unroll):
                self._step(acc, step)
            f.advance(self.a, unroll * 4)
            f.advance(self.b, unroll * self._right_step)

    @property
    def _right_step(self) -> int:
        return 4 * (self.width if self.shape.packed else self.shape.columns)

    def _step(self, acc: Sequence[Sequence[Local]], step: int) -> None:
        f, at = self.f, step * self._right_step
        vectors = len(acc[0])
        if len(acc) == 1 and vectors > len(self.column):
            # One row: keep the element, stream the columns.
            f.get(self.a).op("v128.load32_splat", step * 4).set(self.element)
            for j in range(vectors):
                self._multiply_add(acc[0][j], at + 16 * j)
            return
        for j in range(vectors):
            f.get(self.b).load(at + 16 * j).set(self.column[j])
        for r, row in enumerate(acc):
            offset = (r * self.shape.row_step + step) * 4
            f.get(self.a).op("v128.load32_splat", offset).set(self.element)
            for j in range(vectors):
                self._multiply_add(row[j], self.column[j])

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


def _kernel(node: Node, shape: Product, epilogue: Epilogue, target: Target) -> Kernel:
    vector = shape.packed and shape.lines * shape.rows == 1
    width = VECTOR_WIDTH if vector else WIDTH

    def emit(module: Module, name: str) -> None:
        params = ("i32",) * (2 + len(epilogue.kinds) + 1 + 2)
        _Emitter(module.function(name, params), shape, epilogue, target, width).run()

    tiles = split(shape.rows, tallest(width, target))[0]
    return Kernel(
        key=f"gemm {shape} {epilogue.key} {target.relaxed_simd} {width}",
        emit=emit,
        work=tiles if shape.lines == 1 else shape.lines,
        packing={1: panels(width)} if shape.packed else {},
        flops=2 * node.output.type.size * shape.k,
        bytes=node_bytes(node),
    )


@register("conv2d")
def lower_conv2d(node: Node, target: Target, weights: Weights) -> Kernel:
    """conv2d on an input that is already padded: `explicit_padding` sees to it."""
    w = node.inputs[1]  # where it is not constant its rows are read where they lie
    if any(map(any, node.attrs["padding"])):
        raise unsupported(node, "its padding is not explicit")
    return _kernel(node, conv_product(node, packed=w in weights), Epilogue.of(node, 2), target)


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
    epilogue = Epilogue.of(node, 2)
    batched = prod(b[:-2]) > 1
    constant = node.inputs[1] in weights and not batched
    if not batched:
        rows = prod(a[:-1])
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
        _Emitter(module.function(name, params), shape, epilogue, target, WIDTH).run()

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
        flops=2 * node.output.type.size * k,
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
