"""resize_bilinear_int8: bytes between the nearest four pixels, in integers.

Bytes less 128 times weights of 256ths fit int16, so a column pair is two 16-bit products, and the
pair of columns one i32x4.dot_i16x8_s. A unit of work is a row of the output; where each column
lies, and its weights, are worked out once per call, in scratch. Threads that share it write the
same there.
"""

from __future__ import annotations

from collections.abc import Sequence

from fanlight.codegen.kernel import Kernel, Weights, node_bytes, register, unsupported
from fanlight.codegen.wasm.assembler import Function, Local
from fanlight.codegen.wasm.kernels.resize import Axis, Resize, check_range
from fanlight.codegen.wasm.kernels.vectors import Registers, store_bytes
from fanlight.codegen.wasm.module import Module
from fanlight.graph import Node
from fanlight.targets import Target

ENTRY = 12  # bytes per column: offset of the left pixel, of the right one, the pair of weights
ONE = 256  # the sum of the weights of a pair
_STEP = 16  # channels


@register("resize_bilinear_int8")
def lower(node: Node, target: Target, weights: Weights) -> Kernel:
    """The kernel of resize_bilinear_int8."""
    n, height, width, channels = node.inputs[0].type.bound
    resize = Resize(
        False,
        (n, height, width, channels),
        tuple(node.attrs["size"]),
        node.attrs["coordinates"],
    )
    check_range(node, (height, width), resize.out)
    if max(resize.out) >= 2**20:
        raise unsupported(node, "a size of the result exceeds 2^20")

    def emit(module: Module, name: str) -> None:
        f = module.function(name, ("i32",) * 5)
        _emit(f, resize, *f.params)

    return Kernel(
        key=f"bytes {resize}",
        emit=emit,
        work=resize.units,
        scratch=ENTRY * resize.out[1],
        flops=9 * node.outputs[0].type.size,
        bytes=node_bytes(node),
    )


def _between(f: Function, axis: Axis, position: Local, sides: Sequence[Local], t: Local) -> None:
    """sides = the source indices around a position, t (i32) = 256ths of the higher one."""
    low, high = sides
    axis.place(f, position, low).tee(high).i32(axis.unit).op("i32.div_u").set(low)
    f.get(high).get(low).times(axis.unit).op("i32.sub").times(2 * ONE).plus(axis.unit)
    f.i32(2 * axis.unit).op("i32.div_u").set(t)
    axis.next(f, low, high)


def _emit(
    f: Function,
    resize: Resize,
    x: Local,
    y: Local,
    scratch: Local,
    low: Local,
    high: Local,
) -> None:
    """Rows [low, high) of the output."""
    n, height, width, channels = resize.image
    out_height, out_width = resize.out
    registers = Registers(f)
    rows = Axis(height, out_height, resize.coordinates)
    columns = Axis(width, out_width, resize.coordinates)
    unit, position, image, out, t, entry = registers.take_many(6, "i32")
    sides, corners = registers.take_many(2, "i32"), registers.take_many(4, "i32")
    down, across = registers.take_many(2, "v128")
    f.get(scratch).set(entry)
    with f.range(position, 0, out_width):
        _between(f, columns, position, sides, t)
        for i, side in enumerate(sides):
            f.get(entry).get(side).times(channels).op("i32.store", 4 * i)
        # Two int16: ONE - t and t.
        f.get(entry).get(t).times(65536 - 1).plus(ONE).op("i32.store", 8)
        f.advance(entry, ENTRY)
    f.address(y, low, out_width * channels).set(out)
    f.get(x).set(image)
    with f.range(unit, low, high):
        f.get(unit).set(position)
        if n > 1:
            f.get(unit).i32(out_height).op("i32.rem_u").set(position)
            f.get(unit).i32(out_height).op("i32.div_u").times(height * width * channels)
            f.get(x).op("i32.add").set(image)
        _between(f, rows, position, sides, t)
        f.get(t).op("i16x8.splat").set(down)
        for side in sides:
            f.address(image, side, width * channels).set(side)
        f.get(scratch).set(entry)
        with f.range(position, 0, out_width):
            for i, corner in enumerate(corners):
                f.get(sides[i // 2]).get(entry).op("i32.load", 4 * (i % 2)).op("i32.add")
                f.set(corner)
            f.get(entry).op("v128.load32_splat", 8).set(across)
            _pixel(f, registers, channels, corners, out, down, across)
            f.advance(entry, ENTRY)


def _pixel(
    f: Function,
    registers: Registers,
    channels: int,
    corners: Sequence[Local],
    out: Local,
    down: Local,
    across: Local,
) -> None:
    """All channels of one pixel from its four corners; the pointers end behind them."""
    whole, rest = divmod(channels, _STEP)
    with f.repeat(whole):
        _channels(f, registers, corners, out, down, across, _STEP)
        for pointer in corners:
            f.advance(pointer, _STEP)
        f.advance(out, _STEP)
    if rest:
        _channels(f, registers, corners, out, down, across, rest)
        f.advance(out, rest)


def _channels(
    f: Function,
    registers: Registers,
    corners: Sequence[Local],
    out: Local,
    down: Local,
    across: Local,
    count: int,
) -> None:
    """Up to sixteen channels."""
    bytes_ = registers.take_many(4, "v128")
    for corner, value in zip(corners, bytes_, strict=True):
        # Less 128: the same bits as int8.
        f.get(corner).load().v128(bytes([128]) * 16).op("v128.xor").set(value)
    left, right, top = registers.take_many(3, "v128")
    halves: list[Local] = []
    for half in ("low", "high")[: 1 if count <= 8 else 2]:
        for upper, lower_, into in (
            (bytes_[0], bytes_[2], left),
            (bytes_[1], bytes_[3], right),
        ):
            # upper * ONE + (lower - upper) * t; what overflows on the way comes back.
            extend = f"i16x8.extend_{half}_i8x16_s"
            f.get(upper).op(extend).tee(top).i32(8).op("i16x8.shl")
            f.get(lower_).op(extend).get(top).op("i16x8.sub").get(down).op("i16x8.mul")
            f.op("i16x8.add").set(into)
        for first in (0, 4):
            lanes = [lane + side for lane in range(first, first + 4) for side in (0, 8)]
            f.get(left).get(right)
            f.op("i8x16.shuffle", *(2 * lane + b for lane in lanes for b in (0, 1)))
            f.get(across).op("i32x4.dot_i16x8_s")
            # Add the 128 back, and a half.
            f.i32x4(128 * ONE * ONE + ONE * ONE // 2).op("i32x4.add").i32(16).op("i32x4.shr_u")
        f.op("i16x8.narrow_i32x4_s")
        halves.append(registers.take("v128"))
        f.set(halves[-1])
    f.get(halves[0]).get(halves[-1]).op("i8x16.narrow_i16x8_u").set(top)
    store_bytes(f, out, top, count)
    registers.give(*bytes_, left, right, top, *halves)
