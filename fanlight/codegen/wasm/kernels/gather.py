"""gather: rows of a tensor picked by int32 indices. Indices outside the axis are clamped to it."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from fanlight import dtypes
from fanlight.codegen.kernel import Kernel, Weights, register
from fanlight.codegen.wasm.assembler import Function, Local
from fanlight.codegen.wasm.kernels.vectors import Registers, copy_run
from fanlight.codegen.wasm.module import Module
from fanlight.graph import Node
from fanlight.targets import Target


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
    unit, index, source, target = registers.take_many(4, "i32")
    f.address(y, low, gather.run).set(target)
    with f.range(unit, low, high):
        f.get(indices).get(unit)
        if gather.outer > 1:
            f.i32(gather.count).op("i32.rem_u")
        f.times(4).op("i32.add").op("i32.load").tee(index)
        f.i32(0).get(index).i32(0).op("i32.gt_s").select().tee(index)
        f.i32(gather.size - 1).get(index).i32(gather.size - 1).op("i32.lt_s").select().set(index)
        if gather.outer > 1:
            f.get(unit).i32(gather.count).op("i32.div_u").times(gather.size)
            f.get(index).op("i32.add").set(index)
        f.address(x, index, gather.run).set(source)
        copy_run(f, registers, target, source, gather.run)
        f.advance(target, gather.run)
