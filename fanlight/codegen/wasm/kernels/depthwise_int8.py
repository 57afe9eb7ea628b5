"""Depthwise convolution of bytes (see docs/adr/0005), eight channels at a time.

Up to four rows of the kernel make a *quad*: the bytes of one channel in four rows of a picture's
column are brought side by side, so that a lane's four products are four taps of one channel, and
the same dot products as in gemm_int8.py apply ("dot" and "wide"; "pairs" would gain a fiftieth of a
network's time and double its module). A column that is put
together once serves all the neighbouring output pixels that it meets. Pixels whose window leaves
the picture at a side have code of their own without those columns; rows above and below are masked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fanlight.codegen.kernel import Kernel, Weights, node_bytes, register, row_quads, unsupported
from fanlight.codegen.wasm.assembler import Function, Local
from fanlight.codegen.wasm.kernels.requantize import Requantize, join_halves
from fanlight.codegen.wasm.kernels.sweep import Swept
from fanlight.codegen.wasm.kernels.vectors import Registers
from fanlight.codegen.wasm.module import Module
from fanlight.graph import Node
from fanlight.targets import Target

BLOCK = 8  # channels
QUAD = 4  # kernel rows whose bytes are brought together
PIXELS = {"dot": 4, "wide": 2}  # output pixels that are computed together
# Fewer lines than this are cut along the channels too, so that threads get equal shares.
FEW_UNITS = 48

# Bytes of two rows side by side, then pairs of bytes of two such vectors.
_BYTES = [b for i in range(8) for b in (i, 16 + i)]
_LOW = [b for i in range(4) for b in (2 * i, 2 * i + 1, 16 + 2 * i, 17 + 2 * i)]
_HIGH = [b + 8 for b in _LOW]


@dataclass(frozen=True)
class _Work(Swept):
    """The shape of the work."""

    images: int
    height: int
    width: int
    channels: int
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    top: int
    left: int
    out_height: int
    out_width: int
    mode: str

    @property
    def quads(self) -> int:
        """Quads of the kernel's rows."""
        return -(-self.kernel[0] // QUAD)

    @property
    def blocks(self) -> int:
        return -(-self.channels // BLOCK)

    @property
    def block_bytes(self) -> int:
        """Weights of a block of channels."""
        return self.quads * self.kernel[1] * BLOCK * QUAD

    @property
    def lines(self) -> int:
        return self.images * self.out_height

    @property
    def chunk_blocks(self) -> int:
        """Blocks of channels per unit."""
        wanted = min(self.blocks, -(-FEW_UNITS // self.lines))
        return -(-self.blocks // wanted)

    @property
    def chunks(self) -> int:
        return -(-self.blocks // self.chunk_blocks)


class _Emitter:
    def __init__(self, f: Function, work: _Work, requantize: Requantize) -> None:
        self.f, self.work, self.requantize = f, work, requantize
        self.input, self.weights, self.bias, self.scale = f.params[:4]
        self.residual = f.params[4] if requantize.residual else None
        self.out, self.low, self.high = f.params[-3:]
        self.registers = Registers(f)
        halves = 2 if work.mode == "wide" else 1
        self.pixels = PIXELS[work.mode]
        self.acc = [[f.locals(halves, "v128") for _ in range(2)] for _ in range(self.pixels)]
        self.column = f.locals(2, "v128")
        self.pair = f.locals(2, "v128")
        kh = work.kernel[0]
        self.rows = f.locals(kh, "i32")  # clipped: where each kernel row's pixels lie
        self.masks = f.locals(kh, "v128")
        self.cursors = f.locals(kh, "i32")
        self.x, self.w, self.y, self.row_x, self.row_y = f.locals(5, "i32")
        self.channel, self.first_block = f.locals(2, "i32")

    # --- loops ------------------------------------------------------------------------------------

    def run(self) -> None:
        """The whole function: units [low, high), a line of a chunk of channels each."""
        f = self.f
        if self.residual is not None and self.requantize.width == 1:
            f.get(self.residual).get(self.out).op("i32.sub").set(self.residual)
        with f.holding(self.requantize.constants()):
            self._units()

    def _units(self) -> None:
        f, work = self.f, self.work
        unit, line, oy, top = f.locals(4, "i32")
        row_bytes = work.width * work.channels
        first, last = work.rows_inside()
        with f.range(unit, self.low, self.high):
            f.get(unit).i32(work.lines).op("i32.rem_u").set(line)
            f.get(unit).i32(work.lines).op("i32.div_u").times(work.chunk_blocks)
            f.set(self.first_block)
            f.get(line).i32(work.out_height).op("i32.rem_u").set(oy)
            f.get(oy).times(work.strides[0]).plus(-work.top).set(top)
            f.get(self.input).get(line).i32(work.out_height).op("i32.div_u")
            f.times(work.height * row_bytes).op("i32.add")
            f.get(self.first_block).times(BLOCK).op("i32.add").set(self.row_x)  # of the image
            f.address(self.out, line, work.out_width * work.channels * self.requantize.width)
            f.get(self.first_block).times(BLOCK * self.requantize.width).op("i32.add")
            f.set(self.row_y)
            if first < last:
                f.get(oy).plus(-first).i32(last - first).op("i32.lt_u")
                with f.if_():
                    self._full(top, row_bytes)
                    if (first, last) != (0, work.out_height):
                        f.else_()
                        self._clipped(top, row_bytes)
            else:
                self._clipped(top, row_bytes)

    def _full(self, top: Local, row_bytes: int) -> None:
        """A line whose window rows are all inside: one pointer, and rows at fixed distances."""
        f, work = self.f, self.work
        f.get(self.row_x).get(top).times(row_bytes).op("i32.add")
        f.plus(-work.left * work.channels).set(self.row_x)
        self._line(full=True)

    def _clipped(self, top: Local, row_bytes: int) -> None:
        """A line some of whose window rows are outside: those are read elsewhere and masked."""
        f, work = self.f, self.work
        y = f.local("i32")
        for ky, (row, mask) in enumerate(zip(self.rows, self.masks, strict=True)):
            f.get(top).plus(ky * work.dilations[0]).set(y)
            f.get(y).i32(work.height).op("i32.lt_u").op("i32.eqz").i32(1).op("i32.sub")
            f.op("i32x4.splat").set(mask)  # inside: all bits
            f.get(y).i32(0).get(y).i32(work.height).op("i32.lt_u").select().times(row_bytes)
            f.get(self.row_x).op("i32.add").plus(-work.left * work.channels).set(row)
        self._line(full=False)

    def _line(self, *, full: bool) -> None:
        """All pixels of a line, in groups of equal columns."""
        f, work = self.f, self.work
        columns = [work.columns(ox) for ox in range(work.out_width)]
        ox = 0
        while ox < work.out_width:
            end = ox
            while end < work.out_width and columns[end] == columns[ox]:
                end += 1
            inside = columns[ox] == (0, work.kernel[1])
            groups, rest = divmod(end - ox, self.pixels if inside else 1)
            with f.repeat(groups):
                self._group(self.pixels if inside else 1, columns[ox], full=full)
            if rest:
                self._group(rest, columns[ox], full=full)
            ox = end

    def _group(self, pixels: int, columns: tuple[int, int], *, full: bool) -> None:
        """`pixels` neighbours, all channels of the unit; then move on to the next group."""
        f, work = self.f, self.work
        skip = columns[0] * work.dilations[1] * work.channels  # an address below 0 would trap
        if full:
            f.get(self.row_x).plus(skip).set(self.x)
        else:
            for row, cursor in zip(self.rows, self.cursors, strict=True):
                f.get(row).plus(skip).set(cursor)
        f.address(self.weights, self.first_block, work.block_bytes).set(self.w)
        f.get(self.row_y).set(self.y)
        f.get(self.first_block).times(BLOCK).set(self.channel)
        whole, rest = divmod(work.channels, BLOCK)
        if work.chunks == 1:
            with f.repeat(whole):
                self._block(pixels, columns, BLOCK, full=full)
            if rest:
                self._block(pixels, columns, rest, full=full)
        else:
            self._chunk(pixels, columns, full=full)
        step = pixels * work.strides[1] * work.channels
        for pointer in (self.row_x,) if full else self.rows:
            f.advance(pointer, step)
        f.advance(self.row_y, pixels * work.channels * self.requantize.width)

    def _chunk(self, pixels: int, columns: tuple[int, int], *, full: bool) -> None:
        """The blocks of one chunk; only the last chunk meets the last channels."""
        f, work = self.f, self.work
        whole, rest = divmod(work.channels, BLOCK)
        last = f.local("i32")
        f.get(self.channel).plus(work.chunk_blocks * BLOCK).tee(last).i32(whole * BLOCK)
        f.get(last).i32(whole * BLOCK).op("i32.lt_s").select().set(last)
        with f.block() as done:
            f.get(self.channel).get(last).op("i32.ge_s").br_if(done)
            with f.loop() as again:
                self._block(pixels, columns, BLOCK, full=full)
                f.get(self.channel).get(last).op("i32.lt_s").br_if(again)
        if rest:
            f.get(self.first_block).i32(work.blocks - work.chunk_blocks).op("i32.ge_s")
            with f.if_():
                self._block(pixels, columns, rest, full=full)

    # --- a block of channels ----------------------------------------------------------------------

    def _block(self, pixels: int, columns: tuple[int, int], lanes: int, *, full: bool) -> None:
        """The results of `lanes` channels of neighbouring pixels; pointers move past them."""
        f, work = self.f, self.work
        acc = self.acc[:pixels]
        wide = work.mode == "wide"
        for j in range(2):
            for row in acc:
                if wide:
                    for v in row[j]:
                        f.i32x4(0).set(v)
                else:
                    self._push_bias(j).set(row[j][0])
        for q in range(work.quads):
            self._quad(q, acc, columns, full=full)
        if wide:
            join_halves(f, acc, self.bias, self.channel)
        self.requantize.store(
            f,
            self.registers,
            [[v[0] for v in row] for row in acc],
            lanes,
            self.y,
            work.channels * self.requantize.width,
            self.scale,
            self.requantize.residual_place(f, self.registers, self.residual, self.out, self.y),
            self.channel,
        )
        f.advance(self.w, work.block_bytes)
        f.advance(self.y, lanes * self.requantize.width)
        f.advance(self.channel, BLOCK)
        for pointer in (self.x,) if full else self.cursors:
            f.advance(pointer, BLOCK)

    def _quad(
        self,
        q: int,
        acc: Sequence[Sequence[Sequence[Local]]],
        columns: tuple[int, int],
        *,
        full: bool,
    ) -> None:
        """Add what up to four rows of the kernel give."""
        work = self.work
        first, last = columns
        rows = range(q * QUAD, min((q + 1) * QUAD, work.kernel[0]))
        # Input column -> which (pixel, tap) pairs meet it.
        readers: dict[int, list[tuple[int, int]]] = {}
        for p in range(len(acc)):
            for kx in range(first, last):
                column = p * work.strides[1] + (kx - first) * work.dilations[1]
                readers.setdefault(column, []).append((p, kx))
        for column in sorted(readers):
            self._gather(rows, column * work.channels, full=full)
            for p, kx in readers[column]:
                at = (q * work.kernel[1] + kx) * BLOCK * QUAD
                self._multiply_add(acc[p], at)

    def _gather(self, rows: range, offset: int, *, full: bool) -> None:
        """The bytes of a column: two vectors of four channels by four rows."""
        f, work = self.f, self.work
        pairs = []
        for pair, at in zip(self.pair, (rows.start, rows.start + 2), strict=True):
            inside = [ky for ky in (at, at + 1) if ky in rows]
            if not inside:
                continue
            # A row without a partner meets zeros.
            load = "v128.load64_zero" if len(inside) == 2 else "v128.load8x8_u"
            for ky in inside:
                if full:
                    row = ky * work.dilations[0] * work.width * work.channels
                    f.get(self.x).op(load, row + offset)
                else:
                    f.get(self.cursors[ky]).op(load, offset).get(self.masks[ky]).op("v128.and")
            if len(inside) == 2:
                f.op("i8x16.shuffle", *_BYTES)
            f.set(pair)
            pairs.append(pair)
        for v, order in zip(self.column, (_LOW, _HIGH), strict=True):
            f.get(pairs[0])
            if len(pairs) == 2:
                f.get(pairs[1])
            else:
                f.i32x4(0)
            f.op("i8x16.shuffle", *order).set(v)

    def _multiply_add(self, acc: Sequence[Sequence[Local]], at: int) -> None:
        f = self.f
        for j, (v, sums) in enumerate(zip(self.column, acc, strict=True)):
            if self.work.mode == "dot":
                f.get(self.w).load(at + 16 * j).get(v).get(sums[0])
                f.op("i32x4.relaxed_dot_i8x16_i7x16_add_s").set(sums[0])
                continue
            for h, half in enumerate(("low", "high")):
                f.get(v).op(f"i16x8.extend_{half}_i8x16_u")
                f.get(self.w).op("v128.load8x8_s", at + 16 * j + 8 * h)
                f.op("i32x4.dot_i16x8_s").get(sums[h]).op("i32x4.add").set(sums[h])

    def _push_bias(self, j: int) -> Function:
        return self.f.address(self.bias, self.channel, 4).load(16 * j)


@register("depthwise_conv2d_int8")
def lower_depthwise_int8(node: Node, target: Target, weights: Weights) -> Kernel:
    """depthwise_conv2d_int8 whose padding, if it has one, is of bytes 0."""
    x, w = node.inputs[:2]
    if not {w, *node.inputs[2:4]} <= set(weights):
        raise unsupported(node, "its weights, bias or scale are not constant")
    n, h, width, c = x.type.bound
    kh, kw = w.type.bound[:2]
    (top, bottom), (left, right) = node.attrs["padding"]
    if node.attrs["pad"] and (top or bottom or left or right):
        raise unsupported(node, "its padding is not 0 and not explicit")
    if kh * kw > 1024:
        raise unsupported(node, "its kernel has more than 1024 taps")
    _, oh, ow, _ = node.output.type.bound
    requantize = Requantize.of(node, weights)

    mode = "dot" if target.relaxed_simd and node.attrs["x_high"] <= 127 else "wide"
    work = _Work(
        n,
        h,
        width,
        c,
        (kh, kw),
        tuple(node.attrs["strides"]),
        tuple(node.attrs["dilations"]),
        top,
        left,
        oh,
        ow,
        mode,
    )

    def emit(module: Module, name: str) -> None:
        params = ("i32",) * (4 + requantize.residual + 1 + 2)
        _Emitter(module.function(name, params), work, requantize).run()

    return Kernel(
        key=f"depthwise_int8 {work} {requantize}",
        emit=emit,
        work=work.lines * work.chunks,
        packing={1: row_quads(BLOCK)},
        flops=2 * node.output.type.size * kh * kw,
        bytes=node_bytes(node),
    )
