"""Products of bytes: convolutions and dense layers of quantised networks (see docs/adr/0005).

The shape of the work is that of gemm.py: tiles of a few rows (pixels) by 8 columns (channels), the
left side read in place, the right side in panels. K goes in *groups*: four bytes of a row, which
one 32-bit splat load brings, meet four bytes of each of four columns, and every lane sums four
products. There are four ways to do that, all exact:

- "dot": one relaxed dot product and addition. With the row's bytes in 0 .. 127 every engine's
  lowering gives the same integers. Fast where the machine has such an instruction.
- "pairs": two relaxed dot products to int16 are added before they are widened to int32. Fast on
  x64 without VNNI, where a widening costs as much as a product. Only for weights of which no four
  can overflow int16 (see `pairs_fit`).
- "wide": bytes are widened to int16 as they come. Needs no relaxed SIMD.
- "words": for 8-bit rows, of which there is one in a network: its picture. The left side is widened
  to int16 first, in scratch (threads that share a part write the same there), so a group is two
  int16, and tiles are tall.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from fanlight.codegen.kernel import (
    Kernel,
    Weights,
    groups,
    node_bytes,
    register,
    unsupported,
)
from fanlight.codegen.wasm.assembler import Function, Local
from fanlight.codegen.wasm.kernels.gemm import Product, conv_product, split
from fanlight.codegen.wasm.kernels.requantize import Requantize, join_halves
from fanlight.codegen.wasm.kernels.vectors import Registers
from fanlight.codegen.wasm.module import Module
from fanlight.graph import Node
from fanlight.ops.quantized import PAIR_REACH, pair_reach
from fanlight.targets import Target

WIDTH = 8  # columns of a tile
LOAD = 4  # bytes of a group of the left side
# Rows of a tile whose vectors fit the registers of x64; where a product does not add to its sum by
# itself, it needs one too.
TALLEST = {"dot": 6, "pairs": 4, "wide": 2, "words": 5}
# Bytes of the left side and the results that are kept near while the panels of the right side pass
# over them: in L2, or in L1 where the panels fit there too.
BLOCK_BYTES, SMALL_BLOCK_BYTES = 128 << 10, 16 << 10
SMALL_PANELS_BYTES = 8 << 10
# Fewer units than this are cut along the columns too, so that several threads get equal shares.
FEW_UNITS = 48


def pairs_fit(w: np.ndarray, run: int) -> bool:
    """Whether "pairs" is exact for int8 weights [..., N] with runs of `run` rows."""
    return bool(pair_reach(w, run).max(initial=0) <= PAIR_REACH)


@dataclass(frozen=True)
class _Work:
    """A product and how it is cut into units.

    Attributes:
        mode: "dot", "pairs", "wide" or "words".
        tiles: units of rows: tiles of the only line, or lines.
        chunks: pieces of the columns; there are tiles * chunks units.
    """

    shape: Product
    mode: str
    tiles: int
    chunks: int

    @property
    def panels(self) -> int:
        return -(-self.shape.columns // WIDTH)

    @property
    def panels_per_chunk(self) -> int:
        return -(-self.panels // self.chunks)

    @property
    def element(self) -> int:
        """Bytes of an element of the left side, where it is read."""
        return 2 if self.mode == "words" else 1

    @property
    def group(self) -> int:
        """Elements of a group."""
        return LOAD // self.element

    @property
    def run_groups(self) -> int:
        """Groups of a run; the last may reach past its end, where the weights are 0."""
        return -(-self.shape.run // self.group)

    @property
    def panel_bytes(self) -> int:
        return self.shape.runs * self.run_groups * self.group * WIDTH

    @classmethod
    def of(cls, shape: Product, mode: str) -> _Work:
        tiles = split(shape.rows, TALLEST[mode])[0] if shape.lines == 1 else shape.lines
        panels = -(-shape.columns // WIDTH)
        wanted = min(panels, -(-FEW_UNITS // tiles))
        # Chunks of equal numbers of panels: the last is never empty.
        chunks = -(-panels // -(-panels // wanted))
        return cls(shape, mode, tiles, chunks)


class _Emitter:
    def __init__(self, f: Function, work: _Work, requantize: Requantize, elements: int) -> None:
        self.f, self.work, self.shape = f, work, work.shape
        self.requantize = requantize
        self.elements = elements  # of the left side
        self.left, self.right, self.bias, self.scale = f.params[:4]
        self.residual = f.params[4] if requantize.residual else None
        self.low, self.high = f.params[-2:]
        self.out = f.params[4 + requantize.residual]
        self.registers = Registers(f)
        self.tallest = TALLEST[work.mode]
        # Per row and four columns: one sum, or two halves that are added at the end.
        halves = 2 if work.mode == "wide" else 1
        self.acc = [
            [f.locals(halves, "v128") for _ in range(WIDTH // 4)] for _ in range(self.tallest)
        ]
        depth = 2 if work.mode == "pairs" else 1
        self.column = [[f.locals(halves, "v128") for _ in range(WIDTH // 4)] for _ in range(depth)]
        self.element = f.locals(depth, "v128")
        self.ones = f.local("v128")
        self.a, self.b, self.c = f.locals(3, "i32")
        self.panel, self.channel, self.last_channel = f.locals(3, "i32")

    # --- loops around the tiles -------------------------------------------------------------------

    def run(self) -> None:
        """The whole function body: units [low, high)."""
        f, work = self.f, self.work
        if self.residual is not None and self.requantize.width == 1:
            f.get(self.residual).get(self.out).op("i32.sub").set(self.residual)
        if work.mode == "words":
            self._widen(f.params[-3])
        if work.mode == "pairs":
            f.v128(bytes([1, 0] * 8)).set(self.ones)
        with f.holding(self.requantize.constants()):
            self._chunks()

    def _widen(self, scratch: Local) -> None:
        """Make int16 of what the units [low, high) read, and that the left side."""
        f, shape, work = self.f, self.shape, self.work
        at, end, place = f.locals(3, "i32")
        count = self.elements
        # From a row's first element to behind its last one.
        outer, inner = shape.runs // shape.per_jump, shape.per_jump
        reach = shape.run + (inner - 1) * shape.run_step
        reach += (outer - 1) * (inner * shape.run_step + shape.jump)
        if work.chunks > 1:
            f.i32(0).set(at)
            f.i32(count).set(end)
        elif shape.lines == 1:
            # Tiles are of one height, and the first ones perhaps of one row more.
            height = shape.rows // work.tiles
            f.get(self.low).times(height * shape.row_step).set(at)
            f.get(self.high).times(height + 1).tee(end).i32(shape.rows)
            f.get(end).i32(shape.rows).op("i32.lt_s").select()
            f.plus(-1).times(shape.row_step).plus(reach).set(end)
        else:
            reach += (shape.rows - 1) * shape.row_step
            f.get(self.high).plus(-1).set(place)
            for line, offset in ((self.low, at), (place, end)):
                f.get(line).times(shape.line_step).set(offset)
                if shape.image_lines:
                    skip = shape.image_step - shape.image_lines * shape.line_step
                    f.get(line).i32(shape.image_lines).op("i32.div_u").times(skip)
                    f.get(offset).op("i32.add").set(offset)
            f.get(end).plus(reach).set(end)
        step = 16 if count >= 16 else 1
        with f.range(at, at, end, step):
            # The last vector ends where the left side does.
            f.get(at).i32(count - step).get(at).i32(count - step).op("i32.lt_s").select().set(place)
            source, half = f.local("i32"), self.element[0]
            f.get(self.left).get(place).op("i32.add").set(source)
            f.address(scratch, place, 2).set(place)
            if step == 1:
                f.get(place).get(source).op("i32.load8_u").op("i32.store16")
            else:
                f.get(source).load().set(half)
                f.get(place).get(half).op("i16x8.extend_low_i8x16_u").op("v128.store")
                f.get(place).get(half).op("i16x8.extend_high_i8x16_u").op("v128.store", 16)
        f.get(scratch).set(self.left)

    def _chunks(self) -> None:
        """Pieces of the columns, and of each the units of rows that are in the share."""
        f, work = self.f, self.work
        whole = self.shape.columns // WIDTH * WIDTH
        if work.chunks == 1:
            f.i32(0).set(self.channel)
            f.i32(whole).set(self.last_channel)
            f.get(self.right).set(self.panel)
            self._blocks(self.low, self.high, None)
            return
        chunk, begin, end, first = f.locals(4, "i32")
        width = work.panels_per_chunk * WIDTH
        f.get(self.low).i32(work.tiles).op("i32.div_u").set(chunk)
        with f.range(chunk, chunk, work.chunks):
            f.get(chunk).times(work.tiles).set(first)
            with f.block() as inside:
                # Past the share: leave by an empty range, since the loop's bound is known.
                f.get(first).get(self.high).op("i32.lt_s").br_if(inside)
                f.return_()
            # begin = max(low - first, 0), end = min(high - first, tiles)
            f.get(self.low).get(first).op("i32.sub").tee(begin).i32(0)
            f.get(begin).i32(0).op("i32.gt_s").select().set(begin)
            f.get(self.high).get(first).op("i32.sub").tee(end).i32(work.tiles)
            f.get(end).i32(work.tiles).op("i32.lt_s").select().set(end)
            f.get(chunk).times(width).set(first)
            f.get(first).plus(width).tee(self.last_channel).i32(whole)
            f.get(self.last_channel).i32(whole).op("i32.lt_s").select().set(self.last_channel)
            f.address(self.right, chunk, work.panels_per_chunk * work.panel_bytes).set(self.panel)
            f.get(first).set(self.channel)
            self._blocks(begin, end, chunk)

    def _blocks(self, low: Local, high: Local, chunk: Local | None) -> None:
        """Units of rows [low, high) in blocks that stay near, each against all panels."""
        f, shape, work = self.f, self.shape, self.work
        rows = shape.rows // work.tiles if shape.lines == 1 else shape.rows
        step = rows * shape.row_step if shape.lines == 1 else abs(shape.line_step)
        unit_bytes = step * work.element + rows * shape.columns * self.requantize.width
        small = work.panels * work.panel_bytes <= SMALL_PANELS_BYTES
        block = max(1, (SMALL_BLOCK_BYTES if small else BLOCK_BYTES) // max(1, unit_bytes))
        if block * 2 > work.tiles:
            self._panels(low, high, chunk)
            return
        begin, end, panel, channel = f.locals(4, "i32")
        f.get(self.panel).set(panel).get(self.channel).set(channel)
        with f.range(begin, low, high, block):
            f.get(begin).plus(block).tee(end).get(high)
            f.get(end).get(high).op("i32.lt_s").select().set(end)
            f.get(panel).set(self.panel).get(channel).set(self.channel)
            self._panels(begin, end, chunk)

    def _panels(self, begin: Local, end: Local, chunk: Local | None) -> None:
        f = self.f
        whole, rest = divmod(self.shape.columns, WIDTH)
        if whole:
            with f.range(self.channel, self.channel, self.last_channel, WIDTH):
                self._lines(begin, end, WIDTH)
                f.advance(self.panel, self.work.panel_bytes)
        if not rest:
            return
        if chunk is None:
            self._lines(begin, end, rest)
            return
        f.get(chunk).i32(self.work.chunks - 1).op("i32.eq")
        with f.if_():
            self._lines(begin, end, rest)

    def _lines(self, begin: Local, end: Local, columns: int) -> None:
        """All lines of a block against one panel, of which `columns` columns count."""
        f, shape = self.f, self.shape
        if shape.lines == 1:
            self._line(self.left, self.out, begin, end, columns)
            return
        line, left, out = f.locals(3, "i32")
        with f.range(line, begin, end):
            f.address(self.left, line, shape.line_step * self.work.element)
            if shape.image_lines:
                skip = shape.image_step - shape.image_lines * shape.line_step
                skip *= self.work.element
                f.get(line).i32(shape.image_lines).op("i32.div_u").times(skip).op("i32.add")
            f.set(left)
            f.address(self.out, line, shape.rows * shape.columns * self.requantize.width).set(out)
            self._line(left, out, None, None, columns)

    def _line(
        self, left: Local, out: Local, begin: Local | None, end: Local | None, columns: int
    ) -> None:
        """The tiles [begin, end) of one line (None: all of them), tall ones first."""
        f = self.f
        width = self.requantize.width
        tiles, height, taller = split(self.shape.rows, self.tallest)
        phases = []
        if taller:
            phases.append((0, taller, height + 1, 0))
        if tiles > taller:
            phases.append((taller, tiles, height, taller * (height + 1)))
        if begin is None or end is None:
            f.get(left).set(self.a)
            f.get(out).get(self.channel).times(width).op("i32.add").set(self.c)
            for first, last, rows, _ in phases:
                with f.repeat(last - first):
                    self._tile(rows, columns)
            return
        tile, stop, start = f.locals(3, "i32")
        for first, last, rows, done in phases:
            # tile = max(begin, first), stop = min(end, last)
            f.get(begin).i32(first).get(begin).i32(first).op("i32.gt_s").select().set(tile)
            f.get(end).i32(last).get(end).i32(last).op("i32.lt_s").select().set(stop)
            f.get(tile).times(rows).plus(done - first * rows).set(start)
            f.address(left, start, self.shape.row_step * self.work.element).set(self.a)
            f.address(out, start, self.shape.columns * width)
            f.get(self.channel).times(width).op("i32.add").set(self.c)
            with f.range(tile, tile, stop):
                self._tile(rows, columns)

    # --- one tile ---------------------------------------------------------------------------------

    def _tile(self, rows: int, columns: int) -> None:
        """Accumulate, finish and store; a and c move on to the next tile."""
        f, shape = self.f, self.shape
        vectors = -(-columns // 4)
        acc = [self.acc[r][:vectors] for r in range(rows)]
        self._start(acc)
        start = f.local("i32")
        f.get(self.a).set(start)
        f.get(self.panel).set(self.b)
        self._runs(acc)
        f.get(start).plus(rows * shape.row_step * self.work.element).set(self.a)
        if self.work.mode == "wide":
            join_halves(f, acc, self.bias, self.channel)
        sums = [[v[0] for v in row] for row in acc]
        self.requantize.store(
            f,
            self.registers,
            sums,
            columns,
            self.c,
            shape.columns * self.requantize.width,
            self.scale,
            self.requantize.residual_place(f, self.registers, self.residual, self.out, self.c),
            self.channel,
        )
        f.advance(self.c, rows * shape.columns * self.requantize.width)

    def _start(self, acc: Sequence[Sequence[Sequence[Local]]]) -> None:
        """Sums start at the bias, or at 0 where halves are still to be joined."""
        f = self.f
        if self.work.mode == "wide":
            for v in (v for row in acc for halves in row for v in halves):
                f.i32x4(0).set(v)
            return
        for j in range(len(acc[0])):
            f.address(self.bias, self.channel, 4).load(16 * j)
            for row in acc[:-1]:
                f.tee(row[j][0])
            f.set(acc[-1][j][0])

    def _runs(self, acc: Sequence[Sequence[Sequence[Local]]]) -> None:
        """K in pieces: kernel rows, or single taps where the kernel is dilated."""
        f, shape, length = self.f, self.shape, self.work.run_groups
        element = self.work.element
        if shape.runs == 1:
            self._accumulate(acc, length)
            return
        outer, inner = shape.runs // shape.per_jump, shape.per_jump
        with f.repeat(outer):
            with f.repeat(inner):
                self._accumulate(acc, length)
                f.advance(self.a, shape.run_step * element - LOAD * length)
            f.advance(self.a, shape.jump * element)

    def _accumulate(self, acc: Sequence[Sequence[Sequence[Local]]], length: int) -> None:
        """acc += left[:, :length groups] @ right[:length]; a and b move past what was used."""
        depth = len(self.column)
        turns, rest = divmod(length, depth)
        most = (length, 4, 3, 1) if self.work.mode == "words" and length <= 6 else (4, 3, 1)
        unroll = next(u // depth for u in most if u >= depth and turns % (u // depth) == 0)
        f, step_bytes = self.f, self.work.group * WIDTH
        with f.repeat(turns // unroll):
            for step in range(unroll):
                self._step(acc, step * depth, depth)
            f.advance(self.a, unroll * depth * LOAD)
            f.advance(self.b, unroll * depth * step_bytes)
        if rest:
            self._step(acc, 0, rest)
            f.advance(self.a, rest * LOAD)
            f.advance(self.b, rest * step_bytes)

    def _step(self, acc: Sequence[Sequence[Sequence[Local]]], at: int, depth: int) -> None:
        """`depth` groups of K, from the group `at` on."""
        f, mode = self.f, self.work.mode
        row_bytes = self.shape.row_step * self.work.element
        load = "v128.load8x8_s" if mode in ("wide", "words") else "v128.load"
        for g in range(depth):
            for j in range(len(acc[0])):
                for h, local in enumerate(self.column[g][j]):
                    offset = ((at + g) * WIDTH + 4 * j) * self.work.group + 8 * h
                    f.get(self.b).op(load, offset).set(local)
        for r, row in enumerate(acc):
            for g in range(depth):
                f.get(self.a).op("v128.load32_splat", r * row_bytes + (at + g) * LOAD)
                if mode == "wide":
                    f.op("i16x8.extend_low_i8x16_u")
                f.set(self.element[g])
            for j, sums in enumerate(row):
                self._multiply_add(sums, [self.column[g][j] for g in range(depth)])

    def _multiply_add(self, sums: Sequence[Local], columns: Sequence[Sequence[Local]]) -> None:
        f = self.f
        if self.work.mode == "dot":
            f.get(columns[0][0]).get(self.element[0]).get(sums[0])
            f.op("i32x4.relaxed_dot_i8x16_i7x16_add_s").set(sums[0])
        elif self.work.mode == "pairs":
            for g, column in enumerate(columns):
                f.get(column[0]).get(self.element[g]).op("i16x8.relaxed_dot_i8x16_i7x16_s")
                if g:
                    f.op("i16x8.add")
            f.get(self.ones).op("i32x4.dot_i16x8_s").get(sums[0]).op("i32x4.add").set(sums[0])
        else:
            for local, half in zip(sums, columns[0], strict=True):
                f.get(half).get(self.element[0]).op("i32x4.dot_i16x8_s")
                f.get(local).op("i32x4.add").set(local)


# --- lowering -------------------------------------------------------------------------------------


def _kernel(node: Node, shape: Product, target: Target, weights: Weights) -> Kernel:
    w = node.inputs[1]
    if not {w, *node.inputs[2:4]} <= set(weights):
        raise unsupported(node, "its weights, bias or scale are not constant")
    requantize = Requantize.of(node, weights)
    elements = node.inputs[0].type.size

    def made(mode: str, twins: Mapping[str, Kernel]) -> Kernel:
        work = _Work.of(shape, mode)

        def emit(module: Module, name: str) -> None:
            count = 4 + requantize.residual + 1 + (mode == "words") + 2
            _Emitter(module.function(name, ("i32",) * count), work, requantize, elements).run()

        return Kernel(
            key=f"gemm_int8 {work} {requantize} {elements if mode == 'words' else ''}",
            emit=emit,
            work=work.tiles * work.chunks,
            packing={1: groups(WIDTH, shape.run, work.group)},
            # A group that reaches past the last run reads some bytes more.
            scratch=2 * elements + 16 if mode == "words" else 0,
            flops=2 * node.output.type.size * shape.k,
            bytes=node_bytes(node),
            twins=twins,
        )

    if node.attrs["x_high"] > 127:
        return made("words", {})
    if not target.relaxed_simd:
        return made("wide", {})
    fits = pairs_fit(weights[w], shape.run)
    return made("dot", {"pairs": made("pairs", {})} if fits else {})


@register("conv2d_int8")
def lower_conv2d_int8(node: Node, target: Target, weights: Weights) -> Kernel:
    """conv2d_int8 on an input that is already padded: `explicit_padding` sees to it."""
    if any(map(any, node.attrs["padding"])):
        raise unsupported(node, "its padding is not explicit")
    return _kernel(node, conv_product(node, packed=True), target, weights)


@register("matmul_int8")
def lower_matmul_int8(node: Node, target: Target, weights: Weights) -> Kernel:
    """matmul_int8: x [..., K] against a constant matrix."""
    k, columns = node.inputs[1].type.bound
    rows = prod(node.inputs[0].type.bound[:-1])
    shape = Product(1, rows, 0, k, 1, k, k, 1, 0, columns)
    return _kernel(node, shape, target, weights)
