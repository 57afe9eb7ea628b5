"""gather: rows of a tensor picked by int32 indices. Indices outside the axis are clamped to it."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from fanlight import dtypes
from fanlight.codegen.kernel import Kernel, Weights, register
from fanlight.codegen.wasm.assembler import Function, Local
from fanlight.codegen.wasm.kernels.vectors import Registers, copy_run, store_bytes
from fanlight.codegen.wasm.module import Module
from fanlight.graph import Node
from fanlight.targets import Target

TOUCHED = 16 << 10  # most bytes of a part that are read in order before they are picked from


@dataclass(frozen=True)
class Gather:
    """[outer, size, run bytes] by [count] indices -> [outer, count, run bytes]."""

    outer: int
    size: int
    count: int
    run: int

    @property
    def units(self) -> int:
        return self.outer * self.count


@register("gather")
def lower(node: Node, target: Target, weights: Weights) -> Kernel:
    """The kernel of a gather node."""
    x, indices = (v.type for v in node.inputs)
    axis = node.attrs["axis"] % x.rank
    gather = Gather(
        prod(x.bound[:axis]),
        x.bound[axis],
        indices.size,
        prod(x.bound[axis + 1 :]) * dtypes.size(x.dtype),
    )

    def emit(module: Module, name: str) -> None:
        f = module.function(name, ("i32",) * 5)
        emit_gather(f, gather, *f.params)

    traffic = node.outputs[0].type.nbytes * 2 + indices.nbytes
    return Kernel(
        key=f"gather {gather}", emit=emit, work=gather.units, bytes=traffic, in_order=True
    )


def emit_gather(
    f: Function, gather: Gather, x: Local, indices: Local, y: Local, low: Local, high: Local
) -> None:
    """Rows [low, high) of the output."""
    registers = Registers(f)
    unit, at, target, left = registers.take_many(4, "i32")
    base = registers.take("i32")  # what is gathered from: part `outer` of the input
    f.address(y, low, gather.run).set(target)
    f.get(x)
    if gather.outer > 1:
        # One division per share; from then on the place is carried along.
        f.get(low).i32(gather.count).op("i32.div_u").tee(unit).times(gather.size * gather.run)
        f.op("i32.add").set(base)
        f.get(low).get(unit).times(gather.count).op("i32.sub").set(unit)
        f.i32(gather.count).get(unit).op("i32.sub").set(left)
        f.address(indices, unit, 4).set(at)
    else:
        f.set(base).address(indices, low, 4).set(at)
    small = gather.run in (1, 4)
    count = registers.take("i32")
    f.get(low).set(unit)
    part = gather.size * gather.run
    touched = small and gather.outer > 1 and part <= TOUCHED and 4 * gather.count >= gather.size

    def touch() -> None:
        """Read a byte of every cache line of a part, in order, which the machine fetches ahead."""
        if touched:
            with f.range(count, 0, part, 64):
                f.get(base).get(count).op("i32.add").op("i32.load8_u").drop()

    f.get(low).get(high).op("i32.lt_s")
    with f.if_():
        touch()
    with f.block() as done, f.loop() as again:
        f.get(unit).get(high).op("i32.ge_s").br_if(done)
        if small:
            # Four at a time, as long as they belong to one row and to the share.
            f.get(high).get(unit).op("i32.sub").i32(4).op("i32.ge_s")
            if gather.outer > 1:
                f.get(left).i32(4).op("i32.ge_s").op("i32.and")
            with f.if_():
                _four_numbers(f, registers, gather, at, base, target)
                f.i32(4).set(count)
                f.else_()
                _one(f, registers, gather, at, base, target)
                f.i32(1).set(count)
        else:
            _one(f, registers, gather, at, base, target)
            f.i32(1).set(count)
        f.get(unit).get(count).op("i32.add").set(unit)
        f.get(at).get(count).times(4).op("i32.add").set(at)
        f.get(target).get(count).times(gather.run).op("i32.add").set(target)
        if gather.outer > 1:
            f.get(left).get(count).op("i32.sub").tee(left).op("i32.eqz")
            with f.if_():
                f.i32(gather.count).set(left).get(indices).set(at)
                f.advance(base, gather.size * gather.run)
                touch()
        f.br(again)


def _one(
    f: Function, registers: Registers, gather: Gather, at: Local, base: Local, target: Local
) -> None:
    """What one index says, of any length."""
    index, source = registers.take_many(2, "i32")
    f.get(at).op("i32.load").tee(index)
    f.i32(0).get(index).i32(0).op("i32.gt_s").select().tee(index)
    f.i32(gather.size - 1).get(index).i32(gather.size - 1).op("i32.lt_s").select().set(index)
    f.address(base, index, gather.run).set(source)
    copy_run(f, registers, target, source, gather.run)
    registers.give(index, source)


def _four_numbers(
    f: Function, registers: Registers, gather: Gather, at: Local, base: Local, target: Local
) -> None:
    """What four indices say, numbers of 4 bytes or of one."""
    places, value = registers.take_many(2, "v128")
    bits = 8 * gather.run
    f.get(at).load().i32x4(0).op("i32x4.max_s").i32x4(gather.size - 1).op("i32x4.min_s")
    if gather.run == 4:
        f.i32(2).op("i32x4.shl")
    f.get(base).op("i32x4.splat").op("i32x4.add").set(places)
    for lane in range(4):
        f.get(places).op("i32x4.extract_lane", lane)
        if lane:
            f.get(value)
        elif gather.run == 1:
            f.i32x4(0)
        if lane or gather.run == 1:
            f.op(f"v128.load{bits}_lane", 0, lane)
        else:
            f.op("v128.load32_zero")
        f.set(value)
    store_bytes(f, target, value, 4 * gather.run)
    registers.give(places, value)
