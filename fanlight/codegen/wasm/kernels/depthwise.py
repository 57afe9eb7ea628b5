"""Depthwise convolution: every channel has a kernel of its own, so vectors run over channels.

A tile is a few neighbouring output pixels, in two rows where the whole window of both lies inside
the picture: an input vector that is loaded once serves all the taps that it meets. Taps that leave
the picture at the left or right are left out pixel by pixel, so a narrow picture is one or two
tiles wide; kernel rows above and below are left out by a loop. Constant weights lie in panels of
four channels: all taps of a vector follow one another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby

from fanlight.codegen.kernel import Kernel, Weights, node_bytes, panels, register, unsupported
from fanlight.codegen.wasm.assembler import Function, Local
from fanlight.codegen.wasm.kernels.epilogue import Epilogue, difference_pointers
from fanlight.codegen.wasm.kernels.sweep import Swept
from fanlight.codegen.wasm.kernels.vectors import Registers, shuffle, store_bytes
from fanlight.codegen.wasm.module import Module
from fanlight.graph import Node
from fanlight.targets import Target

ACCUMULATORS = 8  # enough to hide the latency of a multiply-add
# Pixels this far apart fall into the same set of a level-1 cache. Then a cache line is used up at
# once, by LINE vectors of channels side by side, before another one can drive it out.
ALIASING = 4096
LINE = 4


@dataclass(frozen=True)
class Window(Swept):
    """The shape of the work.

    Attributes:
        multiplier: output channels per input channel.
        top, left: padding.
        packed: the weights lie in panels of four channels; else as in the graph.
    """

    images: int
    height: int
    width: int
    channels: int
    multiplier: int
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    top: int
    left: int
    out_height: int
    out_width: int
    packed: bool

    @property
    def tap_bytes(self) -> int:
        """From one tap of a vector of channels to the next."""
        return 16 if self.packed else self.channels * self.multiplier * 4

    @property
    def pixel_bytes(self) -> int:
        """From one input pixel to the next."""
        return self.channels * 4

    @property
    def row_bytes(self) -> int:
        """From one input row to the next."""
        return self.width * self.pixel_bytes

    @property
    def out_pixel_bytes(self) -> int:
        """From one output pixel to the next."""
        return self.multiplier * self.pixel_bytes


@dataclass(frozen=True)
class Group:
    """Output columns [start, start + pixels) of a row, then as many again, `times` in all."""

    start: int
    pixels: int
    times: int = 1


def groups(window: Window, most: int) -> list[Group]:
    """A row in as few groups of at most `most` pixels as possible.

    Pixels whose window leaves the picture are in the first and the last groups; those between
    them are alike, so they share code.
    """
    width = window.out_width
    whole = (0, window.kernel[1])
    inside = [ox for ox in range(width) if window.columns(ox) == whole]
    before, after = (inside[0], width - inside[-1] - 1) if inside else (width, 0)
    best: tuple[int, int, int] | None = None  # groups, pixels at the left, groups between
    for between in range(max(0, len(inside) // most - 2), len(inside) // most + 1):
        ends = width - between * most
        for left in range(before, min(ends - after, before + 2 * most) + 1):
            count = between + -(-left // most) - (-(ends - left) // most)
            if best is None or count <= best[0]:
                best = count, left, between
    assert best is not None
    _, left, between = best
    start = left + between * most
    return [
        *_chunks(0, left, most),
        *([Group(left, most, between)] if between else []),
        *_chunks(start, width - start, most),
    ]


def _chunks(start: int, pixels: int, most: int) -> Iterator[Group]:
    """Groups of almost equal size."""
    count = -(-pixels // most)
    for i in range(count):
        end = pixels * (i + 1) // count
        begin = pixels * i // count
        yield Group(start + begin, end - begin)


class _Emitter:
    def __init__(self, f: Function, window: Window, epilogue: Epilogue, target: Target) -> None:
        self.f, self.window, self.target = f, window, target
        self.bias, self.epilogue = epilogue.started()
        self.input, self.weights, *rest = f.params
        self.low, self.high = rest[-2:]
        self.out = rest[-3]
        self.extras = rest[:-3]
        self.registers = Registers(f)
        self.x, self.w, self.y = f.locals(3, "i32")  # of the current vector
        self.row_x, self.row_w, self.row_y = f.locals(3, "i32")  # of the current group of pixels
        self.tap_x, self.tap_w = f.locals(2, "i32")  # of the current kernel row
        self.channel = f.local("i32")
        self.ky_count, self.ky_left = f.locals(2, "i32")
        self.acc = f.locals(ACCUMULATORS, "v128")
        self.taps = [f.locals(window.kernel[1], "v128") for _ in range(2 if self.pairs else 1)]
        self.value = f.local("v128")

    # --- the size of a tile -----------------------------------------------------------------------

    @property
    def pairs(self) -> bool:
        """Whether rows are computed two at a time: two rows of taps must fit the registers."""
        first, last = self.window.rows_inside()
        fits = self.window.kernel[0] > 1 and self.window.kernel[1] <= 3
        return fits and last - first > 1 and not self.by_line

    @property
    def by_line(self) -> bool:
        """Whether vectors of channels are computed side by side, a cache line at a time."""
        return self.window.pixel_bytes % ALIASING == 0 and self.window.multiplier == 1

    @property
    def pixels(self) -> int:
        """Most neighbours of a tile of one row."""
        if self.by_line:
            return ACCUMULATORS // LINE
        return ACCUMULATORS if self.window.kernel[1] <= 5 else ACCUMULATORS // 2

    @property
    def pair_pixels(self) -> int:
        """Most neighbours of a tile of two rows."""
        if self.window.pixel_bytes % (ALIASING // 2) == 0 or self.window.strides[1] > 1:
            return 2  # few streams of memory at a time
        return 4 if self.target.relaxed_simd else 3  # a product needs a register of its own

    # --- rows -------------------------------------------------------------------------------------

    def run(self) -> None:
        """The whole function: rows [low, high) of all images."""
        f = self.f
        difference_pointers(f, self.extras, self.epilogue.kinds, self.out)
        line = f.local("i32")
        with f.holding(self.epilogue.constants):
            f.get(self.low).set(line)
            with f.block() as done:
                f.get(line).get(self.high).op("i32.ge_s").br_if(done)
                with f.loop() as again:
                    self._line(line)
                    f.get(line).plus(1).tee(line).get(self.high).op("i32.lt_s").br_if(again)

    def _line(self, line: Local) -> None:
        """The row `line`, or that and the next one, to which `line` then moves on."""
        f, win = self.f, self.window
        oy, top = self.registers.take_many(2, "i32")
        first, last = win.rows_inside()
        f.get(line)
        if win.images > 1:
            f.i32(win.out_height).op("i32.rem_u")
        f.set(oy)
        # The input row of the first tap; it may lie above the picture.
        f.get(oy).times(win.strides[0]).plus(-win.top).set(top)
        f.get(self.input).get(top).times(win.row_bytes).op("i32.add")
        if win.images > 1:
            f.get(line).i32(win.out_height).op("i32.div_u")
            f.times(win.height * win.row_bytes).op("i32.add")
        f.plus(-win.left * win.pixel_bytes).set(self.row_x)
        f.address(self.out, line, win.out_width * win.out_pixel_bytes).set(self.row_y)
        f.get(self.weights).set(self.row_w)
        if self.pairs:
            # One unsigned comparison: first <= oy < last - 1.
            f.get(oy).plus(-first).i32(last - 1 - first).op("i32.lt_u")
            f.get(line).plus(1).get(self.high).op("i32.lt_s").op("i32.and")
            with f.if_():
                self._row(2, full=True)
                f.advance(line, 1)
                f.else_()
                self._clip(top)
                self._row(1, full=False)
        elif (first, last) == (0, win.out_height):
            self._row(1, full=True)
        elif first < last:
            f.get(oy).plus(-first).i32(last - first).op("i32.lt_u")
            with f.if_():
                self._row(1, full=True)
                f.else_()
                self._clip(top)
                self._row(1, full=False)
        else:
            self._clip(top)
            self._row(1, full=False)
        self.registers.give(oy, top)

    def _clip(self, top: Local) -> None:
        """Leave out the kernel rows above and below: count the rest, move the pointers to it."""
        f, win = self.f, self.window
        dy, kh = win.dilations[0], win.kernel[0]
        skip = f.local("i32")
        # skip = ceil(max(0, -top) / dy)
        f.i32(0).get(top).op("i32.sub").plus(dy - 1).i32(0)
        f.i32(0).get(top).op("i32.sub").i32(0).op("i32.gt_s").select()
        if dy > 1:
            f.i32(dy).op("i32.div_u")
        f.tee(skip).i32(kh).get(skip).i32(kh).op("i32.lt_u").select().set(skip)
        # below = number of taps inside, counted from the first one of all
        below = f.local("i32")
        f.i32(win.height - 1).get(top).op("i32.sub").tee(below)
        if dy > 1:
            f.i32(dy).op("i32.div_s")
        f.plus(1).tee(self.ky_count).i32(kh).get(self.ky_count).i32(kh).op("i32.lt_s").select()
        f.get(skip).op("i32.sub").tee(self.ky_count)
        f.i32(0).get(self.ky_count).i32(0).op("i32.gt_s").select().set(self.ky_count)
        f.address(self.row_x, skip, dy * win.row_bytes).set(self.row_x)
        f.address(self.row_w, skip, win.kernel[1] * win.tap_bytes).set(self.row_w)

    def _row(self, rows: int, *, full: bool) -> None:
        """All pixels of one row, or of two."""
        win = self.window
        for group in groups(win, self.pixels if rows == 1 else self.pair_pixels):
            with self.f.repeat(group.times):
                self._group(rows, group, full=full)

    def _group(self, rows: int, group: Group, *, full: bool) -> None:
        """Some neighbours, all channels; then move on to the next group."""
        f, win = self.f, self.window
        tile = _Tile(win, group, rows)
        # The first column inside, not of the window: an address below 0 would trap.
        f.get(self.row_x).plus(tile.base * win.pixel_bytes).set(self.x)
        f.get(self.row_w).set(self.w)
        f.get(self.row_y).set(self.y)
        f.i32(0).set(self.channel)
        if self.by_line:
            with f.repeat(win.channels // (4 * LINE)):
                self._line_of_channels(tile, full=full)
                self._advance(16 * LINE, 16 * LINE)
        elif win.multiplier <= 3:
            turns, rest = divmod(win.channels, 4)
            with f.repeat(turns):
                self._vectors(tile, 4 * win.multiplier, full=full)
                self._advance(16 * win.multiplier, 16)
            if rest:
                self._vectors(tile, rest * win.multiplier, full=full)
        else:
            with f.repeat(win.channels):
                self._vectors(tile, win.multiplier, full=full)
                self._advance(4 * win.multiplier, 4)
        f.advance(self.row_x, group.pixels * win.strides[1] * win.pixel_bytes)
        f.advance(self.row_y, group.pixels * win.out_pixel_bytes)

    def _advance(self, out_bytes: int, in_bytes: int) -> None:
        f, win = self.f, self.window
        f.advance(self.x, in_bytes)
        f.advance(self.w, out_bytes * (win.kernel[0] * win.kernel[1] if win.packed else 1))
        f.advance(self.y, out_bytes)
        if "channel" in self.epilogue.kinds:
            f.advance(self.channel, out_bytes)

    # --- one tile ---------------------------------------------------------------------------------

    def _vectors(self, tile: _Tile, outputs: int, *, full: bool) -> None:
        """`outputs` neighbouring output channels of a tile, a vector at a time."""
        for vector in range(-(-outputs // 4)):
            self._vector(tile, vector, min(4, outputs - 4 * vector), full=full)

    def _vector(self, tile: _Tile, vector: int, lanes: int, *, full: bool) -> None:
        win = self.window
        pixels = tile.group.pixels
        acc = [self.acc[r * pixels : (r + 1) * pixels] for r in range(tile.rows)]
        self._start([v for row in acc for v in row], vector)
        tap_row = win.kernel[1] * win.tap_bytes
        w_at = vector * self._panel_bytes
        if full:
            held: list[int | None] = [None] * len(self.taps)  # kernel row in each set of taps
            for at, users in tile.input_rows():
                needed = [ky for _, ky in users]
                for ky in needed:
                    if ky not in held:
                        free = next(i for i, h in enumerate(held) if h not in needed)
                        held[free] = ky
                        self._load_taps(self.taps[free], self.w, w_at + ky * tap_row, tile)
                taps = [(acc[row], self.taps[held.index(ky)]) for row, ky in users]
                self._input_row(self.x, at * win.row_bytes, vector, tile, taps)
        else:
            with self._kernel_rows():
                self._load_taps(self.taps[0], self.tap_w, w_at, tile)
                self._input_row(self.tap_x, 0, vector, tile, [(acc[0], self.taps[0])])
        for r, row in enumerate(acc):
            self._finish(row, r, vector, lanes)

    def _line_of_channels(self, tile: _Tile, *, full: bool) -> None:
        """LINE vectors side by side: one row of the kernel for all of them, then the next row."""
        win = self.window
        pixels = tile.group.pixels
        acc = [self.acc[v * pixels : (v + 1) * pixels] for v in range(LINE)]
        for v, sums in enumerate(acc):
            self._start(sums, v)

        def kernel_row(x: Local, w: Local, x_at: int, w_at: int) -> None:
            for v, sums in enumerate(acc):
                self._load_taps(self.taps[0], w, w_at + v * self._panel_bytes, tile)
                self._input_row(x, x_at, v, tile, [(sums, self.taps[0])])

        if full:
            for ky in range(win.kernel[0]):
                x_at = ky * win.dilations[0] * win.row_bytes
                kernel_row(self.x, self.w, x_at, ky * win.kernel[1] * win.tap_bytes)
        else:
            with self._kernel_rows():
                kernel_row(self.tap_x, self.tap_w, 0, 0)
        for v, sums in enumerate(acc):
            self._finish(sums, 0, v, 4)

    @contextmanager
    def _kernel_rows(self) -> Iterator[None]:
        """Run the body for each kernel row inside the picture, at tap_x and tap_w."""
        f, win = self.f, self.window
        f.get(self.x).set(self.tap_x)
        f.get(self.w).set(self.tap_w)
        with f.range(self.ky_left, 0, self.ky_count):
            yield
            f.advance(self.tap_x, win.dilations[0] * win.row_bytes)
            f.advance(self.tap_w, win.kernel[1] * win.tap_bytes)

    @property
    def _panel_bytes(self) -> int:
        """From the taps of one vector of channels to those of the next."""
        win = self.window
        return win.kernel[0] * win.kernel[1] * 16 if win.packed else 16

    def _start(self, sums: Sequence[Local], vector: int) -> None:
        """What the sums of a vector of channels start from: 0 or their bias."""
        f = self.f
        if self.bias is None:
            f.f32x4(0.0).set(sums[0])
        else:
            f.get(self.extras[self.bias]).get(self.channel).op("i32.add").load(16 * vector)
            f.set(sums[0])
        for v in sums[1:]:
            f.get(sums[0]).set(v)

    def _finish(self, sums: Sequence[Local], row: int, vector: int, lanes: int) -> None:
        """Epilogue and store of one vector of channels, for the pixels of a row of the tile."""
        f, win = self.f, self.window
        for p, v in enumerate(sums):
            at = (row * win.out_width + p) * win.out_pixel_bytes
            extras, out, channel = self.extras, self.y, self.channel
            self.epilogue(f, v, self.registers, extras, out, channel, at, 16 * vector)
            store_bytes(f, out, v, lanes * 4, at + 16 * vector)

    def _load_taps(self, into: Sequence[Local], w: Local, at: int, tile: _Tile) -> None:
        """The taps of one kernel row that some pixel of the tile uses."""
        for kx in sorted({kx for _, readers in tile.columns for _, kx in readers}):
            self.f.get(w).load(at + kx * self.window.tap_bytes).set(into[kx])

    def _input_row(
        self,
        x: Local,
        at: int,
        vector: int,
        tile: _Tile,
        users: Sequence[tuple[Sequence[Local], Sequence[Local]]],
    ) -> None:
        """Add what one row of the input gives to each (accumulators, taps) that use it."""
        f = self.f
        for column, readers in tile.columns:
            self._load(x, at + column * self.window.pixel_bytes, vector)
            for acc, taps in users:
                for p, kx in readers:
                    f.get(self.value).get(taps[kx])
                    if self.target.relaxed_simd:
                        f.get(acc[p]).op("f32x4.relaxed_madd").set(acc[p])
                    else:
                        f.op("f32x4.mul").get(acc[p]).op("f32x4.add").set(acc[p])

    def _load(self, x: Local, at: int, vector: int) -> None:
        """value = the input of each of four output channels."""
        f, multiplier = self.f, self.window.multiplier
        if multiplier == 1:
            f.get(x).load(at + 16 * vector)
        elif multiplier <= 3:
            f.get(x).load(at).tee(self.value).get(self.value)
            shuffle(f, *((4 * vector + i) // multiplier for i in range(4)))
        else:
            f.get(x).op("v128.load32_splat", at)
        f.set(self.value)


class _Tile:
    """Which input meets which taps of a group of pixels in one row or two.

    Attributes:
        base: the first input column that is used, counted from the window of the first pixel.
        columns: (input column from `base` on, [(pixel, kernel column), ...] that read it).
    """

    def __init__(self, window: Window, group: Group, rows: int) -> None:
        self.window, self.group, self.rows = window, group, rows
        meetings = []
        for p in range(group.pixels):
            for kx in range(*window.columns(group.start + p)):
                meetings.append((p * window.strides[1] + kx * window.dilations[1], p, kx))
        meetings.sort()
        self.base = meetings[0][0] if meetings else 0
        self.columns = [
            (column - self.base, [(p, kx) for _, p, kx in found])
            for column, found in groupby(meetings, key=lambda m: m[0])
        ]

    def input_rows(self) -> Iterator[tuple[int, list[tuple[int, int]]]]:
        """(input row from the first one on, [(row of the tile, kernel row), ...] that read it)."""
        win = self.window
        for at in range(
            (self.rows - 1) * win.strides[0] + (win.kernel[0] - 1) * win.dilations[0] + 1
        ):
            users = [
                (row, ky)
                for row in range(self.rows)
                for ky in range(win.kernel[0])
                if row * win.strides[0] + ky * win.dilations[0] == at
            ]
            if users:
                yield at, users


@register("depthwise_conv2d")
def lower_depthwise(node: Node, target: Target, weights: Weights) -> Kernel:
    """depthwise_conv2d, padding included."""
    x, w = node.inputs[:2]
    n, h, width, c = x.type.bound
    kh, kw, _, multiplier = w.type.bound
    (top, _), (left, _) = node.attrs["padding"]
    _, oh, ow, _ = node.output.type.bound
    window = Window(
        n,
        h,
        width,
        c,
        multiplier,
        (kh, kw),
        tuple(node.attrs["strides"]),
        tuple(node.attrs["dilations"]),
        top,
        left,
        oh,
        ow,
        w in weights and (multiplier <= 3 or multiplier % 4 == 0),
    )
    epilogue = Epilogue.of(node, 2, target)
    if kh * kw > 1024:
        raise unsupported(node, "its kernel has more than 1024 taps")

    def emit(module: Module, name: str) -> None:
        params = ("i32",) * (2 + len(epilogue.kinds) + 1 + 2)
        _Emitter(module.function(name, params), window, epilogue, target).run()

    return Kernel(
        key=f"depthwise {window} {epilogue.key} {target.relaxed_simd}",
        emit=emit,
        work=n * oh,
        in_order=True,
        packing={1: panels(4, 2)} if window.packed else {},
        flops=node.output.type.size * (2 * kh * kw + epilogue.cost),
        bytes=node_bytes(node),
    )
