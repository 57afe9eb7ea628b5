"""search_sorted: how many elements of a sorted row come before a value, by halving the row."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from fanlight.codegen.kernel import Kernel, Weights, node_bytes, register
from fanlight.codegen.wasm.assembler import Function, Local
from fanlight.codegen.wasm.module import Module
from fanlight.graph import Node
from fanlight.targets import Target


@dataclass(frozen=True)
class Search:
    """[rows, size] sorted, by [rows, count] values."""

    dtype: str
    right: bool
    rows: int
    size: int
    count: int


@register("search_sorted")
def lower(node: Node, target: Target, weights: Weights) -> Kernel:
    """The kernel of a search_sorted node."""
    sequence, values = (v.type for v in node.inputs)
    rows, size = prod(sequence.bound[:-1]), sequence.bound[-1]
    search = Search(sequence.dtype, node.attrs["right"], rows, size, values.bound[-1])

    def emit(module: Module, name: str) -> None:
        f = module.function(name, ("i32",) * 5)
        emit_search(f, search, *f.params)

    flops = values.size * (size.bit_length() + 1)
    return Kernel(f"{search}", emit, values.size, flops=flops, bytes=node_bytes(node))


def emit_search(
    f: Function, search: Search, sequence: Local, values: Local, y: Local, low: Local, high: Local
) -> None:
    """Values [low, high)."""
    kind = "f32" if search.dtype == "float32" else "i32"
    unit, row, begin, left, middle = f.locals(5, "i32")
    value, element = f.locals(2, kind)
    f.get(sequence).set(row)
    with f.range(unit, low, high):
        if search.rows > 1:
            f.get(unit).i32(search.count).op("i32.div_u").times(search.size * 4)
            f.get(sequence).op("i32.add").set(row)
        f.address(values, unit, 4).op(f"{kind}.load").set(value)
        # The answer is one of begin, begin + 1, ..., begin + left.
        f.i32(0).set(begin).i32(search.size).set(left)
        with f.block() as found, f.loop() as again:
            f.get(left).op("i32.eqz").br_if(found)
            f.get(begin).get(left).i32(1).op("i32.shr_u").op("i32.add").set(middle)
            f.address(row, middle, 4).op(f"{kind}.load").set(element)
            if search.right:
                _less(f, kind, value, element).op("i32.eqz")
            else:
                _less(f, kind, element, value)
            with f.if_():
                # All up to the middle come before the value.
                f.get(begin).get(left).op("i32.add").get(middle).op("i32.sub").plus(-1).set(left)
                f.get(middle).plus(1).set(begin)
                f.else_()
                f.get(left).i32(1).op("i32.shr_u").set(left)
            f.br(again)
        f.address(y, unit, 4).get(begin).op("i32.store")


def _less(f: Function, kind: str, a: Local, b: Local) -> Function:
    """Push whether a comes before b; NaN comes after all numbers."""
    if kind == "i32":
        return f.get(a).get(b).op("i32.lt_s")
    f.get(a).get(b).op("f32.lt")
    f.get(b).get(b).op("f32.ne").get(a).get(a).op("f32.eq").op("i32.and")
    return f.op("i32.or")
