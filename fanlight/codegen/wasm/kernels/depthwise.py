"""Depthwise convolution: every channel has a kernel of its own, so vectors run over channels.

Neighbouring output pixels are computed together, so that an input vector that is loaded once serves
all the taps it meets; and a few neighbouring vectors of channels, so that a cache line is used up
at once. Pixels whose window leaves the picture have code of their own with those columns left out;
rows above and below are left out by a loop over the kernel's rows. Constant weights lie in panels
of four channels: all taps of a vector follow one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fanlight.codegen.kernel import Kernel, Weights, node_bytes, panels, register, unsupported
from fanlight.codegen.wasm.assembler import Function, Local
from fanlight.codegen.wasm.kernels.epilogue import Epilogue, difference_pointers
from fanlight.codegen.wasm.kernels.vectors import Registers, store_bytes
from fanlight.codegen.wasm.module import Module
from fanlight.graph import Node
from fanlight.targets import Target

ACCUMULATORS = 8  # with a row of taps and an input they fill the registers of x64
PIXELS = 4
# Rows of channels this far apart fall into the same few sets of a level-1 cache: then fewer pixels
# and whole lines at a time.
ALIASING = 2048


@dataclass(frozen=True)
class Window:
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

    def columns(self, ox: int) -> tuple[int, int]:
        """The kernel columns [first, last) that lie inside the picture for output column ox."""
        start = ox * self.strides[1] - self.left
        inside = [
            kx for kx in range(self.kernel[1]) if 0 <= start + kx * self.dilations[1] < self.width
        ]
        return (inside[0], inside[-1] + 1) if inside else (0, 0)

    def rows_inside(self) -> tuple[int, int]:
        """Output rows [first, last) whose whole window is inside."""
        span = (self.kernel[0] - 1) * self.dilations[0]
        rows = [
            oy
            for oy in range(self.out_height)
            if 0 <= oy * self.strides[0] - self.top
            and oy * self.strides[0] - self.top + span < self.height
        ]
        return (rows[0], rows[-1] + 1) if rows else (0, 0)


class _Emitter:
    def __init__(self, f: Function, window: Window, epilogue: Epilogue, target: Target) -> None:
        self.f, self.window, self.epilogue, self.target = f, window, epilogue, target
        self.input, self.weights, *rest = f.params
        self.low, self.high = rest[-2:]
        self.out = rest[-3]
        self.extras = rest[:-3]
        self.registers = Registers(f)
        self.x, self.w, self.y = f.locals(3, "i32")  # of the current vector
        self.row_x, self.row_w, self.row_y = f.locals(3, "i32")  # of the current pixel group
        self.tap_x, self.tap_w = f.locals(2, "i32")  # of the current kernel row
        self.channel = f.local("i32")
        self.ky_count, self.ky_left = f.locals(2, "i32")
        self.acc = f.locals(ACCUMULATORS, "v128")
        self.taps = f.locals(max(window.kernel[1], 1), "v128")
        self.value = f.local("v128")

    def run(self) -> None:
        """The whole function: rows [low, high) of all images."""
        f, win = self.f, self.window
        difference_pointers(f, self.extras, self.epilogue.kinds, self.out)
        line, oy, top = f.locals(3, "i32")
        first, last = win.rows_inside()
        row_bytes = win.width * win.pixel_bytes
        with f.range(line, self.low, self.high):
            f.get(line)
            if win.images > 1:
                f.i32(win.out_height).op("i32.rem_u")
            f.set(oy)
            # The input row of the first tap; it may lie above the picture.
            f.get(oy).times(win.strides[0]).plus(-win.top).set(top)
            f.get(self.input).get(top).times(row_bytes).op("i32.add")
            if win.images > 1:
                f.get(line).i32(win.out_height).op("i32.div_u")
                f.times(win.height * row_bytes).op("i32.add")
            f.plus(-win.left * win.pixel_bytes).set(self.row_x)
            f.address(self.out, line, win.out_width * win.multiplier * win.pixel_bytes)
            f.set(self.row_y)
            f.get(self.weights).set(self.row_w)
            whole = first < last
            if (first, last) == (0, win.out_height):
                self._row(full=True)
            elif whole:
                # One unsigned comparison: first <= oy < last.
                f.get(oy).plus(-first).i32(last - first).op("i32.lt_u")
                with f.if_():
                    self._row(full=True)
                    f.else_()
                    self._clip(top, row_bytes)
                    self._row(full=False)
            else:
                self._clip(top, row_bytes)
                self._row(full=False)

    def _clip(self, top: Local, row_bytes: int) -> None:
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
        f.address(self.row_x, skip, dy * row_bytes).set(self.row_x)
        f.address(self.row_w, skip, win.kernel[1] * win.tap_bytes).set(self.row_w)

    # --- one output row ---------------------------------------------------------------------------

    def _row(self, *, full: bool) -> None:
        """All pixels of a row, in groups of equal columns."""
        win = self.window
        kw = win.kernel[1]
        columns = [win.columns(ox) for ox in range(win.out_width)]
        ox = 0
        while ox < win.out_width:
            end = ox
            while end < win.out_width and columns[end] == columns[ox]:
                end += 1
            inside = columns[ox] == (0, kw)
            per_group = self.pixels if inside else 1
            groups, rest = divmod(end - ox, per_group)
            with self.f.repeat(groups):
                self._group(per_group, columns[ox], full=full)
            if rest:
                self._group(rest, columns[ox], full=full)
            ox = end

    @property
    def pixels(self) -> int:
        """Output pixels that are computed together."""
        win = self.window
        if win.multiplier > 1:
            return 1
        return 2 if win.pixel_bytes % ALIASING == 0 else PIXELS

    def _group(self, pixels: int, columns: tuple[int, int], *, full: bool) -> None:
        """`pixels` neighbours, all channels; then move on to the next group."""
        f, win = self.f, self.window
        # The first column inside, not of the window: an address below 0 would trap.
        f.get(self.row_x).plus(columns[0] * win.dilations[1] * win.pixel_bytes).set(self.x)
        f.get(self.row_w).set(self.w)
        f.get(self.row_y).set(self.y)
        f.i32(0).set(self.channel)
        if win.multiplier == 1:
            self._channels(pixels, columns, full=full)
        else:
            with f.repeat(win.channels):
                for start in range(0, win.multiplier, 4):
                    lanes = min(4, win.multiplier - start)
                    self._vectors(pixels, 1, lanes, columns, full=full)
                    self._advance(lanes * 4, 0)
                f.advance(self.x, 4)
        f.advance(self.row_x, pixels * win.strides[1] * win.pixel_bytes)
        f.advance(self.row_y, pixels * win.multiplier * win.pixel_bytes)

    def _channels(self, pixels: int, columns: tuple[int, int], *, full: bool) -> None:
        """All channels, several vectors of four per turn; what remains after that, then lanes."""
        win = self.window
        whole, lanes = divmod(win.channels, 4)
        together = min(4, ACCUMULATORS // pixels, whole) if win.kernel[1] <= 5 else 1
        turns, rest = divmod(whole, together) if together else (0, 0)
        for count, vectors in ((turns, together), (1, rest)):
            if count and vectors:
                with self.f.repeat(count):
                    self._vectors(pixels, vectors, 4, columns, full=full)
                    self._advance(16 * vectors, 16 * vectors)
        if lanes:
            self._vectors(pixels, 1, lanes, columns, full=full)

    def _advance(self, out_bytes: int, in_bytes: int) -> None:
        f, win = self.f, self.window
        taps = win.kernel[0] * win.kernel[1]
        f.advance(self.x, in_bytes)
        f.advance(self.w, out_bytes * (taps if win.packed else 1))
        f.advance(self.y, out_bytes)
        if "channel" in self.epilogue.kinds:
            f.advance(self.channel, out_bytes)

    # --- a few vectors of channels ----------------------------------------------------------------

    def _vectors(
        self, pixels: int, vectors: int, lanes: int, columns: tuple[int, int], *, full: bool
    ) -> None:
        """The results of neighbouring vectors of `lanes` channels for `pixels` neighbours."""
        f, win = self.f, self.window
        acc = [self.acc[v * pixels : (v + 1) * pixels] for v in range(vectors)]
        for v in range(vectors):
            for p in range(pixels):
                f.f32x4(0.0).set(acc[v][p])
        row_bytes = win.dilations[0] * win.width * win.pixel_bytes
        tap_row = win.kernel[1] * win.tap_bytes
        if full:
            for ky in range(win.kernel[0]):
                self._kernel_row(self.x, self.w, ky * row_bytes, ky * tap_row, acc, columns)
        else:
            f.get(self.x).set(self.tap_x)
            f.get(self.w).set(self.tap_w)
            with f.range(self.ky_left, 0, self.ky_count):
                self._kernel_row(self.tap_x, self.tap_w, 0, 0, acc, columns)
                f.advance(self.tap_x, row_bytes)
                f.advance(self.tap_w, tap_row)
        pixel = win.multiplier * win.pixel_bytes
        for p in range(pixels):
            for v in range(vectors):
                value = acc[v][p]
                self.epilogue(
                    f, value, self.registers, self.extras, self.y, self.channel, p * pixel, 16 * v
                )
                store_bytes(f, self.y, value, lanes * 4, p * pixel + 16 * v)

    def _kernel_row(
        self,
        x: Local,
        w: Local,
        x_at: int,
        w_at: int,
        acc: Sequence[Sequence[Local]],
        columns: tuple[int, int],
    ) -> None:
        """Add what one row of the kernel gives."""
        f, win = self.f, self.window
        first, last = columns
        # Input column -> which (pixel, tap) pairs read it: each is loaded once.
        readers: dict[int, list[tuple[int, int]]] = {}
        for p in range(len(acc[0])):
            for kx in range(first, last):
                column = p * win.strides[1] + (kx - first) * win.dilations[1]
                readers.setdefault(column, []).append((p, kx))
        load = "v128.load" if win.multiplier == 1 else "v128.load32_splat"
        panel = win.kernel[0] * win.kernel[1] * 16 if win.packed else 16
        for v, row in enumerate(acc):
            for kx in range(first, last):
                f.get(w).load(w_at + kx * win.tap_bytes + v * panel).set(self.taps[kx])
            for column in sorted(readers):
                f.get(x).op(load, x_at + column * win.pixel_bytes + 16 * v).set(self.value)
                for p, kx in readers[column]:
                    self._multiply_add(row[p], self.taps[kx])

    def _multiply_add(self, acc: Local, tap: Local) -> None:
        f = self.f
        if self.target.relaxed_simd:
            f.get(self.value).get(tap).get(acc).op("f32x4.relaxed_madd").set(acc)
        else:
            f.get(acc).get(self.value).get(tap).op("f32x4.mul").op("f32x4.add").set(acc)


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
        w in weights and multiplier == 1,
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
        packing={1: panels(4, 2)} if window.packed else {},
        flops=node.output.type.size * (2 * kh * kw + epilogue.cost),
        bytes=node_bytes(node),
    )
