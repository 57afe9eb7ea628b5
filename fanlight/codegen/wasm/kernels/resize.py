"""Resizing of feature maps, and the coordinates that resizing of images shares.

Coordinates are whole numbers, as in the NumPy meaning, so that both pick the same pixels.
A unit of work is a row of the output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fanlight import dtypes
from fanlight.codegen.kernel import Kernel, Weights, node_bytes, register, unsupported
from fanlight.codegen.wasm.assembler import Function, Local, Number
from fanlight.codegen.wasm.kernels.vectors import Registers, copy_run, store_bytes
from fanlight.codegen.wasm.module import Module
from fanlight.graph import Node
from fanlight.targets import Target

_VECTORS = 4  # vectors of channels that are in flight together


@dataclass(frozen=True)
class Resize:
    """A resize of [N, H, W, C] to [N, h, w, C], elements of `width` bytes."""

    nearest: bool
    image: tuple[int, int, int, int]
    out: tuple[int, int]
    coordinates: str  # "half_pixel", "align_corners" or "asymmetric"
    width: int = 4

    @property
    def units(self) -> int:
        return self.image[0] * self.out[0]


# --- coordinates ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Axis:
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
        self.place(f, position, low).tee(high).i32(self.unit).op("i32.div_u").set(low)
        f.get(high).get(low).times(self.unit).op("i32.sub").op("f32.convert_i32_s")
        f.f32(self.unit).op("f32.div").op("f32x4.splat").set(weight)
        self.next(f, low, high)

    def place(self, f: Function, position: Local, spare: Local) -> Function:
        """Push the numerator of where an output position lies, at least 0."""
        f.get(position)
        if self.coordinates == "half_pixel":
            f.times(2).plus(1)
            self._less(f, 0).op("i32.mul").plus(-self.out).tee(spare)
            return f.i32(0).get(spare).i32(0).op("i32.gt_s").select()
        self._less(f, 1 if self.coordinates == "align_corners" else 0)
        return f.op("i32.mul")

    def next(self, f: Function, index: Local, into: Local) -> None:
        """into = the source index after another one, or that if it is the last."""
        f.get(index).plus(1).tee(into)
        self._less(f, 1).get(into)
        self._less(f, 1).op("i32.lt_s").select().set(into)


def madd(f: Function, target: Target, addend: Local) -> Function:
    """Replace the two vectors on the stack by their product plus `addend`."""
    if target.relaxed_simd:
        return f.get(addend).op("f32x4.relaxed_madd")
    return f.op("f32x4.mul").get(addend).op("f32x4.add")


def lerp(f: Function, target: Target, a: Local, b: Local, weight: Local) -> Function:
    """Push a + (b - a) * weight."""
    return madd(f.get(b).get(a).op("f32x4.sub").get(weight), target, a)


@register("resize_bilinear", "resize_nearest")
def lower(node: Node, target: Target, weights: Weights) -> Kernel:
    """The kernel of a resize of a feature map."""
    n, height, width, channels = node.inputs[0].type.bound
    resize = Resize(
        node.op == "resize_nearest",
        (n, height, width, channels),
        tuple(node.attrs["size"]),
        node.attrs["coordinates"],
        dtypes.size(node.inputs[0].dtype),
    )
    check_range(node, (height, width), resize.out)

    def emit(module: Module, name: str) -> None:
        f = module.function(name, ("i32",) * 4)
        emit_resize(f, target, resize, *f.params)

    return Kernel(
        key=f"{resize}",
        emit=emit,
        work=resize.units,
        in_order=True,
        flops=0 if resize.nearest else 9 * node.outputs[0].type.size,
        bytes=node_bytes(node),
    )


def check_range(node: Node, sizes: tuple[int, int], out: tuple[int, int]) -> None:
    """Positions are fractions of 32-bit numbers."""
    if any(2 * n * m >= 2**31 for n, m in zip(sizes, out, strict=True)):
        raise unsupported(node, "the product of a source size and a result size exceeds 2^30")


# --- feature maps ---------------------------------------------------------------------------------


def emit_resize(
    f: Function, target: Target, resize: Resize, x: Local, y: Local, low: Local, high: Local
) -> None:
    """Rows [low, high) of the output."""
    n, height, width, channels = resize.image
    pixel = channels * resize.width
    registers = Registers(f)
    rows = Axis(height, resize.out[0], resize.coordinates)
    columns = Axis(width, resize.out[1], resize.coordinates)
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
                _blend_channels(f, target, registers, channels, corners, out, down, across)


def _blend_channels(
    f: Function,
    target: Target,
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
            lerp(f, target, a, b, across).set(top if upper else b)
        lerp(f, target, top, b, down).set(a)
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
