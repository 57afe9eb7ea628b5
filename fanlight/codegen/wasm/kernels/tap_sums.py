"""depthwise_conv2d_kernel: the gradient of a depthwise convolution after its windows.

A unit of work is four neighbouring channels. Row by row of the gradient, the sums of all taps are
taken from scratch memory, up to nine at a time stay in registers along the row, and go back.
"""

from __future__ import annotations

from dataclasses import dataclass

from fanlight.codegen.kernel import Kernel, Weights, node_bytes, register
from fanlight.codegen.wasm.assembler import Function, Local
from fanlight.codegen.wasm.kernels.vectors import Registers, store_bytes
from fanlight.codegen.wasm.module import Module
from fanlight.graph import Node
from fanlight.targets import Target

MOST = 9  # sums in registers: with the gradient and what is loaded, 11 of 15


@dataclass(frozen=True)
class Taps:
    """Images [n, height, width, channels] under windows, and how often those lie in them."""

    n: int
    height: int
    width: int
    channels: int
    rows: int
    columns: int
    size: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]

    @property
    def offsets(self) -> list[int]:
        """Bytes from the first tap of a window to each."""
        (kh, kw), (dh, dw) = self.size, self.dilations
        return [
            (i * dh * self.width + j * dw) * self.channels * 4 for i in range(kh) for j in range(kw)
        ]

    @property
    def blocks(self) -> int:
        return -(-self.channels // 4)


@register("depthwise_conv2d_kernel")
def lower(node: Node, target: Target, weights: Weights) -> Kernel:
    """The kernel of a depthwise_conv2d_kernel node."""
    (n, height, width, channels), (_, rows, columns, _) = (v.type.bound for v in node.inputs)
    window = (tuple(node.attrs[name]) for name in ("size", "strides", "dilations"))
    taps = Taps(n, height, width, channels, rows, columns, *window)

    def emit(module: Module, name: str) -> None:
        f = module.function(name, ("i32",) * 6)
        _emit(f, taps, *f.params)

    count = len(taps.offsets)
    return Kernel(
        f"{taps} {target.relaxed_simd}",
        emit,
        taps.blocks,
        scratch=taps.blocks * count * 16,
        flops=2 * n * rows * columns * channels * count,
        bytes=node_bytes(node),
    )


def _emit(
    f: Function, taps: Taps, x: Local, g: Local, y: Local, scratch: Local, low: Local, high: Local
) -> None:
    registers = Registers(f)
    item, row, block, image, slope, p, q, sums = registers.take_many(8, "i32")
    value = registers.take("v128")
    offsets, pixel = taps.offsets, taps.channels * 4
    count = len(offsets)
    groups = [range(at, min(at + MOST, count)) for at in range(0, count, MOST)]
    totals = registers.take_many(min(MOST, count), "v128")

    with f.range(block, low, high):
        f.address(scratch, block, count * 16).set(sums)
        for tap in range(count):
            f.get(sums).i32x4(0).store(tap * 16)
    f.get(x).set(image).get(g).set(slope)
    with f.range(item, 0, taps.n):
        with f.range(row, 0, taps.rows):
            with f.range(block, low, high):
                f.address(scratch, block, count * 16).set(sums)
                for group in groups:
                    for tap, total in zip(group, totals, strict=False):
                        f.get(sums).load(tap * 16).set(total)
                    f.address(image, block, 16).set(p).address(slope, block, 16).set(q)
                    with f.repeat(taps.columns):
                        f.get(q).load().set(value)
                        for tap, total in zip(group, totals, strict=False):
                            _add(f, total, value, lambda at=offsets[tap]: f.get(p).load(at))
                        f.advance(q, pixel).advance(p, pixel * taps.strides[1])
                    for tap, total in zip(group, totals, strict=False):
                        f.get(sums).get(total).store(tap * 16)
            f.advance(slope, pixel * taps.columns)
            f.advance(image, pixel * taps.width * taps.strides[0])
        # From behind the last row that was read to the next image.
        f.advance(image, pixel * taps.width * (taps.height - taps.strides[0] * taps.rows))
    with f.range(block, low, high):
        f.address(scratch, block, count * 16).set(sums)
        f.address(y, block, 16).set(p)
        last = taps.channels % 4
        if last:
            f.get(block).i32(taps.blocks - 1).op("i32.eq")
            with f.if_():
                _store(f, taps, p, sums, value, 4 * last)
                f.else_()
                _store(f, taps, p, sums, value, 16)
        else:
            _store(f, taps, p, sums, value, 16)


def _add(f: Function, total: Local, value: Local, load: object) -> None:
    """total += value * what is loaded."""
    assert callable(load)
    if f.relaxed_simd:
        f.get(value)
        load()
        f.get(total).op("f32x4.relaxed_madd").set(total)
    else:
        f.get(total).get(value)
        load()
        f.op("f32x4.mul").op("f32x4.add").set(total)


def _store(f: Function, taps: Taps, p: Local, sums: Local, value: Local, lanes: int) -> None:
    for tap in range(len(taps.offsets)):
        f.get(sums).load(tap * 16).set(value)
        store_bytes(f, p, value, lanes, tap * taps.channels * 4)
